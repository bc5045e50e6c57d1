//! `[orchestration.distributed]`.

use crate::config::elements::Validation;
use crate::text::Shape;

words! {
    /// How work is spread over nodes.
    DistributionWord {
        /// To the node whose capabilities fit best.
        SpecializationBased = "specialization_based",
        /// Every namespace has its node.
        NamespacePartitioning = "namespace_partitioning",
        /// Idle nodes take from overloaded ones.
        WorkStealing = "work_stealing",
    }
}

element! {
    /// Several machines.
    Distributed ("the cluster") {
        /// Whether the node talks to others.
        enabled: bool = false, Shape::Bool;
        /// Most other nodes.
        max_peers: u32 = 10, Shape::Int { min: 1, max: 1_000 };
        /// Seconds between two signs of life.
        heartbeat_interval_secs: u32 = 5, Shape::Int { min: 1, max: 3_600 };
        /// Seconds of silence after which a peer counts as cut off.
        partition_timeout_secs: u32 = 30, Shape::Int { min: 1, max: 86_400 };
        /// Waiting items of a node above which idle ones take from it.
        work_stealing_threshold: u32 = 20, Shape::Int { min: 1, max: 1_000_000_000 };
        /// How work is spread over nodes.
        strategy: DistributionWord = DistributionWord::SpecializationBased, Shape::Word(DistributionWord::WORDS);
    }
}

impl Distributed {
    pub(crate) fn validate(&self, validation: &mut Validation<'_>) {
        if self.partition_timeout_secs < self.heartbeat_interval_secs.saturating_mul(2) {
            validation.fail_one_of(
                &["partition_timeout_secs", "heartbeat_interval_secs"],
                &format!(
                    "does not fit: peers are heard of every {} s and cut off after {} s",
                    self.heartbeat_interval_secs, self.partition_timeout_secs
                ),
                &format!(
                    "set `partition_timeout_secs` to at least twice `heartbeat_interval_secs`: {}",
                    self.heartbeat_interval_secs.saturating_mul(2)
                ),
            );
        }
    }
}
