//! What a node finds in an attempt folder when it starts.

use std::io;
use std::path::Path;

use crate::attempt::claim::{Claim, read_claim};
use crate::attempt::exit_record::ExitRecord;
use crate::process::identity::ShimIdentity;

/// Where an attempt stands, as far as its folder and the process table tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOnDisk {
    /// No shim has claimed it. One may be on its way: [`crate::revoke`] before giving it up.
    NotClaimed,
    /// It was revoked and never ran.
    Revoked,
    /// It runs under this shim: wait for it with [`crate::wait_exit`].
    Running(ShimIdentity),
    /// It has ended and nothing of it is left.
    Exited(ExitRecord),
    /// The claim cannot be read, as after a power cut: whoever ran it is gone.
    /// Sweep its cookie to be sure.
    Damaged,
    /// Its shim is gone without a record: sweep its cookie, for instance by
    /// [`crate::wait_exit`] with this identity, which returns at once.
    Lost(ShimIdentity),
}

/// Looks at an attempt folder without changing anything.
///
/// # Errors
/// When the folder cannot be read.
pub fn inspect(dir: &Path) -> io::Result<AttemptOnDisk> {
    let identity = match read_claim(dir) {
        Ok(None) => return Ok(AttemptOnDisk::NotClaimed),
        Ok(Some(Claim::Revoked)) => return Ok(AttemptOnDisk::Revoked),
        Ok(Some(Claim::Shim(identity))) => identity,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(AttemptOnDisk::Damaged),
        Err(error) => return Err(error),
    };
    // First the process, then the record: while the shim lives, a record in the
    // folder can only be a forgery of the agent.
    if identity.is_alive() {
        return Ok(AttemptOnDisk::Running(identity));
    }
    Ok(match ExitRecord::read(dir)? {
        Some(record) => AttemptOnDisk::Exited(record),
        None => AttemptOnDisk::Lost(identity),
    })
}
