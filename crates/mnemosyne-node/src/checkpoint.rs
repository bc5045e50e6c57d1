//! Wakes what is done again and again: the sign of life, what makes a restart
//! quick, and the look at what runs.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use mnemosyne_consensus::ProposeError;
use mnemosyne_core::id::SessionId;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::options::NodeError;
use crate::reconcile::Reconciler;
use crate::sessions::SessionManager;
use crate::work_queue::PersistentWorkQueue;

/// Makes a checkpoint in each interval, until the node stops; the look at what runs also when the log asks for it.
pub(crate) async fn keep(
    queue: PersistentWorkQueue,
    sessions: Arc<SessionManager>,
    reconciler: Arc<Reconciler>,
    look: Arc<Notify>,
) {
    let interval = Duration::from_millis(sessions.options.checkpoint_interval.as_millis());
    let mut due = Instant::now() + interval;
    loop {
        tokio::select! {
            () = look.notified() => {}
            () = tokio::time::sleep_until(due) => {
                due = Instant::now() + interval;
                // On a full disk nothing is to be gained; the next one comes when there may be room.
                if queue.checkpoint().await.is_err() {
                    continue;
                }
                match take_part_again(&sessions, &reconciler).await {
                    Ok(()) => {}
                    // Whoever waits for the log is told that it has stopped.
                    Err(NodeError::Propose(_) | NodeError::Stopped) => return,
                    Err(error) => tracing::warn!(%error, "cannot start a session again"),
                }
            }
        }
        match reconciler.reconcile().await {
            Ok(_) | Err(ProposeError::NotLeader { .. }) => {}
            Err(ProposeError::Stopped(_)) => return,
        }
    }
}

/// Others have taken this node for gone and it is not: what it still holds is in good hands, so it starts anew.
async fn take_part_again(sessions: &SessionManager, reconciler: &Reconciler) -> Result<(), NodeError> {
    if !sessions.was_taken_for_gone().await? {
        return Ok(());
    }
    tracing::warn!("the session of this node was taken for gone; it starts another one");
    let session = join(sessions, reconciler).await?;
    be_ready(sessions, reconciler, session).await
}

/// Starts a session and looks after what the node held before, in this order: what it loses from then on ends the session,
/// too.
pub(crate) async fn join(sessions: &SessionManager, reconciler: &Reconciler) -> Result<SessionId, NodeError> {
    let session = sessions.start_session().await?;
    reconciler.reconcile_and_settle().await?;
    Ok(session)
}

/// Says that new work may be granted. A node that was taken for gone while it joined does so again.
pub(crate) async fn be_ready(
    sessions: &SessionManager,
    reconciler: &Reconciler,
    mut session: SessionId,
) -> Result<(), NodeError> {
    while let Err(error) = sessions.ready(session).await {
        if !sessions.was_taken_for_gone().await? {
            return Err(error);
        }
        tracing::warn!(
            "the session of this node was taken for gone before it was ready; it starts another one"
        );
        session = join(sessions, reconciler).await?;
    }
    Ok(())
}
