//! What must be there after a power cut: the state after all that was acknowledged, or after that and what was on its
//! way; and every event and every run that had left the state up to there.

use std::sync::Arc;

use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::invariant;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::time::Stamp;

use crate::member::Member;

/// An entry that was proposed, with its place in the log.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) index: u64,
    pub(crate) batch: Batch,
}

/// A state that was never restarted, with its events.
#[derive(Default)]
struct Reference {
    state: Orchestration,
    done: usize,
    events: Vec<Arc<[u8]>>,
    /// Records of runs that have left the state.
    archived: Vec<Arc<[u8]>>,
}

/// The two states of which one must be there.
#[derive(Default)]
pub(crate) struct Expected {
    acknowledged: Reference,
    sent: Reference,
}

impl Reference {
    fn advance(&mut self, sent: &[Sent], upto: usize) {
        for entry in &sent[self.done..upto] {
            let output = self.state.apply(entry.index, &entry.batch);
            let events = output.events.iter().map(|event| postcard::to_stdvec(event).expect("can be written"));
            self.events.extend(events.map(Arc::from));
            let archived = output.retired.iter().flat_map(|retired| retired.image.records());
            self.archived.extend(archived.map(Arc::from));
        }
        self.done = upto;
    }

    /// A copy, which may go on by itself.
    fn copy(&self) -> Orchestration {
        Orchestration::restore(&mut bytes(&self.state).as_slice()).expect("it was just written")
    }

    /// Its snapshot, as one that has applied so many entries would write it.
    fn bytes_at(&self, applied: u64) -> Vec<u8> {
        let mut copy = self.copy();
        copy.skip_to(applied);
        bytes(&copy)
    }

    /// The same after a tick.
    fn bytes_after_tick(&self, applied: u64, stamp: Stamp) -> Vec<u8> {
        let mut copy = self.copy();
        let _ = copy.apply(copy.applied() + 1, &Batch { stamp, commands: vec![Command::Tick] });
        copy.skip_to(applied);
        bytes(&copy)
    }
}

impl Expected {
    pub(crate) fn advance(&mut self, all: &[Sent], acknowledged: usize, sent: usize) {
        assert!(acknowledged <= sent && sent <= acknowledged + 1, "one entry is on its way at a time");
        self.acknowledged.advance(all, acknowledged);
        self.sent.advance(all, sent);
    }

    /// Records of runs that have left the state, as far as that was acknowledged.
    pub(crate) fn archived(&self) -> usize {
        self.acknowledged.archived.len()
    }

    /// Compares what a member has found; returns the time it has come to.
    pub(crate) async fn check(&self, member: &Member, context: &str) -> Stamp {
        let (found, applied, now) = look(member).await;
        let matches = |reference: &&Reference| reference.bytes_at(applied) == found;
        let reference = [&self.acknowledged, &self.sent].into_iter().find(matches);
        let reference = reference.unwrap_or_else(|| {
            let (one, other) = (self.acknowledged.state.applied(), self.sent.state.applied());
            panic!("{context}: the state at {applied} is neither that of entry {one} nor that of {other}")
        });
        check_history(member, &reference.events, context);
        check_archive(member, &reference.archived, context);
        now
    }

    /// The same for a member that has seen a tick since.
    pub(crate) async fn check_after_tick(&self, member: &Member, context: &str) {
        let (found, applied, now) = look(member).await;
        let references = [&self.acknowledged, &self.sent];
        let matches = references.iter().any(|reference| reference.bytes_after_tick(applied, now) == found);
        assert!(matches, "{context}: what was done after the power cut is not there after the next one");
    }
}

/// The history has every event, as it was, without a gap.
fn check_history(member: &Member, expected: &[Arc<[u8]>], context: &str) {
    let history = member.history.lock().expect("nothing panics while it holds this lock");
    let found = history.read(0, usize::MAX).unwrap_or_else(|error| panic!("{context}: {error}"));
    compare(&found, expected, &format!("{context}: events"));
}

/// The archive has every run that has left the state, once.
fn check_archive(member: &Member, expected: &[Arc<[u8]>], context: &str) {
    let archive = member.archive.lock().expect("nothing panics while it holds this lock");
    let found = archive.reader().records(0, usize::MAX).unwrap_or_else(|error| panic!("{context}: {error}"));
    compare(&found, expected, &format!("{context}: records in the archive"));
}

fn compare(found: &[(u64, Vec<u8>)], expected: &[Arc<[u8]>], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for ((seq, found), (expected, number)) in found.iter().zip(expected.iter().zip(1..)) {
        assert_eq!((*seq, found.as_slice()), (number, &**expected), "{what}: number {number}");
    }
}

/// The snapshot of a member's state, the entries it has applied, and its time.
async fn look(member: &Member) -> (Vec<u8>, u64, Stamp) {
    let looked = member.consensus.query(|state| {
        invariant::check(state).expect("every invariant holds");
        (bytes(state), state.applied(), state.now())
    });
    looked.await.expect("the member works")
}

fn bytes(state: &Orchestration) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot().write(&mut bytes).expect("memory takes it");
    bytes
}
