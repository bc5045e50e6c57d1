//! A new run made of an earlier one: some items and everything that depends on
//! them are done anew, the others are as they were.

use std::collections::BTreeSet;

use crate::command::ForkSource;
use crate::id::RunId;
use crate::image::RunImage;
use crate::orchestration::Orchestration;
use crate::reply::{Imported, Refusal, Reply};
use crate::time::Stamp;
use crate::work::import::read;
use crate::work::item::{EndReason, Item};
use crate::work::rank;
use crate::work::review::ReviewRecord;
use crate::work::run::RunHead;
use crate::work::spec::{ItemSpec, Need};
use crate::work::state::ItemState;
use crate::work::validate::invalid;

impl Orchestration {
    /// Accepts a run in which the items of `source` at the positions `from` are done anew.
    pub(crate) fn fork(&mut self, source: &ForkSource, from: &[u32]) -> Result<Reply, Refusal> {
        let image = match source {
            ForkSource::Run(run) => self.image(*run).ok_or(Refusal::UnknownRun { run: *run })?,
            ForkSource::Records(records) => read(records)?,
        };
        let origin = image.run();
        if let Some(unknown) = from.iter().find(|position| **position >= image.len()) {
            return Err(Refusal::UnknownItem { item: origin.item(*unknown) });
        }
        if from.is_empty() {
            return Err(invalid("it must be said which items are to be done anew".to_owned()));
        }
        let (now, id) = (self.facts.now, RunId::following(self.facts.last_run, self.facts.now));
        let (head, items) = Fork::of(&image, from).carry_out(id, now);
        let reused = items.iter().filter(|item| item.state == ItemState::Succeeded).count();
        let count = u32::try_from(items.len()).expect("no more than before");
        self.take_in(head, items, &[])?;
        self.facts.last_run = Some(id);
        let taken = u32::try_from(reused).expect("no more than there are");
        Ok(Reply::Imported(Imported { run: id, items: count, taken, ..Imported::default() }))
    }
}

/// What a fork makes of each item.
struct Fork<'i> {
    image: &'i RunImage,
    items: Vec<&'i Item>,
    /// Those that users want to be done anew.
    from: BTreeSet<usize>,
    /// All that are done anew.
    cone: BTreeSet<usize>,
    /// What an item of the cone had added to the run, and reviews: they are made again.
    gone: BTreeSet<usize>,
}

impl<'i> Fork<'i> {
    fn of(image: &'i RunImage, from: &[u32]) -> Self {
        let items: Vec<&Item> = image.items.iter().collect();
        let from: BTreeSet<usize> = from.iter().map(|position| index(*position)).collect();
        let is_review = |at: &usize| items[*at].review_of().is_some();
        let unfinished = (0..items.len()).filter(|at| items[*at].state != ItemState::Succeeded);
        let seeds: Vec<usize> = unfinished.chain(from.iter().copied()).filter(|at| !is_review(at)).collect();
        let gone = (0..items.len()).filter(is_review).collect();
        let mut fork = Self { image, items, from, cone: BTreeSet::new(), gone };
        fork.spread(seeds);
        fork
    }

    /// Everything that depends on the seeds is done anew. Where an item is that adds others to the run, so is every
    /// item that adds to the same collector, and what they had added goes: which of them added what is not recorded.
    fn spread(&mut self, mut open: Vec<usize>) {
        let needs: Vec<&[Need]> = self.items.iter().map(|item| &*item.needs).collect();
        let dependents = rank::dependents(&needs);
        let mut collectors = BTreeSet::new();
        while let Some(at) = open.pop() {
            if !self.cone.insert(at) {
                continue;
            }
            open.extend(dependents[at].iter().map(|need| index(need.item)));
            if let Some(collector) =
                expand_into(self.items[at]).filter(|collector| collectors.insert(*collector))
            {
                let added = self.items[collector].needs.iter().map(|need| index(need.item));
                let is_added = |at: &usize| self.items[*at].extra.as_ref().is_some_and(|extra| extra.depth > 0);
                self.gone.extend(added.filter(is_added));
                let others = (0..self.items.len()).filter(|at| expand_into(self.items[*at]) == Some(collector));
                open.extend(others);
            }
        }
        self.cone.retain(|at| !self.gone.contains(at));
    }

    fn carry_out(&self, id: RunId, now: Stamp) -> (RunHead, Vec<Item>) {
        let kept: Vec<usize> = (0..self.items.len()).filter(|at| !self.gone.contains(at)).collect();
        let mut places: Vec<Option<u32>> = vec![None; self.items.len()];
        for (place, at) in (0_u32..).zip(&kept) {
            places[*at] = Some(place);
        }
        let items = kept.iter().map(|at| self.item(*at, &places, now)).collect();
        let mut head = self.image.head.clone();
        (head.id, head.created_at, head.finished_at) = (id, now, None);
        (head.key, head.held) = (None, false);
        for phase in &mut head.phases {
            let gate = index(phase.gate);
            phase.gate = places[gate].expect("a gate stands in the plan");
            phase.completed_at = phase.completed_at.filter(|_| !self.cone.contains(&gate));
        }
        (head, items)
    }

    fn item(&self, at: usize, places: &[Option<u32>], now: Stamp) -> Item {
        let before = self.items[at];
        let depth = before.extra.as_ref().map_or(0, |extra| extra.depth);
        let moved = |need: &Need| Some(Need { item: places[index(need.item)]?, on: need.on });
        let mut spec = ItemSpec::of(before);
        spec.needs = spec.needs.iter().filter_map(moved).collect();
        spec.expand_into = spec.expand_into.and_then(|into| places[index(into)]);
        if self.from.contains(&at) {
            // Its key would make it share the success of the one that it replaces.
            spec.key = None;
        }
        let mut item = Item::new(&spec, now);
        item.rank = before.rank;
        if depth > 0 {
            item.extra_mut().depth = depth;
        }
        if !self.cone.contains(&at) {
            let origin = self.image.run().item(u32::try_from(at).expect("a position in a run"));
            item.state = ItemState::Succeeded;
            item.unmet = 0;
            let extra = item.extra_mut();
            extra.outputs = before.extra.as_ref().and_then(|extra| extra.outputs.clone());
            // Who reviewed it is no item of this run.
            let reviews = before.extra.iter().flat_map(|extra| extra.reviews.iter().cloned());
            extra.reviews = reviews.map(|review| ReviewRecord { review: None, ..review }).collect();
            extra.end = Some(EndReason::Reused { item: origin });
        }
        item
    }
}

fn expand_into(item: &Item) -> Option<usize> {
    item.extra.as_ref()?.expand_into.map(index)
}

fn index(position: u32) -> usize {
    usize::try_from(position).expect("a position in memory")
}
