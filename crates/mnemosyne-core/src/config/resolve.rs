//! From file, environment and flags to [`Settings`].

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::elements::{AgentDefinition, placed};
use crate::config::environment::{self, Help, NoSetting, quoted};
use crate::config::origin::Origin;
use crate::config::settings::{CONFIG, Settings};
use crate::text::{
    Area, Finding, Findings, Key, Location, Node, Report, Shape, Source, Value, check_shape, name,
};

/// Bytes of one value from the environment or the command line.
const VALUE_BYTES_MAX: usize = 1 << 20;
/// Parts that the key of a setting may have.
const KEY_PARTS_MAX: usize = 16;

/// A value from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Dotted key of the setting: `orchestration.scaling.executor.max_pool_size`.
    pub key: String,
    /// The value, written as in the environment.
    pub value: String,
    /// The flag that it was given by.
    pub flag: String,
}

/// Settings, and where they came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// Where they came from.
    pub origins: Origins,
}

/// Where the settings came from, by their dotted keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    by_key: BTreeMap<String, Origin>,
}

impl Origins {
    /// Where a setting came from. The key may also name a value within a
    /// setting, or a table of which something was set.
    #[must_use]
    pub fn of(&self, key: &str) -> Origin {
        let mut wanted = key;
        loop {
            if let Some(origin) = self.by_key.get(wanted) {
                return origin.clone();
            }
            match wanted.rsplit_once('.') {
                Some((before, _)) if before.contains('.') => wanted = before,
                _ => break,
            }
        }
        Origin::Default
    }

    /// Where exactly this setting came from; a value within it counts.
    pub(crate) fn of_setting(&self, key: &str) -> Origin {
        let within = format!("{key}.");
        let exact = self.by_key.get(key).filter(|origin| !matches!(origin, Origin::Default));
        let first_within = || {
            let mut range = self.by_key.range(within.clone()..);
            range.next().filter(|(key, _)| key.starts_with(&within)).map(|(_, origin)| origin)
        };
        exact.or_else(first_within).cloned().unwrap_or_default()
    }

    /// What a ready-made definition says came from where it was named.
    fn note_presets(&mut self, settings: &Settings) {
        for (agent, definition) in &settings.agents {
            let Some(preset) = definition.preset else { continue };
            let section = format!("agents.{}", quoted(agent));
            let named = self.of_setting(&format!("{section}.preset"));
            for ((key, value), (_, default)) in
                preset.definition().values().into_iter().zip(AgentDefinition::default().values())
            {
                let key = format!("{section}.{key}");
                if value != default && self.of_setting(&key) == Origin::Default {
                    self.by_key.insert(key, named.clone());
                }
            }
        }
    }
}

/// A line of `config show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Dotted key.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Resolved {
    /// Every setting with its value and where it came from.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |(key, value): (String, serde_json::Value)| Row {
            origin: self.origins.of_setting(&key),
            key,
            value,
        };
        self.settings.values().into_iter().map(row).collect()
    }

    /// The settings as a table for people: key, value, origin.
    #[must_use]
    pub fn show(&self) -> String {
        let rows: Vec<(String, String)> = self
            .rows()
            .into_iter()
            .map(|row| (format!("{} = {}", row.key, shown(&row.value)), row.origin.to_string()))
            .collect();
        let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0).min(90);
        rows.into_iter().map(|(left, origin)| format!("{left:width$}  # {origin}\n")).collect()
    }
}

/// Makes settings of defaults, file, environment and flags, each over the one before.
///
/// Names in the environment that do not begin with `MNEMOSYNE__` are passed
/// over. Of equal keys among the flags the last one counts.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn resolve(
    file: Option<Source<'_>>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[Override],
) -> Result<Resolved, Report> {
    let empty = Source::with_format("the configuration", "", crate::text::Format::Toml);
    let source = file.unwrap_or(empty);
    let mut findings = Findings::new();
    let mut root = crate::text::read(&source).unwrap_or_else(|found| {
        findings.append(found);
        Node { value: Value::Map(Vec::new()), at: Location::default() }
    });
    check_shape(Area::Config, &root, &CONFIG, &mut findings);
    let mut origins = Origins::default();
    note_origins(&root, source.name(), &mut origins);
    let agents: Vec<String> = root
        .get("agents")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|(key, _)| String::from(&*key.text))
        .collect();
    let mut layers = Layers { root: &mut root, origins: &mut origins, findings: &mut findings, agents };
    let mut variables: Vec<(String, String)> =
        environment.into_iter().filter(|(variable, _)| variable.starts_with(environment::PREFIX)).collect();
    // The environment has no order of its own.
    variables.sort();
    for (variable, value) in variables {
        let parts = environment::parts(&variable).unwrap_or_default();
        layers.put(parts, &value, Origin::Environment { name: variable });
    }
    for given in overrides {
        let parts = given.key.split('.').map(String::from).collect();
        layers.put(parts, &given.value, Origin::Flag { name: given.flag.clone() });
    }
    let settings = Settings::read(&root);
    origins.note_presets(&settings);
    if !findings.has_errors() {
        settings.validate(&origins, &mut findings);
    }
    if findings.has_errors() { Err(findings.report(&source)) } else { Ok(Resolved { settings, origins }) }
}

/// The tree of the file, over which further values are put.
struct Layers<'a> {
    root: &'a mut Node,
    origins: &'a mut Origins,
    findings: &'a mut Findings,
    agents: Vec<String>,
}

impl Layers<'_> {
    fn put(&mut self, mut parts: Vec<String>, text: &str, origin: Origin) {
        let too_long = parts.len() > KEY_PARTS_MAX || text.len() > VALUE_BYTES_MAX;
        if too_long || text.contains('\0') {
            let message = format!(
                "the name has more than {KEY_PARTS_MAX} parts, or the value more than {VALUE_BYTES_MAX} bytes or a NUL"
            );
            self.findings.push(placed(Finding::error("config/limit", message), &origin));
            return;
        }
        let shape = match environment::find(&CONFIG, &mut parts, &self.agents) {
            Ok(shape) => shape,
            Err(NoSetting { message, help }) => {
                let help = match (help, &origin) {
                    (Help::Text(text), _) => text,
                    (Help::Meant(path), Origin::Environment { .. }) => {
                        format!("did you mean {}?", environment::variable(&path))
                    }
                    (Help::Meant(path), _) => format!("did you mean {}?", path.join(".")),
                };
                self.findings.push(placed(Finding::error("config/unknown-key", message).help(help), &origin));
                return;
            }
        };
        let node = environment::value(text, shape);
        let mut found = Findings::new();
        check_shape(Area::Config, &node, shape, &mut found);
        let key: Vec<String> = parts.iter().map(|part| quoted(part)).collect();
        let key = key.join(".");
        if found.has_errors() {
            for finding in found.iter() {
                let message = finding.message.replace("the document", &name(&key));
                let meant = finding.help.as_deref().filter(|help| help.starts_with("did you mean"));
                let help = meant.map_or_else(|| way_out(&origin, shape), String::from);
                let finding = Finding { message, ..finding.clone() }.help(help);
                self.findings.push(placed(finding, &origin));
            }
            return;
        }
        set(self.root, &parts, node);
        self.origins.by_key.retain(|known, _| !known.starts_with(&format!("{key}.")));
        self.origins.by_key.insert(key, origin);
    }
}

/// What to do about a value that does not stand in the file.
fn way_out(origin: &Origin, shape: &Shape) -> String {
    match origin {
        Origin::Environment { name } => format!("set {name} to {}, or unset it", shape.describe()),
        Origin::Flag { name } => format!("give {name} {}", shape.describe()),
        Origin::Default | Origin::File { .. } => format!("write {}", shape.describe()),
    }
}

/// Puts a value into a tree, making the tables on the way.
fn set(root: &mut Node, parts: &[String], value: Node) {
    let mut node = root;
    for part in parts {
        if !matches!(node.value, Value::Map(_)) {
            node.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut node.value else { return };
        let index = entries.iter().position(|(key, _)| *key.text == **part).unwrap_or_else(|| {
            let key = Key { text: part.as_str().into(), at: Location::default() };
            entries.push((key, Node { value: Value::Map(Vec::new()), at: Location::default() }));
            entries.len() - 1
        });
        node = &mut entries[index].1;
    }
    *node = value;
}

/// Notes the place of every value of the file. The readers bound its depth.
fn note_origins(root: &Node, file: &str, origins: &mut Origins) {
    let mut open: Vec<(String, &Node)> = vec![(String::new(), root)];
    while let Some((path, node)) = open.pop() {
        for (key, value) in node.entries() {
            let part = quoted(&key.text);
            let path = if path.is_empty() { part } else { format!("{path}.{part}") };
            origins.by_key.insert(path.clone(), Origin::File { name: file.into(), at: key.at });
            if matches!(value.value, Value::Map(_)) {
                open.push((path, value));
            }
        }
    }
}

/// A value in the spelling of TOML.
fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "(not set)".into(),
        serde_json::Value::Array(elements) => {
            let each: Vec<String> = elements.iter().map(shown).collect();
            format!("[{}]", each.join(", "))
        }
        serde_json::Value::Object(entries) => {
            let each: Vec<String> =
                entries.iter().map(|(key, value)| format!("{} = {}", quoted(key), shown(value))).collect();
            if each.is_empty() { "{}".into() } else { format!("{{ {} }}", each.join(", ")) }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
