//! Doors for the fuzz targets, which reach what no store hands out.

use std::fs;

use crate::bundle::BundleReader;
use crate::format::BUNDLE;
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

/// The parts of a file that has any bytes between its tag and a hash that fits, up to the first that is not whole.
///
/// # Panics
/// When the system has no room for the file.
#[must_use]
pub fn parts(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut file = BUNDLE.bytes().to_vec();
    file.extend_from_slice(bytes);
    file.push(0);
    let hash = *blake3::hash(&file).as_bytes();
    file.extend(hash);
    let path = std::env::temp_dir().join(format!("mnemosyne-fuzz-{}", std::process::id()));
    fs::write(&path, file).expect("there is room for a small file");
    let mut reader = BundleReader::open(&path).expect("tag and hash fit");
    fs::remove_file(&path).expect("it was just written");
    std::iter::from_fn(|| reader.next_part().ok().flatten()).collect()
}
