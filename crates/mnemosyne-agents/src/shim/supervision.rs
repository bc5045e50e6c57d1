//! The life of one agent, from its start to the proof that nothing of it is left.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::agent::{self, Leader};
use super::feed::Feed;
use super::pump::{BUFFER_BYTES, Pump, Sink};
use super::sweep::Sweeper;
use super::trampoline::EXEC_FAILED;
use super::usage::UsageMeter;
use crate::attempt::exit_record::{
    EXIT_VERSION, Ending, ExitRecord, LeaderStatus, ReservedRecord, SPAWN_ERROR_BYTES_MAX, Usage,
};
use crate::attempt::fifo::NewsBell;
use crate::attempt::spec::LaunchSpec;
use crate::attempt::stop::{StopMode, StopWatch};
use crate::attempt::{EXEC_ERROR_FILE, read_if_there};
use crate::escape::escape_control;
use crate::output::whole::WholeWriter;
use crate::output::writer::BoundedWriter;
use crate::output::{Stream, StreamTotals};

/// First and last pause between two looks whether what was asked to end has
/// ended; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// The same for what was killed: the kernel may hold a process up for hours.
const KILLING_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long the shim waits before it tries again to write its record.
const RECORD_RETRY: Duration = Duration::from_secs(1);

/// Where an attempt stands.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The agent works.
    Running,
    /// What is left was asked to end, and is killed at a set moment.
    Asked { kill_at: Instant, pause: Duration },
    /// What is left is killed, again after each pause.
    Killing { pause: Duration },
}

/// Why the agent is made to end, or that it was not.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Itself,
    StopRequest,
    RunLimit,
    OutputLimit,
}

/// The shim's whole state while an agent lives.
pub(super) struct Supervision<'a> {
    spec: &'a LaunchSpec,
    watch: &'a StopWatch,
    leader: Pid,
    /// Gone once the leader has been reaped.
    leader_fd: Option<OwnedFd>,
    leader_status: Option<LeaderStatus>,
    pumps: [Pump; 2],
    /// For an agent that is talked to.
    feed: Option<Feed>,
    bell: Option<NewsBell>,
    buffer: Vec<u8>,
    sweeper: Sweeper,
    usage: UsageMeter,
    run_until: Option<Instant>,
    requested: Option<StopMode>,
    phase: Phase,
    cause: Cause,
}

impl<'a> Supervision<'a> {
    /// Runs the agent and publishes the record of it.
    pub(super) fn run(
        dir: &Path,
        spec: &'a LaunchSpec,
        watch: &'a StopWatch,
        reserved: &ReservedRecord,
    ) -> io::Result<()> {
        let started_at_ms = unix_ms();
        if watch.requested().is_some() {
            return publish(reserved, &nothing_ran(Ending::Stopped { status: None }, started_at_ms), watch);
        }
        let mut supervision = match Self::start(dir, spec, watch) {
            Ok(supervision) => supervision,
            Err(error) => {
                let ending = Ending::SpawnFailed { error: displayable(error.to_string().as_bytes()) };
                return publish(reserved, &nothing_ran(ending, started_at_ms), watch);
            }
        };
        supervision.look_at_input();
        while !supervision.turn()? {}
        publish(reserved, &supervision.finish(dir, started_at_ms)?, watch)
    }

    /// Starts the agent. It is the last step that can fail, so that after an error nothing runs.
    fn start(dir: &Path, spec: &'a LaunchSpec, watch: &'a StopWatch) -> io::Result<Self> {
        let limits = spec.output_limits();
        let bounded = |stream| Sink::Bounded(BoundedWriter::new(dir, stream, limits));
        let whole = |limit| Sink::Whole(WholeWriter::new(dir, Stream::Stdout, limit));
        let to_stdout = spec.stdout_whole_bytes.map_or_else(|| bounded(Stream::Stdout), whole);
        let (stdout, stdout_writer) = Pump::open(to_stdout)?;
        let (stderr, stderr_writer) = Pump::open(bounded(Stream::Stderr))?;
        let now = Instant::now();
        let Leader { pid, pidfd, feed } = agent::spawn(dir, spec, stdout_writer, stderr_writer)?;
        let bell = feed.is_some().then(|| NewsBell::new(dir));
        Ok(Self {
            spec,
            watch,
            leader: pid,
            leader_fd: Some(pidfd),
            leader_status: None,
            pumps: [stdout, stderr],
            feed,
            bell,
            buffer: vec![0; BUFFER_BYTES],
            sweeper: Sweeper::new(spec.cookie.clone(), pid),
            usage: UsageMeter::new(pid, now),
            run_until: spec.run_limit_ms.and_then(|limit| now.checked_add(Duration::from_millis(limit))),
            requested: None,
            phase: Phase::Running,
            cause: Cause::Itself,
        })
    }

    /// Waits for something to happen and deals with it; true when nothing is left of the agent.
    fn turn(&mut self) -> io::Result<bool> {
        let idle_or_asked = self.wait()?;
        let [stdout, stderr] = &mut self.pumps;
        if stdout.pump(&mut self.buffer) > 0
            && let Some(bell) = &mut self.bell
        {
            bell.ring();
        }
        stderr.pump(&mut self.buffer);
        if self.reap()? == Children::None {
            return Ok(true);
        }
        let now = Instant::now();
        // Not at every turn: an agent that prints a lot makes many. And also by
        // time, should the one who asked not have been able to wake us up.
        if idle_or_asked || now >= self.usage.next_sample() {
            self.requested = self.watch.requested();
            self.look_at_input();
        }
        if let Some(feed) = &mut self.feed {
            feed.send(&mut self.buffer);
        }
        // Afterwards its pid may be somebody else's.
        if self.leader_status.is_none() {
            self.usage.sample(now);
        }
        self.advance(now)?;
        Ok(false)
    }

    /// Whether there is more for the agent to read, or is to be no more.
    fn look_at_input(&mut self) {
        let Some(feed) = &mut self.feed else { return };
        feed.look(&mut self.buffer);
        if self.requested == Some(StopMode::Finish) {
            feed.finish();
        }
    }

    /// Waits for output, room for input, the end of the leader, a request, or the
    /// next thing to do by time. True when a request may be there.
    fn wait(&self) -> io::Result<bool> {
        let pipes = self.pumps.iter().filter_map(Pump::as_fd);
        let leader = self.leader_fd.iter().map(|fd| fd.as_fd());
        let room = self.feed.iter().filter_map(Feed::as_fd);
        let mut fds: Vec<PollFd<'_>> = pipes
            .chain(leader)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .chain(room.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)))
            // The last one, see below.
            .chain([PollFd::from_borrowed_fd(self.watch.as_fd(), PollFlags::IN)])
            .collect();
        let timeout = Timespec::try_from(self.wake_in(Instant::now())).map_err(io::Error::other)?;
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => Ok(true),
            Ok(_) => Ok(fds.last().is_some_and(|watch| !watch.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn wake_in(&self, now: Instant) -> Duration {
        match self.phase {
            Phase::Running => {
                let next = self
                    .run_until
                    .map_or(self.usage.next_sample(), |until| until.min(self.usage.next_sample()));
                next.saturating_duration_since(now)
            }
            Phase::Asked { kill_at, pause } => kill_at.saturating_duration_since(now).min(pause),
            Phase::Killing { pause } => pause,
        }
    }

    /// Reaps every child that has ended, adopted ones as well.
    fn reap(&mut self) -> io::Result<Children> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.leader && self.leader_status.is_none() => {
                    self.leader_status = Some(leader_status(status));
                    self.leader_fd = None;
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(Children::Some),
                Err(Errno::CHILD) => return Ok(Children::None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Moves on to the next phase when it is time.
    fn advance(&mut self, now: Instant) -> io::Result<()> {
        let requested = self.requested;
        match self.phase {
            Phase::Running => {
                if self.leader_status.is_some() {
                    self.ask(Cause::Itself, now, Duration::from_millis(self.spec.sweep_grace_ms))
                } else if requested == Some(StopMode::Now) {
                    self.kill(Cause::StopRequest, PAUSE_MIN)
                } else if requested == Some(StopMode::Polite) {
                    self.ask(Cause::StopRequest, now, self.spec.grace())
                } else if self.run_until.is_some_and(|until| now >= until) {
                    self.ask(Cause::RunLimit, now, self.spec.grace())
                } else if self.pumps.iter().any(Pump::is_over) {
                    self.ask(Cause::OutputLimit, now, self.spec.grace())
                } else {
                    Ok(())
                }
            }
            Phase::Asked { kill_at, .. } if now >= kill_at || requested == Some(StopMode::Now) => {
                self.kill(self.cause, PAUSE_MIN)
            }
            Phase::Asked { kill_at, pause } => {
                self.phase = Phase::Asked { kill_at, pause: longer(pause, PAUSE_MAX) };
                Ok(())
            }
            Phase::Killing { pause } => self.kill(self.cause, longer(pause, KILLING_PAUSE_MAX)),
        }
    }

    fn ask(&mut self, cause: Cause, now: Instant, grace: Duration) -> io::Result<()> {
        self.cause = cause;
        // A grace beyond the clock's range is one of a year.
        let kill_at = now.checked_add(grace).unwrap_or(now + Duration::from_secs(365 * 86_400));
        self.phase = Phase::Asked { kill_at, pause: PAUSE_MIN };
        if let Some(feed) = &mut self.feed {
            feed.close();
        }
        self.sweeper.ask()
    }

    fn kill(&mut self, cause: Cause, pause: Duration) -> io::Result<()> {
        self.cause = cause;
        self.phase = Phase::Killing { pause };
        self.sweeper.kill()
    }

    /// The record, once no child is left.
    fn finish(&mut self, dir: &Path, started_at_ms: u64) -> io::Result<ExitRecord> {
        for pump in &mut self.pumps {
            pump.drain(&mut self.buffer);
        }
        let strays = self.sweeper.sweep_strays()?;
        let status = self
            .leader_status
            .ok_or_else(|| io::Error::other("no child is left, but the agent was not among them"))?;
        let ending = match self.cause {
            Cause::Itself => match exec_error(dir, status)? {
                Some(error) => Ending::SpawnFailed { error },
                None => Ending::ByItself { status },
            },
            Cause::StopRequest => Ending::Stopped { status: Some(status) },
            Cause::RunLimit => Ending::RunLimit { status },
            Cause::OutputLimit => Ending::OutputLimit { status },
        };
        let [stdout, stderr] = &self.pumps;
        Ok(ExitRecord {
            version: EXIT_VERSION,
            ending,
            started_at_ms,
            ended_at_ms: unix_ms().max(started_at_ms),
            usage: self.usage.finish(),
            swept: self.sweeper.swept() + strays,
            stdout: stdout.totals(),
            stderr: stderr.totals(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Children {
    Some,
    None,
}

fn longer(pause: Duration, longest: Duration) -> Duration {
    (pause * 2).min(longest)
}

fn leader_status(status: WaitStatus) -> LeaderStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => LeaderStatus::Exited(code),
        (None, signal) => LeaderStatus::Signalled(signal.unwrap_or(0)),
    }
}

/// What the trampoline wrote down when it could not become the agent.
fn exec_error(dir: &Path, status: LeaderStatus) -> io::Result<Option<String>> {
    if status != LeaderStatus::Exited(EXEC_FAILED) {
        return Ok(None);
    }
    Ok(read_if_there(dir, EXEC_ERROR_FILE)?.map(|bytes| displayable(&bytes)))
}

fn nothing_ran(ending: Ending, started_at_ms: u64) -> ExitRecord {
    ExitRecord {
        version: EXIT_VERSION,
        ending,
        started_at_ms,
        ended_at_ms: unix_ms().max(started_at_ms),
        usage: Usage::default(),
        swept: 0,
        stdout: StreamTotals::default(),
        stderr: StreamTotals::default(),
    }
}

fn displayable(bytes: &[u8]) -> String {
    let mut text = escape_control(bytes);
    let cut = (0..=SPAWN_ERROR_BYTES_MAX).rev().find(|cut| text.is_char_boundary(*cut));
    text.truncate(cut.unwrap_or(0));
    text
}

/// Publishes the record, trying again for as long as the disk refuses: the
/// work is done and paid for, and losing it is worse than a shim that waits.
/// Only a request to stop at once ends the wait, or that the folder was removed.
fn publish(reserved: &ReservedRecord, record: &ExitRecord, watch: &StopWatch) -> io::Result<()> {
    let retry = Timespec::try_from(RECORD_RETRY).map_err(io::Error::other)?;
    loop {
        let Err(error) = reserved.publish(record) else { return Ok(()) };
        if error.kind() == io::ErrorKind::NotFound || watch.requested() == Some(StopMode::Now) {
            return Err(error);
        }
        // Nothing to wait for but time: the kernel does not tell when a disk has room again.
        let _ = rustix::event::poll(&mut [], Some(&retry));
    }
}

/// The wall clock. It can jump; durations are measured by `Instant`.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
