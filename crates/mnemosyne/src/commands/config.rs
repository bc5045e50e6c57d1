//! `mnemosyne config check|show`.

use clap::Subcommand;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line};
use crate::settings::Surroundings;

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Look for mistakes
    Check,
    /// Print every setting, its value, and where it came from
    Show,
}

impl Config {
    pub(crate) fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        match self {
            Self::Check => match &around.config_file {
                Some(file) => line(format!("{}: no errors", file.display())),
                None => line("no configuration file; the defaults hold"),
            },
            Self::Show if around.json => json(&around.config.rows()),
            Self::Show => line(around.config.show().trim_end()),
        }
        Ok(Exit::Success)
    }
}
