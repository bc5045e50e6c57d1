//! `[node]`: what this machine is and how much of it is ours.

use std::collections::BTreeMap;

use crate::text::{Field, Object, Shape, TextRule};

const LABEL: Shape = Shape::Scalar(TextRule { noun: "a word", min: 1, max: 200 });
const SLOTS: Shape = Shape::Int { min: 0, max: 10_000 };

element! {
    /// This node.
    NodeSettings ("the node") {
        /// Name shown to people; by default that of the host.
        name: Option<String> = None, Shape::Text(TextRule { noun: "a name", min: 1, max: 200 });
        /// Labels that `requires` and `prefers` of items can name.
        labels: BTreeMap<String, String> = BTreeMap::new(), Shape::Map { noun: "label", of: &LABEL, max: 64 };
    }
}

element! {
    /// How many agents of each role may run here at the same time.
    Slots ("slots of the node") {
        /// Slots for orchestrators; by default the maximum of the pool.
        orchestrator: Option<u32> = None, SLOTS;
        /// Slots for optimizers; by default the maximum of the pool.
        optimizer: Option<u32> = None, SLOTS;
        /// Slots for reviewers; by default the maximum of the pool.
        reviewer: Option<u32> = None, SLOTS;
        /// Slots for executors; by default the maximum of the pool.
        executor: Option<u32> = None, SLOTS;
    }
}

impl NodeSettings {
    /// The words of the table, slots included.
    pub(crate) const SHAPE: Shape = Shape::Object(&Object {
        noun: Self::OBJECT.noun,
        groups: &[
            Self::WORDS,
            &[Field::new(
                "slots",
                Shape::Object(&Slots::OBJECT),
                "Agents of each role that may run here at once.",
            )],
        ],
    });
}
