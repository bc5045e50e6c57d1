//! The way from an attempt that runs to a human and back: the question goes
//! into the inbox, which is part of the state, and the answer comes out of it.
//! Neither a restart of the node nor one of the agent loses or doubles it.

use mnemosyne_consensus::Consensus;
use mnemosyne_core::command::Command;
use mnemosyne_core::id::{FencingToken, ItemId};
use mnemosyne_core::inbox::{Ask, Decided};
use mnemosyne_core::reply::Reply;
use tokio::sync::watch;

use crate::proposer::Proposer;

/// Where attempts ask.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) proposer: Proposer,
    pub(crate) consensus: Consensus,
    /// Changes whenever a question of this node has been answered.
    pub(crate) answered: watch::Receiver<u64>,
}

impl Desk {
    /// Asks and waits for the answer. The same key is the same
    /// question: whoever asks again after a restart gets its answer.
    pub(crate) async fn ask(&self, item: ItemId, token: FencingToken, ask: Ask) -> Result<Decided, Unanswered> {
        let mut answered = self.answered.clone();
        let command = Command::Ask { item, token, ask: Box::new(ask) };
        let reply = self.proposer.ask(command).await.map_err(|_| Unanswered::Gone)?;
        let Reply::Asked { question, decided } = reply else {
            tracing::warn!(%item, ?reply, "a question was not taken into the inbox");
            return Err(Unanswered::Refused);
        };
        if let Some(decided) = decided {
            return Ok(decided);
        }
        loop {
            // A question that is gone went with its attempt.
            let known = self.consensus.query(move |state| state.question(question).cloned()).await;
            let known = known.ok().flatten().ok_or(Unanswered::Gone)?;
            if let Some(decided) = known.decided {
                return Ok(decided);
            }
            answered.changed().await.map_err(|_| Unanswered::Gone)?;
        }
    }
}

/// Why a question gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It was not taken into the inbox.
    Refused,
    /// The attempt or the node ends.
    Gone,
}
