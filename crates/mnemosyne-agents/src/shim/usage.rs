//! What the agent used, from `/proc`.
//!
//! The kernel's own account (`getrusage`, `wait4`) cannot be read without
//! `unsafe`. The CPU time of children that were waited for is in our own
//! `stat`, and since every descendant is waited for by the shim or by one of
//! its children, it covers all of them. Memory is sampled while it is there.

use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::attempt::exit_record::Usage;
use crate::process::stat::{ProcessStat, ticks_to_ms};

/// First and last interval between samples; each is twice the one before.
const INTERVAL_MIN: Duration = Duration::from_millis(25);
const INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Samples the memory of the agent's first process.
pub(super) struct UsageMeter {
    leader: Pid,
    rss_bytes_max: Option<u64>,
    interval: Duration,
    next_sample: Instant,
}

impl UsageMeter {
    pub(super) fn new(leader: Pid, now: Instant) -> Self {
        Self { leader, rss_bytes_max: None, interval: INTERVAL_MIN, next_sample: now + INTERVAL_MIN }
    }

    /// When [`UsageMeter::sample`] wants to be called.
    pub(super) fn next_sample(&self) -> Instant {
        self.next_sample
    }

    /// Takes a sample if it is time.
    pub(super) fn sample(&mut self, now: Instant) {
        if now < self.next_sample {
            return;
        }
        self.rss_bytes_max = self.rss_bytes_max.max(peak_rss_bytes(self.leader));
        self.interval = (self.interval * 2).min(INTERVAL_MAX);
        self.next_sample = now + self.interval;
    }

    /// What was used, once every child has been waited for.
    pub(super) fn finish(&self) -> Usage {
        let cpu = ProcessStat::read(std::process::id()).ok().flatten().map(|stat| stat.cpu).unwrap_or_default();
        Usage {
            user_ms: ticks_to_ms(cpu.children_user),
            system_ms: ticks_to_ms(cpu.children_system),
            leader_rss_bytes_max: self.rss_bytes_max,
        }
    }
}

/// The peak of resident memory; nothing for a process that has ended.
fn peak_rss_bytes(pid: Pid) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
