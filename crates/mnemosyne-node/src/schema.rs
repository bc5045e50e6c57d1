//! The JSON Schema that the outputs of an item must meet.
//!
//! The only place that knows the library. Nothing is ever fetched: a reference to another document is an error, and
//! so is a pattern that could take for ever on what an agent writes.

use jsonschema::{PatternOptions, Validator};
use mnemosyne_core::text::{counted, quote, shorten};
use serde_json::Value;

/// Differences that are named; the others are counted.
const NAMED_MAX: usize = 3;
/// Characters of one difference.
const DIFFERENCE_CHARS: usize = 300;

/// A schema that was found to be one.
pub(crate) struct OutputsSchema(Validator);

/// Checks that a value is a JSON Schema that this version can enforce.
///
/// # Errors
/// The text says where in the schema it is not, and why.
pub fn check_outputs_schema(schema: &Value) -> Result<(), String> {
    OutputsSchema::new(schema).map(|_| ())
}

impl OutputsSchema {
    /// Reads a schema; without `$schema` it is of draft 2020-12.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        let validator = options.should_validate_formats(true).build(schema);
        let validator = validator.map_err(|error| {
            format!(
                "{}{}",
                place(error.instance_path().as_str()),
                shorten(&error.to_string(), DIFFERENCE_CHARS)
            )
        })?;
        Ok(Self(validator))
    }

    /// Whether outputs meet it.
    ///
    /// # Errors
    /// The text names the places and what was expected there.
    pub(crate) fn check(&self, outputs: &Value) -> Result<(), String> {
        let mut differences = self.0.iter_errors(outputs);
        let named: Vec<String> = differences
            .by_ref()
            .take(NAMED_MAX)
            .map(|error| {
                let what = shorten(&error.to_string(), DIFFERENCE_CHARS);
                format!("{}{what}", place(error.instance_path().as_str()))
            })
            .collect();
        match (named.len(), differences.count()) {
            (0, _) => Ok(()),
            (_, 0) => Err(named.join("; ")),
            (_, more) => Err(format!("{}; and {}", named.join("; "), counted(more, "more difference"))),
        }
    }
}

/// `at "/findings/0": `, or nothing for the whole.
fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("at {}: ", quote(pointer)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_named_with_its_place() {
        let schema = json!({
            "type": "object",
            "required": ["title"],
            "properties": { "title": { "type": "string" }, "level": { "enum": ["low", "high"] } },
            "additionalProperties": false,
        });
        let schema = OutputsSchema::new(&schema).expect("a schema");
        assert_eq!(schema.check(&json!({ "title": "x", "level": "low" })), Ok(()));
        assert_eq!(schema.check(&json!({})), Err("\"title\" is a required property".to_owned()));
        assert_eq!(
            schema.check(&json!({ "title": 5, "level": "extreme" })),
            Err(r#"at "/level": "extreme" is not one of "low" or "high"; at "/title": 5 is not of type "string""#.to_owned())
        );
    }

    #[test]
    fn many_differences_are_counted_and_long_ones_shortened() {
        let schema = OutputsSchema::new(&json!({ "items": { "type": "integer" } })).expect("a schema");
        let text = schema.check(&json!(vec!["x".repeat(100_000); 9])).expect_err("texts are no numbers");
        assert!(text.len() < 2_000 && text.ends_with("; and 6 more differences"), "{text}");
    }

    #[test]
    fn what_is_no_schema_is_refused_with_its_place() {
        let refusal = |schema: Value| check_outputs_schema(&schema).expect_err("no schema");
        assert!(refusal(json!({ "type": "strin" })).starts_with("at \"/type\": "));
        assert!(
            refusal(json!({ "properties": { "a": { "minimum": "x" } } })).contains("/properties/a/minimum")
        );
        assert!(!refusal(json!({ "pattern": "(" })).is_empty());
        assert!(!refusal(json!({ "pattern": "(?=a)b" })).is_empty(), "it could take for ever");
    }

    #[test]
    fn the_schema_of_plans_accepts_all_three_forms() {
        let schema = OutputsSchema::new(&mnemosyne_core::plan::plan_schema()).expect("a schema");
        for good in [
            json!({ "version": 1, "items": { "a": { "run": "x" }, "b": { "prompt": "y", "needs": ["a"] } } }),
            json!({ "tasks": [{ "id": "a", "description": "x", "depends_on": [] }] }),
            json!({ "phases": [{ "name": "build", "tasks": ["compile", "test"], "dependencies": [] }] }),
        ] {
            assert_eq!(schema.check(&good), Ok(()), "{good}");
        }
        for bad in [
            json!({ "items": { "a": { "runn": "x" } } }),
            json!({ "tasks": [{ "id": "a", "descripton": "x" }] }),
            json!({ "phases": [{ "nam": "build", "tasks": [] }] }),
        ] {
            assert!(schema.check(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["https://example.org/schema.json", "file:///etc/passwd", "other.json"] {
            let text = check_outputs_schema(&json!({ "$ref": reference })).expect_err("it is elsewhere");
            assert!(!text.is_empty());
        }
        let own = json!({ "$defs": { "n": { "type": "integer" } }, "items": { "$ref": "#/$defs/n" } });
        let own = OutputsSchema::new(&own).expect("a reference within the schema");
        assert!(own.check(&json!([1])).is_ok() && own.check(&json!(["x"])).is_err());
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        ] {
            // Accepted or refused; it must not go round for ever.
            if let Ok(schema) = OutputsSchema::new(&schema) {
                let _ = schema.check(&json!({ "a": 1 }));
            }
        }
        let tree = json!({ "properties": { "left": { "$ref": "#" } }, "required": ["x"] });
        let tree = OutputsSchema::new(&tree).expect("a schema");
        assert!(tree.check(&json!({ "x": 1, "left": { "left": {} } })).is_err());
    }
}
