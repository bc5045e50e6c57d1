//! Snapshots: the facts, written run by run from a shared copy, and read back
//! with everything that is derived from them.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use std::collections::{BTreeMap, BTreeSet};

use crate::hash::StateHash;
use crate::id::{FencingToken, NodeId, QuestionId, RunId, SessionId};
use crate::inbox::Question;
use crate::node::Node;
use crate::orchestration::{Facts, Orchestration, Totals};
use crate::settings::Settings;
use crate::time::Stamp;
use crate::work::item::{Extra, Item, ItemRef};
use crate::work::learn::{Skill, TrackRecord};
use crate::work::pages::Pages;
use crate::work::rank;
use crate::work::run::{Run, RunHead};
use crate::work::spec::Need;
use crate::work::state::ItemState;
use crate::work::validate::within_earlier;

/// Version of the snapshot's content.
const VERSION: u32 = 4;
/// The oldest one that can be read.
const VERSION_OLDEST: u32 = 3;
const SECTIONS_SINCE: u32 = 4;
/// Sections of one snapshot.
const SECTIONS_MAX: usize = 64;
/// Bytes that one record of a snapshot may have.
const RECORD_BYTES_MAX: usize = 1 << 30;
/// Items in one record.
const ITEMS_PER_RECORD: usize = 1_024;

/// The facts at one moment. Taking it is quick and writing it does not hold up
/// the state machine: it shares all pages that are not written meanwhile.
#[derive(Clone, Debug)]
pub struct Snapshot {
    facts: Facts,
}

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Reading or writing failed.
    #[error("reading or writing the snapshot failed")]
    Io(#[from] io::Error),
    /// A record is not what it should be.
    #[error("the snapshot is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// It was written by a version before the first release.
    #[error(
        "the snapshot has content version {found}, which no release has written; this program reads \
         {VERSION_OLDEST} to {VERSION}"
    )]
    Older {
        /// The version found.
        found: u32,
    },
    /// It was written by a newer version.
    #[error("the snapshot has content version {found}; this program reads up to {VERSION}")]
    Newer {
        /// The version found.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    settings: Settings,
    now: Stamp,
    applied: u64,
    event_seq: u64,
    last_token: FencingToken,
    last_session: SessionId,
    last_run: Option<RunId>,
    hash: StateHash,
    totals: Totals,
    nodes: BTreeMap<NodeId, Node>,
    last_question: QuestionId,
    inbox: BTreeMap<QuestionId, Question>,
    track_records: BTreeMap<Skill, TrackRecord>,
    runs: u64,
}

/// What was added to the facts since version 3: each with a name of its own, encoded by itself. One that is missing
/// was not known yet, and is as in the beginning; so a later version reads what an earlier one has written.
type Sections = BTreeMap<Box<str>, Vec<u8>>;

#[derive(Serialize, Deserialize)]
struct RunRecord {
    head: RunHead,
    items: u32,
}

/// Whether a snapshot is of the version that this program writes. One that an earlier release has written says less,
/// and leads to another state than the log that it was made from does today.
///
/// # Errors
/// When reading fails, or the content is damaged.
pub fn is_of_this_version(input: &mut dyn Read) -> Result<bool, SnapshotError> {
    let mut buffer = Vec::new();
    let record = read_bytes(input, &mut buffer)?;
    let version = postcard::take_from_bytes::<u32>(record).map_err(|error| damaged(error.to_string()))?.0;
    Ok(version == VERSION)
}

impl Orchestration {
    /// The facts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { facts: self.facts.clone() }
    }

    /// Reads a state machine from a snapshot.
    ///
    /// # Errors
    /// When reading fails, the content is damaged or of a newer version.
    pub fn restore(input: &mut dyn Read) -> Result<Self, SnapshotError> {
        let mut buffer = Vec::new();
        let record = read_bytes(input, &mut buffer)?;
        // The version stands first, whatever follows it.
        let (version, _) =
            postcard::take_from_bytes::<u32>(record).map_err(|error| damaged(error.to_string()))?;
        if version > VERSION {
            return Err(SnapshotError::Newer { found: version });
        }
        if version < VERSION_OLDEST {
            return Err(SnapshotError::Older { found: version });
        }
        let head: Head = decode(record)?;
        let sections =
            if version >= SECTIONS_SINCE { read_sections(input, &mut buffer)? } else { Sections::new() };
        let mut state = Self::default();
        state.facts = Facts {
            settings: head.settings,
            now: head.now,
            applied: head.applied,
            event_seq: head.event_seq,
            last_token: head.last_token,
            last_session: head.last_session,
            last_run: head.last_run,
            hash: head.hash,
            totals: head.totals,
            last_question: head.last_question,
            inbox: head.inbox,
            track_records: head.track_records,
            runs: Pages::default(),
            ..facts_of(sections, head.nodes)?
        };
        state.facts.sessions.complete(&state.facts.nodes);
        for _ in 0..head.runs {
            let (head, items) = read_run(input, &mut buffer)?;
            if state.index.by_id.contains_key(&head.id) {
                return Err(damaged(format!("run {} is in it twice", head.id)));
            }
            if let Some(node) = unknown_node(&items, &state.facts.nodes) {
                return Err(damaged(format!("run {} holds a grant of {node}, which is not in it", head.id)));
            }
            state.adopt((head, items));
        }
        state.check_inbox()?;
        state.index_keys()?;
        Ok(state)
    }

    /// Stores a run that was read, with everything that is derived from it.
    pub(crate) fn adopt(&mut self, (head, items): (RunHead, Vec<Item>)) -> u32 {
        let classes =
            head.demands.iter().map(|demand| self.index.classes.acquire(demand, &self.facts.nodes)).collect();
        let granted = vec![0; head.groups.len()];
        let needs: Vec<&[Need]> = items.iter().map(|item| &*item.needs).collect();
        let dependents = rank::dependents(&needs);
        let depths: Vec<u8> = items.iter().map(depth).collect();
        let items = items.into_iter().zip(dependents).map(|(mut item, mut dependents)| {
            // Of an item that was added, the one that collects its results was told of last, and so it is told last.
            let own = depth(&item);
            dependents.sort_by_key(|need| usize::try_from(need.item).is_ok_and(|at| depths[at] < own));
            item.dependents = dependents;
            item
        });
        let items = items.collect();
        let counts = [0; ItemState::ALL.len()];
        let slot = self.store_run(Run { head, items, counts, hard_failures: 0, classes, granted });
        self.index_run(slot);
        slot
    }

    /// Every question belongs to an item that lists it.
    fn check_inbox(&self) -> Result<(), SnapshotError> {
        let listed: usize = self.all_items().into_iter().map(|at| self.item(at).questions().len()).sum();
        let known = |question: &Question| {
            self.find_item(question.item).is_ok_and(|at| self.item(at).questions().contains(&question.id))
        };
        if listed == self.facts.inbox.len() && self.facts.inbox.values().all(known) {
            return Ok(());
        }
        Err(damaged("the inbox and the items do not agree about open questions"))
    }

    /// Finds out who holds each item key and who waits for the holder.
    fn index_keys(&mut self) -> Result<(), SnapshotError> {
        let keyed: Vec<ItemRef> =
            self.all_items().into_iter().filter(|at| self.item(*at).key().is_some()).collect();
        for at in keyed {
            let item = self.item(at);
            let (state, alias_of) = (item.state, item.alias_of());
            let shares = item.extra.as_ref().is_some_and(|extra| extra.done_by.is_some());
            match alias_of {
                None if shares => {}
                None if !state.is_terminal() || state == ItemState::Succeeded => {
                    let name = self.key_name(at).expect("only items with a key are looked at");
                    self.index.item_keys.insert(name, at);
                }
                Some(holder) if !state.is_terminal() => {
                    let unknown =
                        |_| damaged(format!("{} waits for {holder}, which is not in it", self.id_of(at)));
                    let holder = self.find_item(holder).map_err(unknown)?;
                    self.index.aliases.entry(holder).or_default().push(at);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Snapshot {
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Index of the last entry that is in it.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.facts.applied
    }

    /// The state hash after that entry.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        self.facts.hash
    }

    /// Writes it out, run by run.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(&self, output: &mut dyn Write) -> Result<(), SnapshotError> {
        let facts = &self.facts;
        // By id, not by slot: which slot a run lies in is no fact.
        let mut runs: Vec<&Run> = facts.runs.iter().flatten().collect();
        runs.sort_unstable_by_key(|run| run.head.id);
        let head = Head {
            version: VERSION,
            settings: facts.settings.clone(),
            now: facts.now,
            applied: facts.applied,
            event_seq: facts.event_seq,
            last_token: facts.last_token,
            last_session: facts.last_session,
            last_run: facts.last_run,
            hash: facts.hash,
            totals: facts.totals,
            nodes: facts.nodes.clone(),
            last_question: facts.last_question,
            inbox: facts.inbox.clone(),
            track_records: facts.track_records.clone(),
            runs: runs.len() as u64,
        };
        write_record(output, &head)?;
        write_record(output, &sections_of(facts)?)?;
        for run in runs {
            let items = u32::try_from(run.items.len()).expect("bounded by items_per_run_max");
            write_record(output, &RunRecord { head: run.head.clone(), items })?;
            let items: Vec<&Item> = run.items.iter().collect();
            for chunk in items.chunks(ITEMS_PER_RECORD) {
                write_record(output, &chunk)?;
            }
        }
        Ok(())
    }
}

/// The facts that have a section.
fn sections_of(facts: &Facts) -> Result<Sections, SnapshotError> {
    let mut sections = Sections::new();
    put(&mut sections, "archived_records", &facts.archived_records)?;
    put(&mut sections, "sessions", &facts.sessions)?;
    put(&mut sections, "strays", &facts.strays)?;
    put(&mut sections, "retired_lately", &facts.retired_lately)?;
    let joining = facts.nodes.iter().filter(|(_, node)| node.is_joining);
    put(&mut sections, "joining", &joining.map(|(id, _)| *id).collect::<BTreeSet<NodeId>>())?;
    Ok(sections)
}

/// The same read back; all others are as in the beginning.
fn facts_of(mut sections: Sections, mut nodes: BTreeMap<NodeId, Node>) -> Result<Facts, SnapshotError> {
    for id in take::<BTreeSet<NodeId>>(&mut sections, "joining")? {
        let node = nodes.get_mut(&id).ok_or_else(|| damaged(format!("{id} joins and is not in it")))?;
        node.is_joining = true;
    }
    let facts = Facts {
        nodes,
        archived_records: take(&mut sections, "archived_records")?,
        sessions: take(&mut sections, "sessions")?,
        strays: take(&mut sections, "strays")?,
        retired_lately: take(&mut sections, "retired_lately")?,
        ..Facts::default()
    };
    match sections.into_keys().next() {
        None => Ok(facts),
        Some(unknown) => Err(damaged(format!("nothing is known of its section {unknown}"))),
    }
}

fn put<T: Serialize>(sections: &mut Sections, name: &str, facts: &T) -> Result<(), SnapshotError> {
    let bytes = postcard::to_stdvec(facts).map_err(|error| damaged(error.to_string()))?;
    sections.insert(name.into(), bytes);
    Ok(())
}

fn take<T: DeserializeOwned + Default>(sections: &mut Sections, name: &str) -> Result<T, SnapshotError> {
    sections.remove(name).map_or_else(|| Ok(T::default()), |bytes| decode(&bytes))
}

fn read_sections(input: &mut dyn Read, buffer: &mut Vec<u8>) -> Result<Sections, SnapshotError> {
    let sections: Sections = read_record(input, buffer)?;
    if sections.len() > SECTIONS_MAX {
        return Err(damaged("it has too many sections"));
    }
    Ok(sections)
}

fn read_run(input: &mut dyn Read, buffer: &mut Vec<u8>) -> Result<(RunHead, Vec<Item>), SnapshotError> {
    let record: RunRecord = read_record(input, buffer)?;
    let expected = usize::try_from(record.items).unwrap_or(usize::MAX);
    let mut items: Vec<Item> = Vec::new();
    while items.len() < expected {
        let chunk: Vec<Item> = read_record(input, buffer)?;
        if chunk.is_empty() {
            return Err(damaged("a run has fewer items than it says"));
        }
        items.extend(chunk);
    }
    if items.len() == expected && run_is_sound(&record.head, &items) {
        return Ok((record.head, items));
    }
    Err(damaged("an item refers to something that is not there"))
}

/// Whether every reference within a run leads somewhere.
pub(crate) fn run_is_sound(head: &RunHead, items: &[Item]) -> bool {
    let groups = &head.groups;
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    let mut reviewers = head.reviews.iter().filter_map(|review| review.reviewer.as_ref());
    head.phases.iter().all(|phase| phase.gate < count)
        && reviewers.all(|reviewer| {
            usize::from(reviewer.policy) < head.policies.len()
                && usize::from(reviewer.demand) < head.demands.len()
        })
        && (0..groups.len()).all(|group| within_earlier(groups, group))
        && items.iter().all(|item| is_sound(item, head, count))
}

/// How many items up the line were added by others.
fn depth(item: &Item) -> u8 {
    item.extra.as_ref().map_or(0, |extra| extra.depth)
}

/// A node that holds a grant of an item and is not known.
fn unknown_node(items: &[Item], nodes: &BTreeMap<NodeId, Node>) -> Option<NodeId> {
    let granted = items.iter().filter_map(Item::granted);
    granted.map(|attempt| attempt.node).find(|node| !nodes.contains_key(node))
}

/// Whether every reference of an item leads somewhere.
fn is_sound(item: &Item, head: &RunHead, count: u32) -> bool {
    usize::from(item.policy) < head.policies.len()
        && usize::from(item.demand) < head.demands.len()
        && item.group.is_none_or(|group| usize::from(group) < head.groups.len())
        && item.review.is_none_or(|review| usize::from(review) < head.reviews.len())
        && item.extra.as_ref().is_none_or(|extra| extra_is_sound(item, extra, count))
        && item.needs.iter().all(|need| need.item < count)
        && (!item.state.is_granted() || !item.attempts.is_empty())
}

fn extra_is_sound(item: &Item, extra: &Extra, count: u32) -> bool {
    let leads = |position: &Option<u32>| position.is_none_or(|position| position < count);
    leads(&extra.review_of)
        && leads(&extra.reviewed_by)
        && leads(&extra.expand_into)
        && (extra.extension.is_none() || extra.expand_into.is_some())
        && (item.state != ItemState::Reviewing || extra.reviewed_by.is_some())
}

fn write_record<T: Serialize>(output: &mut dyn Write, record: &T) -> Result<(), SnapshotError> {
    let bytes = postcard::to_stdvec(record).map_err(|error| damaged(error.to_string()))?;
    let length = u32::try_from(bytes.len()).map_err(|_| damaged("a record is too long"))?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&bytes)?;
    Ok(())
}

fn read_record<T: DeserializeOwned>(input: &mut dyn Read, buffer: &mut Vec<u8>) -> Result<T, SnapshotError> {
    decode(read_bytes(input, buffer)?)
}

fn decode<T: DeserializeOwned>(record: &[u8]) -> Result<T, SnapshotError> {
    postcard::from_bytes(record).map_err(|error| damaged(error.to_string()))
}

fn read_bytes<'b>(input: &mut dyn Read, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], SnapshotError> {
    let mut length = [0_u8; 4];
    input.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > RECORD_BYTES_MAX {
        return Err(damaged("a record is too long"));
    }
    buffer.clear();
    let read = input.take(length as u64).read_to_end(buffer)?;
    if read != length {
        return Err(damaged("it ends within a record"));
    }
    Ok(buffer)
}

fn damaged(what: impl Into<String>) -> SnapshotError {
    SnapshotError::Damaged { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Batch, Command, OnExisting, Submission};
    use crate::node::NodeFacts;
    use crate::work::spec::{Demand, ItemSpec, PRIORITY_DEFAULT, Policy, RunSpec};

    /// A state with one run of one item, which is granted.
    fn granted() -> Orchestration {
        let item = ItemSpec {
            name: "a".into(),
            needs: Box::default(),
            policy: 0,
            demand: 0,
            group: None,
            priority: PRIORITY_DEFAULT,
            estimate: None,
            key: None,
            ..ItemSpec::default()
        };
        let spec = RunSpec {
            name: "r".into(),
            namespace: "n".into(),
            key: None,
            digest: [0; 32],
            context: crate::work::payload::Payload::empty(),
            policies: vec![Policy::default()],
            demands: vec![Demand::default()],
            items: vec![item],
            ..RunSpec::default()
        };
        let facts = NodeFacts { slots: [1; 4], ..NodeFacts::default() };
        let commands = vec![
            Command::StartSession { node: NodeId(1), facts },
            Command::Submit(Submission { spec, existing: OnExisting::New }),
        ];
        let mut state = Orchestration::new();
        state.apply(1, &Batch { stamp: Stamp::from_millis(1), commands });
        assert!(state.all_items().into_iter().all(|at| state.item(at).granted().is_some()));
        state
    }

    fn refusal(snapshot: &Snapshot) -> String {
        let mut written = Vec::new();
        snapshot.write(&mut written).expect("memory takes everything");
        Orchestration::restore(&mut written.as_slice()).expect_err("it is not sound").to_string()
    }

    #[test]
    fn a_grant_of_a_node_that_is_not_in_it_is_damage() {
        let mut snapshot = granted().snapshot();
        snapshot.facts.nodes.clear();
        assert!(refusal(&snapshot).ends_with("holds a grant of n1, which is not in it"));
    }

    #[test]
    fn a_run_that_is_in_it_twice_is_damage() {
        let mut snapshot = granted().snapshot();
        let run = snapshot.facts.runs.get(0).cloned().expect("the run");
        snapshot.facts.runs.push(run);
        assert!(refusal(&snapshot).ends_with("is in it twice"));
    }

    #[test]
    fn an_item_that_waits_for_one_that_is_not_in_it_is_damage() {
        let mut snapshot = granted().snapshot();
        let run = snapshot.facts.runs.get_mut(0).and_then(Option::as_mut).expect("the run");
        let item = run.items.get_mut(0).expect("the item");
        (item.state, item.extra) = (ItemState::Pending, None);
        item.extra_mut().key = Some("k".into());
        item.extra_mut().alias_of = Some(run.head.id.item(7));
        assert!(refusal(&snapshot).ends_with("which is not in it"));
    }
}
