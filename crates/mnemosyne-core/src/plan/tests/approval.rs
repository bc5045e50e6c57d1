//! Reviews, gates, phases, and items that add to the run.

use super::{refused, yaml};
use crate::role::AgentRole;
use crate::work::payload::Payload;
use crate::work::spec::RunSpec;
use crate::work::task::{Action, Gate, TaskSpec};

fn compiled(text: &str) -> RunSpec {
    yaml(&format!("version: 1\n{text}")).spec
}

fn needs<'a>(spec: &'a RunSpec, item: &str) -> Vec<&'a str> {
    let item = spec.items.iter().find(|known| &*known.name == item).expect("the item is there");
    let name = |need: &crate::work::spec::Need| &*spec.items[usize::try_from(need.item).expect("small")].name;
    item.needs.iter().map(name).collect()
}

#[test]
fn checks_alone_are_a_review_by_a_command() {
    let spec = compiled("items:\n  a: { run: x, review: { checks: [make test], max_rounds: 2 } }\n");
    let review = &spec.reviews[usize::from(spec.items[0].review.expect("it is reviewed"))];
    assert_eq!((review.max_rounds, review.human), (2, false));
    let reviewer = review.reviewer.as_ref().expect("the checks are run by somebody");
    let demand = &spec.demands[usize::from(reviewer.demand)];
    assert_eq!((demand.role, demand.agents.len()), (AgentRole::Reviewer, 0));
    assert!(spec.policies[usize::from(reviewer.policy)].soft_fail, "its failure is none of the run");
    let Payload::Inline(task) = &reviewer.task else { panic!("small") };
    let task: TaskSpec = postcard::from_bytes(task).expect("it was encoded");
    let Action::Review(review) = task.action else { panic!("a review") };
    assert_eq!((review.checks, review.gates), (vec!["make test".to_owned()], vec![]));
}

#[test]
fn an_agent_looks_at_the_gates_that_are_named() {
    let text =
        "items:\n  a: { prompt: x, agent: claude, review: { by: codex, gates: [tests, anti-patterns] } }\n";
    let spec = compiled(text);
    let reviewer = spec.reviews[0].reviewer.as_ref().expect("codex");
    assert_eq!(&*spec.demands[usize::from(reviewer.demand)].agents[0], "codex");
    assert_eq!(spec.demands[usize::from(reviewer.demand)].role, AgentRole::Reviewer);
    let Payload::Inline(task) = &reviewer.task else { panic!("small") };
    let task: TaskSpec = postcard::from_bytes(task).expect("it was encoded");
    let Action::Review(review) = task.action else { panic!("a review") };
    assert_eq!(review.gates, [Gate::Tests, Gate::AntiPatterns]);
    assert_ne!(spec.digest, compiled(&text.replace("tests, ", "")).digest, "other gates are another plan");
}

#[test]
fn a_gate_is_an_item_without_work() {
    let text = "items:\n  a: { run: x }\n  ok: { gate: human, needs: [a], review: { wait: 1h, on_timeout: approve } }\n";
    let spec = compiled(text);
    let gate = &spec.items[1];
    assert_eq!(gate.task, Payload::empty());
    let review = &spec.reviews[usize::from(gate.review.expect("it is approved"))];
    assert!(review.human && review.accept_on_timeout && review.reviewer.is_none());
    assert_eq!(review.wait, Some(crate::time::Span::from_secs(3_600)));
}

#[test]
fn each_phase_waits_for_the_gate_before_it() {
    let spec = compiled(
        "defaults: { review: { checks: [\"true\"] } }
phases: [full_spec_to_plan, plan_to_artifacts]
items:
  plan: { run: x, phase: full_spec_to_plan, adds_to: merge }
  b: { run: x, phase: plan_to_artifacts }
  merge: { run: x, needs: [b], phase: plan_to_artifacts }
",
    );
    let phases: Vec<_> = spec.phases.iter().map(|phase| (&*phase.name, phase.gate)).collect();
    assert_eq!(
        phases,
        [("full_spec_to_plan", 0), ("plan_to_artifacts", 3)],
        "a phase of one item is its own gate"
    );
    assert_eq!(needs(&spec, "b"), ["plan"]);
    assert_eq!(needs(&spec, "merge"), ["plan", "b"]);
    assert_eq!(needs(&spec, "plan_to_artifacts~gate"), ["plan", "b", "merge"]);
    assert_eq!(spec.items[0].expand_into, Some(2));
    assert_eq!(
        spec.items.iter().map(|item| item.phase).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(1), Some(1)]
    );
}

#[test]
fn what_is_wrong_with_phases_and_reviews() {
    insta::assert_snapshot!(refused(
        r#"version: 1
phases: [prompt_to_spec, spec_to_full_spec]
defaults: { review: { human: true } }
items:
  a: { run: x, phase: prompt_to_spec, needs: [b] }
  b: { run: x, phase: full_spec_to_plan, adds_to: nobody }
  c: { run: x, adds_to: c }
"#
    ));
    insta::assert_snapshot!(refused(
        "version: 1\nitems:\n  a: { run: x, review: { max_rounds: 2 } }\n  b: { run: y, review: { by: claud } }\n"
    ));
}
