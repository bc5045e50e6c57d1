//! How much an agent may do in one attempt. Agents do not stop a model that
//! goes round in circles, so we do.

use mnemosyne_core::text::counted;

/// Turns of the model in one attempt, unless configured otherwise.
pub const TURNS_MAX_DEFAULT: u32 = 200;
/// Uses of tools in one attempt, unless configured otherwise.
pub const TOOL_CALLS_MAX_DEFAULT: u32 = 1_000;

/// The limits of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How often the model may go on after the result of a tool.
    pub turns_max: u32,
    /// How many tools it may use.
    pub tool_calls_max: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { turns_max: TURNS_MAX_DEFAULT, tool_calls_max: TOOL_CALLS_MAX_DEFAULT }
    }
}

impl Budget {
    /// Which limit is exceeded, in words.
    pub(super) fn exceeded(&self, turns: u32, tool_calls: u32) -> Option<String> {
        let over = |used: u32, limit: u32, noun: &str, key: &str| {
            (used > limit).then(|| format!("more than {} in one attempt ({key})", counted(limit, noun)))
        };
        over(tool_calls, self.tool_calls_max, "tool call", "tool_calls_max")
            .or_else(|| over(turns, self.turns_max, "turn", "turns_max"))
    }
}
