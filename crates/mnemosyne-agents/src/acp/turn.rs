//! What has come of a turn so far: the answer, the tools, the price.

use std::collections::BTreeSet;

use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

use super::ANSWER_BYTES_MAX;
use super::update::Update;

/// Tools whose ids are remembered; beyond that every report counts as one of its own.
const TOOLS_KNOWN_MAX: usize = 10_000;
/// Denials that are named.
const DENIALS_MAX: usize = 100;

/// The turn as it stands.
#[derive(Debug, Default)]
pub(super) struct Turn {
    answer: String,
    /// The message that the answer belongs to, where the agent says so.
    message: Option<String>,
    /// What is said next begins a new answer: a tool came in between.
    is_answer_over: bool,
    tools: BTreeSet<String>,
    tool_calls: u32,
    /// Results of tools that the model has not reacted to yet.
    has_results: bool,
    turns: u32,
    denials: Vec<String>,
    /// What the session had cost before the turn.
    cost_before: Option<u64>,
    cost: Option<u64>,
}

impl Turn {
    /// Takes what is told before the turn begins: a session that is taken up is told again.
    pub(super) fn hear_before(&mut self, update: &Update) {
        if let Update::Cost(cost) = update {
            self.cost_before = Some(*cost);
        }
    }

    /// Notes that a session was taken up, and what it had cost as far as we know: not every agent tells it.
    pub(super) fn take_up(&mut self, cost: u64) {
        self.cost_before.get_or_insert(cost);
    }

    /// Takes what is told in the turn.
    pub(super) fn hear(&mut self, update: Update) {
        match update {
            Update::Said { text, message } => {
                self.goes_on();
                self.say(&text, message);
            }
            Update::Thought => self.goes_on(),
            Update::Tool { id, is_over } | Update::ToolChanged { id, is_over } => self.tool(id, is_over),
            Update::Cost(cost) => self.cost = Some(cost),
            Update::Other => {}
        }
    }

    /// Notes that a tool was not allowed.
    pub(super) fn deny(&mut self, title: &str) {
        if self.denials.len() < DENIALS_MAX {
            self.denials.push(title.to_owned());
        }
    }

    /// How often the model went on after the result of a tool, its first turn included.
    pub(super) fn turns(&self) -> u32 {
        self.turns
    }

    /// How many tools were used.
    pub(super) fn tool_calls(&self) -> u32 {
        self.tool_calls
    }

    pub(super) fn denials(&self) -> &[String] {
        &self.denials
    }

    /// What the agent said last.
    pub(super) fn answer(&self) -> Option<String> {
        (!self.answer.is_empty()).then(|| self.answer.clone())
    }

    /// What the model used in this turn, with what the end of the turn says about it.
    pub(super) fn usage(&self, model: Option<&str>, reply: &Value) -> ModelUsage {
        let tokens = |key: &str| reply["usage"][key].as_u64().unwrap_or(0);
        ModelUsage {
            model: model.map(Into::into),
            input_tokens: tokens("inputTokens"),
            output_tokens: tokens("outputTokens"),
            cache_read_tokens: tokens("cachedReadTokens"),
            cache_write_tokens: tokens("cachedWriteTokens"),
            cost_microusd: self.cost.map(|cost| self.cost_since(cost)),
            turns: self.turns,
        }
    }

    /// What the turn cost. An agent that was killed may have forgotten what came before: its sum is then that of the
    /// turn itself.
    fn cost_since(&self, whole: u64) -> u64 {
        whole.checked_sub(self.cost_before.unwrap_or(0)).unwrap_or(whole)
    }

    fn say(&mut self, text: &str, message: Option<String>) {
        if self.is_answer_over || message != self.message {
            self.answer.clear();
            self.is_answer_over = false;
            self.message = message;
        }
        let room = ANSWER_BYTES_MAX - self.answer.len();
        let cut = (0..=room.min(text.len())).rev().find(|cut| text.is_char_boundary(*cut));
        self.answer.push_str(&text[..cut.unwrap_or(0)]);
    }

    fn tool(&mut self, id: String, is_over: bool) {
        let is_new = !self.tools.contains(&id);
        if is_new {
            self.goes_on();
            self.tool_calls = self.tool_calls.saturating_add(1);
            self.is_answer_over = true;
            if self.tools.len() < TOOLS_KNOWN_MAX {
                self.tools.insert(id);
            }
        }
        self.has_results |= is_over;
    }

    /// A sign of the model: the first one, or one that follows the result of a tool, begins a turn of it.
    fn goes_on(&mut self) {
        if self.turns == 0 || self.has_results {
            self.turns = self.turns.saturating_add(1);
            self.has_results = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(text: &str) -> Update {
        Update::Said { text: text.to_owned(), message: None }
    }

    fn tool(id: &str, is_over: bool) -> Update {
        Update::ToolChanged { id: id.to_owned(), is_over }
    }

    #[test]
    fn the_answer_is_what_was_said_last() {
        let mut turn = Turn::default();
        for update in
            [said("let me "), said("see"), tool("a", false), tool("a", true), said("it is "), said("5")]
        {
            turn.hear(update);
        }
        assert_eq!(turn.answer().as_deref(), Some("it is 5"));
        turn.hear(Update::Said { text: "no, 6".into(), message: Some("m2".into()) });
        assert_eq!(turn.answer().as_deref(), Some("no, 6"));
        assert_eq!((turn.turns(), turn.tool_calls()), (2, 1));
    }

    #[test]
    fn several_tools_at_once_are_one_turn() {
        let mut turn = Turn::default();
        for update in [tool("a", false), tool("b", false), tool("a", true), tool("b", true), tool("c", true)] {
            turn.hear(update);
        }
        assert_eq!((turn.turns(), turn.tool_calls()), (2, 3));
    }

    #[test]
    fn an_endless_answer_is_cut() {
        let mut turn = Turn::default();
        for _ in 0..40 {
            turn.hear(said(&"…".repeat(ANSWER_BYTES_MAX / 60)));
        }
        let answer = turn.answer().expect("an answer");
        assert!(answer.len() <= ANSWER_BYTES_MAX && answer.len() > ANSWER_BYTES_MAX - 4, "{}", answer.len());
    }

    #[test]
    fn only_what_this_turn_cost_is_counted() {
        let mut turn = Turn::default();
        turn.hear_before(&Update::Cost(200));
        turn.hear(Update::Cost(500));
        let usage = turn.usage(Some("m"), &json!({"usage": {"inputTokens": 5, "outputTokens": "many"}}));
        assert_eq!((usage.cost_microusd, usage.input_tokens, usage.output_tokens), (Some(300), 5, 0));
        assert_eq!(Turn::default().usage(None, &Value::Null), ModelUsage::default());
    }

    #[test]
    fn what_a_session_that_was_taken_up_has_cost_is_known_from_the_agent_or_from_us() {
        let cost = |told: Option<u64>, known: u64, whole: u64| {
            let mut turn = Turn::default();
            told.iter().for_each(|cost| turn.hear_before(&Update::Cost(*cost)));
            turn.take_up(known);
            turn.hear(Update::Cost(whole));
            turn.usage(None, &Value::Null).cost_microusd
        };
        assert_eq!(cost(None, 3_664, 5_496), Some(1_832), "the agent says nothing before the turn");
        assert_eq!(cost(Some(200), 3_664, 5_496), Some(5_296), "the agent knows better");
        assert_eq!(cost(None, 3_664, 1_832), Some(1_832), "it has forgotten what came before");
    }
}
