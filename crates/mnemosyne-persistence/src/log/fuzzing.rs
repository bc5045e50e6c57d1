//! The door of the fuzz targets to the records of the log.

use super::record::{Records, decode_entry};

/// Decodes any bytes; what could be decoded is encoded as it was.
pub(crate) fn records(bytes: &[u8]) {
    let mut encoded = Vec::new();
    for record in Records::new(bytes) {
        match record {
            Ok((offset, record)) => {
                assert_eq!(offset, encoded.len());
                record.encode(&mut encoded);
                assert!(bytes.starts_with(&encoded));
            }
            Err(impossible) => assert!(impossible.offset < bytes.len()),
        }
    }
    // Whether there is an entry is all that counts here.
    let _ = decode_entry(bytes);
}
