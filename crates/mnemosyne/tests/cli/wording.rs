//! What users read, word for word: help, progress, mistakes in plans and configuration.

use crate::support::Scene;
use crate::support::plan::{does, plan};
use crate::support::words::settled;

/// Runs a command and shows everything that came back.
#[track_caller]
fn whole(scene: &Scene, words: &str) -> String {
    let outcome = scene.line(words);
    let mut text = format!("$ mnemosyne {}\n", settled(scene, words));
    text.push_str(&settled(scene, &outcome.stdout));
    for line in settled(scene, &outcome.stderr).lines() {
        text.push_str(&format!("! {line}\n").replace("!  \n", "!\n"));
    }
    text.push_str(&format!("= {}\n", outcome.exit));
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The same of a table in which the width of a column depends on how long something took.
#[track_caller]
fn table(scene: &Scene, words: &str) -> String {
    let text = whole(scene, words);
    let columns = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ")
    };
    text.lines().map(columns).collect::<Vec<_>>().join("\n")
}

/// What is said about a plan that is refused; nothing may be left behind.
#[track_caller]
fn refused(plan: &str) -> String {
    let scene = Scene::new();
    let outcome = scene.run_plan(plan).exits(2);
    assert_eq!(outcome.stdout, "");
    assert!(!scene.data_dir().exists(), "a refused plan leaves no data directory");
    outcome.stderr.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// What is said about a configuration that is refused.
#[track_caller]
fn misconfigured(config: &str) -> String {
    let scene = Scene::new();
    scene.write("mnemosyne.toml", config);
    let outcome = scene.line("config check").exits(2);
    settled(&scene, &outcome.stderr).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help() {
    insta::assert_snapshot!(whole(&Scene::new(), "--help"), @r#"
    $ mnemosyne --help
    An orchestrator for fleets of AI agents that never loses work

    Usage: mnemosyne [OPTIONS] <COMMAND>

    Commands:
      init         Write a mnemosyne.toml for this folder
      run          Run a plan to its end, showing progress
      submit       Hand a plan over and return at once; the items start with the next node
      wait         Wait for the end of a run
      ps           List work items: those that are not finished, or all of a run
      show         Show all that is known of a run or an item
      why          Say in a sentence why an item stands where it stands
      logs         Show what an item wrote to standard output and standard error
      events       Show what happened, in order
      cancel       End runs or items
      retry        Reopen runs or items that ended other than well
      pause        Start no further attempt of runs or items; what runs goes on
      resume       Undo a pause
      inbox        List the questions that wait for a human
      approve      Say yes to questions of the inbox
      reject       Say no to questions of the inbox
      answer       Answer a question of the inbox: the item goes on with what is said
      plan         Look at a plan without running it
      up           Run the node in the foreground
      down         End the node that runs here; its agents go on and are picked up by the next one
      status       Show the node and its work in numbers
      agent        Look at the agents, and try them
      pool         Look at the pools of agents
      session      Look at the sessions of the node, and at the work that one left
      export       Write a run into one file, to be taken to another data directory
      import       Take in a run that was exported, or merge another copy of one that is here
      fork         Start a new run that does items of an earlier one anew and keeps what does not depend on them
      config       Look at the configuration
      doctor       Look for what could go wrong here, and mend it with --fix
      gc           Remove stored contents that nothing refers to any more; the node does it once a day
      completions  Print completions for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Global options:
          --data-dir <DIR>    Where the node keeps its data [default: .mnemosyne beside the nearest mnemosyne.toml, else here] [env: MNEMOSYNE_DATA_DIR=]
          --config <FILE>     The configuration file [default: the nearest mnemosyne.toml upwards] [env: MNEMOSYNE_CONFIG=]
          --namespace <NAME>  Tenant or project of what is submitted [env: MNEMOSYNE_NAMESPACE=]
          --json              Answer in JSON instead of words [env: MNEMOSYNE_JSON=]
    = 0
    "#);
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(whole(&Scene::new(), "run --help"), @r#"
    $ mnemosyne run --help
    Run a plan to its end, showing progress

    Usage: mnemosyne run [OPTIONS] [PLAN]

    Arguments:
      [PLAN]  The plan file (YAML, TOML or JSON); `-` reads standard input

    Options:
      -p, --prompt <TEXT>   A prompt for an agent in place of a plan, taken word for word
          --agent <NAME>    Agent that gets the prompt [default: the first by name that can take it]
          --single          Hand the prompt to the agent as it is, without the phases of a specification, a plan and reviews
          --var <K=V>       Give a variable of the plan its value
          --key <KEY>       Idempotency key: the same key is the same run
          --priority <N>    Priority of items that name none, 0 to 10; higher is sooner
          --new             Start another run even if one of the same plan is unfinished
          --max-agents <N>  Executors of this node at the same time [default: the pool's maximum]
          --detach          Hand the plan to the running node and return at once
          --timeout <D>     Give up waiting after this time (90s, 1h30m); the run goes on or can be continued
      -h, --help            Print help
      -V, --version         Print version

    Global options:
          --data-dir <DIR>    Where the node keeps its data [default: .mnemosyne beside the nearest mnemosyne.toml, else here] [env: MNEMOSYNE_DATA_DIR=]
          --config <FILE>     The configuration file [default: the nearest mnemosyne.toml upwards] [env: MNEMOSYNE_CONFIG=]
          --namespace <NAME>  Tenant or project of what is submitted [env: MNEMOSYNE_NAMESPACE=]
          --json              Answer in JSON instead of words [env: MNEMOSYNE_JSON=]

    Examples:
      mnemosyne run plan.yaml                        # again after an interruption: it is continued
      mnemosyne run plan.yaml --var lang=rust --max-agents 8
      mnemosyne run -p 'Add a password reset'        # specification, plan and artifacts, each reviewed
      mnemosyne run -p 'Fix the failing test' --single    # one prompt for the configured agent
      mnemosyne run plan.yaml --new --timeout 30m
    = 0
    "#);
}

#[test]
fn every_command_has_a_line_of_usage() {
    let scene = Scene::new();
    let help = scene.line("--help").exits(0).stdout;
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    let mut text = String::new();
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = scene.run([name, "--help"]).exits(0).stdout;
        let usage = help.lines().find(|line| line.starts_with("Usage: ")).expect("every command has a usage");
        text.push_str(usage.trim_start_matches("Usage: "));
        text.push('\n');
        assert!(help.contains("--json"), "{name} explains the global options");
    }
    insta::assert_snapshot!(text, @r#"
    mnemosyne init [OPTIONS] [DIR]
    mnemosyne run [OPTIONS] [PLAN]
    mnemosyne submit [OPTIONS] [PLAN]
    mnemosyne wait [OPTIONS] <RUN>
    mnemosyne ps [OPTIONS] [RUN]
    mnemosyne show [OPTIONS] <ID>
    mnemosyne why [OPTIONS] <ITEM>
    mnemosyne logs [OPTIONS] <ID>
    mnemosyne events [OPTIONS]
    mnemosyne cancel [OPTIONS] <IDS>...
    mnemosyne retry [OPTIONS] <IDS>...
    mnemosyne pause [OPTIONS] <IDS>...
    mnemosyne resume [OPTIONS] <IDS>...
    mnemosyne inbox [OPTIONS] [RUN]
    mnemosyne approve [OPTIONS] <IDS>...
    mnemosyne reject [OPTIONS] --message <TEXT> <IDS>...
    mnemosyne answer [OPTIONS] <ID> <TEXT>
    mnemosyne plan [OPTIONS] <COMMAND>
    mnemosyne up [OPTIONS]
    mnemosyne down [OPTIONS]
    mnemosyne status [OPTIONS]
    mnemosyne agent [OPTIONS] <COMMAND>
    mnemosyne pool [OPTIONS] <COMMAND>
    mnemosyne session [OPTIONS] <COMMAND>
    mnemosyne export [OPTIONS] <RUN>
    mnemosyne import [OPTIONS] <FILE>
    mnemosyne fork [OPTIONS] --from <ITEM> <RUN>
    mnemosyne config [OPTIONS] <COMMAND>
    mnemosyne doctor [OPTIONS]
    mnemosyne gc [OPTIONS]
    mnemosyne completions [OPTIONS] <SHELL>
    "#);
}

#[test]
fn progress_without_a_terminal_is_a_line_for_each_thing_that_happens() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        plan([
            ("fetch", does(["exit:0"])),
            (
                "build",
                format!(
                    "{}, needs: [fetch], retry: {{ max_attempts: 2, initial_interval: 50ms }}",
                    does([format!("fail-until:2:{}", scene.at("count")), "exit:0".to_owned()])
                ),
            ),
            ("test", format!("{}, needs: [build]", does(["stderr:one test failed", "exit:3"]))),
            ("ship", format!("{}, needs: [test]", does(["exit:0"]))),
            ("tell", format!("{}, needs: {{ ship: always }}", does(["exit:0"]))),
        ]),
    );
    insta::assert_snapshot!(whole(&scene, "run plan.yaml"), @r#"
    $ mnemosyne run plan.yaml
    ! run RUN with 5 items
    ! TIME fetch started
    ! TIME fetch succeeded
    ! TIME build started
    ! TIME build failed (exit code 1); tried again in SPAN
    ! TIME build started
    ! TIME build succeeded
    ! TIME test started
    ! TIME test failed (exit code 3): one test failed
    ! TIME ship is skipped: it needs test to succeed, and that failed
    ! TIME tell started
    ! TIME tell succeeded
    ! RUN.3 test failed (exit code 3): one test failed
    ! story RUN: 5 of 5 ended (3 succeeded, 1 failed, 1 skipped) in SPAN
    = 1
    "#);
}

#[test]
fn what_is_interrupted_or_fails_softly_says_so_once_and_why() {
    let scene = Scene::new();
    let kill = "run: [\"sh\", \"-c\", \"[ $MNEMOSYNE_ATTEMPT -gt 1 ] || kill -9 $PPID; sleep 0.1\"]";
    scene.write(
        "plan.yaml",
        plan([
            (
                "soft",
                format!("{}, on_failure: soft_fail", does(["stdout:first", "stdout:last words", "exit:2"])),
            ),
            ("after", format!("{}, needs: [soft]", does(["exit:0"]))),
            ("shaken", format!("{kill}, needs: [after]")),
            ("日本語", format!("{}, needs: [shaken]", does(["exit:0"]))),
        ]),
    );
    insta::assert_snapshot!(whole(&scene, "run plan.yaml"), @r#"
    $ mnemosyne run plan.yaml
    ! run RUN with 4 items
    ! TIME soft started
    ! TIME soft failed (exit code 2): last words; this counts as success
    ! TIME after started
    ! TIME after succeeded
    ! TIME shaken started
    ! TIME shaken interrupted: the shim is gone: it ended without a word; goes back into the queue
    ! TIME shaken started
    ! TIME shaken succeeded
    ! TIME 日本語 started
    ! TIME 日本語 succeeded
    ! RUN.1 soft failed (exit code 2): last words; this counts as success
    ! story RUN: 4 of 4 ended (3 succeeded, 1 failed) in SPAN
    = 0
    "#);
    let run = scene.json("ps")[0]["run"].as_str().expect("a run").to_owned();
    insta::assert_snapshot!(table(&scene, &format!("ps {run}")), @r#"
    $ mnemosyne ps RUN
    ID  NAME  STATE  PRI  TRY  TIME  REASON
    RUN.1  soft  failed  5  1  SPAN  failed (exit code 2): last words; this counts as success
    RUN.2  after  succeeded  5  1  SPAN
    RUN.3  shaken  succeeded  5  2  SPAN
    RUN.4  日本語  succeeded  5  1  SPAN
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, &format!("why {run}/soft")), @r#"
    $ mnemosyne why RUN/soft
    RUN.1 soft failed after 1 attempt; the last one failed (exit code 2): last words; this counts as success (on_failure: soft_fail)
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, "status"), @r#"
    $ mnemosyne status
    node         none is running; `mnemosyne up` starts one
    runs         0 unfinished
    succeeded    3
    failed       1
    = 0
    "#);
}

#[test]
fn a_run_that_succeeds_and_what_is_left_to_see() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        plan([("a", does(["stdout:hello"])), ("b", format!("{}, needs: [a]", does(["exit:0"])))]),
    );
    insta::assert_snapshot!(whole(&scene, "run plan.yaml --max-agents 1"), @r#"
    $ mnemosyne run plan.yaml --max-agents 1
    ! run RUN with 2 items
    ! TIME a started
    ! TIME a succeeded
    ! TIME b started
    ! TIME b succeeded
    ! story RUN: 2 of 2 ended (2 succeeded) in SPAN
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, "ps"), @r#"
    $ mnemosyne ps
    ! no items; `mnemosyne ps --all` lists finished ones
    = 0
    "#);
    insta::assert_snapshot!(table(&scene, "ps --all"), @r#"
    $ mnemosyne ps --all
    ID  NAME  STATE  PRI  TRY  TIME  REASON
    RUN.1  a  succeeded  5  1  SPAN
    RUN.2  b  succeeded  5  1  SPAN
    = 0
    "#);
    let id = scene.id("a");
    insta::assert_snapshot!(whole(&scene, &format!("logs {id}")), @r#"
    $ mnemosyne logs RUN.1
    hello
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, &format!("why {id}")), @r#"
    $ mnemosyne why RUN.1
    RUN.1 a has succeeded
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, "down"), @r#"
    $ mnemosyne down
    ! no node runs for FOLDER/.mnemosyne
    = 0
    "#);
}

#[test]
fn a_plan_is_checked_drawn_and_explained() {
    let scene = Scene::new();
    scene.write(
        "plan.yaml",
        "version: 1\nname: site\ndefaults: { timeouts: { run: 1h } }\nvars: { langs: [en, de] }\nitems:\n  \
         fetch: { run: [\"curl\", \"-O\", \"https://example.org\"] }\n  \
         page: { foreach: \"${{ vars.langs }}\", run: [\"render\", \"${{ item }}\"], needs: [fetch], max_parallel: 1 }\n  \
         ship: { run: \"rsync out host:\", needs: { page: success, fetch: done }, priority: 9, on_failure: soft_fail }\n",
    );
    insta::assert_snapshot!(whole(&scene, "plan check plan.yaml"), @r#"
    $ mnemosyne plan check plan.yaml
    site: 4 items, no errors
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, "plan graph plan.yaml"), @r#"
    $ mnemosyne plan graph plan.yaml
    level 1
      fetch
    level 2
      page[en]  ← fetch
      page[de]  ← fetch
    level 3
      ship  ← fetch (done), page[en], page[de]
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, "plan graph plan.yaml --format mermaid"), @r#"
    $ mnemosyne plan graph plan.yaml --format mermaid
    flowchart LR
      n0["fetch"]
      n1["page[en]"]
      n2["page[de]"]
      n3["ship"]
      n0 --> n1
      n0 --> n2
      n0 -. done .-> n3
      n1 --> n3
      n2 --> n3
    = 0
    "#);
    insta::assert_snapshot!(whole(&scene, "plan explain plan.yaml"), @r#"
    $ mnemosyne plan explain plan.yaml
    plan site in namespace default
      4 items, 5 dependencies, 3 levels, at most 2 at once
      critical path: fetch → page[de] → ship

    fetch (level 1, priority 5)
      run ["curl", "-O", "https://example.org"]
      on any node (executor), in the plan's folder
      1 attempt, run 1h, grace 10s

    page[en] (level 2, priority 5)
      run ["render", "en"]
      needs fetch
      on any node (executor), in the plan's folder
      1 attempt, run 1h, grace 10s

    page[de] (level 2, priority 5)
      run ["render", "de"]
      needs fetch
      on any node (executor), in the plan's folder
      1 attempt, run 1h, grace 10s

    ship (level 3, priority 9)
      run rsync out host:
      needs fetch (done), page[en], page[de]
      on any node (executor), in the plan's folder
      1 attempt, run 1h, grace 10s, a failure counts as success
    = 0
    "#);
}

#[test]
fn plans_with_mistakes() {
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { run: x, neds: [b] }\n"), @r#"
    error[plan/unknown-key]: unknown key `neds` in `items.a`
     --> plan.yaml:3:16
      |
    3 |   a: { run: x, neds: [b] }
      |                ^^^^
      = help: did you mean `needs`?
    "#);
    insta::assert_snapshot!(refused("version: 2\nitems:\n  a: { run: x }\n"), @r#"
    error[plan/out-of-range]: `version` is 2; it must be 1
     --> plan.yaml:1:10
      |
    1 | version: 2
      |          ^
      = help: this version of the program reads plans of version 1
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  lint: { run: x }\n  test: { run: x, needs: [lnit] }\n"), @r#"
    error[plan/unknown-item]: the item `test` needs `lnit`, which does not exist
     --> plan.yaml:4:27
      |
    4 |   test: { run: x, needs: [lnit] }
      |                           ^^^^
      = help: did you mean `lint`?
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { run: x, needs: [a] }\n"), @r#"
    error[plan/self-dependency]: the item `a` needs itself
     --> plan.yaml:3:24
      |
    3 |   a: { run: x, needs: [a] }
      |                        ^
      = help: remove it from its own `needs`
    "#);
    insta::assert_snapshot!(refused(
        "version: 1\nitems:\n  a: { run: x, needs: [c] }\n  b: { run: x, needs: [a] }\n  c: { run: x, needs: [b] }\n"
    ), @r#"
    error[plan/cycle]: these items wait for each other and can never start: `a` → `c` → `b` → `a`
     --> plan.yaml:3:24
      |
    3 |   a: { run: x, needs: [c] }
      |                        ^
      = help: remove one of these needs
    note: `c` needs `b`
     --> plan.yaml:5:24
      |
    5 |   c: { run: x, needs: [b] }
      |                        ^
    note: `b` needs `a`
     --> plan.yaml:4:24
      |
    4 |   b: { run: x, needs: [a] }
      |                        ^
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { run: x }\n  a: { run: y }\n"), @r#"
    error[text/duplicate-key]: the key `a` occurs twice
     --> plan.yaml:4:3
      |
    4 |   a: { run: y }
      |   ^
      = help: remove one of the two, or give it another name
    note: it is first given here
     --> plan.yaml:3:3
      |
    3 |   a: { run: x }
      |   ^
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { run: x, priority: 11, timeouts: { idle: soon } }\n"), @r#"
    error[plan/out-of-range]: `items.a.priority` is 11; it must be a whole number from 0 to 10
     --> plan.yaml:3:26
      |
    3 |   a: { run: x, priority: 11, timeouts: { idle: soon } }
      |                          ^^
      = help: 0 to 10; higher is sooner. The default is 5.

    error[plan/wrong-type]: `items.a.timeouts.idle` must be a duration; "soon" is not one: a number is missing before the unit
     --> plan.yaml:3:48
      |
    3 |   a: { run: x, priority: 11, timeouts: { idle: soon } }
      |                                                ^^^^
      = help: write 90s, 1h30m or 500ms
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { run: \"rm -rf ${{ vars.dir }}\" }\n"), @r#"
    error[plan/template-in-shell]: `${{ … }}` cannot stand in the shell line of `a`
     --> plan.yaml:3:13
      |
    3 |   a: { run: "rm -rf ${{ vars.dir }}" }
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: hand the value over in the environment:  env: { VALUE: "${{ … }}" }, run: 'use "$VALUE"'
              or write an argument list:  run: ["program", "${{ … }}"]
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems: {}\n"), @r#"
    error[plan/empty]: the plan has no items
     --> plan.yaml
      = help: add one: items: { hello: { run: "echo hello" } }
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { run: [x }\n"), @r#"
    error[text/yaml]: this is not YAML: while parsing a flow sequence, expected ',' or ']'
     --> plan.yaml:3:16
      |
    3 |   a: { run: [x }
      |                ^
    "#);
    insta::assert_snapshot!(refused("version: 1\nitems:\n  a: { prompt: hello, agent: claud }\n"), @r#"
    error[plan/unknown-agent]: there is no agent `claud`
     --> plan.yaml:3:30
      |
    3 |   a: { prompt: hello, agent: claud }
      |                              ^^^^^
      = help: define it as [agents.claud] in mnemosyne.toml; `mnemosyne init` finds installed agents
    "#);
    insta::assert_snapshot!(refused("- a\n- b\n"), @r#"
    error[plan/wrong-type]: the document must be a map (a plan), not a list
     --> plan.yaml:1:1
      |
    1 | - a
      | ^^^
      = help: a plan begins like this: items: { hello: { run: "echo hello" } }

    warning[plan/no-version]: the plan does not say its version
     --> plan.yaml:1:1
      |
    1 | - a
      | ^
      = help: add `version: 1`
    "#);
    insta::assert_snapshot!(refused(""), @r#"
    error[plan/empty]: the plan has no items
     --> plan.yaml
      = help: add one: items: { hello: { run: "echo hello" } }
    "#);
}

#[test]
fn configurations_with_mistakes() {
    insta::assert_snapshot!(misconfigured("[orchestration.scaling.executor]\nmax_pol_size = 4\n"), @r#"
    error[config/unknown-key]: unknown key `max_pol_size` in `orchestration.scaling.executor`
     --> FOLDER/mnemosyne.toml:2:1
      |
    2 | max_pol_size = 4
      | ^^^^^^^^^^^^
      = help: did you mean `max_pool_size`?
    "#);
    insta::assert_snapshot!(misconfigured("[orchestration.scaling.executor]\nmax_pool_size = \"four\"\n"), @r#"
    error[config/wrong-type]: `orchestration.scaling.executor.max_pool_size` must be a whole number from 0 to 10000, not the text "four"
     --> FOLDER/mnemosyne.toml:2:17
      |
    2 | max_pool_size = "four"
      |                 ^^^^^^
      = help: Most agents.
    "#);
    insta::assert_snapshot!(misconfigured("[node.slots]\nexecutor = -1\n"), @r#"
    error[config/out-of-range]: `node.slots.executor` is -1; it must be a whole number from 0 to 10000
     --> FOLDER/mnemosyne.toml:2:12
      |
    2 | executor = -1
      |            ^^
      = help: Slots for executors; by default the maximum of the pool.
    "#);
    insta::assert_snapshot!(misconfigured("[agents.claude]\nprompt = \"stdin\"\n"), @r#"
    error[config/contradiction]: `agents.claude.command` is missing: an agent of kind `cli` is a program
     --> FOLDER/mnemosyne.toml:1:9
      |
    1 | [agents.claude]
      |         ^^^^^^
      = help: add command = ["program", "argument"]
    "#);
    insta::assert_snapshot!(misconfigured("[node\n"), @r#"
    error[text/toml]: this is not TOML: unclosed table, expected `]`
     --> FOLDER/mnemosyne.toml:1:6
      |
    1 | [node
      |      ^
    "#);
}

#[test]
fn settings_say_where_they_come_from() {
    let scene = Scene::new();
    scene.slots(3);
    let mut command = scene.command(["config", "show"]);
    command.env("MNEMOSYNE__SCHEDULING__AGEING_STEP", "5s");
    let shown = scene.start(command).wait().exits(0).stdout;
    let head: Vec<&str> = shown.lines().take(4).collect();
    insta::assert_snapshot!(head.join("\n"), @r#"
    orchestration.scaling.enabled = true                             # default
    orchestration.scaling.load_balancing = "least_loaded"            # default
    orchestration.scaling.orchestrator.min_pool_size = 1             # default
    orchestration.scaling.orchestrator.max_pool_size = 1             # default
    "#);
    let of = |key: &str| {
        let line =
            shown.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key} in {shown}"));
        settled(&scene, &line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    insta::assert_snapshot!(of("node.slots.executor"), @"node.slots.executor = 3 # FOLDER/mnemosyne.toml:2");
    insta::assert_snapshot!(
        of("scheduling.ageing_step"),
        @r#"scheduling.ageing_step = "5s" # environment MNEMOSYNE__SCHEDULING__AGEING_STEP"#
    );
}

#[test]
fn a_folder_gets_its_configuration_once() {
    let scene = Scene::new();
    let mut command = scene.command(["init"]);
    command.env("PATH", "/nowhere");
    insta::assert_snapshot!(settled(&scene, &scene.start(command).wait().exits(0).stderr), @"no agent program was found on PATH; plans of plain commands work as they are");
    insta::assert_snapshot!(scene.read("mnemosyne.toml"), @r#"
    # Configuration of mnemosyne. `mnemosyne config show` prints every setting with its value.

    [orchestration.scaling.executor]
    max_pool_size = 4  # executors at the same time
    "#);
    insta::assert_snapshot!(whole(&scene, "init"), @r#"
    $ mnemosyne init
    ! error: mnemosyne.toml is there already; it was left as it is
    = 2
    "#);
    insta::assert_snapshot!(whole(&scene, "config check"), @r#"
    $ mnemosyne config check
    FOLDER/mnemosyne.toml: no errors
    = 0
    "#);
}

#[test]
fn agents_that_are_installed_are_found_and_defined() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path().join("bin")).expect("a new folder");
    for program in ["claude", "gemini", "unknown-agent"] {
        scene.write(&format!("bin/{program}"), "");
    }
    let mut command = scene.command(["init"]);
    command.env("PATH", scene.path().join("bin"));
    insta::assert_snapshot!(settled(&scene, &scene.start(command).wait().exits(0).stderr), @"found claude, gemini");
    insta::assert_snapshot!(scene.read("mnemosyne.toml"), @r#"
    # Configuration of mnemosyne. `mnemosyne config show` prints every setting with its value.

    [orchestration.scaling.executor]
    max_pool_size = 4  # executors at the same time

    [agents.claude]
    preset = "claude-code"
    # args = ["--permission-mode", "acceptEdits"]  # nobody is there to be asked: say what it may do

    [agents.gemini]
    preset = "gemini"
    # args = ["--approval-mode", "auto_edit"]  # nobody is there to be asked: say what it may do
    "#);
    insta::assert_snapshot!(whole(&scene, "config check"), @r#"
    $ mnemosyne config check
    FOLDER/mnemosyne.toml: no errors
    = 0
    "#);
}
