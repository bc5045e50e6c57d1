//! `[orchestration.persistence]`.

use crate::config::elements::Validation;
use crate::text::Shape;

element! {
    /// Work across restarts.
    Persistence ("persistence") {
        /// Whether work outlives the program. It always does, so only true is taken.
        enabled: bool = true, Shape::Bool;
        /// Seconds between two checkpoints: a sign of life in the log, the history made durable, the attempts held against
        /// what runs, and a snapshot when the log has grown by an eighth of `storage.snapshot_bytes` or more.
        checkpoint_interval_secs: u32 = 60, Shape::Int { min: 1, max: 86_400 };
        /// Whether work that was interrupted by a node that went without a word starts again by itself. Otherwise it waits for
        /// `mnemosyne session resume`. What still runs goes on either way.
        auto_resume: bool = true, Shape::Bool;
        /// Minutes without a sign of life after which other nodes take a session for orphaned. The next node on the same data
        /// directory knows at once.
        orphan_timeout_mins: u32 = 30, Shape::Int { min: 1, max: 525_600 };
    }
}

impl Persistence {
    pub(crate) fn validate(&self, validation: &mut Validation<'_>) {
        if !self.enabled {
            validation.fail(
                "enabled",
                "cannot be turned off: nothing is started or confirmed before it is durable",
                "remove it; for work that nobody needs afterwards, give a data directory in memory: --data-dir /dev/shm/NAME",
            );
        }
        if u64::from(self.orphan_timeout_mins) * 60 < u64::from(self.checkpoint_interval_secs) * 2 {
            validation.fail_one_of(
                &["orphan_timeout_mins", "checkpoint_interval_secs"],
                &format!(
                    "does not fit: a session gives a sign of life every {} s and is orphaned after {} min without one",
                    self.checkpoint_interval_secs, self.orphan_timeout_mins
                ),
                "set `orphan_timeout_mins` to at least twice `checkpoint_interval_secs`",
            );
        }
    }
}
