//! Any bytes as commands: what can be decoded is applied, and every invariant
//! holds after every entry. Commands come from the log and, as submissions and
//! requests, over the socket.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::invariant;
use mnemosyne_fuzz::{apply, machine};

/// Entries of one story.
const ENTRIES_MAX: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let (mut state, mut rest) = (machine(), bytes);
    for _ in 0..ENTRIES_MAX {
        let Ok((batch, left)) = postcard::take_from_bytes::<Batch>(rest) else { break };
        rest = left;
        if batch.commands.iter().any(|command| matches!(command, Command::Configure(_))) {
            // Settings come from the configuration, which has checked them.
            continue;
        }
        apply(&mut state, batch.stamp.as_millis(), batch.commands);
    }
    if let Err(violation) = invariant::check_restore(&state) {
        panic!("{violation}");
    }
});
