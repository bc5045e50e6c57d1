//! Phases: parts of a run that follow one another. A phase is over when its
//! gate, an item with a review, has been approved; every item of a later phase
//! waits for the gates of all earlier ones. So a transition happens once, in
//! order, and never without the approval, because nothing but the recorded
//! success of the gate makes it happen.

use crate::event::Event;
use crate::orchestration::Orchestration;
use crate::reply::Refusal;
use crate::work::item::ItemRef;
use crate::work::spec::{Condition, Need, RunSpec};
use crate::work::state::ItemState;
use crate::work::validate::invalid;

/// Phases that a run may have.
pub(crate) const PHASES_MAX: usize = 64;

/// Checks that phases cannot be skipped or left without approval.
pub(crate) fn check(spec: &RunSpec, order: &[u32], dependents: &[Vec<Need>]) -> Result<(), Refusal> {
    if spec.phases.len() > PHASES_MAX {
        return Err(invalid(format!("it has {} phases, more than {PHASES_MAX}", spec.phases.len())));
    }
    let index = |position: u32| usize::try_from(position).unwrap_or(usize::MAX);
    for (number, phase) in spec.phases.iter().enumerate() {
        let name = &phase.name;
        let Some(gate) = spec.items.get(index(phase.gate)) else {
            return Err(invalid(format!("the gate of phase {name:?} is not there")));
        };
        if gate.review.is_none() {
            return Err(invalid(format!("the gate {:?} of phase {name:?} has no review", gate.name)));
        }
        if gate.key.is_some() || spec.policies[usize::from(gate.policy)].soft_fail {
            let why = "a key or a soft failure would end it without approval";
            return Err(invalid(format!(
                "the gate {:?} of phase {name:?} may have no key and may not fail softly: {why}",
                gate.name
            )));
        }
        if gate.phase.map(usize::from) != Some(number) {
            return Err(invalid(format!(
                "the gate {:?} of phase {name:?} belongs to another phase",
                gate.name
            )));
        }
    }
    if let Some(item) =
        spec.items.iter().find(|item| item.phase.is_some_and(|at| usize::from(at) >= spec.phases.len()))
    {
        return Err(invalid(format!("item {:?} belongs to a phase that is not there", item.name)));
    }
    // For each item the phases whose gates must have been approved before it starts. Only a need that is met by
    // nothing but success passes this on; a soft failure would meet it, too.
    let mut passed = vec![0_u64; spec.items.len()];
    for at in order {
        let at = index(*at);
        let own = spec.phases.iter().position(|phase| index(phase.gate) == at);
        let behind = passed[at] | own.map_or(0, |number| 1 << number);
        let soft = spec.policies[usize::from(spec.items[at].policy)].soft_fail;
        for need in dependents[at].iter().filter(|need| need.on == Condition::Success && !soft) {
            passed[index(need.item)] |= behind;
        }
    }
    for (item, passed) in spec.items.iter().zip(passed) {
        let Some(phase) = item.phase else { continue };
        let missing = (0..phase).find(|earlier| passed & (1 << earlier) == 0);
        if let Some(earlier) = missing {
            let (name, earlier) = (&item.name, &spec.phases[usize::from(earlier)].name);
            return Err(invalid(format!(
                "item {name:?} does not wait for the gate of the earlier phase {earlier:?}"
            )));
        }
    }
    Ok(())
}

impl Orchestration {
    /// Notes the end of a phase when its gate has been approved.
    pub(crate) fn phase_ended(&mut self, at: ItemRef) {
        if self.item(at).state != ItemState::Succeeded {
            return;
        }
        let now = self.facts.now;
        let run = self.run_mut(at.run);
        let Some(number) = run.head.phases.iter().position(|phase| phase.gate == at.position) else { return };
        assert!(
            run.head.phases[..number].iter().all(|phase| phase.completed_at.is_some()),
            "W1: phases end in order"
        );
        let completed = run.head.phases[number].completed_at.replace(now);
        assert!(completed.is_none(), "W1: a phase ends once");
        let (run, phase) = (run.head.id, u16::try_from(number).expect("bounded by PHASES_MAX"));
        self.emit(Event::PhaseCompleted { run, phase });
    }
}
