//! What an item does: `run`, `prompt`, `prompt_file` or `gate`, one of them.

use crate::plan::model::{Placed, Work};
use crate::text::{Fields, Finding, Findings, Key, Location, Node, Value, name};

/// Takes the words out and returns the one that is there.
///
/// `broken` says that errors in the document have been reported; a missing
/// word may then be a misspelt one.
pub(crate) fn decode(
    item: &Key,
    fields: &mut Fields,
    broken: bool,
    findings: &mut Findings,
) -> Option<Placed<Work>> {
    let mut found: Vec<(&'static str, Location, Option<Placed<Work>>)> = Vec::new();
    for word in ["run", "prompt", "prompt_file", "gate"] {
        if let Some((key, node)) = fields.take_entry(word) {
            found.push((word, key.at, decode_one(word, node)));
        }
    }
    match found.len() {
        0 if broken => None,
        0 => {
            findings.push(
                Finding::error("plan/no-work", format!("the item {} does nothing", name(&item.text)))
                    .at(item.at)
                    .help("give it `run` (a command), `prompt` or `prompt_file` (for an agent)"),
            );
            None
        }
        1 => found.pop().and_then(|(_, _, work)| work),
        _ => {
            let (first, second) = (&found[0], &found[1]);
            findings.push(
                Finding::error(
                    "plan/two-works",
                    format!("the item {} has both `{}` and `{}`", name(&item.text), first.0, second.0),
                )
                .at(second.1)
                .help("make two items of it, the second with `needs` on the first")
                .related(first.1, format!("`{}` is here", first.0)),
            );
            None
        }
    }
}

fn decode_one(word: &str, node: Node) -> Option<Placed<Work>> {
    let at = node.at;
    let value = match (word, node.value) {
        ("run", Value::Text(line)) => Work::Shell(line),
        ("run", Value::List(elements)) => Work::Argv(
            elements
                .into_iter()
                .filter_map(|node| match node.value {
                    Value::Text(value) => Some(Placed { value, at: node.at }),
                    _ => None,
                })
                .collect(),
        ),
        ("prompt", Value::Text(text)) => Work::Prompt(text),
        ("prompt_file", Value::Text(path)) => Work::PromptFile(path),
        ("gate", Value::Text(_)) => Work::HumanGate,
        _ => return None,
    };
    Some(Placed { value, at })
}
