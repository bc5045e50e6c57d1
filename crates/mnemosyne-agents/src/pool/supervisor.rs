//! The parent of all agents: learns of each that ends, and says so. What follows from it the pools decide.
//!
//! It does nothing that could fail. If it ended all the same the agents would end with it.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::agent::{Notice, Notices};

/// Bytes that are kept of what an agent said when it crashed.
const ERROR_BYTES_MAX: usize = 1_000;

/// The behaviour of the supervisor.
pub(super) struct Supervisor;

impl Actor for Supervisor {
    /// It is told nothing but what becomes of its agents.
    type Msg = ();
    type State = Notices;
    type Arguments = Notices;

    async fn pre_start(&self, _myself: ActorRef<()>, notices: Notices) -> Result<Notices, ActorProcessingErr> {
        Ok(notices)
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        notices: &mut Notices,
    ) -> Result<(), ActorProcessingErr> {
        let ended = match event {
            SupervisionEvent::ActorFailed(agent, error) => {
                Notice::Ended { agent: agent.get_id(), error: Some(shortened(error.to_string())) }
            }
            SupervisionEvent::ActorTerminated(agent, _, _) => {
                Notice::Ended { agent: agent.get_id(), error: None }
            }
            _ => return Ok(()),
        };
        // Nobody listens any more when the node ends.
        let _ = notices.send(ended);
        Ok(())
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened("short".to_owned()), "short");
        assert_eq!(shortened("é".repeat(600)).len(), ERROR_BYTES_MAX);
        assert_eq!(shortened(format!("x{}", "é".repeat(600))).len(), ERROR_BYTES_MAX - 1);
    }
}
