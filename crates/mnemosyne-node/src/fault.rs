//! Faults of the machine, which pass and are nobody's work.

use std::error::Error;
use std::io;

use mnemosyne_persistence::StoreError;
use mnemosyne_persistence::storage::is_full;
use rustix::io::Errno;

use crate::stores::PayloadError;

/// What a process or a machine has too little of for a moment.
const SCARCE: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN];

/// Whether an error says that there is too little of something just now.
pub(crate) fn passes(error: &io::Error) -> bool {
    is_full(error)
        || error.raw_os_error().is_some_and(|code| SCARCE.iter().any(|errno| errno.raw_os_error() == code))
}

/// The error of the disk or the machine behind that of a payload, if it may pass.
pub(crate) fn passing(error: &PayloadError) -> Option<io::Error> {
    match error {
        PayloadError::Blob(StoreError::Io { source, .. }) if passes(source) => {
            Some(io::Error::new(source.kind(), in_full(error)))
        }
        _ => None,
    }
}

/// An error with its causes.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scarce_passes_and_what_is_forbidden_does_not() {
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert!([Errno::MFILE, Errno::NOSPC, Errno::DQUOT].into_iter().all(|errno| passes(&of(errno))));
        assert!([Errno::ACCESS, Errno::IO, Errno::NOENT].into_iter().all(|errno| !passes(&of(errno))));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = StoreError::Io { operation: "read", file: "blobs/a".to_owned(), source };
        assert_eq!(in_full(&error), "cannot read blobs/a: permission denied");
    }
}
