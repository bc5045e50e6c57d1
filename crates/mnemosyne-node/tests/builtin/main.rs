//! Stories of agents that are closures, told by a node in a folder of its own.

mod answering;
mod ending;
mod example;
mod failing;
mod scene;
