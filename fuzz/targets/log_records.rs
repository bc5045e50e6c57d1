//! Any bytes as a frame of the log, and as the records within one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_persistence::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::frames(bytes);
    fuzzing::records(bytes);
});
