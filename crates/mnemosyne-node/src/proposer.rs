//! Collects commands into batches: everything that came in while the log was
//! busy becomes one entry, so load makes entries larger, not more.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mnemosyne_consensus::Consensus;
use mnemosyne_core::command::{Batch, Command};
use mnemosyne_core::reply::Reply;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::pulse::Pulse;
use crate::room::Room;

/// Commands of one entry.
const BATCH_COMMANDS_MAX: usize = 4_096;
/// Bytes of one entry, roughly; a single larger command is an entry of its own.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// Commands that wait for an entry; whoever adds another one waits too.
const QUEUE_COMMANDS_MAX: usize = 16_384;
/// Entries on their way at the same time.
const IN_FLIGHT_MAX: usize = 4;
/// State hashes are put into the log once in so many entries.
const HASH_EVERY: u64 = 1_024;

/// The way into the log. Clones lead to the same log.
#[derive(Clone)]
pub(crate) struct Proposer {
    sender: mpsc::Sender<Asked>,
    room: Arc<Room>,
    pulse: Arc<Pulse>,
}

struct Asked {
    command: Command,
    reply: Option<oneshot::Sender<Reply>>,
}

/// The log does not take commands any more; whether the last one took effect is unknown.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the node has stopped")]
pub(crate) struct Stopped;

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The log does not take commands any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// There was no room for it from the start.
    #[error("the disk of {0} is full and nothing was changed; make room there, then try again")]
    Full(String),
    /// It waits for room.
    #[error(
        "the disk of {0} is full and this is not confirmed: it may take effect as soon as there is room; \
         make room there, then give the command again"
    )]
    Unconfirmed(String),
}

impl Proposer {
    /// Starts the task that proposes. `on_failure` is called once when the log
    /// takes nothing any more.
    pub(crate) fn start(
        consensus: Consensus,
        clock: Clock,
        room: Arc<Room>,
        on_failure: impl FnOnce(String) + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let (of_log, pulse) = (Arc::clone(&room), Arc::<Pulse>::default());
        let of_node = Arc::clone(&pulse);
        let task = tokio::spawn(async move {
            if let Err(text) = propose_all(consensus, clock, of_log, of_node, receiver).await {
                on_failure(text);
            }
        });
        (Self { sender, room, pulse }, task)
    }

    /// Proposes a command for somebody who is told when the disk is full, instead of waiting for room.
    pub(crate) async fn request(&self, command: Command) -> Result<Reply, Unanswered> {
        let mut is_full = self.room.is_full();
        if *is_full.borrow() {
            return Err(self.no_room());
        }
        tokio::select! {
            biased;
            reply = self.ask(command) => Ok(reply?),
            Ok(_) = is_full.wait_for(|is_full| *is_full) => Err(Unanswered::Unconfirmed(self.path())),
        }
    }

    /// What those are told for whom there is no room.
    pub(crate) fn no_room(&self) -> Unanswered {
        Unanswered::Full(self.path())
    }

    /// Room for what is proposed.
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// The sign of life that goes with what is proposed.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn path(&self) -> String {
        self.room.path().display().to_string()
    }

    /// Proposes a command and waits for its reply, also for room on the disk.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(Asked { command, reply: Some(reply) }).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Proposes a command whose reply nobody needs.
    pub(crate) async fn tell(&self, command: Command) -> Result<(), Stopped> {
        self.sender.send(Asked { command, reply: None }).await.map_err(|_| Stopped)
    }
}

async fn propose_all(
    consensus: Consensus,
    clock: Clock,
    room: Arc<Room>,
    pulse: Arc<Pulse>,
    mut receiver: mpsc::Receiver<Asked>,
) -> Result<(), String> {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut in_flight = FuturesUnordered::new();
    let mut proposed = 0_u64;
    let mut waiting = VecDeque::new();
    loop {
        let permit = tokio::select! {
            biased;
            Some(done) = in_flight.next(), if !in_flight.is_empty() => {
                finish(done)?;
                continue;
            }
            permit = Arc::clone(&slots).acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        if waiting.is_empty() {
            let mut asked = Vec::new();
            tokio::select! {
                biased;
                count = receiver.recv_many(&mut asked, BATCH_COMMANDS_MAX) => if count == 0 { break },
                Some(done) = in_flight.next(), if !in_flight.is_empty() => {
                    finish(done)?;
                    continue;
                }
            }
            waiting = asked.into();
        }
        let (mut commands, replies) = next_batch(&mut waiting);
        proposed += 1;
        if proposed.is_multiple_of(HASH_EVERY)
            && let Ok((index, hash)) = consensus.query(|state| (state.applied(), state.hash())).await
        {
            commands.push(Command::CheckHash { index, hash });
        }
        let stamp = clock.now();
        commands.extend(pulse.due(stamp));
        let batch = Batch { stamp, commands };
        let mut proposal = Box::pin({
            let (consensus, room) = (consensus.clone(), Arc::clone(&room));
            async move {
                let answer = room.written(consensus.propose(batch), || consensus.log_stats().full).await;
                drop(permit);
                (answer, replies)
            }
        });
        // Polled once right away, so that entries enter the log in this order.
        match futures::poll!(&mut proposal) {
            std::task::Poll::Ready(done) => finish(done)?,
            std::task::Poll::Pending => in_flight.push(proposal),
        }
    }
    while let Some(done) = in_flight.next().await {
        finish(done)?;
    }
    Ok(())
}

/// Takes what fits into one entry, and at least one command.
fn next_batch(waiting: &mut VecDeque<Asked>) -> (Vec<Command>, Vec<Option<oneshot::Sender<Reply>>>) {
    let mut bytes = 0_usize;
    let fits = |asked: &&Asked| {
        bytes = bytes.saturating_add(asked.command.log_bytes());
        bytes <= BATCH_BYTES_MAX
    };
    let count = waiting.iter().take_while(fits).count().max(1);
    waiting.drain(..count.min(waiting.len())).map(|asked| (asked.command, asked.reply)).unzip()
}

type Done = (Result<Vec<Reply>, mnemosyne_consensus::ProposeError>, Vec<Option<oneshot::Sender<Reply>>>);

/// Hands the replies of one entry out.
fn finish((answer, replies): Done) -> Result<(), String> {
    let answers = answer.map_err(|error| error.to_string())?;
    for (reply, answer) in replies.into_iter().zip(answers) {
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }
    }
    Ok(())
}
