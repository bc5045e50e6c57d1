//! Rewrites a complete segment of an archive without the groups that are not wanted any more.
//!
//! The new segment is written beside the old one, while both readers and the owner go on, and then takes its place in
//! one step. Records keep their numbers, so that there are holes between them. A group that lies in more than one
//! segment loses its head first: without its head it is not there.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::archive::{Archive, ArchiveReader, HEAD};
use super::catalog::Catalog;
use super::index::Index;
use super::segment::{CompactedWriter, Origin};
use super::tag::Key;
use super::view::{Complete, Opened, View};
use super::{fresh_salt, segment};
use crate::error::StoreError;

/// A segment is rewritten when about one of so many of its bytes can go.
const SHARE: u64 = 4;

const SUFFIX: &str = ".compact";

/// A segment that is ready to take the place of another one. Without [`Archive::finish`], its file is removed when the
/// archive is opened next.
#[derive(Debug)]
#[must_use = "nothing has been replaced yet"]
pub struct Compaction {
    path: String,
    replaced: Arc<Complete>,
    by: Complete,
    index: Index,
}

impl Compaction {
    /// Where to look for more: the record after those of this segment.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.replaced.next_seq
    }
}

/// Whether a file is a segment that was prepared and never took its place.
pub(super) fn is_leftover(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

impl Archive {
    /// Removes groups that are not to be kept, in all segments where that frees enough. Returns how many bytes it has
    /// freed. [`ArchiveReader::prepare`] and [`Archive::finish`] do the same, the long part of it without the owner.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn compact(&mut self, keep: &dyn Fn(u64) -> bool) -> Result<u64, StoreError> {
        let (mut freed, mut from) = (0, 0);
        while let Some(compaction) = self.reader().prepare(from, keep)? {
            from = compaction.next_seq();
            freed += self.finish(compaction)?;
        }
        Ok(freed)
    }

    /// Puts a segment in the place of the one it was made from, durably, and removes the oldest ones that have nothing
    /// left. Returns how many bytes are free now; none when the old one was removed meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn finish(&mut self, compaction: Compaction) -> Result<u64, StoreError> {
        let before = self.reader().bytes();
        let catalog = self.history.catalog();
        let Compaction { path, replaced, by, index } = compaction;
        let by = Arc::new(by);
        if !catalog.replace(&replaced, &by, &path)? {
            let removed = catalog.backend.remove(&path);
            return removed.map(|()| 0).map_err(|error| StoreError::io("remove", &path, error));
        }
        catalog.write_index(&by, &index);
        while self.history.oldest_complete().is_some_and(|oldest| oldest.bytes <= segment::HEADER_MAX) {
            self.history.remove_oldest()?;
        }
        Ok(before.saturating_sub(self.reader().bytes()))
    }
}

impl ArchiveReader {
    /// Writes the first complete segment with records from `from` on anew, without the groups that are not to be kept,
    /// if that frees enough. Nothing changes before [`Archive::finish`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::Io`].
    pub fn prepare(&self, from: u64, keep: &dyn Fn(u64) -> bool) -> Result<Option<Compaction>, StoreError> {
        let catalog = &*self.history.catalog;
        let view = catalog.view();
        for (position, complete) in view.complete.iter().enumerate() {
            if complete.next_seq <= from {
                continue;
            }
            if let Some(opened) = catalog.open(complete)? {
                let groups = obsolete_groups(catalog, &view, position, &opened, keep)?;
                if is_worth_it(&opened.index, &groups) {
                    return rewrite(catalog, complete, &opened, &groups).map(Some);
                }
            }
        }
        Ok(None)
    }
}

/// The groups that can be left out: not to be kept, and with no head before this segment.
fn obsolete_groups(
    catalog: &Catalog,
    view: &View,
    position: usize,
    opened: &Opened,
    keep: &dyn Fn(u64) -> bool,
) -> Result<BTreeSet<u64>, StoreError> {
    let (mut seen, mut heads) = (BTreeSet::new(), BTreeSet::new());
    for key in opened.index.blocks.iter().flat_map(|block| block.contents.keys.iter()) {
        seen.insert(key.group);
        if key.part == HEAD {
            heads.insert(key.group);
        }
    }
    seen.retain(|group| !keep(*group));
    let without_head: Vec<u64> = seen.difference(&heads).copied().collect();
    for group in without_head {
        if has_head(catalog, &view.complete[..position], group)? {
            seen.remove(&group);
        }
    }
    Ok(seen)
}

fn has_head(catalog: &Catalog, segments: &[Arc<Complete>], group: u64) -> Result<bool, StoreError> {
    let head = Key { group, part: HEAD };
    for complete in segments.iter().rev() {
        let bounds = catalog.summary(complete)?.and_then(|summary| summary.bounds);
        if bounds.is_some_and(|(first, last)| (first..=last).contains(&head))
            && let Some(opened) = catalog.open(complete)?
            && opened.index.blocks.iter().any(|block| block.contents.keys.any_in(&(head..=head)))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether about enough bytes belong to the groups that can go; within a block, all are taken for equally large.
fn is_worth_it(index: &Index, obsolete: &BTreeSet<u64>) -> bool {
    let mut freed = 0;
    for (position, block) in index.blocks.iter().enumerate() {
        let groups: BTreeSet<u64> = block.contents.keys.iter().map(|key| key.group).collect();
        let bytes = index.after(position).0 - block.offset;
        freed += bytes * groups.intersection(obsolete).count() as u64 / (groups.len() as u64).max(1);
    }
    !obsolete.is_empty() && freed * SHARE >= index.end
}

fn rewrite(
    catalog: &Catalog,
    complete: &Arc<Complete>,
    opened: &Opened,
    obsolete: &BTreeSet<u64>,
) -> Result<Compaction, StoreError> {
    let (segment, salt) = (&opened.segment, fresh_salt());
    let path = format!("{}/{salt:016x}{SUFFIX}", catalog.dir);
    let origin = Origin { first_seq: segment.first_seq, previous: segment.previous, salt };
    let index = match write(catalog, opened, obsolete, &path, origin) {
        Ok(index) => index,
        Err(error) => {
            // It may be the room it takes that is missing. What cannot be removed now goes at the next start.
            let _ = catalog.backend.remove(&path);
            return Err(error);
        }
    };
    let by = Complete::of(complete.first_seq, complete.next_seq, salt, index.end);
    by.summary.get_or_init(|| index.summary());
    Ok(Compaction { path, replaced: Arc::clone(complete), by, index })
}

fn write(
    catalog: &Catalog,
    opened: &Opened,
    obsolete: &BTreeSet<u64>,
    path: &str,
    origin: Origin,
) -> Result<Index, StoreError> {
    let Opened { segment, index } = opened;
    let mut writer = CompactedWriter::new(&*catalog.backend, path, origin, catalog.tagger)?;
    for position in 0..index.blocks.len() {
        let mut written = Ok(());
        segment.read_block(index, position, &mut |seq, record| {
            let group = (catalog.tagger.tag)(record).key.map(|key| key.group);
            if group.is_none_or(|group| !obsolete.contains(&group)) {
                written = writer.push(seq, record);
            }
            if written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        written?;
    }
    writer.finish()
}
