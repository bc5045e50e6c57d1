//! Records of the archive that nothing has any more: which they are, and what is still known of their runs.

use std::fmt::Write;
use std::ops::Range;

use mnemosyne_core::event::{Event, EventRecord};
use mnemosyne_core::id::RunId;
use mnemosyne_core::text::counted;
use mnemosyne_core::time::Stamp;

use super::TOLD_MAX;

/// A run beside what is lost, and when it left the state.
pub(super) type Neighbour = (RunId, Stamp);

/// Records that are lost one after the other.
pub(super) struct Lost {
    pub(super) records: Range<u64>,
    /// The last run in front of them that is whole; none when the archive begins with them.
    before: Option<Neighbour>,
    /// The first run behind them; none as long as there is none.
    pub(super) behind: Option<Neighbour>,
    /// What is behind them is only in the log.
    is_before_log: bool,
    telling: Telling,
    /// The first of the runs that left between the two, and how many did.
    runs: Vec<RunId>,
    count: u64,
}

/// How far the events are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// In front of what is lost.
    Before,
    /// At the runs that are lost.
    Within,
    /// All of the runs that are lost were told.
    Over,
    /// Events are lost, too.
    Unknown,
}

impl Lost {
    pub(super) fn new(records: Range<u64>, before: Option<Neighbour>) -> Self {
        Self {
            records,
            before,
            behind: None,
            is_before_log: false,
            telling: Telling::Before,
            runs: Vec::new(),
            count: 0,
        }
    }

    /// Learns what happened next: runs are archived in the order in which they leave the state.
    pub(super) fn learn(&mut self, record: &EventRecord) {
        if record.seq == 1 && self.records.start == 1 {
            self.telling = Telling::Within;
        }
        let Event::RunRetired { run, .. } = record.event else { return };
        let is = |neighbour: Option<Neighbour>| neighbour.is_some_and(|(known, _)| known == run);
        match self.telling {
            Telling::Before if is(self.before) => self.telling = Telling::Within,
            Telling::Within if is(self.behind) => self.telling = Telling::Over,
            Telling::Within => {
                self.count += 1;
                if self.runs.len() < TOLD_MAX {
                    self.runs.push(run);
                }
            }
            Telling::Before | Telling::Over | Telling::Unknown => {}
        }
    }

    /// Learns that the log tells a run, so that it is not lost, and all behind it. `is_counted` says that the events of
    /// the history have told of it.
    pub(super) fn told(&mut self, run: Neighbour, is_counted: bool) {
        if self.behind.is_none() {
            (self.behind, self.is_before_log) = (Some(run), true);
            if self.telling == Telling::Within {
                self.telling = Telling::Over;
            }
        }
        if self.is_before_log && is_counted && self.telling == Telling::Over {
            self.count = self.count.saturating_sub(1);
            self.runs.retain(|known| *known != run.0);
        }
    }

    /// Events are lost that may have told of them.
    pub(super) fn pass_over(&mut self) {
        if self.telling != Telling::Over {
            self.telling = Telling::Unknown;
        }
    }

    /// What is to be said of them.
    pub(super) fn text(&self) -> String {
        let mut text = said("record", &self.records);
        let is_told = matches!(self.telling, Telling::Within | Telling::Over) && self.count > 0;
        match is_told {
            true => {
                let names: Vec<String> = self.runs.iter().map(RunId::to_string).collect();
                let more = if self.count > names.len() as u64 { ", …" } else { "" };
                let _ =
                    write!(text, ", of {} ({}{more})", counted(self.count, "finished run"), names.join(", "));
            }
            false => text += ", of runs",
        }
        let at = |neighbour: Option<Neighbour>| neighbour.map(|(_, at)| at.to_rfc3339());
        text += &match (at(self.before), at(self.behind)) {
            (Some(from), Some(to)) => format!(" that left the state between {from} and {to}"),
            (Some(from), None) => format!(" that left the state after {from}"),
            (None, Some(to)) => format!(" that left the state before {to}"),
            (None, None) => " that have left the state".to_owned(),
        };
        text + ": " + ELSEWHERE
    }
}

/// Where to look for what is lost.
pub(super) const ELSEWHERE: &str = "another copy of this folder may have them: `mnemosyne export` there, and `mnemosyne import` into a new data directory";

/// Names what is lost.
pub(super) fn said(what: &str, lost: &Range<u64>) -> String {
    match lost.end - lost.start {
        1 => format!("{what} {} is gone for good", lost.start),
        _ => format!("{what}s {} to {} are gone for good", lost.start, lost.end - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Stamp {
        Stamp::from_millis(millis)
    }

    /// The runs that have left the state, one event for each.
    fn told(lost: &mut Lost, runs: impl IntoIterator<Item = u64>) {
        for (seq, run) in (1..).zip(runs) {
            let event = Event::RunRetired { run: RunId::from_u64(run) };
            lost.learn(&EventRecord { seq, at: at(seq), event });
        }
    }

    /// What is lost between runs 3 and 20.
    fn between(records: Range<u64>) -> Lost {
        let mut lost = Lost::new(records, Some((RunId::from_u64(3), at(0))));
        lost.behind = Some((RunId::from_u64(20), at(86_400_000)));
        lost
    }

    fn names(runs: impl IntoIterator<Item = u64>) -> String {
        let names: Vec<String> = runs.into_iter().map(|run| RunId::from_u64(run).to_string()).collect();
        names.join(", ")
    }

    const TIMES: &str = "that left the state between 1970-01-01T00:00:00.000Z and 1970-01-02T00:00:00.000Z";

    #[test]
    fn the_runs_between_two_others_are_named() {
        let mut lost = between(7..8);
        told(&mut lost, [1, 2, 3, 4, 20, 21, 22]);
        let run = names([4]);
        let text = format!("record 7 is gone for good, of 1 finished run ({run}) {TIMES}: {ELSEWHERE}");
        assert_eq!(lost.text(), text);
    }

    #[test]
    fn many_are_counted_and_the_first_of_them_named() {
        let mut lost = between(7..31);
        told(&mut lost, (1..=22).filter(|run| *run != 5));
        let runs = names([4].into_iter().chain(6..15));
        let text =
            format!("records 7 to 30 are gone for good, of 15 finished runs ({runs}, …) {TIMES}: {ELSEWHERE}");
        assert_eq!(lost.text(), text);
    }

    #[test]
    fn what_the_log_tells_is_not_lost() {
        let mut lost = Lost::new(7..31, Some((RunId::from_u64(3), at(0))));
        told(&mut lost, [3, 4, 5, 6]);
        lost.told((RunId::from_u64(6), at(86_400_000)), true);
        lost.told((RunId::from_u64(7), at(86_400_000)), false);
        let runs = names([4, 5]);
        let text =
            format!("records 7 to 30 are gone for good, of 2 finished runs ({runs}) {TIMES}: {ELSEWHERE}");
        assert_eq!(lost.text(), text);
    }

    #[test]
    fn where_events_are_lost_too_nobody_knows_which_they_were() {
        let text = format!("records 7 to 30 are gone for good, of runs {TIMES}: {ELSEWHERE}");
        let mut lost = between(7..31);
        told(&mut lost, [4, 5, 20]);
        assert_eq!(lost.text(), text, "the one in front of them was never told");
        for before in [vec![3], vec![3, 4]] {
            let mut lost = between(7..31);
            told(&mut lost, before);
            lost.pass_over();
            told(&mut lost, [5, 20]);
            assert_eq!(lost.text(), text);
        }
        let mut lost = between(7..31);
        told(&mut lost, [3, 4, 20]);
        lost.pass_over();
        assert!(lost.text().contains("of 1 finished run ("), "all of it was told before");
    }
}
