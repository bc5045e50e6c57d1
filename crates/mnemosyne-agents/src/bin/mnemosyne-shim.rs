//! The shim as a program of its own: `mnemosyne-shim shim DIR`, like `mnemosyne shim DIR`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(dir) = std::env::args_os().skip(1).last() {
        return mnemosyne_agents::shim_main(&PathBuf::from(dir));
    }
    let _ = writeln!(std::io::stderr(), "usage: mnemosyne-shim shim DIR");
    ExitCode::from(2)
}
