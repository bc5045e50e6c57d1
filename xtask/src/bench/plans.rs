//! `cargo xtask bench plans`: large plans, checked and accepted by the program itself.
//!
//! Time is that of the whole command, from its start to its end; memory is the
//! most that its process had at once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::disk;
use super::folder::Folder;
use super::program::{Ended, Program, load_average};
use crate::output::line;

/// Appends that show how fast the disk is.
const DISK_APPENDS: usize = 500;

#[derive(Debug, Args)]
pub(crate) struct Plans {
    /// The folder below which data directories are made and removed again
    dir: PathBuf,
    /// Items of each plan
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..))]
    items: u32,
    /// The program to measure [default: the release build of this tree]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// How the items of a plan depend on each other.
#[derive(Clone, Copy)]
enum Shape {
    /// Not at all.
    Flat,
    /// Each on the one before.
    Chain,
    /// One more item needs all of them.
    Hub,
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

impl Plans {
    pub(crate) fn run(&self) -> Result<()> {
        let program = Program::find(self.program.as_deref())?;
        line(disk::figure(&self.dir, DISK_APPENDS)?);
        line(format!("processes that wanted to run on the machine (1 minute): {}", load_average()));
        line("");
        line("plan                         size   plan check             submit, without a node");
        for shape in [Shape::Flat, Shape::Chain, Shape::Hub] {
            for format in [Format::Json, Format::Yaml] {
                self.measure(&program, shape, format)?;
            }
        }
        line("");
        line(disk::figure(&self.dir, DISK_APPENDS)?);
        Ok(())
    }

    fn measure(&self, program: &Program, shape: Shape, format: Format) -> Result<()> {
        let folder = Folder::below(&self.dir, "plans")?;
        let (name, text) = match format {
            Format::Json => ("plan.json", json(shape, self.items)),
            Format::Yaml => ("plan.yaml", yaml(shape, self.items)),
        };
        std::fs::write(folder.path().join(name), &text).with_context(|| format!("cannot write {name}"))?;
        let checked = program.run(folder.path(), &["plan", "check", name])?;
        let submitted = program.run(folder.path(), &["submit", name])?;
        let accepted = accepted(program, folder.path(), submitted.stdout.trim())?;
        let expected = u64::from(self.items) + u64::from(matches!(shape, Shape::Hub));
        ensure!(accepted == expected, "{accepted} of {expected} items are there after `submit {name}`");
        line(format!(
            "{:<22} {name:<9} {:>7.1} MB   {:<20}   {}",
            match shape {
                Shape::Flat => format!("{} items", self.items),
                Shape::Chain => format!("a chain of {}", self.items),
                Shape::Hub => format!("one needs {}", self.items),
            },
            text.len() as f64 / 1e6,
            cost(&checked),
            cost(&submitted),
        ));
        Ok(())
    }
}

/// How many items of a run the data directory holds.
fn accepted(program: &Program, folder: &Path, run: &str) -> Result<u64> {
    let shown = program.run(folder, &["show", run, "--json"])?;
    let shown: Value = serde_json::from_str(&shown.stdout).context("`show --json` is not JSON")?;
    let counts = shown["items"].as_object().context("`show --json` has no items")?;
    Ok(counts.values().filter_map(Value::as_u64).sum())
}

fn cost(ended: &Ended) -> String {
    format!("{:.2} s, {:.0} MB", ended.took.as_secs_f64(), ended.memory as f64 / 1e6)
}

/// What the item at this place needs, the hub of [`Shape::Hub`] included.
fn needs(shape: Shape, items: u32, number: u32) -> Vec<String> {
    let range = match shape {
        Shape::Chain if number > 0 => number - 1..number,
        Shape::Hub if number == items => 0..items,
        _ => 0..0,
    };
    range.map(|number| format!("i{number}")).collect()
}

/// Numbers of all items.
fn numbers(shape: Shape, items: u32) -> std::ops::Range<u32> {
    0..items + u32::from(matches!(shape, Shape::Hub))
}

fn json(shape: Shape, items: u32) -> String {
    let item = |number| {
        let needs = needs(shape, items, number);
        (format!("i{number}"), serde_json::json!({ "run": ["true"], "needs": needs }))
    };
    let all: serde_json::Map<String, Value> = numbers(shape, items).map(item).collect();
    serde_json::json!({ "version": 1, "name": "large", "items": all }).to_string()
}

fn yaml(shape: Shape, items: u32) -> String {
    let mut text = String::from("version: 1\nname: large\nitems:\n");
    for number in numbers(shape, items) {
        let needs = needs(shape, items, number).join(", ");
        writeln!(text, "  i{number}:\n    run: [\"true\"]\n    needs: [{needs}]").expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_edges_they_are_named_for() {
        let edges = |shape| numbers(shape, 5).map(|number| needs(shape, 5, number).len()).collect::<Vec<_>>();
        assert_eq!(edges(Shape::Flat), [0; 5]);
        assert_eq!(edges(Shape::Chain), [0, 1, 1, 1, 1]);
        assert_eq!(edges(Shape::Hub), [0, 0, 0, 0, 0, 5]);
        assert!(json(Shape::Chain, 3).contains(r#""i2":{"needs":["i1"],"run":["true"]}"#));
        assert!(yaml(Shape::Hub, 2).ends_with("  i2:\n    run: [\"true\"]\n    needs: [i0, i1]\n"));
    }
}
