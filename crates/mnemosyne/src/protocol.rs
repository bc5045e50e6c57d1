//! The work-plan protocol: from a prompt in four phases to what was asked for.
//! Each phase is an item with outputs of a known form, and ends when a reviewer
//! has approved it. The third one's outputs are a plan, whose items join the run.

use mnemosyne_core::plan::{Phase, Template};
use serde_json::{Value, json};

/// Rounds of changes in one phase before a human is asked.
const ROUNDS_MAX: u16 = 3;

const SPEC: &str = "Turn the request below into a specification: what is wanted, for whom, and how one can tell that it \
    is there. Ask nothing; where the request is silent, choose what its author would expect, and list that as an \
    assumption. Do not build anything yet.\n\
    Answer with one JSON object: {\"title\": \"…\", \"goals\": [\"…\"], \"requirements\": [\"…\"], \
    \"constraints\": [\"…\"], \"assumptions\": [\"…\"]}\n\nThe request:\n";

const FULL_SPEC: &str = "Complete the specification below: components and what each is responsible for, the interfaces \
    between them, data, errors, edge cases, and how each requirement is tested. Look at what is in the present folder \
    first. Do not build anything yet.\n\
    Answer with one JSON object: {\"components\": [{\"name\": \"…\", \"responsibility\": \"…\"}], \
    \"interfaces\": [\"…\"], \"tests\": [\"…\"], \"risks\": [\"…\"]}\n\nThe specification:\n${{ items.spec.outputs }}\n";

const PLAN: &str = "Write the plan that builds what is specified below, as work items that agents can do in parallel where \
    nothing stands against it. Each item has a name, a prompt that says all that its agent has to know, and `needs`, the \
    names of items whose results it builds on. Let each be finished and checked by itself. `review.checks` are shell \
    lines that must succeed when the item is done. Do not build anything yet.\n\
    Answer with one JSON object: {\"version\": 1, \"items\": {\"NAME\": {\"prompt\": \"…\", \"needs\": [\"…\"], \
    \"review\": {\"checks\": [\"…\"]}}}}\n\nThe specification:\n${{ items.spec.outputs }}\n\nIn full:\n\
    ${{ items.full-spec.outputs }}\n";

const ARTIFACTS: &str = "All items of the plan below are done. Look at what they have made in the present folder, put right \
    what does not fit together, and say what is there.\n\
    Answer with one JSON object: {\"summary\": \"…\", \"artifacts\": [\"path\"]}\n\nThe specification:\n\
    ${{ items.spec.outputs }}\n\nThe plan:\n${{ items.plan.outputs }}\n";

/// The plan of a prompt as JSON, done by the first of these agents that can, and reviewed by another one. Its items
/// stand in the order of their phases.
pub(crate) fn plan(prompt: &str, agents: &[String], reviewer: &str) -> String {
    let phases = Phase::ALL.map(Phase::as_str);
    let head = json!({
        "version": 1,
        "name": "prompt",
        "description": prompt,
        "phases": phases,
        "defaults": { "agent": agents, "review": { "by": reviewer, "max_rounds": ROUNDS_MAX } },
    });
    let request = format!("{SPEC}{}\n", Template::literal(prompt));
    let named = |name: &str, of: &str| json!({ "type": "object", "required": [name], "properties": { name: { "type": of } } });
    let items = [
        ("spec", json!({ "prompt": request, "outputs": lists(&["goals", "requirements"]) })),
        (
            "full-spec",
            json!({ "prompt": FULL_SPEC, "outputs": lists(&["components", "tests"]), "needs": ["spec"] }),
        ),
        (
            "plan",
            json!({ "prompt": PLAN, "outputs": named("items", "object"), "needs": ["full-spec"], "adds_to": "artifacts" }),
        ),
        ("artifacts", json!({ "prompt": ARTIFACTS, "outputs": named("summary", "string"), "needs": ["plan"] })),
    ];
    let items = items.into_iter().zip(phases).map(|((name, mut item), phase)| {
        item["phase"] = phase.into();
        format!("{name:?}:{item}")
    });
    let items = items.collect::<Vec<_>>().join(",");
    let head = head.to_string();
    let head = head.strip_suffix('}').expect("an object ends with a brace");
    format!("{head},\"items\":{{{items}}}}}")
}

/// JSON Schema of an object with these lists.
fn lists(names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": "array", "minItems": 1 }))).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}
