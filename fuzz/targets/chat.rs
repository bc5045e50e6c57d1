//! Any bytes as what a chat endpoint sends: a stream, however it is cut, and a refusal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_agents::chat::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let Some((cuts, stream)) = bytes.split_at_checked(8) else { return };
    fuzzing::stream(stream, cuts);
    if let Ok(header) = std::str::from_utf8(stream) {
        fuzzing::refusal(header, stream);
    }
});
