//! An agent as an actor: executes one piece of work after the other.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::scope::Supervised;

/// A piece of work: ends when there is nothing left to do. Whoever made it gets its result by a way of their own.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What an agent is told.
pub enum AgentMessage {
    /// Execute this.
    Execute(Work),
}

impl fmt::Debug for AgentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execute(_) => f.write_str("Execute"),
        }
    }
}

/// What the pools are told. At most one for each piece of work and one for each life of an agent are on their way.
#[derive(Debug)]
pub(super) enum Notice {
    /// An agent has done its work.
    Done(ActorId),
    /// An agent has crashed, or ended with work in its hands.
    Ended {
        agent: ActorId,
        /// What it said; none when it was asked to end.
        error: Option<String>,
    },
}

/// Where notices go.
pub(super) type Notices = mpsc::UnboundedSender<Notice>;

/// The behaviour of an agent.
pub(super) struct Agent;

impl Actor for Agent {
    type Msg = AgentMessage;
    type State = Notices;
    type Arguments = Notices;

    async fn pre_start(
        &self,
        _myself: ActorRef<AgentMessage>,
        notices: Notices,
    ) -> Result<Notices, ActorProcessingErr> {
        Ok(notices)
    }

    async fn handle(
        &self,
        myself: ActorRef<AgentMessage>,
        message: AgentMessage,
        notices: &mut Notices,
    ) -> Result<(), ActorProcessingErr> {
        let AgentMessage::Execute(work) = message;
        Supervised(work).await;
        // Nobody listens any more when the node ends.
        let _ = notices.send(Notice::Done(myself.get_id()));
        Ok(())
    }
}
