//! The state machine, tested by values: stories, and random histories.

mod approval;
mod elsewhere;
mod expanding;
mod random;
mod reconciliation;
mod referring;
mod reopened;
mod sessions;
mod stories;
mod story;
mod strays;
