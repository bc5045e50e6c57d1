//! Where things are and how they are set, resolved once from flags, environment and file.

use std::path::{Path, PathBuf};

use mnemosyne_core::config::{Override, Resolved, resolve};
use mnemosyne_core::text::{Format, Source};

use crate::cli::Globals;
use crate::failure::Failure;

/// Name of the configuration file.
pub(crate) const CONFIG_FILE: &str = "mnemosyne.toml";
/// Name of the data directory beside it.
const DATA_DIR: &str = ".mnemosyne";

/// Everything a command needs to know about its surroundings.
pub(crate) struct Surroundings {
    /// The data directory, absolute.
    pub(crate) data_dir: PathBuf,
    /// The configuration file, if there is one.
    pub(crate) config_file: Option<PathBuf>,
    /// The configuration.
    pub(crate) config: Resolved,
    /// The namespace that was asked for.
    pub(crate) namespace: Option<String>,
    /// JSON was asked for.
    pub(crate) json: bool,
}

impl Surroundings {
    /// Resolves the global flags.
    pub(crate) fn resolve(globals: &Globals) -> Result<Self, Failure> {
        Self::resolve_with(globals, &[])
    }

    /// Resolves the global flags and settings given by other flags.
    pub(crate) fn resolve_with(globals: &Globals, overrides: &[Override]) -> Result<Self, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::usage(format!("cannot tell the current folder: {error}")))?;
        let config_file = match &globals.config {
            Some(file) => Some(here.join(file)),
            None => here.ancestors().map(|folder| folder.join(CONFIG_FILE)).find(|file| file.is_file()),
        };
        let mut config = read_config(config_file.as_deref(), overrides)?;
        let base = config_file.as_deref().and_then(Path::parent).unwrap_or(&here);
        let beside = base.join(DATA_DIR);
        // A path in the file means the same wherever a command is given.
        if let Some(skills) = &mut config.settings.optimizer.skills {
            *skills = base.join(&*skills).to_string_lossy().into_owned();
        }
        Ok(Self {
            data_dir: globals.data_dir.as_ref().map_or(beside, |dir| here.join(dir)),
            config_file,
            config,
            namespace: globals.namespace.clone(),
            json: globals.json,
        })
    }
}

fn read_config(file: Option<&Path>, overrides: &[Override]) -> Result<Resolved, Failure> {
    let text = match file {
        None => None,
        Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("cannot read the configuration {}: {error}", file.display()))
        })?),
    };
    let name = file.map_or(String::new(), |file| file.display().to_string());
    let source = text.as_deref().map(|text| Source::with_format(&name, text, Format::Toml));
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(resolve(source, environment, overrides)?)
}
