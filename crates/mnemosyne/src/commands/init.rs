//! `mnemosyne init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_core::config::elements::Preset;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{line, say};
use crate::settings::CONFIG_FILE;

/// What is written below the definition of a program that asks before it does anything.
const PERMISSION: &[(Preset, &str)] = &[
    (
        Preset::ClaudeCode,
        "# args = [\"--permission-mode\", \"acceptEdits\"]  # nobody is there to be asked: say what it may do",
    ),
    (
        Preset::Gemini,
        "# args = [\"--approval-mode\", \"auto_edit\"]  # nobody is there to be asked: say what it may do",
    ),
];

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder [default: this one]
    dir: Option<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, _globals: &Globals) -> Result<Exit, Failure> {
        let file = self.dir.unwrap_or_default().join(CONFIG_FILE);
        let fail = |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", file.display()));
        let mut created = OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::usage(format!("{} is there already; it was left as it is", file.display()))
            } else {
                fail(error)
            }
        })?;
        let mut found = Preset::ALL.to_vec();
        found.retain(|preset| is_installed(preset.program()));
        let mut text = String::from(
            "# Configuration of mnemosyne. `mnemosyne config show` prints every setting with its value.\n\n\
             [orchestration.scaling.executor]\nmax_pool_size = 4  # executors at the same time\n",
        );
        for preset in &found {
            text.push_str(&format!("\n[agents.{}]\npreset = \"{}\"\n", preset.program(), preset.as_str()));
            for (_, hint) in PERMISSION.iter().filter(|(of, _)| of == preset) {
                text.push_str(&format!("{hint}\n"));
            }
        }
        created.write_all(text.as_bytes()).map_err(fail)?;
        line(file.display());
        let names: Vec<&str> = found.iter().map(|preset| preset.program()).collect();
        match names[..] {
            [] => say("no agent program was found on PATH; plans of plain commands work as they are"),
            _ => say(format!("found {}", names.join(", "))),
        }
        Ok(Exit::Success)
    }
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| Path::new(&folder).join(program).is_file())
}
