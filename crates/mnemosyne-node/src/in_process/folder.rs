//! The folder of an attempt in this process, which tells whoever comes next how far it got.

use std::io;
use std::path::Path;

use mnemosyne_agents::collect_file;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::AttemptResult;
use serde::de::DeserializeOwned;

use super::interrupted;
use crate::fault::passes;

/// Beyond this, a record is none of ours.
const RECORD_BYTES_MAX: u64 = 256 << 20;

/// How an attempt begins.
pub(crate) enum Begun<T> {
    /// Nothing of it was there.
    Fresh,
    /// Its end was recorded before.
    Left(T),
    /// It is over without having been done.
    Over(AttemptResult),
}

/// Makes the folder of an attempt, or sees what was left in it: `left` reads
/// the record of its end, and `cut_short` says what it means that there is none.
///
/// # Errors
/// When there is no room for it just now.
pub(crate) fn begin<T>(
    dir: &Path,
    order: &Order,
    left: impl FnOnce() -> io::Result<Option<T>>,
    cut_short: &str,
) -> io::Result<Begun<T>> {
    match std::fs::create_dir(dir) {
        Ok(()) if order.stopping => Ok(Begun::Over(AttemptResult::Stopped)),
        Ok(()) if order.adopted => {
            Ok(Begun::Over(interrupted("the node ended, and the attempt's folder is gone")))
        }
        Ok(()) => Ok(Begun::Fresh),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(match left()? {
            Some(left) => Begun::Left(left),
            None if order.stopping => Begun::Over(AttemptResult::Stopped),
            None => Begun::Over(interrupted(cut_short)),
        }),
        Err(error) if passes(&error) => Err(error),
        Err(error) => Ok(Begun::Over(interrupted(format!("the attempt's folder cannot be made: {error}")))),
    }
}

/// The record in a file of the folder; none when it is not there, or not whole.
///
/// # Errors
/// When it cannot be read just now.
pub(crate) fn record<T: DeserializeOwned>(dir: &Path, file: &str) -> io::Result<Option<T>> {
    let bytes = match collect_file(dir, Path::new(file), RECORD_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            let error = io::Error::from(error);
            if passes(&error) {
                return Err(error);
            }
            None
        }
    };
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
