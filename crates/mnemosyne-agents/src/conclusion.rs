//! How an agent's turn ended, in one vocabulary for all kinds of agents.

use std::time::Duration;

use mnemosyne_core::work::report::ModelUsage;

/// How an agent's turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// In what way.
    pub verdict: Verdict,
    /// Why, in words, for users; empty when it was done.
    pub message: String,
    /// What the agent said last.
    pub answer: Option<String>,
    /// The agent's own name for its conversation.
    pub session: Option<String>,
    /// What the model used in this turn alone.
    pub usage: ModelUsage,
    /// Tools that the agent asked for and was not allowed to use.
    pub denials: Vec<String>,
}

/// In what way an agent's turn ended. What each is worth, the node decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The agent says that it is done.
    Done,
    /// It says so, but was not allowed to do all that it wanted to.
    Denied,
    /// The model declined the task.
    Refused,
    /// The provider asks to slow down.
    Throttled {
        /// Not again before this time has passed, where the provider says so.
        after: Option<Duration>,
    },
    /// The provider is overloaded or out of order.
    Overloaded {
        /// Not again before this time has passed, where the provider says so.
        after: Option<Duration>,
    },
    /// The provider could not be reached.
    Unreachable,
    /// The agent is not logged in, or its key is not valid.
    Login,
    /// A limit on money, turns or tokens of this turn is used up; the session can be taken up again.
    Budget,
    /// The input is too long for the model: the same again would not help.
    TooLong,
    /// The conversation that was to be taken up is not known.
    SessionUnknown,
    /// The name that was chosen for a new conversation has been used before.
    SessionInUse,
    /// It was stopped in the middle, or ended without saying how.
    Interrupted,
    /// Anything else that went wrong.
    Failed,
}
