//! Doors for the fuzz targets, which reach what no store hands out.

use crate::frame;
use crate::log::fuzzing as log;

/// Looks for frames in any bytes, as recovery does.
pub fn frames(bytes: &[u8]) {
    let salt = 7;
    if let Some(frame) = frame::check(bytes, salt) {
        assert!(frame.length <= bytes.len() && frame.payload.len() < frame.length);
    }
    if let Some(offset) = frame::find(bytes, 0, 0, salt) {
        assert!(frame::check(&bytes[offset..], salt).is_some());
    }
    assert!(frame::end_of_data(bytes) <= bytes.len());
}

/// Decodes any bytes as the records within a frame; what could be decoded is encoded as it was.
pub fn records(bytes: &[u8]) {
    log::records(bytes);
}
