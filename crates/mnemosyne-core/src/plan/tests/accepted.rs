//! Plans that are accepted, and what becomes of their words.

use super::{World, task, yaml};
use crate::plan::{Explanation, dot, mermaid, tree};
use crate::role::AgentRole;
use crate::time::Span;
use crate::work::spec::{Condition, Demand, Need};
use crate::work::task::{Action, Workspace};

#[test]
fn a_limit_of_the_plan_is_around_the_limits_of_its_items() {
    let text = "version: 1\nname: p\nmax_parallel: 3\nitems: { a: { run: x, foreach: [p, q], max_parallel: 1 }, b: { run: y } }";
    let spec = yaml(text).spec;
    let groups: Vec<_> =
        spec.groups.iter().map(|group| (&*group.name, group.max_parallel, group.within)).collect();
    assert_eq!(groups, [("p", 3, None), ("a", 1, Some(0))]);
    let of_items: Vec<_> = spec.items.iter().map(|item| item.group).collect();
    assert_eq!(of_items, [Some(1), Some(1), Some(0)]);
}

#[test]
fn every_word_arrives() {
    let loaded = yaml(
        r#"
version: 1
name: all
namespace: team
description: everything at once
env: { A: "1", N: 8080 }
vars: { target: api, langs: { default: [rust, go] } }
defaults: { retry: { max_attempts: 5, backoff: 1.5 }, timeouts: { run: 2h, idle: 15m }, agent: [claude, codex], env: { A: "2", B: b } }
items:
  a: { run: "echo one", timeouts: { run: none, queue: 1h }, estimate: 5m, grace: 0, on_failure: soft_fail }
  b: { run: ["echo", "${{ vars.target }}", "$HOME; reboot"], needs: a, priority: 10, workdir: sub/../dir, key: "b-${{ vars.target }}", env: { C: "${{ items.a.outputs.x }}" } }
  c: { prompt: "In ${{ item }}: ${{ items['b'].outputs }}", foreach: "${{ vars.langs }}", needs: [a, b], requires: { lang: "${{ item }}" }, max_parallel: 1, role: executor }
  d: { prompt_file: p.md, needs: { c: done, a: always }, agent: codex, workspace: folder, delay: 10s, deadline: 1h, prefers: { gpu: "yes" }, outputs: { schema: { type: object } } }
"#,
    );
    assert!(loaded.warnings.diagnostics.is_empty(), "{}", loaded.warnings);
    let spec = &loaded.spec;
    assert_eq!((&*spec.name, &*spec.namespace), ("all", "team"));
    let names: Vec<&str> = spec.items.iter().map(|item| &*item.name).collect();
    assert_eq!(names, ["a", "b", "c[rust]", "c[go]", "d"]);
    assert_eq!(
        *spec.items[4].needs,
        [
            Need { item: 0, on: Condition::Always },
            Need { item: 2, on: Condition::Done },
            Need { item: 3, on: Condition::Done }
        ]
    );
    let policy = |item: usize| &spec.policies[usize::from(spec.items[item].policy)];
    assert_eq!((policy(0).timeouts.run, policy(0).timeouts.queue), (None, Some(Span::from_secs(3_600))));
    assert_eq!((policy(0).grace, policy(0).soft_fail), (Span::ZERO, true));
    assert_eq!((policy(1).retry.max_attempts, policy(1).retry.backoff_permille), (5, 1_500));
    assert_eq!(
        (policy(4).delay, policy(4).deadline),
        (Some(Span::from_secs(10)), Some(Span::from_secs(3_600)))
    );
    assert_eq!(spec.items[0].estimate, Some(Span::from_secs(300)));
    assert_eq!((spec.items[1].priority, spec.items[1].key.as_deref()), (10, Some("b-api")));
    assert_eq!(spec.items[0].priority, 5);
    let demand = |item: usize| &spec.demands[usize::from(spec.items[item].demand)];
    assert_eq!(*demand(0), Demand { role: AgentRole::Executor, ..Demand::default() });
    assert_eq!(*demand(2).agents, ["claude".into(), "codex".into()]);
    assert_eq!(demand(3).requires.get("lang").map(|word| &**word), Some("go"));
    assert_eq!(spec.groups[usize::from(spec.items[2].group.expect("a group"))].max_parallel, 1);
    assert_eq!(
        task(&loaded, "b").action,
        Action::Argv(vec!["echo".into(), "api".into(), "$HOME; reboot".into()])
    );
    assert_eq!(task(&loaded, "b").env.get("C").map(String::as_str), Some("${{ items.a.outputs.x }}"));
    assert_eq!(task(&loaded, "c[go]").action, Action::Prompt("In go: ${{ items.b.outputs }}".into()));
    assert_eq!(task(&loaded, "c[go]").each.as_deref(), Some("\"go\""));
    let last = task(&loaded, "d");
    assert_eq!(last.action, Action::Prompt("from a file".into()));
    assert_eq!(
        (last.workspace, last.outputs_schema.as_deref()),
        (Workspace::Folder, Some("{\"type\":\"object\"}"))
    );
}

#[test]
fn commands_run_once_and_prompts_three_times() {
    let loaded = yaml("version: 1\nitems: { a: { run: x }, b: { prompt: x }, c: { run: y } }");
    let attempts: Vec<u16> = loaded
        .spec
        .items
        .iter()
        .map(|item| loaded.spec.policies[usize::from(item.policy)].retry.max_attempts)
        .collect();
    assert_eq!(attempts, [1, 3, 1]);
    assert_eq!(
        (loaded.spec.policies.len(), loaded.spec.demands.len()),
        (2, 2),
        "equal settings are stored once"
    );
}

#[test]
fn instances_are_called_after_short_different_values() {
    for (values, names) in [
        ("[linux, 7]", ["a[linux]", "a[7]"]),
        ("[linux, linux]", ["a[0]", "a[1]"]),
        ("[{ x: 1 }, { x: 2 }]", ["a[0]", "a[1]"]),
        ("['a b', c]", ["a[0]", "a[1]"]),
    ] {
        let loaded = yaml(&format!("version: 1\nitems: {{ a: {{ run: x, foreach: {values} }} }}"));
        let all: Vec<&str> = loaded.spec.items.iter().map(|item| &*item.name).collect();
        assert_eq!(all, names, "{values}");
    }
    let one = yaml("version: 1\nitems: { a: { run: x, foreach: [p, q] }, b: { run: y, needs: ['a[q]'] } }");
    assert_eq!(*one.spec.items[2].needs, [Need { item: 1, on: Condition::Success }]);
}

#[test]
fn variables_from_the_command_line_are_texts_or_lists() {
    let plan = "version: 1\nvars: { x: { required: true } }\nitems: { a: { run: [echo, \"${{ item }}\"], foreach: \"${{ vars.x }}\" } }";
    let loaded = World::new().var("x", r#"["p", "$(rm -rf ~)"]"#).load("p.yaml", plan).expect("a list");
    assert_eq!(task(&loaded, "a[1]").action, Action::Argv(vec!["echo".into(), "$(rm -rf ~)".into()]));
    assert!(World::new().var("x", "p").load("p.yaml", plan).is_err());
    let check = World { purpose: crate::plan::Purpose::Check, ..World::new() };
    let loaded = check.load("p.yaml", plan).expect("a look at it needs no values");
    assert_eq!(loaded.warnings.diagnostics[0].code, "plan/var-needed");
}

#[test]
fn older_forms_become_items_with_prompts() {
    let loaded = World::new()
        .load("p.json", r#"{"tasks":[{"id":"a","description":"first"},{"id":2,"description":"second","depends_on":["a"]}]}"#)
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.spec.items[1].needs.len(), 1);
    let loaded = World::new()
        .load(
            "p.json",
            r#"{"phases":[{"name":"P","tasks":["x","y"]},{"name":"Q","tasks":[{"id":"z","description":"z"}]},
               {"name":"R","tasks":["w"],"dependencies":["P"]},{"name":"S","tasks":["v"],"dependencies":[]}]}"#,
        )
        .unwrap_or_else(|report| panic!("{report}"));
    let needs: Vec<Vec<u32>> =
        loaded.spec.items.iter().map(|item| item.needs.iter().map(|need| need.item).collect()).collect();
    assert_eq!(needs, [vec![], vec![], vec![0, 1], vec![0, 1], vec![]]);
    assert_eq!(&*loaded.spec.items[0].name, "P-1");
}

const DIAMOND: &str = r#"
version: 1
name: diamond
items:
  build: { run: "make \"all\"", estimate: 2m }
  test: { run: [make, test], needs: build, estimate: 10m, timeouts: { run: 1h } }
  docs: { prompt: "Write the docs", needs: build, requires: { lang: rust }, priority: 7 }
  notify: { run: ./notify.sh, needs: { test: failure, docs: always }, on_failure: soft_fail }
"#;

#[test]
fn a_run_is_explained() {
    insta::assert_snapshot!(Explanation::new(&yaml(DIAMOND).spec, 3).to_string(), @r#"
    plan diamond in namespace default
      4 items, 4 dependencies, 3 levels, at most 2 at once
      critical path: build → test → notify
      estimated: 12m on the critical path, 12m in all; 2 items have no estimate

    build (level 1, priority 5)
      run make "all"
      on any node (executor), in the plan's folder
      1 attempt, grace 10s

    test (level 2, priority 5)
      run ["make", "test"]
      needs build
      on any node (executor), in the plan's folder
      1 attempt, run 1h, grace 10s

    docs (level 2, priority 7)
      prompt Write the docs
      needs build
      on claude, requires lang=rust (executor), in the plan's folder
      3 attempts, 1s ×2 up to 1m apart, grace 10s

    … and 1 more item
    "#);
}

#[test]
fn a_graph_is_drawn() {
    let spec = yaml(DIAMOND).spec;
    insta::assert_snapshot!(format!("{}\n{}\n{}", tree(&spec, 3), dot(&spec), mermaid(&spec)), @r#"
    level 1
      build
    level 2
      test  ← build
      docs  ← build
    … and 1 more item

    digraph "diamond" {
      rankdir=LR; node [shape=box];
      n0 [label="build"];
      n1 [label="test"];
      n2 [label="docs"];
      n3 [label="notify"];
      n0 -> n1;
      n0 -> n2;
      n1 -> n3 [label="failure", style=dashed];
      n2 -> n3 [label="always", style=dashed];
    }

    flowchart LR
      n0["build"]
      n1["test"]
      n2["docs"]
      n3["notify"]
      n0 --> n1
      n0 --> n2
      n1 -. failure .-> n3
      n2 -. always .-> n3
    "#);
}
