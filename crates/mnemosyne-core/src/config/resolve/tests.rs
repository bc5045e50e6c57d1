//! Settings out of files, the environment and flags, with their errors whole.

use super::*;
use crate::config::Bytes;
use crate::config::elements::{DashboardType, Dialect, PromptPassing};
use crate::role::AgentRole;
use crate::time::Span;

fn with(file: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Resolved, Report> {
    let pairs = environment.iter().map(|(name, value)| (String::from(*name), String::from(*value)));
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|(key, value)| Override {
            key: (*key).into(),
            value: (*value).into(),
            flag: format!("--set {key}"),
        })
        .collect();
    resolve(Some(Source::new("mnemosyne.toml", file)), pairs, &overrides)
}

fn refused(file: &str, environment: &[(&str, &str)]) -> String {
    with(file, environment, &[]).expect_err("it is wrong").to_string()
}

/// The tables of the specification, word for word.
const SPEC: &str = r#"
[orchestration.scaling]
enabled = true

[orchestration.scaling.executor]
min_pool_size = 1
max_pool_size = 8
scale_up_threshold = 10  # work items in queue
scale_down_threshold = 2
idle_timeout_mins = 5

[orchestration.scaling.optimizer]
min_pool_size = 1
max_pool_size = 3

[orchestration.persistence]
enabled = true
checkpoint_interval_secs = 60
auto_resume = true
orphan_timeout_mins = 30

[orchestration.distributed]
enabled = false  # Single-machine by default
max_peers = 10
heartbeat_interval_secs = 5
partition_timeout_secs = 30
work_stealing_threshold = 20

[orchestration.observability]
enabled = true
metrics_export_interval_secs = 10
dashboard_enabled = true
dashboard_type = "tui"  # or "web"
dashboard_port = 8080
tracing_enabled = true
profiling_enabled = false  # Enable on-demand
"#;

#[test]
fn the_tables_of_the_specification_are_the_defaults() {
    let resolved = with(SPEC, &[], &[]).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(resolved.settings, Settings::default());
    assert_eq!(resolved.origins.of("orchestration.distributed.max_peers").to_string(), "mnemosyne.toml:24");
    assert_eq!(resolved.origins.of_setting("orchestration.scaling.reviewer.min_pool_size"), Origin::Default);
}

#[test]
fn later_layers_go_before_earlier_ones() {
    let file = "[scheduling]\nretention = '1d'\nageing_step = '5m'\nitems_max = 10\n[shim]\noutput_head = 1000\n[agents.my-agent]\ncommand = ['x']\n";
    let environment = [
        ("MNEMOSYNE__SCHEDULING__RETENTION", "2d"),
        ("MNEMOSYNE__SCHEDULING__ITEMS_MAX", "20"),
        ("MNEMOSYNE__ORCHESTRATION__OBSERVABILITY__DASHBOARD_TYPE", "web"),
        ("MNEMOSYNE__AGENTS__MY_AGENT__PROMPT", "file"),
        ("MNEMOSYNE__AGENTS__MY_AGENT__COMMAND", r#"["y", "{prompt_file}"]"#),
        ("MNEMOSYNE__AGENTS__MY_AGENT__CAPABILITIES", r#"{"lang": ["rust", "go"], "gpu": "no"}"#),
        ("MNEMOSYNE__NODE__LABELS__ZONE", "home"),
        ("MNEMOSYNE_DATA_DIR", "not a setting"),
        ("PATH", "/bin"),
    ];
    let resolved =
        with(file, &environment, &[("scheduling.items_max", "30")]).unwrap_or_else(|report| panic!("{report}"));
    let settings = &resolved.settings;
    assert_eq!(settings.scheduling.ageing_step, Span::from_secs(300));
    assert_eq!(settings.scheduling.retention, Span::from_secs(2 * 86_400));
    assert_eq!(settings.scheduling.items_max, 30);
    assert_eq!(settings.shim.output_head, Bytes::new(1_000));
    assert_eq!(settings.observability.dashboard_type, DashboardType::Web);
    assert_eq!(settings.node.labels.get("zone").map(String::as_str), Some("home"));
    let agent = &settings.agents["my-agent"];
    assert_eq!((agent.command[0].as_str(), agent.prompt), ("y", PromptPassing::File));
    assert!(settings.agent_offers()[0].capabilities["lang"].contains("go"));
    assert_eq!(settings.slots(AgentRole::Optimizer), 3);
    let shown = resolved.show();
    let lines: Vec<String> = shown
        .lines()
        .filter(|line| {
            ["scheduling.", "node.labels", "agents.my-agent.c"].iter().any(|start| line.starts_with(start))
        })
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    agents.my-agent.command = ["y", "{prompt_file}"] # environment MNEMOSYNE__AGENTS__MY_AGENT__COMMAND
    agents.my-agent.capabilities = { gpu = ["no"], lang = ["go", "rust"] } # environment MNEMOSYNE__AGENTS__MY_AGENT__CAPABILITIES
    agents.my-agent.cost = "unknown" # default
    node.labels = { zone = "home" } # environment MNEMOSYNE__NODE__LABELS__ZONE
    scheduling.ageing_step = "5m" # mnemosyne.toml:3
    scheduling.retention = "2d" # environment MNEMOSYNE__SCHEDULING__RETENTION
    scheduling.items_max = 30 # --set scheduling.items_max
    scheduling.requeues_max = 50 # default
    "#);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    insta::assert_snapshot!(refused(
        r#"[orchestration.scaling.executor]
max_pool_sise = 8
min_pool_size = "1"
[orchestration.obsevability]
[shim]
output_head = "64 parsecs"
grace = 10
[agents.x]
kind = "cil"
command = "claude -p"
"#,
        &[
            ("MNEMOSYNE__SCHEDULING__RETENTON", "1d"),
            ("MNEMOSYNE__SCHEDULING__RETENTION", "soon"),
            ("MNEMOSYNE__SHIM", "x"),
        ]
    ), @r#"
    error[config/unknown-key]: unknown key `max_pool_sise` in `orchestration.scaling.executor`
     --> mnemosyne.toml:2:1
      |
    2 | max_pool_sise = 8
      | ^^^^^^^^^^^^^
      = help: did you mean `max_pool_size`?

    error[config/wrong-type]: `orchestration.scaling.executor.min_pool_size` must be a whole number from 0 to 10000, not the text "1"
     --> mnemosyne.toml:3:17
      |
    3 | min_pool_size = "1"
      |                 ^^^
      = help: Fewest agents.

    error[config/unknown-key]: unknown key `obsevability` in `orchestration`
     --> mnemosyne.toml:4:16
      |
    4 | [orchestration.obsevability]
      |                ^^^^^^^^^^^^
      = help: did you mean `observability`?

    error[config/wrong-type]: `shim.output_head` must be a size: "64 parsecs" is not a size: the unit is not one of k, M, G, T
     --> mnemosyne.toml:6:15
      |
    6 | output_head = "64 parsecs"
      |               ^^^^^^^^^^^^
      = help: write 64k, 8M or 1G

    error[config/wrong-type]: `shim.grace` must be a duration; 10 is not one: the unit is missing (ms, s, m, h, d)
     --> mnemosyne.toml:7:9
      |
    7 | grace = 10
      |         ^^
      = help: write 90s, 1h30m or 500ms

    error[config/unknown-word]: `agents.x.kind` must be one of `cli`, `acp`, `http`, `builtin`, not "cil"
     --> mnemosyne.toml:9:8
      |
    9 | kind = "cil"
      |        ^^^^^
      = help: did you mean `cli`?

    error[config/wrong-type]: `agents.x.command` must be a list (an argument each), not the text "claude -p"
      --> mnemosyne.toml:10:11
       |
    10 | command = "claude -p"
       |           ^^^^^^^^^^^
       = help: Program and arguments; {prompt}, {session}, {prompt_file} and {args} stand for values.

    error[config/wrong-type]: `scheduling.retention` must be a duration; "soon" is not one: a number is missing before the unit
     --> environment MNEMOSYNE__SCHEDULING__RETENTION
      = help: set MNEMOSYNE__SCHEDULING__RETENTION to a duration such as 90s or 1h30m, or unset it

    error[config/unknown-key]: there is no setting `retenton`
     --> environment MNEMOSYNE__SCHEDULING__RETENTON
      = help: did you mean MNEMOSYNE__SCHEDULING__RETENTION?

    error[config/unknown-key]: `shim` is a table, not a setting
     --> environment MNEMOSYNE__SHIM
      = help: it has `output_head`, `output_tail`, `grace`
    "#);
}

#[test]
fn what_contradicts_is_said_with_its_place() {
    insta::assert_snapshot!(refused(
        r#"[orchestration.scaling.executor]
min_pool_size = 9
[orchestration.distributed]
heartbeat_interval_secs = 20
[agents.a]
command = ["claude", "{promt}"]
prompt = "arg"
[agents.b]
kind = "acp"
"#,
        &[("MNEMOSYNE__STORAGE__SNAPSHOT_BYTES", "1M")]
    ), @r#"
    error[config/contradiction]: `orchestration.scaling.executor.min_pool_size` does not fit: `min_pool_size` is 9, `max_pool_size` is 8
     --> mnemosyne.toml:2:1
      |
    2 | min_pool_size = 9
      | ^^^^^^^^^^^^^
      = help: `min_pool_size` must not be larger than `max_pool_size`

    error[config/contradiction]: `orchestration.distributed.heartbeat_interval_secs` does not fit: peers are heard of every 20 s and cut off after 30 s
     --> mnemosyne.toml:4:1
      |
    4 | heartbeat_interval_secs = 20
      | ^^^^^^^^^^^^^^^^^^^^^^^
      = help: set `partition_timeout_secs` to at least twice `heartbeat_interval_secs`: 40

    error[config/contradiction]: `storage.snapshot_bytes` does not fit: `segment_bytes` is 64M, `snapshot_bytes` is 1M
     --> environment MNEMOSYNE__STORAGE__SNAPSHOT_BYTES
      = help: `segment_bytes` must not be larger than `snapshot_bytes`

    error[config/contradiction]: `agents.a.command` has the unknown placeholder `promt`
     --> mnemosyne.toml:6:1
      |
    6 | command = ["claude", "{promt}"]
      | ^^^^^^^
      = help: did you mean {prompt}?

    error[config/contradiction]: `agents.a.command` has no argument {prompt}, though prompt = "arg"
     --> mnemosyne.toml:6:1
      |
    6 | command = ["claude", "{promt}"]
      | ^^^^^^^
      = help: put "{prompt}" where the program expects it

    error[config/contradiction]: `agents.b.command` is missing: an agent of kind `acp` is a program
     --> mnemosyne.toml:8:9
      |
    8 | [agents.b]
      |         ^
      = help: add command = ["program", "argument"]
    "#);
}

#[test]
fn a_ready_made_definition_is_enough_and_own_keys_go_over_it() {
    let file = "[agents.claude]\npreset = 'claude-code'\nargs = ['--model', 'opus']\n\
                [agents.c2]\npreset = 'codex'\ncommand = ['wrapped', '{args}', '-']\nrole = 'reviewer'\n";
    let environment = [("MNEMOSYNE__AGENTS__G__PRESET", "gemini"), ("MNEMOSYNE__AGENTS__G__ENV_ALLOW", "[]")];
    let resolved = with(file, &environment, &[]).unwrap_or_else(|report| panic!("{report}"));
    let agents = &resolved.settings.agents;
    let claude = &agents["claude"];
    assert_eq!(claude.dialect, Dialect::ClaudeCode);
    assert_eq!(
        claude.argv(&claude.resume).join(" "),
        "claude -p --output-format stream-json --verbose --resume {session} --model opus"
    );
    assert!(claude.env_allow.contains(&"ANTHROPIC_*".to_owned()));
    let codex = &agents["c2"];
    assert_eq!((codex.argv(&codex.command).join(" "), codex.dialect), ("wrapped -".to_owned(), Dialect::Codex));
    assert!(codex.resume.is_empty(), "nobody knows how a program of one's own goes on");
    assert_eq!(codex.role, AgentRole::Reviewer);
    assert_eq!((agents["g"].dialect, agents["g"].env_allow.len()), (Dialect::Gemini, 0));
    assert_eq!(resolved.origins.of_setting("agents.claude.command").to_string(), "mnemosyne.toml:2");
    assert_eq!(resolved.origins.of_setting("agents.c2.command").to_string(), "mnemosyne.toml:6");
    assert_eq!(resolved.origins.of_setting("agents.claude.prompt"), Origin::Default);
    let of_g = resolved.origins.of_setting("agents.g.command").to_string();
    assert_eq!(of_g, "environment MNEMOSYNE__AGENTS__G__PRESET");
}

#[test]
fn a_ready_made_definition_that_does_not_fit_is_said_with_its_place() {
    insta::assert_snapshot!(refused(
        r#"[agents.a]
preset = "claude-cod"
[agents.b]
command = ["x"]
dialect = "claude"
"#,
        &[]
    ), @r#"
    error[config/unknown-word]: `agents.a.preset` must be one of `claude-code`, `codex`, `gemini`, `opencode`, not "claude-cod"
     --> mnemosyne.toml:2:10
      |
    2 | preset = "claude-cod"
      |          ^^^^^^^^^^^^
      = help: did you mean `claude-code`?

    error[config/unknown-word]: `agents.b.dialect` must be one of `plain`, `claude-code`, `codex`, `gemini`, `opencode`, not "claude"
     --> mnemosyne.toml:5:11
      |
    5 | dialect = "claude"
      |           ^^^^^^^^
      = help: did you mean `claude-code`?
    "#);
    insta::assert_snapshot!(refused(
        r#"[agents.a]
preset = "codex"
kind = "acp"
[agents.b]
preset = "gemini"
prompt = "arg"
[agents.c]
command = ["x", "-{args}"]
args = ["y"]
"#,
        &[]
    ), @r#"
    error[config/contradiction]: `agents.a.preset` does not fit: it is for kind `cli`, not `acp`
     --> mnemosyne.toml:2:1
      |
    2 | preset = "codex"
      | ^^^^^^
      = help: remove it, or the key `kind`

    error[config/contradiction]: `agents.b.command` has no argument {prompt}, though prompt = "arg"
     --> mnemosyne.toml:5:1
      |
    5 | preset = "gemini"
      | ^^^^^^
      = help: put "{prompt}" where the program expects it

    error[config/contradiction]: `agents.c.command` has {args} within the argument `-{args}`
     --> mnemosyne.toml:8:1
      |
    8 | command = ["x", "-{args}"]
      | ^^^^^^^
      = help: make it an argument of its own: "{args}"

    error[config/contradiction]: `agents.c.args` have no place: `command` has no argument {args}
     --> mnemosyne.toml:9:1
      |
    9 | args = ["y"]
      | ^^^^
      = help: put "{args}" into `command`, or write them there
    "#);
}

#[test]
fn nothing_that_is_handed_in_panics() {
    for name in [
        "MNEMOSYNE__",
        "MNEMOSYNE____",
        "MNEMOSYNE__A__",
        "MNEMOSYNE__NODE__LABELS",
        "MNEMOSYNE__NODE__LABELS____",
        "MNEMOSYNE__AGENTS__É__KIND",
    ] {
        for value in ["", "[", "[[[[", "{\"a\":", "\u{0}", "99999999999999999999999", "1e999", "NaN"] {
            let _ = with("", &[(name, value)], &[]).map_err(|report| report.to_string());
        }
    }
    for file in [
        "[",
        "a = ",
        "orchestration = 1",
        "agents = []",
        "[agents]\nx = 1",
        "[agents.\"a.b\"]\ncommand = ['x']",
        "\u{feff}",
    ] {
        let _ = with(file, &[], &[("", ""), (".", "x"), ("agents.\"a.b\".kind", "cli")])
            .map_err(|report| report.to_string());
    }
    let every = crate::config::reference();
    for row in every.iter().filter(|row| !row.key.starts_with("agents")) {
        let environment = [(row.variable.as_str(), "")];
        let _ = with("", &environment, &[]);
    }
}

#[test]
fn every_default_is_accepted_back_through_the_environment() {
    for row in crate::config::reference() {
        let text = match &row.default {
            serde_json::Value::Null => continue,
            serde_json::Value::Array(elements) if elements.is_empty() => continue,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut environment = vec![(row.variable.as_str(), text.as_str())];
        if row.key.starts_with("agents") {
            environment.push(("MNEMOSYNE__AGENTS__NAME__COMMAND", "[\"x\"]"));
        }
        let resolved = with("", &environment, &[]).unwrap_or_else(|report| panic!("{}: {report}", row.key));
        let key = row.key.replace("NAME", "name");
        assert_eq!(resolved.origins.of_setting(&key).to_string(), format!("environment {}", row.variable));
    }
}
