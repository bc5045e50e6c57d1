//! The JSON Schema of plan files, made of the tables that the decoder reads by.

use serde_json::Value;

use crate::plan::words::PLAN;
use crate::text::json_schema;

/// JSON Schema (draft 2020-12) of a plan file.
#[must_use]
pub fn plan_schema() -> Value {
    json_schema("mnemosyne plan", "A graph of work items for agents and commands.", &PLAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Object, Shape};

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
        words(&PLAN, &mut known);
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
        ] {
            assert!(known.contains(&word), "{word} is a word of the contract");
        }
    }
}
