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
    /// How long a finished run stays in the state.
    pub retention: Span,
    /// Bounds of everything that is collected.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ageing_step: Span::from_secs(3_600),
            retention: Span::from_secs(7 * 24 * 3_600),
            limits: Limits::default(),
        }
    }
}
