//! Another boot of the machine: what is started within believes that it runs in that one, and so does all that it starts.

use std::process::Command;

use super::Scene;
use super::preload::library;

/// The kernel's id of a boot that is over.
pub(crate) const EARLIER_BOOT: &str = "00000000-0000-0000-0000-000000000000";
/// Where it is written down.
const ID_FILE: &str = "boot-id";

impl Scene {
    /// A command that runs in the boot before this one.
    pub(crate) fn in_earlier_boot(&self, arguments: &[&str]) -> Command {
        self.write(ID_FILE, format!("{EARLIER_BOOT}\n"));
        let mut command = self.command(arguments);
        command.env("LD_PRELOAD", library("boot.c")).env("BOOT_ID_FILE", self.at(ID_FILE));
        command
    }
}
