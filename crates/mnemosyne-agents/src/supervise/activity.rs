//! Whether an agent does anything at all.

use std::io;
use std::path::Path;

use crate::output::Stream;
use crate::output::reader::OutputReader;
use crate::process::identity::ShimIdentity;
use crate::process::stat::{ProcessStat, ticks_to_ms};
use crate::process::table::ProcessTable;

/// A reading of two counters. An agent whose readings do not change over the
/// idle time neither prints nor computes. (They may also go down, when a
/// process ends whose parent does not care: any change is a sign of life.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// What it printed so far, both streams.
    pub output_bytes: u64,
    /// CPU time of everything below the shim.
    pub cpu_ms: u64,
}

/// Reads the counters of one attempt. `table` may be shared between many
/// attempts that are read at the same moment; it is the expensive part.
///
/// # Errors
/// When the attempt folder cannot be read.
pub fn activity(table: &ProcessTable, dir: &Path, identity: &ShimIdentity) -> io::Result<Activity> {
    let mut output_bytes = 0;
    for stream in Stream::ALL {
        output_bytes += OutputReader::new(dir, stream).total_bytes()?;
    }
    Ok(Activity { output_bytes, cpu_ms: ticks_to_ms(tree_ticks(table, identity)?) })
}

/// CPU time of what lives below the shim, and of what lived there. The shim's own is not counted: it is busy for
/// as long as it waits.
fn tree_ticks(table: &ProcessTable, identity: &ShimIdentity) -> io::Result<u64> {
    let Some(shim) = ProcessStat::read(identity.pid)?.filter(|stat| stat.start_ticks == identity.start_ticks)
    else {
        return Ok(0);
    };
    let living: u64 = table.descendants(identity.pid).iter().map(|stat| stat.cpu.total()).sum();
    Ok(living + shim.cpu.children_user + shim.cpu.children_system)
}
