//! A disk that fails: calls of one kind on some files, from a moment on.

use std::process::Command;

use super::Scene;
use super::preload::library;

/// What fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// `fdatasync`, `fsync` or `pwrite`.
    pub(crate) call: &'static str,
    /// A part of the path of the file.
    pub(crate) path: &'static str,
    /// With what error.
    pub(crate) errno: rustix::io::Errno,
}

/// Makes the fault happen.
const WHEN: &str = "fault";
/// Where each failed call is written down.
const LOG: &str = "fault.log";

impl Fault {
    /// A command in which the fault will happen.
    pub(crate) fn within(self, scene: &Scene, arguments: &[&str]) -> Command {
        let mut command = scene.command(arguments);
        command
            .env("LD_PRELOAD", library("fault.c"))
            .env("FAULT_CALL", self.call)
            .env("FAULT_PATH", self.path)
            .env("FAULT_ERRNO", self.errno.raw_os_error().to_string())
            .env("FAULT_WHEN", scene.at(WHEN))
            .env("FAULT_LOG", scene.at(LOG));
        command
    }

    /// From now on.
    pub(crate) fn happens(self, scene: &Scene) {
        scene.touch(WHEN);
    }

    /// Never again; returns the calls that failed, each with its file.
    pub(crate) fn is_over(self, scene: &Scene) -> Vec<String> {
        std::fs::remove_file(scene.path().join(WHEN)).expect("it has happened before");
        scene.lines(LOG)
    }
}
