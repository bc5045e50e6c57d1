//! The claim: at most one process ever runs an attempt.
//!
//! A node may die between creating the attempt folder and spawning the shim, or
//! just after it. Its successor cannot tell whether a late shim is still on its
//! way. So a shim must create the file `claim` before it runs anything, and the
//! successor may create it instead ([`revoke`]): whoever comes second loses.
//!
//! ```text
//!   folder ──shim──▶ claimed by that shim, runs once
//!      └────node───▶ revoked, never runs
//! ```
//! The claim is made by linking a finished file into place, so it is never
//! seen half written, and it is never changed or removed while the folder lives.
//! It is not synced, which every attempt would have to wait for: after a power
//! cut it may be empty, and then nothing of the attempt runs any more.

use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{CLAIM_FILE, create_private, read_if_there, temporary_beside};
use crate::process::identity::ShimIdentity;

/// The content of the claim file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// A shim runs the attempt, or ran it.
    Shim(ShimIdentity),
    /// The attempt will never run.
    Revoked,
}

/// What [`revoke`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The attempt never ran and never will.
    Revoked,
    /// A shim was faster; wait for it or stop it.
    AlreadyClaimed(ShimIdentity),
}

/// Makes sure that no shim starts this attempt any more, if none has.
///
/// # Errors
/// When the claim can be neither created nor read: nothing is known then.
pub fn revoke(dir: &Path) -> io::Result<Revocation> {
    // A claim never changes, and reading it needs no room on a disk that may be full.
    let claim = match read_claim(dir)? {
        None => take(dir, &Claim::Revoked)?,
        claim => claim,
    };
    Ok(match claim {
        None | Some(Claim::Revoked) => Revocation::Revoked,
        Some(Claim::Shim(identity)) => Revocation::AlreadyClaimed(identity),
    })
}

/// The claim on an attempt folder, if there is one.
///
/// # Errors
/// When the file is there but is not a claim ([`io::ErrorKind::InvalidData`]), or cannot be read.
pub fn read_claim(dir: &Path) -> io::Result<Option<Claim>> {
    let Some(bytes) = read_if_there(dir, CLAIM_FILE)? else { return Ok(None) };
    let claim = serde_json::from_slice(&bytes);
    claim.map(Some).map_err(|error| {
        let text = format!("{CLAIM_FILE} of {} bytes is no claim: {error}", bytes.len());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Creates the claim; returns the one that was there before, if any.
pub(crate) fn take(dir: &Path, claim: &Claim) -> io::Result<Option<Claim>> {
    let target = dir.join(CLAIM_FILE);
    let temporary = temporary_beside(&target);
    let bytes = serde_json::to_vec(claim)?;
    let linked = create_private(&temporary)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::hard_link(&temporary, &target));
    let _ = std::fs::remove_file(&temporary);
    match linked {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_claim(dir),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_claim_wins_and_stays() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let me = ShimIdentity::of_self().expect("an identity");
        assert_eq!(take(dir.path(), &Claim::Shim(me.clone())).expect("taken"), None);
        assert_eq!(take(dir.path(), &Claim::Revoked).expect("refused"), Some(Claim::Shim(me.clone())));
        assert_eq!(revoke(dir.path()).expect("read"), Revocation::AlreadyClaimed(me));
    }

    #[test]
    fn of_many_that_claim_at_once_one_wins() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let me = Claim::Shim(ShimIdentity::of_self().expect("an identity"));
        let winners = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| take(dir.path(), &me).expect("taken"))).collect();
            threads.into_iter().map(|t| t.join().expect("joined")).filter(Option::is_none).count()
        });
        assert_eq!(winners, 1);
    }

    #[test]
    fn revoking_twice_is_the_same_as_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(revoke(dir.path()).expect("revoked"), Revocation::Revoked);
        assert_eq!(revoke(dir.path()).expect("revoked"), Revocation::Revoked);
    }
}
