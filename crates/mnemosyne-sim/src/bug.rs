//! Mistakes that can be planted in the simulated shell, to see that they are found.

/// A known mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Entries count as durable as soon as they are handed to the log.
    AckBeforeDurable,
    /// Files are never synced.
    NoFsync,
    /// A snapshot's name is never made durable, and the log is purged all the same.
    SnapshotNameNotSynced,
    /// After a restart a node starts what it holds, without looking whether it runs.
    AdoptTwice,
    /// After a restart a node gives back what it holds, without looking whether it runs.
    OrphanRequeuedAlive,
    /// What was told with the end of an attempt is told as well when nothing ran.
    ReportWithoutRun,
    /// Any member may lead, however old its log.
    ElectAnyone,
    /// A member forgets for which term it has voted.
    VoteNotKept,
    /// The client is told of success as soon as the command is on its way.
    AckBeforeCommit,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AckBeforeDurable,
        Self::NoFsync,
        Self::SnapshotNameNotSynced,
        Self::AdoptTwice,
        Self::OrphanRequeuedAlive,
        Self::ReportWithoutRun,
        Self::ElectAnyone,
        Self::VoteNotKept,
        Self::AckBeforeCommit,
    ];
}
