//! Mistakes that can be planted, to see that they are found: in the simulated shell, on its disk, and, behind the
//! feature `planted`, in the state machine and the log themselves.

#[cfg(feature = "planted")]
use mnemosyne_core::Planted;

/// A known mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Entries count as durable as soon as they are handed to the log.
    AckBeforeDurable,
    /// Files are never synced.
    NoFsync,
    /// A snapshot's name is never made durable, and the log is purged all the same.
    SnapshotNameNotSynced,
    /// The history is not made durable before a snapshot, and the log is purged all the same.
    HistoryNotSynced,
    /// Runs that have left the state are not made durable before a snapshot, and the log is purged all the same.
    ArchiveNotSynced,
    /// A blob's name is never made durable.
    BlobNameNotSynced,
    /// Blobs that an entry on its way may refer to are swept.
    SweepWithoutGrace,
    /// Blobs that only retired runs refer to are swept.
    SweepIgnoresArchive,
    /// A node begins what it was granted however long nobody has heard of it.
    BegunLate,
    /// A node that joins anew does not stop what it holds no longer.
    LeftoverKept,
    /// What is kept no longer is removed whether or not something depends on it.
    NeededForgotten,
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
    /// Time on entries is the wall clock's, which jumps; so leases and timeouts end early or late.
    LeaseByWallClock,
    /// The log does not look at its high-water mark.
    #[cfg(feature = "planted")]
    HighWaterMarkIgnored,
    /// The checksum of a record of the history or the archive is not looked at.
    #[cfg(feature = "planted")]
    RecordChecksumIgnored,
    /// What a blob holds is not held against its name when it is read.
    #[cfg(feature = "planted")]
    BlobHashIgnored,
    /// One in the state machine.
    #[cfg(feature = "planted")]
    Core(Planted),
}

impl Bug {
    /// All of them that this build can plant.
    pub const ALL: &[Self] = &[
        Self::AckBeforeDurable,
        Self::NoFsync,
        Self::SnapshotNameNotSynced,
        Self::HistoryNotSynced,
        Self::ArchiveNotSynced,
        Self::NeededForgotten,
        Self::BegunLate,
        Self::LeftoverKept,
        Self::BlobNameNotSynced,
        Self::SweepWithoutGrace,
        Self::SweepIgnoresArchive,
        Self::AdoptTwice,
        Self::OrphanRequeuedAlive,
        Self::ReportWithoutRun,
        Self::ElectAnyone,
        Self::VoteNotKept,
        Self::AckBeforeCommit,
        Self::LeaseByWallClock,
        #[cfg(feature = "planted")]
        Self::HighWaterMarkIgnored,
        #[cfg(feature = "planted")]
        Self::RecordChecksumIgnored,
        #[cfg(feature = "planted")]
        Self::BlobHashIgnored,
        #[cfg(feature = "planted")]
        Self::Core(Planted::StaleTokenAccepted),
        #[cfg(feature = "planted")]
        Self::Core(Planted::LostTokenAccepted),
        #[cfg(feature = "planted")]
        Self::Core(Planted::DependencyNotChecked),
        #[cfg(feature = "planted")]
        Self::Core(Planted::CompletedSetCapped),
        #[cfg(feature = "planted")]
        Self::Core(Planted::PriorityIgnored),
        #[cfg(feature = "planted")]
        Self::Core(Planted::InterruptionCounted),
        #[cfg(feature = "planted")]
        Self::Core(Planted::TimerLost),
        #[cfg(feature = "planted")]
        Self::Core(Planted::GateOpensItself),
    ];
}
