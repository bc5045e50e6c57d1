//! A snapshot of all processes, and who descends from whom.

use std::collections::HashMap;
use std::io;

use super::stat::ProcessStat;

/// All processes at about one moment. Take one and ask it about many agents.
#[derive(Clone, Debug, Default)]
pub struct ProcessTable {
    children: HashMap<u32, Vec<ProcessStat>>,
}

impl ProcessTable {
    /// Reads `/proc`. Processes that come and go meanwhile may be missing.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub fn read() -> io::Result<Self> {
        let mut children: HashMap<u32, Vec<ProcessStat>> = HashMap::new();
        for pid in pids()? {
            // One that cannot be read has just ended, or is hidden from us: not ours.
            if let Ok(Some(stat)) = ProcessStat::read(pid) {
                children.entry(stat.parent).or_default().push(stat);
            }
        }
        Ok(Self { children })
    }

    /// Everything that descends from a process, without the process itself.
    #[must_use]
    pub fn descendants(&self, ancestor: u32) -> Vec<ProcessStat> {
        let mut found: Vec<ProcessStat> = Vec::new();
        let mut next = 0;
        let mut parent = ancestor;
        loop {
            found.extend(self.children.get(&parent).into_iter().flatten());
            let Some(stat) = found.get(next) else { return found };
            parent = stat.pid;
            next += 1;
        }
    }
}

/// The ids of all processes that can be seen.
pub(crate) fn pids() -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stat::CpuTicks;

    fn table(edges: &[(u32, u32)]) -> ProcessTable {
        let mut table = ProcessTable::default();
        for (parent, pid) in edges {
            let stat = ProcessStat {
                pid: *pid,
                parent: *parent,
                group: *pid,
                session: *pid,
                state: 'S',
                cpu: CpuTicks::default(),
                start_ticks: 1,
                in_exec: false,
            };
            table.children.entry(*parent).or_default().push(stat);
        }
        table
    }

    #[test]
    fn descendants_are_found_at_any_depth_and_strangers_are_not() {
        let table = table(&[(1, 10), (10, 11), (11, 12), (1, 20), (20, 21), (10, 13)]);
        let mut pids: Vec<u32> = table.descendants(10).iter().map(|stat| stat.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [11, 12, 13]);
        assert!(table.descendants(12).is_empty());
        assert!(table.descendants(99).is_empty());
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        let table = ProcessTable::read().expect("read");
        let me = ProcessStat::read(std::process::id()).expect("read").expect("there");
        assert!(table.descendants(me.parent).iter().any(|stat| stat.pid == me.pid));
    }
}
