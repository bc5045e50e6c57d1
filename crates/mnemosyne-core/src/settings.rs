//! Settings that decide what apply does. They stand in the log like any other
//! command, so that every replica follows the same ones.

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::time::Span;

/// Replicated settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// A waiting item gains one priority each time this much log time has passed; zero turns it off.
    pub ageing_step: Span,
    /// Which of several agents gets an item.
    pub load_balancing: LoadBalancingStrategy,
    /// How long a finished run stays in the state.
    pub retention: Span,
    /// Bounds of everything that is collected.
    pub limits: Limits,
}

/// Which of several agents that may do an item gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadBalancingStrategy {
    /// The first one in the order of preference, on the node with the smallest share of its slots in use.
    #[default]
    LeastLoaded,
    /// On that node the one whose work of this kind has succeeded and was approved most, by what was learned.
    SpecializationBased,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ageing_step: Span::from_secs(3_600),
            load_balancing: LoadBalancingStrategy::default(),
            retention: Span::from_secs(7 * 24 * 3_600),
            limits: Limits::default(),
        }
    }
}
