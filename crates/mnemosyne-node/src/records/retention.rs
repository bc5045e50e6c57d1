//! What of the past may be forgotten: what is too old or too much, and on which nothing in the state depends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mnemosyne_control::EventFilter;
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::{RecordTag, RunSummary};
use mnemosyne_core::needed::Needed;
use mnemosyne_core::time::{Span, Stamp};
use mnemosyne_persistence::{Page, Retention};

use super::reader::RecordsError;
use super::{Records, RunsReader, locked};

/// Heads of runs that are read at a time.
const HEADS_AT_A_TIME: usize = 1_000;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// For how long.
    pub(crate) retention: Span,
    /// How many bytes of events, and likewise of runs.
    pub(crate) bytes_max: u64,
}

impl Keep {
    /// For one who writes what is missing and forgets nothing.
    pub(crate) const EVERYTHING: Self = Self { retention: Span::from_millis(u64::MAX), bytes_max: u64::MAX };
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// Files of events.
    pub(crate) event_files: usize,
    /// Runs.
    pub(crate) runs: usize,
    /// Bytes of both.
    pub(crate) bytes: u64,
}

impl fmt::Display for Forgotten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_files, runs, bytes } = self;
        write!(formatter, "{event_files} files of events and {runs} runs, {bytes} bytes")
    }
}

/// A run of the archive, as far as it matters here.
struct Kept {
    left_at: Stamp,
    /// How much of the archive it is, in no unit.
    weight: u64,
}

impl Records {
    /// Forgets what is kept no longer. Files go as a whole, so that something stays longer than it has to.
    pub(crate) fn forget(&self, now: Stamp, needed: &Needed) -> Result<Forgotten, RecordsError> {
        let (event_files, event_bytes) = self.forget_events(now, needed)?;
        let (runs, run_bytes) = self.forget_runs(now, needed)?;
        Ok(Forgotten { event_files, runs, bytes: event_bytes + run_bytes })
    }

    fn forget_events(&self, now: Stamp, needed: &Needed) -> Result<(usize, u64), RecordsError> {
        // The first event that something depends on. When there is none yet, all that is there may go.
        let since = EventFilter { since: needed.events_since, limit: 1, ..EventFilter::default() };
        let keep_from = match needed.events_since {
            Some(_) => self.reader.events(&since)?.first().map(|record| record.seq),
            None => None,
        };
        let retention = Retention {
            bytes_max: Some(self.keep.bytes_max),
            not_before: Some(now.as_millis().saturating_sub(self.keep.retention.as_millis())),
            keep_from,
        };
        let mut history = locked(&self.history);
        let before = history.reader().bytes();
        let removed = history.retain(&retention)?;
        Ok((removed, before.saturating_sub(history.reader().bytes())))
    }

    fn forget_runs(&self, now: Stamp, needed: &Needed) -> Result<(usize, u64), RecordsError> {
        let runs = &self.reader.runs;
        let kept = runs.kept()?;
        let obsolete = obsolete(&self.keep, now, needed, &kept, runs.archive.bytes());
        if obsolete.is_empty() {
            return Ok((0, 0));
        }
        let (mut freed, mut from) = (0, 0);
        let keep = |run: u64| !obsolete.contains(&RunId::from_u64(run));
        // The long part without the lock.
        while let Some(compaction) = runs.archive.prepare(from, &keep)? {
            from = compaction.next_seq();
            freed += locked(&self.archive).finish(compaction)?;
        }
        // Whoever looked at a run that is gone now does not go on with it.
        *locked(&runs.last) = None;
        let left = if freed > 0 { runs.kept()?.len() } else { kept.len() };
        Ok((kept.len().saturating_sub(left), freed))
    }
}

impl RunsReader {
    /// All runs of the archive.
    fn kept(&self) -> Result<BTreeMap<RunId, Kept>, RecordsError> {
        let mut kept = BTreeMap::new();
        let mut page = Page { after: None, limit: HEADS_AT_A_TIME, backwards: false };
        loop {
            let heads = self.archive.heads(&page)?;
            let Some((last, _)) = heads.last() else { return Ok(kept) };
            page.after = Some(*last);
            for (run, head) in heads {
                let items: u64 = RunSummary::of(&head)?.counts.into_iter().map(u64::from).sum();
                let left_at = RecordTag::of(&head)?.at;
                kept.insert(RunId::from_u64(run), Kept { left_at, weight: 1 + items });
            }
        }
    }
}

/// The runs that are kept no longer: what left the state too long ago, and the oldest of those that are too much.
fn obsolete(
    keep: &Keep,
    now: Stamp,
    needed: &Needed,
    kept: &BTreeMap<RunId, Kept>,
    bytes: u64,
) -> BTreeSet<RunId> {
    let total: u64 = kept.values().map(|run| run.weight).sum();
    let mut by_age: Vec<(&RunId, &Kept)> = kept.iter().filter(|(run, _)| !needed.runs.contains(run)).collect();
    by_age.sort_by_key(|(run, kept)| (kept.left_at, **run));
    let mut left = bytes;
    let mut obsolete = BTreeSet::new();
    for (run, kept) in by_age {
        if kept.left_at.plus(keep.retention) >= now && left <= keep.bytes_max {
            break;
        }
        let share = u128::from(bytes) * u128::from(kept.weight) / u128::from(total);
        left = left.saturating_sub(u64::try_from(share).unwrap_or(u64::MAX));
        obsolete.insert(*run);
    }
    obsolete
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep { retention: Span::from_secs(100), bytes_max: 1_000 };

    fn at(secs: u64) -> Stamp {
        Stamp::from_millis(secs * 1_000)
    }

    fn run(number: u64) -> RunId {
        RunId::from_u64(number)
    }

    /// Ten runs of equal weight, the larger the number the older.
    fn kept() -> BTreeMap<RunId, Kept> {
        (1..=10).map(|number| (run(number), Kept { left_at: at(200 - number * 10), weight: 5 })).collect()
    }

    fn gone(now: u64, bytes: u64, needed: &[u64]) -> Vec<u64> {
        let needed = Needed { runs: needed.iter().copied().map(run).collect(), ..Needed::default() };
        obsolete(&KEEP, at(now), &needed, &kept(), bytes).into_iter().map(RunId::as_u64).collect()
    }

    #[test]
    fn what_left_too_long_ago_goes() {
        assert_eq!(gone(200, 500, &[]), Vec::<u64>::new());
        assert_eq!(gone(231, 500, &[]), [7, 8, 9, 10]);
        assert_eq!(gone(10_000, 500, &[]).len(), 10);
    }

    #[test]
    fn of_what_is_too_much_the_oldest_goes() {
        assert_eq!(gone(200, 1_000, &[]), Vec::<u64>::new());
        assert_eq!(gone(200, 1_250, &[]), [9, 10]);
    }

    #[test]
    fn what_something_depends_on_stays() {
        assert_eq!(gone(231, 500, &[9]), [7, 8, 10]);
        assert_eq!(gone(200, 1_250, &[10, 8]), [7, 9]);
    }
}
