//! Finds the segments of a folder that are a history together.

use std::sync::Arc;

use super::segment::{Segment, file_name};
use super::tag::Tagger;
use super::view::{Complete, Opened};
use crate::error::StoreError;
use crate::storage::StorageBackend;

/// The segments that belong together, oldest first: back to one that starts anew, or to the oldest there is. The last
/// one comes open, and by itself.
pub(super) fn open_chain(
    backend: &dyn StorageBackend,
    dir: &str,
    first_seqs: &[u64],
) -> Result<(Vec<Arc<Complete>>, Option<Segment>), StoreError> {
    let Some((last, others)) = first_seqs.split_last() else {
        return Ok((Vec::new(), None));
    };
    let last = Segment::open(backend, dir, *last)?;
    let mut complete: Vec<Arc<Complete>> = Vec::new();
    let (mut next, mut due) = (last.first_seq, last.previous);
    for first_seq in others.iter().rev() {
        let Some(previous) = due else { break };
        if previous.first_seq != *first_seq {
            let what = format!("the segment before it, {}, is missing", file_name(previous.first_seq));
            return Err(StoreError::damaged(&format!("{dir}/{}", file_name(next)), 0, what));
        }
        let segment = Segment::open(backend, dir, previous.first_seq)?;
        complete.push(Arc::new(Complete::new(&segment, segment.length()?, previous.next_seq)));
        (next, due) = (segment.first_seq, segment.previous);
    }
    complete.reverse();
    Ok((complete, Some(last)))
}

/// Checks the last segment, and says how many bytes of an incomplete last frame follow it.
pub(super) fn check_last(segment: Segment, tagger: Tagger) -> Result<(Opened, u64), StoreError> {
    if segment.is_compacted() {
        return Err(StoreError::damaged(&segment.path, 0, "the segment after it is missing"));
    }
    let index = segment.scan(tagger)?;
    let torn_bytes = segment.torn_bytes(&index)?;
    Ok((Opened { segment: Arc::new(segment), index: Arc::new(index) }, torn_bytes))
}
