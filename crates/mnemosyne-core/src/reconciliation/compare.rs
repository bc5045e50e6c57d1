//! Two states that should be the same, byte for byte, and what they differ in when they are not.

use serde::Serialize;

use super::{Difference, Subject, note};
use crate::id::RunId;
use crate::image::RunImage;
use crate::orchestration::Orchestration;
use crate::work::item::Item;
use crate::work::run::Run;

pub(super) fn states(
    (here, state): (&str, &Orchestration),
    (there, other): (&str, &Orchestration),
) -> Result<(), Vec<Difference>> {
    let sides = Sides { here, there };
    let mut found = Vec::new();
    sides.facts(&mut found, state, other);
    let (runs, others) = (&state.index.by_id, &other.index.by_id);
    for (id, slot) in runs {
        match others.get(id) {
            Some(other_slot) => sides.run(&mut found, *id, state.run(*slot), other.run(*other_slot)),
            None => note(&mut found, Subject::Run(*id), format!("it is only in {here}")),
        }
    }
    for id in others.keys().filter(|id| !runs.contains_key(id)) {
        note(&mut found, Subject::Run(*id), format!("it is only in {there}"));
    }
    // Whatever no one has thought of.
    if found.is_empty() && snapshot_of(state) != snapshot_of(other) {
        note(&mut found, Subject::State, format!("{here} and {there} have other snapshots"));
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Whether two images tell the same of a run, whenever they were taken.
pub(super) fn same_work(one: &RunImage, other: &RunImage) -> bool {
    encoded(&one.head) == encoded(&other.head)
        && one.items.len() == other.items.len()
        && one.items.iter().zip(other.items.iter()).all(|(one, other)| encoded(one) == encoded(other))
        && encoded(&one.questions) == encoded(&other.questions)
}

/// What the two states are called.
struct Sides<'name> {
    here: &'name str,
    there: &'name str,
}

impl Sides<'_> {
    fn facts(&self, found: &mut Vec<Difference>, state: &Orchestration, other: &Orchestration) {
        let (one, two) = (&state.facts, &other.facts);
        let numbers = [
            ("the last entry is", one.applied, two.applied),
            ("the hash over all events is", one.hash.0, two.hash.0),
            ("the last event is", one.event_seq, two.event_seq),
            ("the time is", one.now.as_millis(), two.now.as_millis()),
            ("the last fencing token is", one.last_token.0, two.last_token.0),
            ("the last session is", one.last_session.0, two.last_session.0),
            ("the last question is", one.last_question.0, two.last_question.0),
            ("the archived records are", one.archived_records, two.archived_records),
        ];
        for (what, one, two) in numbers.into_iter().filter(|(_, one, two)| one != two) {
            note(found, Subject::State, format!("{what} {one} in {}, and {two} in {}", self.here, self.there));
        }
        let parts = [
            ("the settings", encoded(&one.settings), encoded(&two.settings)),
            ("the last run", encoded(&one.last_run), encoded(&two.last_run)),
            ("the totals", encoded(&one.totals), encoded(&two.totals)),
            ("the nodes", encoded(&one.nodes), encoded(&two.nodes)),
            ("the sessions", encoded(&one.sessions), encoded(&two.sessions)),
            ("the inbox", encoded(&one.inbox), encoded(&two.inbox)),
            ("the latest runs that have left", encoded(&one.retired_lately), encoded(&two.retired_lately)),
            ("what runs though it was never granted", encoded(&one.strays), encoded(&two.strays)),
            ("what was learned about agents", encoded(&one.track_records), encoded(&two.track_records)),
        ];
        for (what, ..) in parts.into_iter().filter(|(_, one, two)| one != two) {
            note(found, Subject::State, self.differ(what));
        }
    }

    fn run(&self, found: &mut Vec<Difference>, id: RunId, one: &Run, two: &Run) {
        if encoded(&one.head) != encoded(&two.head) {
            note(found, Subject::Run(id), self.differ("what is kept of it beside its items"));
        }
        if one.items.len() != two.items.len() {
            let (one, two) = (one.items.len(), two.items.len());
            let what = format!("it has {one} items in {}, and {two} in {}", self.here, self.there);
            note(found, Subject::Run(id), what);
        }
        let items = one.items.iter().zip(two.items.iter());
        for (position, (one, two)) in (0_u32..).zip(items) {
            if encoded(one) != encoded(two) {
                note(found, Subject::Item(id.item(position)), self.item(one, two));
            }
        }
    }

    fn item(&self, one: &Item, two: &Item) -> String {
        let what = |item: &Item| {
            let token =
                item.attempts.last().map_or_else(String::new, |attempt| format!(", token {}", attempt.token));
            format!("{}{token}", item.state)
        };
        let (one, two) = (what(one), what(two));
        if one == two {
            return self.differ(&format!("what is kept of it ({one})"));
        }
        format!("it is {one} in {}, and {two} in {}", self.here, self.there)
    }

    fn differ(&self, what: &str) -> String {
        format!("{what}: another one in {} than in {}", self.here, self.there)
    }
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("facts hold nothing that cannot be written")
}

fn snapshot_of(state: &Orchestration) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot().write(&mut bytes).expect("memory takes everything");
    bytes
}
