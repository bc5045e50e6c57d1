//! `[orchestration.persistence]`.

use crate::text::Shape;

element! {
    /// Work across restarts.
    Persistence ("persistence") {
        /// Whether work survives the end of the program.
        enabled: bool = true, Shape::Bool;
        /// Seconds between two snapshots of the state.
        checkpoint_interval_secs: u32 = 60, Shape::Int { min: 1, max: 86_400 };
        /// Whether unfinished work goes on when a node starts.
        auto_resume: bool = true, Shape::Bool;
        /// Minutes after which a session without a sign of life is orphaned.
        orphan_timeout_mins: u32 = 30, Shape::Int { min: 1, max: 525_600 };
    }
}
