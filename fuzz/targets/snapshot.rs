//! Any bytes as a state: refused as damaged, or a state in which every
//! invariant holds and which is written as it was read.
//!
//! On disk the bytes stand behind a BLAKE3 hash; this is what a program with
//! an error in its writer could leave there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_core::orchestration::Orchestration;

fuzz_target!(|bytes: &[u8]| {
    let mut input = bytes;
    let Ok(state) = Orchestration::restore(&mut input) else { return };
    let mut written = Vec::new();
    state.snapshot().write(&mut written).expect("memory takes everything");
    let again = Orchestration::restore(&mut written.as_slice()).expect("what was written can be read");
    assert_eq!(again.hash(), state.hash());
});
