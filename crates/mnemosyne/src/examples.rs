//! What stands at the end of a command's help: how it is used. Lines of one block line up.

pub(crate) const INIT: &str = "Examples:
  mnemosyne init            # looks for installed agents and writes mnemosyne.toml here";

pub(crate) const AGENT_TEST: &str = "Examples:
  mnemosyne agent test claude           # 0: it answers, and goes on where it can; 1: it does not
  mnemosyne agent test codex --timeout 1m --json";

pub(crate) const RUN: &str = "Examples:
  mnemosyne run plan.yaml                        # again after an interruption: it is continued
  mnemosyne run plan.yaml --var lang=rust --max-agents 8
  mnemosyne run -p 'Add a password reset'        # specification, plan and artifacts, each reviewed
  mnemosyne run -p 'Fix the failing test' --single    # one prompt for the configured agent
  mnemosyne run plan.yaml --new --timeout 30m";

pub(crate) const SUBMIT: &str = "Examples:
  run=$(mnemosyne submit plan.yaml) && mnemosyne wait \"$run\"
  mnemosyne submit plan.yaml --key nightly-2026-01-31   # the same key is never run twice";

pub(crate) const WAIT: &str = "Examples:
  mnemosyne wait 1m82b7 --timeout 1h    # 0: all succeeded, 1: some failed, 124: time is up";

pub(crate) const PS: &str = "Examples:
  mnemosyne ps                      # everything that is not finished
  mnemosyne ps 1m82b7               # all items of one run
  mnemosyne ps --state failed,running
  mnemosyne ps --json | jq -r '.[] | select(.state == \"failed\") | .id'";

pub(crate) const SHOW: &str = "Examples:
  mnemosyne show 1m82b7             # a run
  mnemosyne show 1m82b7/build       # an item by its name
  mnemosyne show 1m82b7.3 --json    # by its number; attempts, outputs and all";

pub(crate) const INBOX: &str = "Examples:
  mnemosyne inbox                   # every question that waits for a human
  mnemosyne inbox 1m82b7 --json     # those of one run";

pub(crate) const APPROVE: &str = "Examples:
  mnemosyne approve q3              # a question by its id
  mnemosyne approve 1m82b7/release  # an item that has one open question
  mnemosyne reject q3 -m 'the changelog is missing'
  mnemosyne answer q3 'use the other library'   # another round, told this";

pub(crate) const WHY: &str = "Examples:
  mnemosyne why 1m82b7/deploy       # names the one thing that keeps it from going on";

pub(crate) const LOGS: &str = "Examples:
  mnemosyne logs 1m82b7/build -f
  mnemosyne logs 1m82b7/build --attempt 1 --stderr";

pub(crate) const EVENTS: &str = "Examples:
  mnemosyne events -f --json        # one JSON object a line, as things happen
  mnemosyne events --after 4711     # everything since an event that is known";

pub(crate) const CANCEL: &str = "Examples:
  mnemosyne cancel 1m82b7 -m 'wrong branch'
  mnemosyne cancel 1m82b7/deploy 1m82b7/announce";

pub(crate) const RETRY: &str = "Examples:
  mnemosyne retry 1m82b7            # everything in the run that ended other than well
  mnemosyne retry 1m82b7/build      # the item, and what was skipped because of it";

pub(crate) const CHECK: &str = "Examples:
  mnemosyne plan check plan.yaml && mnemosyne run plan.yaml";

pub(crate) const GRAPH: &str = "Examples:
  mnemosyne plan graph plan.yaml
  mnemosyne plan graph plan.yaml --format dot | dot -Tsvg > plan.svg";

pub(crate) const SCHEMA: &str = "Examples:
  mnemosyne plan schema > plan.schema.json";

pub(crate) const UP: &str = "Examples:
  mnemosyne up                      # until Ctrl-C or `mnemosyne down`; agents that run go on meanwhile";

pub(crate) const AGENT_LS: &str = "Examples:
  mnemosyne agent ls
  mnemosyne agent ls --json | jq -r '.[] | select(.state == \"active\") | .name'";

pub(crate) const POOL_LS: &str = "Examples:
  mnemosyne pool ls                 # one line for each role
  mnemosyne pool ls --json | jq '.[].agents'";

pub(crate) const SESSION_LS: &str = "Examples:
  mnemosyne session ls              # the latest of each node, newest first
  mnemosyne session ls --json | jq -r '.[] | select(.state == \"orphaned\") | .id'";

pub(crate) const SESSION_SHOW: &str = "Examples:
  mnemosyne session show s3         # with what has become of the work that it left";

pub(crate) const SESSION_RESUME: &str = "Examples:
  mnemosyne session resume          # everything that was held after a crash
  mnemosyne session resume s3";

pub(crate) const SESSION_RECOVER: &str = "Examples:
  mnemosyne session recover         # holds what the log says against what runs, and tells what was left
  mnemosyne session recover s3 --json";

pub(crate) const EXPORT: &str = "Examples:
  mnemosyne export 1kfj6ap2m        # into 1kfj6ap2m.mnemosyne, with its blobs
  mnemosyne export 1kfj6 -o nightly.mnemosyne";

pub(crate) const IMPORT: &str = "Examples:
  mnemosyne import nightly.mnemosyne                       # what was under way there starts again here
  mnemosyne import nightly.mnemosyne --base-dir ~/project  # its plan lay in another folder there";

pub(crate) const FORK: &str = "Examples:
  mnemosyne fork 1kfj6ap2m --from test          # `test` and what depends on it again, the rest as it was
  mnemosyne fork 1kfj6ap2m --from 3 --from lint";

pub(crate) const GC: &str = "Examples:
  mnemosyne gc --dry-run            # says how many and how many bytes
  mnemosyne gc --json";

pub(crate) const COMPLETIONS: &str = "Examples:
  mnemosyne completions bash > ~/.local/share/bash-completion/completions/mnemosyne";
