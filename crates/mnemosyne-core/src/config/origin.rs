//! Where the value of a setting came from.

use std::fmt;

use serde::Serialize;

use crate::text::Location;

/// Where the value of a setting came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// The configuration file.
    File {
        /// What the file is called.
        name: String,
        /// Where the value stands in it.
        at: Location,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// The flag.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File { name, at } => f.pad(&format!("{name}:{}", at.line)),
            Self::Environment { name } => f.pad(&format!("environment {name}")),
            Self::Flag { name } => f.pad(name),
        }
    }
}
