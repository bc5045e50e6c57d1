//! `mnemosyne init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{line, say};
use crate::settings::CONFIG_FILE;

/// Agents that are looked for, with the definition that is written for them.
const KNOWN_AGENTS: &[(&str, &str)] = &[
    (
        "claude",
        "command = [\"claude\", \"-p\"]\nprompt = \"stdin\"\nenv_allow = [\"ANTHROPIC_*\", \"CLAUDE_*\"]",
    ),
    (
        "codex",
        "command = [\"codex\", \"exec\", \"--skip-git-repo-check\", \"--\", \"{prompt}\"]\nprompt = \"arg\"\nenv_allow = [\"OPENAI_*\", \"CODEX_*\"]",
    ),
    (
        "gemini",
        "command = [\"gemini\", \"-p\", \"{prompt}\"]\nprompt = \"arg\"\nenv_allow = [\"GEMINI_*\", \"GOOGLE_*\"]",
    ),
    ("opencode", "command = [\"opencode\", \"run\", \"{prompt}\"]\nprompt = \"arg\""),
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
        let found: Vec<&(&str, &str)> = KNOWN_AGENTS.iter().filter(|(name, _)| is_installed(name)).collect();
        let mut text = String::from(
            "# Configuration of mnemosyne. `mnemosyne config show` prints every setting with its value.\n\n\
             [orchestration.scaling.executor]\nmax_pool_size = 4  # executors at the same time\n",
        );
        for (name, definition) in &found {
            text.push_str(&format!("\n[agents.{name}]\n{definition}\n"));
        }
        created.write_all(text.as_bytes()).map_err(fail)?;
        line(file.display());
        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
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
