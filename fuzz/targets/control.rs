//! Any bytes on the control socket, to the node and to a client.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_control::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::calls(bytes);
    fuzzing::returns(bytes);
});
