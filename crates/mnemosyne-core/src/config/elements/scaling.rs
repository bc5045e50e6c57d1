//! `[orchestration.scaling]` and its pools, one for each role.

use crate::config::elements::Validation;
use crate::role::AgentRole;
use crate::text::{Field, Object, Shape};

const SIZE: Shape = Shape::Int { min: 0, max: 10_000 };
const ITEMS: Shape = Shape::Int { min: 0, max: 1_000_000_000 };
const RATIO: Shape = Shape::Number { min: 0.0, max: 1.0 };

words! {
    /// What the size of a pool follows.
    PolicyWord {
        /// The number of items that wait.
        QueueDepth = "queue_depth",
        /// Use of CPU and memory.
        ResourceBased = "resource_based",
        /// Items finished per minute.
        ThroughputBased = "throughput_based",
    }
}

words! {
    /// How items are spread over agents.
    LoadBalancingWord {
        /// To the node with the least to do; of several agents there, the first in the order of preference.
        LeastLoaded = "least_loaded",
        /// One after the other.
        RoundRobin = "round_robin",
        /// Of several agents, to the one whose work of this kind succeeded and was approved most.
        SpecializationBased = "specialization_based",
        /// Idle agents take from busy ones.
        WorkStealing = "work_stealing",
    }
}

element! {
    /// Settings of all pools.
    Scaling ("the scaling of pools") {
        /// Whether pools grow and shrink with the load.
        enabled: bool = true, Shape::Bool;
        /// How items are spread over agents. Of the words, `least_loaded` and `specialization_based` have an effect.
        load_balancing: LoadBalancingWord = LoadBalancingWord::LeastLoaded, Shape::Word(LoadBalancingWord::WORDS);
    }
}

element! {
    /// Settings of the pool of one role, on every node.
    Pool ("a pool") {
        /// Fewest agents.
        min_pool_size: u32 = 1, SIZE;
        /// Most agents.
        max_pool_size: u32 = 8, SIZE;
        /// What the size follows.
        policy: PolicyWord = PolicyWord::QueueDepth, Shape::Word(PolicyWord::WORDS);
        /// Waiting items above which the pool grows.
        scale_up_threshold: u32 = 10, ITEMS;
        /// Waiting items below which it may shrink.
        scale_down_threshold: u32 = 2, ITEMS;
        /// Minutes without work after which an agent is let go.
        idle_timeout_mins: u32 = 5, Shape::Int { min: 0, max: 525_600 };
        /// Share of CPU, 0 to 1, above which a resource-based pool does not grow.
        cpu_threshold: f64 = 0.85, RATIO;
        /// Share of memory, 0 to 1, above which a resource-based pool does not grow.
        memory_threshold: f64 = 0.85, RATIO;
        /// Items per minute that a throughput-based pool aims at.
        target_items_per_minute: u32 = 10, Shape::Int { min: 1, max: 1_000_000 };
    }
}

impl Scaling {
    /// The words of the table, its pools included.
    pub(crate) const SHAPE: Shape = Shape::Object(&Object {
        noun: Self::OBJECT.noun,
        groups: &[
            Self::WORDS,
            &[
                Field::new("orchestrator", Shape::Object(&Pool::OBJECT), "Pool of orchestrators."),
                Field::new("optimizer", Shape::Object(&Pool::OBJECT), "Pool of optimizers."),
                Field::new("reviewer", Shape::Object(&Pool::OBJECT), "Pool of reviewers."),
                Field::new("executor", Shape::Object(&Pool::OBJECT), "Pool of executors."),
            ],
        ],
    });
}

impl Pool {
    /// The pool of a role that nobody has said anything about.
    #[must_use]
    pub fn of_role(role: AgentRole) -> Self {
        let max_pool_size = match role {
            // There is one in the cluster.
            AgentRole::Orchestrator => 1,
            AgentRole::Optimizer | AgentRole::Reviewer => 3,
            AgentRole::Executor => 8,
        };
        Self { max_pool_size, ..Self::default() }
    }

    pub(crate) fn validate(&self, role: AgentRole, validation: &mut Validation<'_>) {
        validation.at_most(("min_pool_size", self.min_pool_size), ("max_pool_size", self.max_pool_size));
        validation.at_most(
            ("scale_down_threshold", self.scale_down_threshold),
            ("scale_up_threshold", self.scale_up_threshold),
        );
        if role == AgentRole::Orchestrator && self.max_pool_size != 1 {
            validation.fail(
                "max_pool_size",
                "must be 1: there is one orchestrator in a cluster",
                "remove the key",
            );
        }
        if self.max_pool_size == 0 && role == AgentRole::Executor {
            validation.fail("max_pool_size", "is 0, so nothing would ever run", "set it to at least 1");
        }
    }
}
