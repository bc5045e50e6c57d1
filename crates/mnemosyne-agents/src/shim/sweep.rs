//! Signals to everything that descends from the shim.

use std::collections::HashSet;
use std::io;

use rustix::process::{Pid, Signal};

use crate::process::cookie;
use crate::process::stat::{ProcessStat, to_pid};
use crate::process::table::ProcessTable;

/// Finds and ends descendants, and remembers which.
pub(super) struct Sweeper {
    cookie: String,
    leader: Pid,
    /// Everything that was sent a signal, the leader excepted.
    touched: HashSet<(u32, u64)>,
}

impl Sweeper {
    pub(super) fn new(cookie: String, leader: Pid) -> Self {
        Self { cookie, leader, touched: HashSet::new() }
    }

    /// How many processes other than the leader were told to end.
    pub(super) fn swept(&self) -> u64 {
        self.touched.len() as u64
    }

    /// Asks every descendant to end. Once only: what a process starts in order
    /// to clean up after itself has the whole grace to do so.
    pub(super) fn ask(&mut self) -> io::Result<()> {
        let found = self.descendants()?;
        let leader = self.leader.as_raw_pid().unsigned_abs();
        // The group in one stroke, so that a shell cannot start its next command
        // in between. While somebody is in it, its number is nobody else's.
        if found.iter().any(|stat| stat.group == leader) {
            let _ = rustix::process::kill_process_group(self.leader, Signal::TERM);
        }
        for stat in found {
            // Whoever is in the group now was in it a moment ago and has got the
            // signal; one that has just left it for a session of its own may not
            // have. Nobody is asked twice: many take the second time for "at once".
            let now = ProcessStat::read(stat.pid).ok().flatten();
            if now.is_some_and(|now| now.group != leader) {
                stat.signal(Signal::TERM);
            }
            // A stopped process would not notice.
            stat.signal(Signal::CONT);
        }
        Ok(())
    }

    /// Kills every descendant that is there now.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        let found = self.descendants()?;
        // Whole groups first: a fork within a group cannot slip through, however
        // fast it is. All groups but our own consist of descendants only, since
        // nobody else can enter the sessions they are in.
        let own = rustix::process::getpgrp().as_raw_pid().unsigned_abs();
        let groups: HashSet<u32> = found.iter().map(|stat| stat.group).filter(|group| *group != own).collect();
        for group in groups.into_iter().filter_map(to_pid) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        for stat in found {
            stat.signal(Signal::KILL);
        }
        Ok(())
    }

    /// Kills what carries the cookie without being a descendant: something that
    /// had itself started by a daemon. Only looked for when something else was
    /// left behind, since it costs a look into every process of the machine.
    pub(super) fn sweep_strays(&mut self) -> io::Result<u64> {
        if self.touched.is_empty() {
            return Ok(0);
        }
        cookie::sweep_cookie(&self.cookie).map(|count| count as u64)
    }

    fn descendants(&mut self) -> io::Result<Vec<ProcessStat>> {
        let found = ProcessTable::read()?.descendants(std::process::id());
        let leader = self.leader.as_raw_pid().unsigned_abs();
        let others = found.iter().filter(|stat| stat.pid != leader && !stat.is_dead());
        self.touched.extend(others.map(|stat| (stat.pid, stat.start_ticks)));
        Ok(found)
    }
}
