//! JSON Schema (draft 2020-12) of a shape, so that editors know the words.

use serde_json::{Map, Value, json};

use crate::text::shape::{Field, Object, Shape};

/// A schema document for a shape.
#[must_use]
pub fn json_schema(title: &str, description: &str, shape: &Shape) -> Value {
    let mut schema = object_of(of_shape(shape));
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), title.into());
    schema.insert("description".into(), description.into());
    Value::Object(schema)
}

/// The recursion follows the shape, which is a constant.
fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Text(rule) => json!({ "type": "string", "minLength": rule.min, "maxLength": rule.max }),
        Shape::Scalar(_) => json!({ "type": ["string", "integer", "boolean"] }),
        Shape::Int { min, max } if *max == i64::MAX => json!({ "type": "integer", "minimum": min }),
        Shape::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Number { min, max } if max.is_infinite() => json!({ "type": "number", "minimum": min }),
        Shape::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Shape::Span { .. } => {
            json!({ "type": "string", "pattern": "^\\s*(0|(\\d+\\s*(ms|s|m|min|h|d)\\s*)+)\\s*$", "examples": ["90s", "1h30m"] })
        }
        Shape::Size { min, max } => json!({ "anyOf": [
            { "type": "string", "pattern": "^\\s*\\d+\\s*([kKmMgGtT]i?)?[bB]?\\s*$", "examples": ["64k", "1G"] },
            { "type": "integer", "minimum": min, "maximum": max },
        ] }),
        Shape::Word(words) => {
            let each = words.iter().map(|word| json!({ "const": word.name, "description": word.doc.trim() }));
            json!({ "oneOf": each.collect::<Vec<_>>() })
        }
        Shape::List { of, min, max } => {
            let mut schema = object_of(json!({ "type": "array", "items": of_shape(of), "minItems": min }));
            if *max != usize::MAX {
                schema.insert("maxItems".into(), json!(max));
            }
            Value::Object(schema)
        }
        Shape::Map { of, .. } => json!({ "type": "object", "additionalProperties": of_shape(of) }),
        Shape::Object(object) => of_object(object),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of_shape).collect::<Vec<_>>() }),
    }
}

fn of_object(object: &Object) -> Value {
    let properties: Map<String, Value> = object.fields().map(of_field).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn of_field(field: &Field) -> (String, Value) {
    let mut schema = object_of(of_shape(&field.shape));
    schema.insert("description".into(), field.doc.trim().into());
    (field.name.into(), Value::Object(schema))
}

fn object_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
