//! Mistakes that are said all at once, and ways out that fit.

use super::World;
use crate::plan::limits::ATTEMPTS_MAX;

#[test]
fn all_that_is_wrong_with_templates_is_said_at_once() {
    let text = "version: 1\nvars: { a: 1 }\nitems:\n  \
        x: { run: [\"${{ vars.b }}\", \"${{ nope }} ${{ vars.c }} ${{ vars.a\"], env: { V: \"${{ items.ghost.outputs.x }}\", W: \"${{ item }}\" } }\n  \
        y: { prompt: \"${{ vars.d }}\", agent: claude, key: \"${{ items.x.outputs }}\" }\n";
    let report = World::new().load("plan.yaml", text).expect_err("errors");
    let messages: Vec<&str> = report.diagnostics.iter().map(|diagnostic| &*diagnostic.message).collect();
    insta::assert_debug_snapshot!(messages, @r#"
    [
        "there is no variable `b`",
        "`${{ nope }}` cannot be read: `nope` is not known",
        "`${{ vars.a}}` cannot be read: it is not closed",
        "there is no variable `c`",
        "`item` is the value of `foreach`, and there is no `foreach` here",
        "there is no variable `d`",
        "`items.x.outputs` is not known before the item has run",
        "`x` reads outputs of `ghost`, which does not exist",
    ]
    "#);
}

#[test]
fn a_foreach_without_values_is_pointed_at() {
    let world = World::new().var("list", "[]");
    let text = "version: 1\nvars: { list: { required: true } }\nitems:\n  a: { run: x }\n  b: { run: y, foreach: [] }\n  c: { run: [\"${{ item }}\"], foreach: \"${{ vars.list }}\", needs: [b] }\n";
    let warnings = world.load("plan.yaml", text).expect("only warnings").warnings;
    insta::assert_snapshot!(warnings, @r#"
    warning[plan/no-instances]: the `foreach` of `b` has no values, so that the item does not run at all
     --> plan.yaml:5:25
      |
    5 |   b: { run: y, foreach: [] }
      |                         ^^^
      = help: items that need it do not wait for anything; give it values, or remove the item

    warning[plan/no-instances]: the `foreach` of `c` has no values, so that the item does not run at all
     --> plan.yaml:6:39
      |
    6 |   c: { run: ["${{ item }}"], foreach: "${{ vars.list }}", needs: [b] }
      |                                       ^^^^^^^^^^^^^^^^^^
      = help: items that need it do not wait for anything; give it values, or remove the item
    "#);
}

#[test]
fn what_others_call_it_leads_to_our_word() {
    let help = |text: &str| {
        let report = World::new().load("plan.yaml", text).expect_err(text);
        report.diagnostics[0].help.clone().unwrap_or_default()
    };
    let item = |words: &str| format!("version: 1\nitems: {{ a: {{ run: x }}, b: {{ run: x, {words} }} }}");
    assert_eq!(help(&item("depends_on: [a]")), "an item calls it `needs`");
    assert_eq!(help(&item("cwd: sub")), "an item calls it `workdir`");
    assert_eq!(help(&item("retry: { retries: 3 }")), "a retry rule calls it `max_attempts`");
    assert_eq!(help(&item("priority: 5.0")), "write 5");
    assert_eq!(
        help(&item("needs: { a: 1 }")),
        "Items that must have ended before: a name, a list, or a map from names to conditions."
    );
    let most = ATTEMPTS_MAX.to_string();
    assert!(help(&item("retry: { max_attempts: 99999 }")).contains(&most));
}

#[test]
fn ways_out_are_written_in_the_format_of_the_plan() {
    let world = World::new();
    let help = |name: &str, text: &str| {
        let report = match world.load(name, text) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        report.diagnostics[0].help.clone().unwrap_or_default()
    };
    assert_eq!(help("p.toml", "[items.a]\nrun = 'x'"), "add `version = 1` at the top, before the first table");
    assert_eq!(help("p.json", "{\"items\": {\"a\": {\"run\": \"x\"}}}"), "add `\"version\": 1`");
    assert_eq!(help("p.toml", "version = 1"), "add one: [items.hello], and below it run = \"echo hello\"");
}
