//! H3: what the state depends on is not forgotten: the events of its runs, and runs that did what others count as their
//! own.
//! Source: docs/guide/history.md, "what is kept".

use std::collections::BTreeMap;

use mnemosyne_core::event::Event;
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::id::RunId;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::why::Why;

use super::Violation;
use super::h2_archive::Retirements;
use crate::member::Member;
use crate::records::Records;

const NAME: &str = "H3 (what is needed is not forgotten)";

/// With which event each run began.
#[derive(Default)]
pub(crate) struct Beginnings(BTreeMap<RunId, u64>);

impl Beginnings {
    pub(crate) fn event(&mut self, record: &EventRecord) {
        if let Event::RunSubmitted { run, .. } = record.event {
            self.0.insert(run, record.seq);
        }
    }

    /// Looks at all that the runs of a member's state depend on; says how many retired runs that were.
    pub(crate) fn check(
        &self,
        member: &Member,
        retirements: &Retirements,
        (state, records): (&Orchestration, &Records),
    ) -> Result<u64, Violation> {
        let runs = state.runs(usize::MAX);
        let begun = runs.iter().filter_map(|run| self.0.get(&run.id)).min();
        let first = records.history.first_seq();
        if let (Some(begun), Some(first)) = (begun, first)
            && !member.past.begins_anew
            && first > (*begun).max(member.past.begins_at)
        {
            let what = format!("{}: a run began with event {begun}, the history with {first}", member.id);
            return Err(Violation::new(NAME, what));
        }
        let mut count = 0;
        for run in &runs {
            for position in 0..run.items() {
                let item = run.id.item(position);
                let Ok(Why::DoneByKey { holder } | Why::Reused { item: holder }) = state.why(item) else {
                    continue;
                };
                if state.knows_run(holder.run) || !retirements.is_kept(member, holder.run) {
                    continue;
                }
                count += 1;
                // A disk that refuses to be read ends the process by other ways.
                if records.records_of(holder.run).is_ok_and(|found| found.is_empty()) {
                    let what = format!("{}: {item} counts what {holder} did, which is gone", member.id);
                    return Err(Violation::new(NAME, what));
                }
            }
        }
        Ok(count)
    }
}
