//! The reference of all settings, made of the tables that read them.

use serde::Serialize;
use serde_json::Value as Json;

use crate::config::elements::AgentDefinition;
use crate::config::environment::variable;
use crate::config::settings::{CONFIG, Settings};
use crate::text::{Object, Shape, json_schema};

/// What a free name is called in keys: `agents.NAME.kind`.
const FREE_NAME: &str = "NAME";

/// One setting, for the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyReference {
    /// Dotted key.
    pub key: String,
    /// The environment variable that overrides it.
    pub variable: String,
    /// What its value looks like.
    pub shape: String,
    /// Its value where nobody says anything.
    pub default: Json,
    /// What it means.
    pub doc: String,
}

/// All settings in the order of the tables.
#[must_use]
pub fn reference() -> Vec<KeyReference> {
    let mut settings = Settings::default();
    settings.agents.insert(FREE_NAME.into(), AgentDefinition::default());
    let defaults = settings.values();
    let mut rows = Vec::new();
    if let Shape::Object(root) = &CONFIG {
        walk(root, &mut Vec::new(), &defaults, &mut rows);
    }
    rows
}

/// JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn config_schema() -> Json {
    json_schema("mnemosyne configuration", "Settings of a node: mnemosyne.toml.", &CONFIG)
}

/// The recursion follows the tables, which are constants.
fn walk(object: &Object, path: &mut Vec<String>, defaults: &[(String, Json)], rows: &mut Vec<KeyReference>) {
    for field in object.fields() {
        path.push(field.name.into());
        match &field.shape {
            Shape::Object(inner) => walk(inner, path, defaults, rows),
            Shape::Map { of: Shape::Object(inner), .. } => {
                path.push(FREE_NAME.into());
                walk(inner, path, defaults, rows);
                path.pop();
            }
            shape => {
                let key = path.join(".");
                rows.push(KeyReference {
                    variable: variable(path),
                    shape: shape.describe(),
                    default: defaults
                        .iter()
                        .find(|(known, _)| *known == key)
                        .map_or(Json::Null, |(_, value)| value.clone()),
                    doc: field.doc.trim().into(),
                    key,
                });
            }
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_the_reference_with_its_default() {
        let mut settings = Settings::default();
        settings.agents.insert(FREE_NAME.into(), AgentDefinition::default());
        let rows = reference();
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        for (key, value) in settings.values() {
            let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key} is missing"));
            assert_eq!(row.default, value);
            assert!(row.doc.ends_with('.'), "{key} is described by a sentence");
        }
        assert_eq!(keys.len(), settings.values().len());
        let row =
            rows.iter().find(|row| row.key == "orchestration.scaling.executor.max_pool_size").expect("there");
        assert_eq!(row.variable, "MNEMOSYNE__ORCHESTRATION__SCALING__EXECUTOR__MAX_POOL_SIZE");
    }
}
