//! Strays: attempts of which something runs on a machine though this log has never granted them, as after an older
//! copy of a data directory was put back. Nobody here can say whether their work is worth something, so a human is
//! asked, and until then they are left alone.
//!
//! ```text
//!   found ──▶ asked ──┬── approve ──▶ to be ended ──┐
//!                     └── reject ───▶ left alone ───┴──▶ gone as soon as nothing of it runs, asked or not
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::event::Event;
use crate::id::{FencingToken, ItemId, NodeId, QuestionId};
use crate::inbox::{Ask, Decided, Decision, Question, QuestionKind};
use crate::orchestration::Orchestration;
use crate::reply::{Refusal, Reply};
use crate::session::Standing;
use crate::time::Stamp;

/// Strays of one node that are asked about at a time; the others wait until some are gone.
const STRAYS_PER_NODE: usize = 64;

/// An attempt that this log has never granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stray {
    /// On whose machine something of it runs.
    pub(crate) node: NodeId,
    /// The item and the token that it was granted elsewhere, or in a past that this log does not know.
    pub(crate) item: ItemId,
    pub(crate) token: FencingToken,
    /// When it was found.
    pub(crate) asked_at: Stamp,
    /// What becomes of it.
    pub(crate) decided: Option<Decided>,
}

impl Stray {
    fn attempt(&self) -> (ItemId, FencingToken) {
        (self.item, self.token)
    }

    /// Whether a human wants it to end.
    fn is_to_end(&self) -> bool {
        self.decided.as_ref().is_some_and(|decided| decided.decision == Decision::Approve)
    }

    fn question(&self, id: QuestionId) -> Question {
        let Self { node, item, token, asked_at, .. } = self;
        let text = format!(
            "something of {item}-{token} runs on node {node}, which this log has never granted: approve to end it, \
             reject to leave it alone"
        );
        Question {
            id,
            item: *item,
            token: Some(*token),
            ask: Ask { kind: QuestionKind::Stray, text: text.into(), ..Ask::default() },
            asked_at: *asked_at,
            until: None,
            decided: None,
        }
    }
}

impl Orchestration {
    /// The strays of a node that are known, decided or not.
    #[must_use]
    pub fn strays_of(&self, node: NodeId) -> BTreeSet<(ItemId, FencingToken)> {
        let of_it = self.facts.strays.values().filter(|stray| stray.node == node);
        of_it.map(Stray::attempt).collect()
    }

    /// Whether something of an attempt runs on any machine though it was never granted.
    #[must_use]
    pub fn is_stray(&self, attempt: (ItemId, FencingToken)) -> bool {
        self.facts.strays.values().any(|stray| stray.attempt() == attempt)
    }

    /// What a human said of a stray, if it is one: whether it is to end.
    pub(crate) fn is_stray_to_end(&self, node: NodeId, attempt: (ItemId, FencingToken)) -> Option<bool> {
        let mut strays = self.facts.strays.values();
        strays.find(|stray| stray.node == node && stray.attempt() == attempt).map(Stray::is_to_end)
    }

    /// Strays that a human has to decide about, as questions.
    pub(crate) fn open_strays(&self) -> impl Iterator<Item = Question> {
        let open = self.facts.strays.iter().filter(|(_, stray)| stray.decided.is_none());
        open.map(|(id, stray)| stray.question(*id))
    }

    /// A node has looked, and these are all of its strays: asks about the new ones, forgets those that are gone.
    pub(crate) fn strays_found(&mut self, node: NodeId, found: &[(ItemId, FencingToken)]) -> Reply {
        let before = self.facts.strays.len();
        self.facts.strays.retain(|_, stray| stray.node != node || found.contains(&stray.attempt()));
        let gone = before - self.facts.strays.len();
        let known = self.strays_of(node);
        let is_new = |(item, token): &(ItemId, FencingToken)| {
            !known.contains(&(*item, *token)) && self.standing(node, *item, *token) == Standing::Unknown
        };
        let new: BTreeSet<_> = found.iter().copied().filter(is_new).collect();
        let room = STRAYS_PER_NODE.saturating_sub(known.len());
        let mut asked = 0;
        for (item, token) in new.into_iter().take(room) {
            let question = QuestionId(self.facts.last_question.0 + 1);
            self.facts.last_question = question;
            let stray = Stray { node, item, token, asked_at: self.facts.now, decided: None };
            self.facts.strays.insert(question, stray);
            self.emit(Event::StrayFound { node, question, token });
            asked += 1;
        }
        Reply::Changed { items: asked + u32::try_from(gone).unwrap_or(u32::MAX) }
    }

    /// A human has decided about a stray.
    pub(crate) fn decide_stray(
        &mut self,
        id: QuestionId,
        decision: Decision,
        text: &str,
    ) -> Result<Reply, Refusal> {
        let stray = self.facts.strays.get(&id).ok_or(Refusal::UnknownQuestion { question: id })?;
        if stray.decided.is_some() {
            return Err(Refusal::AlreadyDecided { question: id });
        }
        if decision == Decision::Answer {
            return Err(Refusal::YesOrNo { question: id });
        }
        let node = stray.node;
        let decided = Decided { decision, text: self.shortened(text), at: self.facts.now, by_timeout: false };
        self.facts.strays.get_mut(&id).expect("looked up before").decided = Some(decided);
        self.emit(Event::StrayDecided { node, question: id, decision });
        self.effect(Effect::Reconcile { node });
        Ok(Reply::Changed { items: 1 })
    }
}
