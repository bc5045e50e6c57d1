//! The reference of `mnemosyne.toml`.

use std::fmt::Write;

use mnemosyne_core::config::elements::Preset;
use mnemosyne_core::config::{KeyReference, reference};

use super::{NOTICE, cell};

const INTRODUCTION: &str = "
# Configuration

Settings stand in `mnemosyne.toml`, found in the current folder or the nearest one above it; `--config` names another
file. A value comes from the first of these that has one: a flag of the command line, the environment variable, the
file, the default. `mnemosyne config show` prints the values in force and where each comes from.

The environment variable of a key is `MNEMOSYNE__`, then its parts in upper case with `__` between them:
`node.slots.executor` is `MNEMOSYNE__NODE__SLOTS__EXECUTOR`. An unknown key or variable is an error.
A setting that stands here is read and checked; README.md says which parts of the system do not act on theirs yet.
";

const PRESETS: &str = "
## Ready-made definitions

What `preset` of an agent stands for, beside `prompt = \"stdin\"`. Every other key of the agent goes over it; `args` stand
in the place of `{args}`. Whoever names a `command` of their own names its `resume`, too, or it is not gone on with.
";

/// The page.
pub(super) fn page() -> String {
    let mut text = format!("{NOTICE}{INTRODUCTION}");
    let mut table = None;
    for row in reference() {
        let (of, key) = row.key.rsplit_once('.').unwrap_or(("", &row.key));
        if table.as_deref() != Some(of) {
            begin_table(&mut text, of);
            table = Some(of.to_owned());
        }
        write_row(&mut text, key, &row);
    }
    text.push_str(PRESETS);
    Preset::ALL.into_iter().for_each(|preset| write_preset(&mut text, preset));
    text
}

fn write_preset(text: &mut String, preset: Preset) {
    let definition = preset.definition();
    let (command, resume) = (definition.command.join(" "), definition.resume.join(" "));
    let (dialect, cost) = (definition.dialect.as_str(), definition.cost.as_str());
    let allowed: Vec<String> = definition.env_allow.iter().map(|name| format!("`{name}`")).collect();
    writeln!(
        text,
        "\n`preset = \"{}\"`: `dialect = \"{dialect}\"`, `cost = \"{cost}\"`; it may see {}.\n\n```text\ncommand: {command}\n\
         resume:  {resume}\n```",
        preset.as_str(),
        allowed.join(", ")
    )
    .expect("a String takes everything");
}

fn begin_table(text: &mut String, name: &str) {
    let heading = if name.is_empty() { "Top level".to_owned() } else { format!("`[{name}]`") };
    let head = "| key | value | default | meaning |\n|---|---|---|---|";
    writeln!(text, "\n## {heading}\n\n{head}").expect("a String takes everything");
}

fn write_row(text: &mut String, key: &str, row: &KeyReference) {
    let default = if row.default.is_null() { "–".to_owned() } else { format!("`{}`", row.default) };
    let (shape, doc) = (cell(&row.shape), cell(&row.doc));
    writeln!(text, "| `{key}` | {shape} | {} | {doc} |", cell(&default)).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_row_in_its_table() {
        let page = page();
        for row in reference() {
            let (table, key) = row.key.rsplit_once('.').expect("every key has a table");
            let section = page.split("\n## ").find(|section| section.starts_with(&format!("`[{table}]`\n")));
            assert!(section.is_some_and(|section| section.contains(&format!("| `{key}` |"))), "{}", row.key);
        }
    }
}
