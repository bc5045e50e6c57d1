//! The conversation with an agent that runs under a shim: reading, writing, waiting.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::LINE_BYTES_MAX;
use super::conversation::{Act, Conversation, Opening};
use super::lines::{Line, Lines};
use super::permission::{PermissionDesk, PermissionRequest};
use crate::attempt::fifo::{forget_news, listen_for_news};
use crate::attempt::input::InputLog;
use crate::conclusion::Conclusion;
use crate::output::Stream;
use crate::output::reader::OutputReader;
use crate::supervise::blocking;

/// Bytes of output that are read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Time before the next look, should nobody have told of anything.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a conversation needs.
pub struct Talk {
    /// The attempt's folder. Its agent was launched with [`crate::StdinSource::Talk`].
    pub dir: PathBuf,
    /// What is wanted of the agent.
    pub opening: Opening,
    /// Who decides about permission requests.
    pub desk: Arc<dyn PermissionDesk>,
    /// How long an agent may take to end its turn when it is asked to.
    pub cancel_grace: Duration,
}

/// Talks to an agent until its turn is over, from wherever a former node has
/// left off. `stop` becomes ready when the turn is to end, `gone` when the
/// agent has ended. The agent is left running; its attempt can be finished with
/// [`crate::StopMode::Finish`].
///
/// # Errors
/// When the files of the folder cannot be read or written. What was said so far
/// stands; the call may be repeated.
pub async fn converse(
    talk: Talk,
    stop: impl Future<Output = ()>,
    gone: impl Future<Output = ()>,
) -> io::Result<Conclusion> {
    let Talk { dir, opening, desk, cancel_grace } = talk;
    let news = listen_for_news(&dir)?;
    #[expect(
        deprecated,
        reason = "its replacement is `unsafe`, for types that lie about their descriptor; `OwnedFd` cannot"
    )]
    let news = AsyncFd::with_interest(news, Interest::READABLE)?;
    let mut sitting = blocking(move || Sitting::open(&dir, opening)).await?;
    let (mut stop, mut gone) = (std::pin::pin!(stop), std::pin::pin!(gone));
    let (mut is_stopped, mut is_gone) = (false, false);
    let mut give_up_at: Option<Instant> = None;
    let mut asked = JoinSet::new();
    loop {
        let (back, questions) = blocking(move || sitting.round()).await?;
        sitting = back;
        for request in questions {
            let (id, deciding) = (request.id.clone(), desk.ask(request));
            asked.spawn(async move { (id, deciding.await) });
        }
        if let Some(conclusion) = sitting.conversation.conclusion() {
            return Ok(conclusion.clone());
        }
        if is_gone {
            return Ok(sitting.conversation.interrupted("the agent ended in the middle of its turn"));
        }
        if give_up_at.is_none() && sitting.conversation.is_ending() {
            give_up_at = Instant::now().checked_add(cancel_grace);
        }
        if give_up_at.is_some_and(|at| Instant::now() >= at) {
            return Ok(sitting.conversation.interrupted("it was cancelled, and did not end its turn in time"));
        }
        let look_at = Instant::now() + LOOK_AGAIN;
        tokio::select! {
            ready = news.readable() => {
                forget_news(news.get_ref());
                ready?.clear_ready();
            }
            Some(decided) = asked.join_next(), if !asked.is_empty() => {
                if let Ok((id, decision)) = decided {
                    sitting.conversation.decide(&id, decision);
                }
            }
            () = &mut stop, if !is_stopped => {
                is_stopped = true;
                sitting.conversation.cancel();
            }
            () = &mut gone, if !is_gone => is_gone = true,
            () = tokio::time::sleep_until(give_up_at.map_or(look_at, |at| at.min(look_at))) => {}
        }
    }
}

/// What a turn has come to, by the files of an attempt that is over or is not
/// to go on. Nothing is said.
///
/// # Errors
/// When the files cannot be read.
pub fn recollect(dir: &Path, opening: Opening) -> io::Result<Conclusion> {
    let mut sitting = Sitting::open(dir, opening)?;
    sitting.hear()?;
    Ok(sitting.conversation.interrupted("the agent ended in the middle of its turn"))
}

/// A conversation with its files.
struct Sitting {
    conversation: Conversation,
    input: InputLog,
    output: OutputReader,
    offset: u64,
    lines: Lines,
    /// What the disk has not taken yet.
    unsaid: Option<String>,
}

impl Sitting {
    fn open(dir: &Path, opening: Opening) -> io::Result<Self> {
        let (input, said) = InputLog::open(dir)?;
        let mut conversation = Conversation::new(opening);
        for line in said {
            conversation.recall(&line);
        }
        let output = OutputReader::new(dir, Stream::Stdout);
        Ok(Self { conversation, input, output, offset: 0, lines: Lines::default(), unsaid: None })
    }

    /// Hears all there is to hear, says all there is to say, and returns what is to be asked.
    fn round(mut self) -> io::Result<(Self, Vec<PermissionRequest>)> {
        self.hear()?;
        let mut questions = Vec::new();
        // Some answers need nothing further of the agent to be given.
        loop {
            if let Some(line) = self.unsaid.take()
                && let Err(error) = self.input.say(&line)
            {
                if !is_full(&error) {
                    return Err(error);
                }
                self.unsaid = Some(line);
                break;
            }
            match self.conversation.next_act() {
                Some(Act::Say(line)) => self.unsaid = Some(line),
                Some(Act::Ask(request)) => questions.push(request),
                None => break,
            }
        }
        Ok((self, questions))
    }

    fn hear(&mut self) -> io::Result<()> {
        loop {
            let chunk = self.output.read_from(self.offset, PIECE_BYTES)?;
            if chunk.bytes.is_empty() {
                return Ok(());
            }
            self.offset = chunk.end();
            let conversation = &mut self.conversation;
            self.lines.take(&chunk.bytes, LINE_BYTES_MAX, |line| match line {
                Line::Whole(line) => conversation.hear(Some(&line)),
                Line::TooLong => conversation.hear(None),
            });
        }
    }
}

/// A full disk has room again some time.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
