//! `mnemosyne doctor`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use mnemosyne_control::CallError;
use mnemosyne_core::config::elements::{AgentDefinition, AgentKind};
use mnemosyne_core::reconciliation::Difference;
use mnemosyne_core::text::counted;
use mnemosyne_node::doctor::{Checked, Verdict, examine, mend};
use mnemosyne_node::store_options;
use serde_json::json;

use crate::access::connect;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line, shown};
use crate::settings::Surroundings;

/// Writes whose time is taken.
const SYNCS: usize = 50;

/// Room below which a disk is said to be nearly full.
const ROOM_MIN: u64 = 64 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Also take the time of durable writes; without this and --fix nothing at all is written
    #[arg(long)]
    disk: bool,
    /// Mend what can be mended while no node runs; nothing that was written is removed
    #[arg(long)]
    fix: bool,
}

/// One thing that was looked at.
struct Finding {
    good: bool,
    what: &'static str,
    text: String,
    /// Of a command that finds nothing worse.
    exit: Exit,
}

impl Doctor {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let mut findings = if self.fix { fix(&around).await? } else { Vec::new() };
        findings.extend([config(&around), folder(&around), room(&around)]);
        if self.disk {
            findings.push(durable_writes(&around));
        }
        findings.extend(node_and_log(&around).await);
        findings.extend(agents(&around));
        findings.extend(worktrees(&around));
        let worst = findings.iter().filter(|finding| !finding.good).map(|finding| finding.exit);
        let exit = worst.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Success);
        if around.json {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| json!({ "ok": finding.good, "what": finding.what, "text": finding.text }))
                .collect();
            json(&list);
        } else {
            for finding in findings {
                line(format!(
                    "{} {:<7} {}",
                    if finding.good { "ok " } else { "BAD" },
                    finding.what,
                    finding.text
                ));
            }
        }
        Ok(exit)
    }
}

/// Mends what can be mended; one line for each thing that was done.
async fn fix(around: &Surroundings) -> Result<Vec<Finding>, Failure> {
    if let Ok(Some(_)) = connect(around).await {
        let text = "a node is running, and what it uses cannot be mended; end it first with `mnemosyne down`";
        return Err(Failure::usage(text));
    }
    let (path, options) = (around.data_dir.clone(), store_options(&around.config.settings));
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mended = tokio::task::spawn_blocking(move || mend(&path, &options)).await;
    let mended = mended.map_err(|error| Failure::unavailable(error.to_string()))??;
    Ok(mended.into_iter().map(Finding::from).collect())
}

/// Whether a node runs; if none does, whether everything on disk is as it should be.
async fn node_and_log(around: &Surroundings) -> Vec<Finding> {
    let handle = match connect(around).await {
        Ok(Some(handle)) => handle,
        Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => {
            return vec![bad("node", Failure::not_reached(&around.data_dir, &error).message)];
        }
        _ => {
            let mut findings = on_disk(around).await;
            findings.push(good("node", "none is running".to_owned()));
            return findings;
        }
    };
    let mut findings = vec![match handle.status().await {
        Ok(status) => {
            good("node", format!("is running and knows {}", counted(status.counts.iter().sum::<u64>(), "item")))
        }
        Err(error) => bad("node", format!("runs but does not answer: {error}")),
    }];
    match handle.verify().await {
        Ok(wrong) if wrong.is_empty() => findings.push(good("state", "every invariant holds".to_owned())),
        Ok(wrong) => {
            let named = |difference: Difference| bad("state", difference.to_string());
            findings.extend(wrong.into_iter().map(|found| Finding { exit: Exit::Damaged, ..named(found) }));
        }
        // A node of another version does not know the question, and has answered the first one.
        Err(CallError::Unexpected | CallError::Unreachable(_)) => {}
        Err(error) => findings.push(bad("state", error.to_string())),
    }
    findings
}

/// Reads everything that is there, every checksum of it, and holds it against each other.
async fn on_disk(around: &Surroundings) -> Vec<Finding> {
    let path = around.data_dir.clone();
    if !path.is_dir() {
        return Vec::new();
    }
    match tokio::task::spawn_blocking(move || examine(&path)).await {
        Ok(checked) => checked.into_iter().map(Finding::from).collect(),
        Err(error) => vec![bad("log", error.to_string())],
    }
}

impl From<Checked> for Finding {
    fn from(checked: Checked) -> Self {
        let Checked { verdict, what, text } = checked;
        let exit = match verdict {
            Verdict::Good => Exit::Success,
            Verdict::Unavailable => Exit::Unavailable,
            Verdict::Damaged => Exit::Damaged,
        };
        Self { good: verdict == Verdict::Good, what, text: shown(&text), exit }
    }
}

fn good(what: &'static str, text: String) -> Finding {
    Finding { good: true, what, text, exit: Exit::Success }
}

fn bad(what: &'static str, text: String) -> Finding {
    Finding { good: false, what, text, exit: Exit::ItemFailed }
}

fn config(around: &Surroundings) -> Finding {
    let Some(file) = &around.config_file else {
        return good("config", "no file; the defaults hold".to_owned());
    };
    let mode = std::fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o022 != 0 {
        return bad("config", format!("{} can be written by others; chmod go-w", file.display()));
    }
    good("config", file.display().to_string())
}

fn folder(around: &Surroundings) -> Finding {
    let dir = &around.data_dir;
    match std::fs::metadata(dir) {
        Err(_) => good("data", format!("{} is made when it is needed", dir.display())),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            bad("data", format!("{} can be read by others; chmod 700", dir.display()))
        }
        Ok(_) => good("data", dir.display().to_string()),
    }
}

/// Whether a node could write, and how much.
fn room(around: &Surroundings) -> Finding {
    let near = nearest_folder(around);
    let room = match rustix::fs::statvfs(near) {
        Ok(disk) => disk,
        Err(error) => return bad("disk", format!("cannot look at the disk of {}: {error}", near.display())),
    };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if rustix::fs::access(near, rustix::fs::Access::WRITE_OK).is_err() {
        return bad(
            "disk",
            format!("{} cannot be written by this user: no node can start here", near.display()),
        );
    }
    if free < ROOM_MIN {
        let text = format!(
            "{} MiB are free at {}; a node stops confirming when nothing is left",
            free >> 20,
            near.display()
        );
        return bad("disk", text);
    }
    good("disk", format!("{} MiB are free at {}", free >> 20, near.display()))
}

fn nearest_folder(around: &Surroundings) -> &Path {
    around.data_dir.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}

/// Takes the time of durable writes where the log would be.
fn durable_writes(around: &Surroundings) -> Finding {
    let near = nearest_folder(around);
    let file = near.join(format!(".mnemosyne-doctor-{}", std::process::id()));
    let measured = measure(&file);
    // It is our own; when it cannot be removed the measurement has failed, too.
    let _ = std::fs::remove_file(&file);
    match measured {
        Ok(micros) => good("disk", format!("a durable write takes {micros} µs (median of {SYNCS})")),
        Err(error) => bad("disk", format!("{} cannot be written: {error}", near.display())),
    }
}

fn measure(file: &Path) -> std::io::Result<u128> {
    use std::io::Write;
    let mut file = std::fs::File::create(file)?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        times.push(start.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

fn agents(around: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, agent) in &around.config.settings.agents {
        let program = agent.command.first().map(String::as_str).unwrap_or_default();
        findings.push(match agent.kind {
            AgentKind::Cli if is_runnable(program) => good("agent", format!("{name}: {program}")),
            AgentKind::Cli => bad("agent", format!("{name}: the program {program:?} was not found")),
            AgentKind::Http => endpoint(name, agent),
            kind => bad(
                "agent",
                format!("{name}: only a program that embeds a node runs agents of kind {}", kind.as_str()),
            ),
        });
    }
    findings
}

/// An endpoint is not asked, since that may cost money; but without its keys it would be in vain.
fn endpoint(name: &str, agent: &AgentDefinition) -> Finding {
    let variables = agent.api_key_env.iter().chain(agent.headers_env.values());
    let missing = variables.into_iter().find(|variable| std::env::var_os(variable).is_none());
    match missing {
        Some(variable) => bad("agent", format!("{name}: {variable} is not set in this environment")),
        None => {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            good("agent", format!("{name}: {} at {}", part(&agent.model), part(&agent.base_url)))
        }
    }
}

/// Worktrees that were kept when their items were over: somebody should look at them.
fn worktrees(around: &Surroundings) -> Vec<Finding> {
    let kept = match mnemosyne_node::kept_worktrees(&around.data_dir) {
        Ok(kept) => kept,
        Err(error) => return vec![bad("trees", crate::failure::chain(&error))],
    };
    let named = |one: mnemosyne_node::KeptWorktree| {
        let text = format!("{} is kept (branch {}): {}", one.tree.display(), one.branch, one.reason);
        good("trees", shown(&text))
    };
    kept.into_iter().map(named).collect()
}

fn is_runnable(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
