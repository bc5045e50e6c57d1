//! `mnemosyne doctor`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use mnemosyne_core::config::elements::AgentKind;
use serde_json::json;

use crate::access::connect;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line};
use crate::settings::Surroundings;

/// Writes whose time is taken.
const SYNCS: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct Doctor {}

/// One thing that was looked at.
struct Finding {
    good: bool,
    what: &'static str,
    text: String,
}

impl Doctor {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let mut findings = vec![config(&around), folder(&around), disk(&around)];
        findings.extend(agents(&around));
        findings.push(match connect(&around).await {
            Ok(Some(handle)) => match handle.status().await {
                Ok(status) => {
                    good("node", format!("is running, {} items known", status.counts.iter().sum::<u64>()))
                }
                Err(error) => bad("node", format!("runs but does not answer: {error}")),
            },
            Ok(None) => good("node", "none is running".to_owned()),
            Err(failure) => bad("node", failure.text),
        });
        let healthy = findings.iter().all(|finding| finding.good);
        if around.json {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| json!({ "ok": finding.good, "what": finding.what, "text": finding.text }))
                .collect();
            json(&list);
        } else {
            for finding in findings {
                line(format!(
                    "{} {:<10} {}",
                    if finding.good { "ok " } else { "BAD" },
                    finding.what,
                    finding.text
                ));
            }
        }
        Ok(if healthy { Exit::Success } else { Exit::ItemFailed })
    }
}

fn good(what: &'static str, text: String) -> Finding {
    Finding { good: true, what, text }
}

fn bad(what: &'static str, text: String) -> Finding {
    Finding { good: false, what, text }
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

/// Takes the time of durable writes where the log would be.
fn disk(around: &Surroundings) -> Finding {
    let near = around.data_dir.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
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
            kind => {
                bad("agent", format!("{name}: kind {} is not supported yet by this version", kind.as_str()))
            }
        });
    }
    findings
}

fn is_runnable(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
