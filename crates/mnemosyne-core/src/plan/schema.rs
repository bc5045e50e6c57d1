//! The JSON Schema of plan files, made of the tables that the decoder reads by.

use serde_json::{Value, json};

use crate::plan::legacy::{PHASES_FORM, TASKS_FORM};
use crate::plan::words::PLAN;
use crate::text::{Shape, json_schema};

/// JSON Schema (draft 2020-12) of a plan file: of the current form, and of the two older ones that are accepted.
#[must_use]
pub fn plan_schema() -> Value {
    let form = |title: &str, description: &str, shape: &Shape| {
        let mut schema = json_schema(title, description, shape);
        if let Value::Object(map) = &mut schema {
            map.remove("$schema");
        }
        schema
    };
    let mut tasks = form("tasks", "An older form: tasks with ids, each a prompt.", &TASKS_FORM);
    let mut phases = form("phases", "An older form: phases of tasks, each task a prompt.", &PHASES_FORM);
    // Told apart as the decoder does it, so that a mistake is explained by the words of the form that is meant.
    tasks["required"] = json!(["tasks"]);
    phases["required"] = json!(["phases"]);
    let plan = form("plan", "A graph of work items for agents and commands.", &PLAN);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mnemosyne plan",
        "description": "A graph of work items for agents and commands.",
        "type": "object",
        "if": { "required": ["tasks"], "not": { "required": ["items"] } },
        "then": tasks,
        "else": {
            "if": {
                "properties": { "phases": { "type": "array", "contains": { "type": "object" } } },
                "required": ["phases"],
                "not": { "required": ["items"] },
            },
            "then": phases,
            "else": plan,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Object;

    /// Every word of a shape with the schema that should know it.
    fn words(shape: &Shape, out: &mut Vec<&'static str>) {
        match shape {
            Shape::Object(object) => of_object(object, out),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| words(shape, out)),
            Shape::List { of, .. } | Shape::Map { of, .. } => words(of, out),
            Shape::Word(known) => out.extend(known.iter().map(|word| word.name)),
            _ => {}
        }
    }

    fn of_object(object: &Object, out: &mut Vec<&'static str>) {
        for field in object.fields() {
            assert!(field.doc.ends_with('.'), "{} is described by a sentence", field.name);
            out.push(field.name);
            words(&field.shape, out);
        }
    }

    #[test]
    fn the_schema_contains_every_word_that_the_decoder_knows() {
        let mut known = Vec::new();
        for shape in [&PLAN, &TASKS_FORM, &PHASES_FORM] {
            words(shape, &mut known);
        }
        let schema = plan_schema().to_string();
        for word in &known {
            assert!(schema.contains(&format!("\"{word}\"")), "{word}");
        }
        for word in [
            "needs",
            "run",
            "prompt",
            "prompt_file",
            "agent",
            "role",
            "phase",
            "priority",
            "requires",
            "prefers",
            "retry",
            "timeouts",
            "deadline",
            "env",
            "workdir",
            "workspace",
            "outputs",
            "foreach",
            "max_parallel",
            "key",
            "on_failure",
            "review",
            "gate",
            "paths",
            "soft_fail",
            "queue",
            "idle",
            "backoff",
            "delay",
            "grace",
            "depends_on",
            "dependencies",
        ] {
            assert!(known.contains(&word), "{word} is a word of the contract");
        }
    }
}
