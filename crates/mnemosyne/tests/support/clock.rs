//! A wall clock that is ahead of the machine's.

use std::process::Command;
use std::time::Duration;

use super::Scene;
use super::preload::library;

impl Scene {
    /// A command that is run when the clock of the machine was ahead.
    pub(crate) fn with_clock_ahead(&self, by: Duration, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env("LD_PRELOAD", library("clock.c")).env("CLOCK_AHEAD_SECONDS", by.as_secs().to_string());
        command
    }
}
