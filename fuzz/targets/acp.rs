//! Any lines of an agent that speaks the Agent Client Protocol, and nodes that
//! come one after the other: what we say is said once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_agents::acp::fuzzing::hear_anything;

fuzz_target!(|bytes: &[u8]| hear_anything(bytes));
