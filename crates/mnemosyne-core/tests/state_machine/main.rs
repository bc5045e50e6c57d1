//! The state machine, tested by values: stories, and random histories.

mod random;
mod reopened;
mod stories;
mod story;
