//! Starting a shim.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::attempt::spec::LaunchSpec;
use crate::attempt::{FILE_MODE, SHIM_LOG};
use crate::process::cookie::COOKIE_VARIABLE;
use crate::process::identity::ShimIdentity;

/// What a shim inherits of our environment. The cookie: if we are ourselves
/// part of somebody's attempt, so is everything we start. The other is where
/// coverage measurements go.
const INHERITED: [&str; 2] = [COOKIE_VARIABLE, "LLVM_PROFILE_FILE"];

/// A shim on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Who it is. Give it to [`crate::wait_exit`], which also reaps it.
    pub identity: ShimIdentity,
}

/// Writes the spec into the attempt folder, which must exist and be empty, and
/// starts a shim for it. `shim_exe` is a program that calls
/// [`crate::shim_main`] when started as `PROGRAM shim DIR`; `/proc/self/exe`
/// names our own even after an upgrade has replaced its file.
///
/// The shim leaves our session at once and outlives us. Until it is waited for,
/// its end leaves a zombie behind, as with any child.
///
/// # Errors
/// When the spec is refused or cannot be written, or the shim cannot be
/// started. Nothing runs then. What fails later is in the exit record or log.
pub fn launch(shim_exe: &Path, dir: &Path, spec: &LaunchSpec) -> io::Result<Launched> {
    let dir = std::path::absolute(dir)?;
    spec.write(&dir)?;
    let log = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(dir.join(SHIM_LOG))?;
    let inherited = INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    // A relative path would be looked up from the folder the shim starts in.
    let child = Command::new(std::path::absolute(shim_exe)?)
        .arg("shim")
        .arg(&dir)
        .env_clear()
        .envs(inherited)
        // Holds on to no folder that somebody may want to remove or unmount.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(Launched { identity: ShimIdentity::of(child.id())? })
}
