//! Stories of agents that crash, told with a runner that does as it is told, and a node in a folder of its own.

mod crashing;
mod ending;
mod scene;
mod sizes;
