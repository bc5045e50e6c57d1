//! `mnemosyne up` and `mnemosyne down`.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clap::Args;
use mnemosyne_node::{NodeInfo, Part, StopKind};

use super::session::of_orphaned;
use crate::access::{Access, connect};
use crate::cli::Globals;
use crate::failure::{Exit, Failure, chain};
use crate::output::say;
use crate::progress::Progress;
use crate::settings::Surroundings;
use crate::signals::Interruptions;
use mnemosyne_core::text::counted;

/// How long `down` waits for the node to be gone.
const DOWN_MAX: Duration = Duration::from_secs(60);
/// Lines of `up` that wait to be written.
const LINES_MAX: usize = 10_000;
/// How long the last of them are waited for.
const LAST_LINES_MAX: Duration = Duration::from_secs(1);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(crate) struct Up {}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Stop the agents, too, instead of leaving them to be picked up by the next node
    #[arg(long)]
    stop_agents: bool,
}

impl Up {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let mut interruptions = Interruptions::listen();
        let access = Access::open(&around, Part::Worker).await?;
        let handle = access.handle.clone();
        let Some(mut node) = access.own else {
            return Err(Failure::unavailable(format!("a node runs already for {}", around.data_dir.display())));
        };
        node.serve()?;
        let status = handle.status().await?;
        let seq = status.event_seq;
        let slots: u32 = status.nodes.iter().map(|node| node.facts.slots[3]).sum();
        for found in node.orphaned() {
            say(of_orphaned(&found.session, &found.work));
        }
        say(format!("node is up: {}, data in {}", counted(slots, "executor"), around.data_dir.display()));
        let lines = Lines::start();
        let kind = {
            let mut progress = Progress::follow_all(&handle, seq);
            let tell = async {
                if around.json {
                    std::future::pending::<()>().await;
                }
                // Without its events a node still works; why it has none is said when it ends.
                let _ = progress.until_the_node_is_gone(|line| lines.tell(line)).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = interruptions.next() => StopKind::HandOver,
                ended = node.ended() => match ended {
                    Ok(kind) => kind,
                    Err(text) => return Err(Failure::damaged(text)),
                },
                () = tell => unreachable!("it goes on until the node ends"),
            }
        };
        lines.finish();
        let running = node.close(kind).await.map_err(|error| Failure::unavailable(chain(&error)))?;
        match running {
            0 => say("node is down"),
            1 => say("node is down; 1 agent goes on and is picked up by the next node"),
            running => say(format!("node is down; {running} agents go on and are picked up by the next node")),
        }
        Ok(Exit::Success)
    }
}

/// Lines on their way to stderr, by a thread of its own: a node must not wait for whoever does not read them.
struct Lines {
    sender: SyncSender<String>,
    done: Receiver<()>,
    left_out: Cell<u64>,
}

impl Lines {
    fn start() -> Self {
        let (sender, lines) = sync_channel::<String>(LINES_MAX);
        let (finished, done) = sync_channel(0);
        std::thread::spawn(move || {
            lines.into_iter().for_each(say);
            drop(finished);
        });
        Self { sender, done, left_out: Cell::new(0) }
    }

    /// Hands a line over, or leaves it out when too many wait.
    fn tell(&self, line: String) {
        let before = self.left_out.replace(0);
        if before > 0 && self.sender.try_send(format!("… {} left out", counted(before, "line"))).is_err() {
            self.left_out.set(before);
        }
        if self.sender.try_send(line).is_err() {
            self.left_out.set(self.left_out.get() + 1);
        }
    }

    /// Waits until all is written, for a while.
    fn finish(self) {
        drop(self.sender);
        // Nothing is ever sent: it ends when the thread does, or when nobody reads.
        let _ = self.done.recv_timeout(LAST_LINES_MAX);
    }
}

impl Down {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let found = connect(&around).await;
        let found = found.map_err(|error| Failure::not_reached(&around.data_dir, &error))?;
        let Some(handle) = found else {
            say(format!("no node runs for {}", around.data_dir.display()));
            return Ok(Exit::Success);
        };
        // A node removes its description last, after its agents and its log. Another pid is another
        // node: a `run` that watched this one may go on with one of its own.
        let described = || NodeInfo::read(&around.data_dir).map(|info| info.pid);
        let node = described();
        let is_there = || node.is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists());
        handle.shutdown(self.stop_agents).await?;
        let deadline = Instant::now() + DOWN_MAX;
        while described() == node && is_there() {
            if Instant::now() > deadline {
                return Err(Failure::unavailable("the node has not ended within a minute"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        say("node is down");
        Ok(Exit::Success)
    }
}
