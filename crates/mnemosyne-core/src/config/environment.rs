//! Names of settings: dotted keys, and the environment variables for them.
//!
//! `orchestration.scaling.enabled` is `MNEMOSYNE__ORCHESTRATION__SCALING__ENABLED`.
//! Values are read by the shape of the key: numbers and truth values as such,
//! durations, sizes and words as texts, lists and maps as JSON.

use crate::text::{Field, Key, Location, Node, Shape, Value, join, name, nearest};

/// What the names of all variables begin with.
pub(crate) const PREFIX: &str = "MNEMOSYNE__";
/// What separates the parts of their names.
const SEPARATOR: &str = "__";

/// The environment variable of a key.
pub(crate) fn variable(path: &[String]) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.to_ascii_uppercase().replace('-', "_")).collect();
    format!("{PREFIX}{}", parts.join(SEPARATOR))
}

/// A part of a key, quoted where TOML asks for it.
pub(crate) fn quoted(part: &str) -> String {
    let is_bare = !part.is_empty()
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { part.into() } else { format!("{part:?}") }
}

/// Why a name is no setting.
pub(crate) struct NoSetting {
    pub(crate) message: String,
    pub(crate) help: Help,
}

/// The way out.
pub(crate) enum Help {
    /// The setting that was probably meant, by its parts.
    Meant(Vec<String>),
    /// Anything else.
    Text(String),
}

/// Finds the shape of a setting by the parts of its name. `parts` are made to
/// fit the case of the keys; free names (agents) take the spelling of those
/// that are known.
pub(crate) fn find(
    shape: &'static Shape,
    parts: &mut [String],
    known_agents: &[String],
) -> Result<&'static Shape, NoSetting> {
    let mut shape = shape;
    let mut seen: Vec<String> = Vec::new();
    for part in parts.iter_mut() {
        shape = match shape {
            Shape::Object(object) => {
                let field = object.fields().find(|field| field.name.eq_ignore_ascii_case(part));
                let Some(Field { name: key, shape, .. }) = field else {
                    let known = || object.fields().map(|field| field.name);
                    let help = match nearest(part, known()) {
                        Some(near) => {
                            let mut path = seen.clone();
                            path.push(near.into());
                            Help::Meant(path)
                        }
                        None => Help::Text(format!("{} knows {}", object.noun, join(known()))),
                    };
                    return Err(NoSetting { message: format!("there is no setting {}", name(part)), help });
                };
                *part = (*key).into();
                shape
            }
            Shape::Map { of, .. } => {
                if let Some(known) = known_agents.iter().find(|known| same_variable(known, part)) {
                    part.clone_from(known);
                } else {
                    *part = part.to_ascii_lowercase();
                }
                of
            }
            _ => {
                return Err(NoSetting {
                    message: format!("there is nothing below {}", name(&seen.join("."))),
                    help: Help::Meant(seen),
                });
            }
        };
        seen.push(part.clone());
    }
    match shape {
        Shape::Object(object) => Err(NoSetting {
            message: format!("{} is a table, not a setting", name(&seen.join("."))),
            help: Help::Text(format!("it has {}", join(object.fields().map(|field| field.name)))),
        }),
        leaf => Ok(leaf),
    }
}

/// Whether a free name has this spelling in the name of a variable.
fn same_variable(known: &str, part: &str) -> bool {
    known.replace('-', "_").eq_ignore_ascii_case(&part.replace('-', "_"))
}

/// The value that a text stands for where a shape is expected.
pub(crate) fn value(text: &str, shape: &Shape) -> Node {
    let at = Location::default();
    let parsed = match shape {
        Shape::Bool => match text.trim() {
            "1" => Some(Value::Bool(true)),
            "0" => Some(Value::Bool(false)),
            word => word.parse().ok().map(Value::Bool),
        },
        Shape::Int { .. } => text.trim().parse().ok().map(Value::Int),
        Shape::Number { .. } => text.trim().parse().ok().map(Value::Float),
        Shape::List { .. } | Shape::Map { .. } | Shape::Any | Shape::Either(_) => {
            serde_json::from_str(text).ok().map(|json| from_json(&json))
        }
        _ => None,
    };
    Node { value: parsed.unwrap_or_else(|| Value::Text(text.into())), at }
}

/// A tree without places. serde_json bounds the depth of what it reads.
fn from_json(json: &serde_json::Value) -> Value {
    let at = Location::default();
    let node = |json: &serde_json::Value| Node { value: from_json(json), at };
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        serde_json::Value::String(text) => Value::Text(text.as_str().into()),
        serde_json::Value::Array(elements) => Value::List(elements.iter().map(node).collect()),
        serde_json::Value::Object(entries) => Value::Map(
            entries.iter().map(|(key, value)| (Key { text: key.as_str().into(), at }, node(value))).collect(),
        ),
    }
}

/// The parts of the name of a variable, or nothing when it is not one of ours.
pub(crate) fn parts(variable: &str) -> Option<Vec<String>> {
    let rest = variable.strip_prefix(PREFIX)?;
    Some(rest.split(SEPARATOR).map(str::to_ascii_lowercase).collect())
}
