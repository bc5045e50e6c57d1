//! Runs that go elsewhere, come from elsewhere, and are made of an earlier one.

mod carried;
mod export;
mod fork;
mod import;

pub(crate) use export::Export;
pub(crate) use fork::Fork;
pub(crate) use import::Import;

use crate::output::say;

/// A part of the file: a record of the run.
const RECORD: u8 = 1;
/// A part of the file: a blob.
const BLOB: u8 = 2;
/// A part of the file: the hash of a blob of the run that could not be read any more, 32 bytes.
const LOST: u8 = 3;

fn say_when(waits: bool) {
    if waits {
        say("what is to be done starts with the next node (`mnemosyne up`)");
    }
}
