//! The reference of plan files.

use std::fmt::Write;

use mnemosyne_core::plan::words::PLAN;
use mnemosyne_core::text::{Field, Object, Shape, Word};

use super::{NOTICE, cell};

const INTRODUCTION: &str = "
# Plan files

A plan is a graph of work items, written as YAML, TOML or JSON; all three are read into the same model.
`mnemosyne plan check PLAN` finds what is wrong with one, `mnemosyne plan schema` prints the JSON Schema for editors,
`mnemosyne plan graph PLAN` and `mnemosyne plan explain PLAN` show what would run and in which order.

Durations are written `90s`, `1h30m`, `500ms`; sizes `64k`, `1G`. An unknown word is an error that names the nearest
known one. [The glossary](../guide/concepts.md) explains the terms, [another page](../guide/processes.md) what a command
or an agent is given.

All words of the format are listed here. Some of them this version knows but refuses to run, with a message that says
so; README.md names these.

## Templates

`${{ … }}` stands for a value. It is replaced in arguments, prompts, environment values, keys, agents, capabilities and
working folders, never in shell lines: hand a value to a shell line in `env`.

| path | value | known |
|---|---|---|
| `vars.NAME` | a variable of the plan | when the plan is compiled |
| `item` | the value of `foreach` for this instance | when the plan is compiled |
| `items.NAME.outputs` | the outputs of an item that this one needs, directly or not | when the attempt starts |

A path goes on into the value: `.name` or `['any name']` for an entry of a map, `[0]` for an element of a list, as in
`items.build.outputs.files[0].path`. A name with other characters than letters, digits, `_` and `-` stands in brackets
and quotes, that of an instance, too: `items['build[linux]'].outputs`; a quote in it is doubled. A text is put in as it
is, any other value as JSON. There are no operators and no functions, and what was put in is not read again.
`${{ '${{' }}` stands for the text `${{`. Outputs are read in arguments, prompts and environment values of items only.

## Instances

With `foreach` an item becomes one instance for each value. They are called `NAME[VALUE]` when all values are different
whole numbers or short words (letters, digits and `_ - . + @`, up to 40 bytes), or else `NAME[0]`, `NAME[1]`, … by their
position. A need on `NAME` is a need on all of them; one is needed by its own name. A `foreach` without values makes no
instances, which is a warning; whoever needs them waits for nothing.

## Time

Timeouts, deadlines and delays count the time that passes for everybody: also while the machine sleeps, and while no
node runs. What has become due meanwhile happens when the next node starts.
";

/// The page.
pub(super) fn page() -> String {
    let mut objects = Vec::new();
    collect(&PLAN, &mut objects);
    let mut text = format!("{NOTICE}{INTRODUCTION}");
    for object in objects {
        let head = "| word | value | meaning |\n|---|---|---|";
        writeln!(text, "\n## {}\n\n{head}", title(object.noun)).expect("a String takes everything");
        object.fields().for_each(|field| write_row(&mut text, field));
        object.fields().for_each(|field| write_words(&mut text, field));
    }
    text
}

/// The objects in the order in which they are met; one that several words share stands once.
/// The recursion follows the tables, which are constants.
fn collect(shape: &Shape, objects: &mut Vec<&'static Object>) {
    match shape {
        Shape::Object(object) => {
            if objects.iter().any(|known| known.noun == object.noun) {
                return;
            }
            objects.push(object);
            object.fields().for_each(|field| collect(&field.shape, objects));
        }
        Shape::List { of, .. } | Shape::Map { of, .. } => collect(of, objects),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| collect(shape, objects)),
        _ => {}
    }
}

fn write_row(text: &mut String, field: &Field) {
    let (shape, doc) = (cell(&field.shape.describe()), cell(field.doc));
    writeln!(text, "| `{}` | {shape} | {doc} |", field.name).expect("a String takes everything");
}

/// Explains the values of a word that takes one of several.
fn write_words(text: &mut String, field: &Field) {
    let mut words = Vec::new();
    choices(&field.shape, &mut words);
    if words.len() < 2 {
        return;
    }
    writeln!(text, "\nValues of `{}`:\n", field.name).expect("a String takes everything");
    for word in words {
        writeln!(text, "- `{}`: {}", word.name, word.doc.trim()).expect("a String takes everything");
    }
}

fn choices(shape: &Shape, words: &mut Vec<&'static Word>) {
    match shape {
        Shape::Word(known) => words.extend(known.iter()),
        Shape::List { of, .. } | Shape::Map { of, .. } => choices(of, words),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| choices(shape, words)),
        _ => {}
    }
}

/// "an item" becomes "Item".
fn title(noun: &str) -> String {
    let bare = noun.strip_prefix("a ").or_else(|| noun.strip_prefix("an ")).unwrap_or(noun);
    let mut letters = bare.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_object_has_a_row() {
        let mut objects = Vec::new();
        collect(&PLAN, &mut objects);
        assert!(objects.len() > 5);
        let page = page();
        for field in objects.iter().flat_map(|object| object.fields()) {
            assert!(page.contains(&format!("| `{}` |", field.name)), "{}", field.name);
        }
    }
}
