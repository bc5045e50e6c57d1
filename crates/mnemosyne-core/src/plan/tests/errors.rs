//! What people see when a plan is wrong.

use super::{World, refused};

#[test]
fn words_that_are_misspelt_or_wrong() {
    insta::assert_snapshot!(refused(
        r#"version: 1
itemz: {}
items:
  a: { promt: "x", priority: 11, retry: { max_attempts: 0, backoff: .nan } }
  b: { run: "x", timeouts: { run: 0, idle: 5 }, needs: { a: sucess }, env: { N: 1.10 } }
  c: { run: true, priority: -9223372036854775808, deadline: 9223372036854775808ms }
"#
    ), @r#"
    error[plan/unknown-key]: unknown key `itemz`
     --> plan.yaml:2:1
      |
    2 | itemz: {}
      | ^^^^^
      = help: did you mean `items`?

    error[plan/unknown-key]: unknown key `promt` in `items.a`
     --> plan.yaml:4:8
      |
    4 |   a: { promt: "x", priority: 11, retry: { max_attempts: 0, backoff: .nan } }
      |        ^^^^^
      = help: did you mean `prompt`?

    error[plan/out-of-range]: `items.a.priority` is 11; it must be a whole number from 0 to 10
     --> plan.yaml:4:30
      |
    4 |   a: { promt: "x", priority: 11, retry: { max_attempts: 0, backoff: .nan } }
      |                              ^^
      = help: 0 to 10; higher is sooner. The default is 5.

    error[plan/out-of-range]: `items.a.retry.max_attempts` is 0; it must be a whole number from 1 to 1000
     --> plan.yaml:4:57
      |
    4 |   a: { promt: "x", priority: 11, retry: { max_attempts: 0, backoff: .nan } }
      |                                                         ^
      = help: an item has at least one attempt, and at most 1000

    error[plan/out-of-range]: `items.a.retry.backoff` is NaN; it must be a number from 1 to 1000
     --> plan.yaml:4:69
      |
    4 |   a: { promt: "x", priority: 11, retry: { max_attempts: 0, backoff: .nan } }
      |                                                                     ^^^^
      = help: Factor by which each further wait grows.

    error[plan/out-of-range]: `items.b.timeouts.run` is 0s; it must be at least 1ms
     --> plan.yaml:5:35
      |
    5 |   b: { run: "x", timeouts: { run: 0, idle: 5 }, needs: { a: sucess }, env: { N: 1.10 } }
      |                                   ^
      = help: for no limit write `none` or remove the key

    error[plan/wrong-type]: `items.b.timeouts.idle` must be a duration; 5 is not one: the unit is missing (ms, s, m, h, d)
     --> plan.yaml:5:44
      |
    5 |   b: { run: "x", timeouts: { run: 0, idle: 5 }, needs: { a: sucess }, env: { N: 1.10 } }
      |                                            ^
      = help: write 90s, 1h30m or 500ms

    error[plan/unknown-word]: `items.b.needs.a` must be one of `success`, `failure`, `done`, `always`, not "sucess"
     --> plan.yaml:5:61
      |
    5 |   b: { run: "x", timeouts: { run: 0, idle: 5 }, needs: { a: sucess }, env: { N: 1.10 } }
      |                                                             ^^^^^^
      = help: did you mean `success`?

    error[plan/wrong-type]: `items.b.env.N` is a number whose spelling would be lost
     --> plan.yaml:5:81
      |
    5 |   b: { run: "x", timeouts: { run: 0, idle: 5 }, needs: { a: sucess }, env: { N: 1.10 } }
      |                                                                                 ^^^^
      = help: put it in quotes

    error[plan/wrong-type]: `items.c.run` must be a text that is not empty, or a list (a text each), not `true`
     --> plan.yaml:6:13
      |
    6 |   c: { run: true, priority: -9223372036854775808, deadline: 9223372036854775808ms }
      |             ^^^^
      = help: A command: a text is a shell line for `/bin/sh -c`, a list is a program and its arguments.

    error[plan/out-of-range]: `items.c.priority` is -9223372036854775808; it must be a whole number from 0 to 10
     --> plan.yaml:6:29
      |
    6 |   c: { run: true, priority: -9223372036854775808, deadline: 9223372036854775808ms }
      |                             ^^^^^^^^^^^^^^^^^^^^
      = help: 0 to 10; higher is sooner. The default is 5.

    error[plan/wrong-type]: `items.c.deadline` must be a duration; "9223372036854775808ms" is not one: it is too long
     --> plan.yaml:6:61
      |
    6 |   c: { run: true, priority: -9223372036854775808, deadline: 9223372036854775808ms }
      |                                                             ^^^^^^^^^^^^^^^^^^^^^
      = help: write 90s, 1h30m or 500ms
    "#);
}

#[test]
fn dependencies_that_do_not_work() {
    insta::assert_snapshot!(refused(
        r#"version: 1
items:
  build: { run: x, needs: [deploy] }
  test: { run: x, needs: [biuld, test] }
  deploy:
    run: x
    needs:
      - test
      - build
  each: { run: x, foreach: [p, q] }
  last: { run: x, needs: ["each[r]"] }
"#
    ), @r#"
    error[plan/unknown-item]: the item `test` needs `biuld`, which does not exist
     --> plan.yaml:4:27
      |
    4 |   test: { run: x, needs: [biuld, test] }
      |                           ^^^^^
      = help: did you mean `build`?

    error[plan/self-dependency]: the item `test` needs itself
     --> plan.yaml:4:34
      |
    4 |   test: { run: x, needs: [biuld, test] }
      |                                  ^^^^
      = help: remove it from its own `needs`

    error[plan/unknown-item]: the item `last` needs `each[r]`, which does not exist
      --> plan.yaml:11:27
       |
    11 |   last: { run: x, needs: ["each[r]"] }
       |                           ^^^^^^^^^
       = help: its first instance is `each[p]`; `each` means all 2

    error[plan/cycle]: these items wait for each other and can never start: `build` → `deploy` → `build`
     --> plan.yaml:3:28
      |
    3 |   build: { run: x, needs: [deploy] }
      |                            ^^^^^^
      = help: remove one of these needs
    note: `deploy` needs `build`
     --> plan.yaml:9:9
      |
    9 |       - build
      |         ^^^^^
    "#);
}

#[test]
fn work_that_is_missing_or_double() {
    insta::assert_snapshot!(refused(
        "version: 1\nitems:\n  a: { needs: [] }\n  b: { run: x, prompt: y }\n  c/d: { run: z }\n"
    ), @r#"
    error[plan/no-work]: the item `a` does nothing
     --> plan.yaml:3:3
      |
    3 |   a: { needs: [] }
      |   ^
      = help: give it `run` (a command), `prompt` or `prompt_file` (for an agent)

    error[plan/two-works]: the item `b` has both `run` and `prompt`
     --> plan.yaml:4:16
      |
    4 |   b: { run: x, prompt: y }
      |                ^^^^^^
      = help: make two items of it, the second with `needs` on the first
    note: `run` is here
     --> plan.yaml:4:8
      |
    4 |   b: { run: x, prompt: y }
      |        ^^^

    error[plan/bad-name]: the name "c/d" of an item contains a slash
     --> plan.yaml:5:3
      |
    5 |   c/d: { run: z }
      |   ^^^
      = help: give it another name
    "#);
}

#[test]
fn templates_that_cannot_be() {
    insta::assert_snapshot!(refused(
        r#"version: 1
vars: { target: x }
items:
  a: { run: "rm -rf ${{ vars.target }}" }
  b: { prompt: "${{ vars.tarjet }} ${{ item.x }}" }
  c: { prompt: "${{ secrets.KEY }}", needs: [a] }
  d: { run: [echo, "${{ item.nam }}"], foreach: [{ name: x }] }
  e: { run: x, workdir: "${{ items.a.outputs.x }}" }
"#
    ), @r#"
    error[plan/template-in-shell]: `${{ … }}` cannot stand in the shell line of `a`
     --> plan.yaml:4:13
      |
    4 |   a: { run: "rm -rf ${{ vars.target }}" }
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: hand the value over in the environment:  env: { VALUE: "${{ … }}" }, run: 'use "$VALUE"'
              or write an argument list:  run: ["program", "${{ … }}"]

    error[plan/template]: there is no variable `tarjet`
     --> plan.yaml:5:16
      |
    5 |   b: { prompt: "${{ vars.tarjet }} ${{ item.x }}" }
      |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: did you mean `target`?

    error[plan/template]: `item` is the value of `foreach`, and there is no `foreach` here
     --> plan.yaml:5:16
      |
    5 |   b: { prompt: "${{ vars.tarjet }} ${{ item.x }}" }
      |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: add `foreach`, or read a variable by vars.NAME

    error[plan/template]: `${{ secrets.KEY }}` cannot be read: `secrets` is not known
     --> plan.yaml:6:16
      |
    6 |   c: { prompt: "${{ secrets.KEY }}", needs: [a] }
      |                ^^^^^^^^^^^^^^^^^^^^
      = help: it begins with vars, item or items; write `${{ '${{' }}` for the text `${{`

    error[plan/template]: there is no `item.nam`
     --> plan.yaml:7:20
      |
    7 |   d: { run: [echo, "${{ item.nam }}"], foreach: [{ name: x }] }
      |                    ^^^^^^^^^^^^^^^^^
      = help: did you mean `name`?

    error[plan/template]: `items.a.outputs.x` is not known before the item has run
     --> plan.yaml:8:25
      |
    8 |   e: { run: x, workdir: "${{ items.a.outputs.x }}" }
      |                         ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: outputs can be read in prompts, arguments and environment values
    "#);
}

#[test]
fn outputs_of_items_that_are_not_needed() {
    insta::assert_snapshot!(refused(
        r#"version: 1
items:
  a: { run: x }
  b: { run: x, needs: [a] }
  c: { prompt: "${{ items.a.outputs.x }}", needs: [b] }
  d: { prompt: "${{ items.c.outputs.x }}", needs: [b] }
  e: { prompt: "${{ items.see.outputs.x }}" }
"#
    ), @r#"
    error[plan/unknown-item]: `e` reads outputs of `see`, which does not exist
     --> plan.yaml:7:16
      |
    7 |   e: { prompt: "${{ items.see.outputs.x }}" }
      |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: the plan has `a`, `b`, `c`, `d`, `e`

    error[plan/output-not-needed]: `d` reads outputs of `c` without needing it
     --> plan.yaml:6:16
      |
    6 |   d: { prompt: "${{ items.c.outputs.x }}", needs: [b] }
      |                ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: add `c` to its `needs`
    "#);
}

#[test]
fn agents_and_capabilities_that_are_not_there() {
    insta::assert_snapshot!(refused(
        r#"version: 1
items:
  a: { prompt: x, agent: cluade }
  b: { run: x, agent: claude }
"#
    ), @r#"
    error[plan/unknown-agent]: there is no agent `cluade`
     --> plan.yaml:3:26
      |
    3 |   a: { prompt: x, agent: cluade }
      |                          ^^^^^^
      = help: did you mean `claude`?

    error[plan/agent-for-command]: the item `b` is a command and needs no agent
     --> plan.yaml:4:23
      |
    4 |   b: { run: x, agent: claude }
      |                       ^^^^^^
      = help: remove `agent`, or write a `prompt` instead of `run`
    "#);
    insta::assert_snapshot!(refused(
        "version: 1\nitems:\n  b: { prompt: x, requires: { lang: cobol, os: linux } }\n  c: { run: x, requires: { gpu: a100 } }\n"
    ), @r#"
    error[plan/unsatisfiable]: nothing that is known can run `b`, which requires `lang=cobol`, `os=linux`
     --> plan.yaml:3:29
      |
    3 |   b: { prompt: x, requires: { lang: cobol, os: linux } }
      |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: `lang` is offered as `go`, `python`, `rust`; `os` is offered as `linux`

    error[plan/unsatisfiable]: nothing that is known can run `c`, which requires `gpu=a100`
     --> plan.yaml:4:26
      |
    4 |   c: { run: x, requires: { gpu: a100 } }
      |                          ^^^^^^^^^^^^^^
      = help: nothing offers `gpu`
    "#);
}

#[test]
fn items_that_can_never_run() {
    insta::assert_snapshot!(refused(
        r#"version: 1
items:
  a: { run: x, on_failure: soft_fail }
  rescue: { run: x, needs: { a: failure } }
  b: { run: x }
  cure: { run: x, needs: { b: failure } }
  both: { run: x, needs: [b, cure] }
"#
    ), @r#"
    error[plan/need-never]: `rescue` waits for `a` to fail, but a failure of that counts as success
     --> plan.yaml:4:30
      |
    4 |   rescue: { run: x, needs: { a: failure } }
      |                              ^
      = help: remove `on_failure: soft_fail` from `a`, or wait for `done`

    error[plan/never-runs]: `both` can never run: by its needs `b` would have to succeed and to fail
     --> plan.yaml:7:3
      |
    7 |   both: { run: x, needs: [b, cure] }
      |   ^^^^
      = help: wait for `done` or `always` in one of its needs
    "#);
}

#[test]
fn what_a_later_version_will_do() {
    insta::assert_snapshot!(refused(
        r#"version: 1
items:
  a: { prompt: x, workspace: worktree, paths: ["src/**"] }
  b: { run: x, needs: [a], foreach: "${{ items.a.outputs.parts }}" }
"#
    ), @r#"
    error[plan/not-supported]: not supported yet by this version: `foreach` over outputs of an item
     --> plan.yaml:4:37
      |
    4 |   b: { run: x, needs: [a], foreach: "${{ items.a.outputs.parts }}" }
      |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: list the values, or read them from a variable; `b` cannot be repeated for what `a` finds

    error[plan/not-supported]: not supported yet by this version: `paths`
     --> plan.yaml:3:47
      |
    3 |   a: { prompt: x, workspace: worktree, paths: ["src/**"] }
      |                                               ^^^^^^^^^^^
      = help: order items that write the same files by `needs`
    "#);
}

#[test]
fn warnings_do_not_refuse() {
    let report = World::new()
        .load("plan.yaml", "vars: { unused: 1 }\nitems: { a: { run: x }, b: { run: y, needs: [a, a] } }")
        .expect("only warnings")
        .warnings;
    insta::assert_snapshot!(report, @r#"
    warning[plan/no-version]: the plan does not say its version
     --> plan.yaml:1:1
      |
    1 | vars: { unused: 1 }
      | ^
      = help: add `version: 1`

    warning[plan/needed-twice]: the item `b` names a need twice
     --> plan.yaml:2:46
      |
    2 | items: { a: { run: x }, b: { run: y, needs: [a, a] } }
      |                                              ^
      = help: remove one of them

    warning[plan/unused-var]: nothing reads the variable `unused`
     --> plan.yaml:1:9
      |
    1 | vars: { unused: 1 }
      |         ^^^^^^
      = help: read it by `${{ vars.unused }}`, or remove it
    "#);
}

#[test]
fn what_is_wrong_in_the_defaults_is_said_once() {
    let items: String = (0..100).map(|n| format!("  i{n}: {{ prompt: x }}\n")).collect();
    let text = format!("version: 1\ndefaults: {{ agent: cluade, workdir: ../.. }}\nitems:\n{items}");
    let report = World::new().load("p.yaml", &text).expect_err("two mistakes");
    assert_eq!(report.diagnostics.len(), 2, "{report}");
}

#[test]
fn one_line_each() {
    for (text, code) in [
        ("", "plan/empty"),
        ("items: {}", "plan/empty"),
        ("version: 2\nitems: { a: { run: x } }", "plan/out-of-range"),
        ("version: 1\nitems: [a]", "plan/wrong-type"),
        ("just text", "plan/wrong-type"),
        ("version: 1\nitems: { a: { run: x }, a: { run: y } }", "text/duplicate-key"),
        ("version: 1\nitems: { a: { run: x, max_parallel: 2 } }", "plan/max-parallel"),
        ("version: 1\nitems: { a: { run: x, workdir: ../.. } }", "plan/workdir"),
        ("version: 1\nitems: { a: { run: x, workdir: /x, workspace: folder } }", "plan/workdir"),
        ("version: 1\nitems: { a: { run: x, env: { MNEMOSYNE_TOKEN: x } } }", "plan/bad-name"),
        ("version: 1\nitems: { a: { run: x, env: { 'A=B': x } } }", "plan/bad-name"),
        ("version: 1\nitems: { a: { run: x, env: { N: 010 } } }", "plan/wrong-type"),
        ("version: 1\nitems: { '': { run: x } }", "plan/bad-name"),
        ("version: 1\nitems: { \"a\\u001b\": { run: x } }", "plan/bad-name"),
        ("version: 1\nitems: { 'a[0]': { run: x } }", "plan/bad-name"),
        ("version: 1\nitems: { a: { run: [] } }", "plan/out-of-range"),
        ("version: 1\nitems: { a: { run: [''] } }", "plan/empty-command"),
        ("version: 1\nitems: { a: { run: '' } }", "plan/out-of-range"),
        ("version: 1\nitems: { a: { run: \"x\\0y\" } }", "plan/out-of-range"),
        ("version: 1\nitems: { a: { prompt_file: gone.md } }", "plan/prompt-file"),
        (
            "version: 1\nitems: { a: { run: x, retry: { initial_interval: 2m, max_interval: 1m } } }",
            "plan/retry",
        ),
        ("version: 1\nitems: { a: { run: x, delay: 2h, deadline: 1h } }", "plan/deadline"),
        ("version: 1\nitems: { a: { run: x, foreach: [] } }", "plan/empty"),
        ("version: 1\nitems: { a: { run: x, foreach: 'abc' } }", "plan/template"),
        ("version: 1\nitems: { a: { run: x, foreach: [p, q], key: k } }", "plan/same-key"),
        ("version: 1\nitems: { a: { run: x, key: k }, b: { run: x, key: k } }", "plan/same-key"),
        (
            "version: 1\nvars: { x: { required: true } }\nitems: { a: { prompt: \"${{ vars.x }}\" } }",
            "plan/var-missing",
        ),
        ("version: 1\nvars: { x: { requird: true } }\nitems: { a: { run: x } }", "plan/unknown-key"),
        ("version: 1\nphases: [plan_to_artifacts, prompt_to_spec]\nitems: { a: { run: x } }", "plan/phases"),
        ("{\"tasks\": []}", "plan/out-of-range"),
        ("{\"tasks\": [{\"id\": \"a\"}]}", "plan/no-work"),
        (
            "{\"tasks\": [{\"id\": \"a\", \"description\": \"x\", \"depends_on\": [\"b\"]}]}",
            "plan/unknown-item",
        ),
        (
            "{\"tasks\": [{\"id\": \"a\", \"description\": \"x\"}, {\"id\": \"a\", \"description\": \"y\"}]}",
            "plan/duplicate-item",
        ),
        (
            "{\"phases\": [{\"name\": \"a\", \"tasks\": [\"x\"], \"dependencies\": [\"c\"]}]}",
            "plan/unknown-item",
        ),
    ] {
        match World::new().load("plan.yaml", text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(report) => {
                let codes: Vec<&str> = report.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
                assert!(codes.contains(&code), "{text}\n{report}");
                assert!(
                    report
                        .diagnostics
                        .iter()
                        .all(|found| found.help.is_some() || !found.code.starts_with("plan/")),
                    "{report}"
                );
            }
        }
    }
    let report = World::new()
        .var("tagret", "x")
        .load("p.yaml", "vars: { target: 1 }\nitems: { a: { run: x } }")
        .expect_err("no such variable");
    assert_eq!(report.diagnostics[0].help.as_deref(), Some("did you mean `target`?"));
}

#[test]
fn an_endpoint_works_in_no_worktree() {
    insta::assert_snapshot!(refused(
        "version: 1\ndefaults: { workspace: worktree }\nitems:\n  a: { prompt: x, agent: [claude, gpt] }\n  b: { prompt: x, agent: gpt, workspace: none }\n"
    ), @r"
    error[plan/workspace]: `a` asks for a worktree, and the agent `gpt` is an endpoint, which works in no folder
     --> plan.yaml:2:24
      |
    2 | defaults: { workspace: worktree }
      |                        ^^^^^^^^
      = help: write `workspace: none` at the item, or take an agent of kind `cli` or `acp`
    ");
}
