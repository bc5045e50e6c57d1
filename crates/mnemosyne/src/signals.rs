//! Signals that ask the program to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Undoes a SIGCHLD that whoever started us had set to be ignored: it would be
/// inherited by all that we start, and nobody could learn how a child ended.
pub(crate) fn children_are_waited_for() {
    // A listener replaces it for as long as we run, and programs that we start get the default.
    if let Err(error) = signal(SignalKind::child()) {
        tracing::warn!(%error, "cannot listen for the end of children");
    }
}

/// SIGINT, SIGTERM and SIGHUP. From when it is made on none is lost, also
/// while nobody waits for the next one.
pub(crate) struct Interruptions([Option<Signal>; 3]);

impl Interruptions {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        // Without a listener the signal ends the program by itself.
        Self(
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
                .map(|kind| signal(kind).ok()),
        )
    }

    /// Returns when the next one has arrived.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = receive(interrupt) => {}
            () = receive(terminate) => {}
            () = receive(hangup) => {}
        }
    }
}

/// Changes of the size of the terminal.
pub(crate) struct Resizes(Option<Signal>);

impl Resizes {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        // Without a listener the next drawing comes a little later.
        Self(signal(SignalKind::window_change()).ok())
    }

    /// Returns when the next one has happened.
    pub(crate) async fn next(&mut self) {
        receive(&mut self.0).await;
    }
}

async fn receive(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns when SIGINT, SIGTERM or SIGHUP arrives.
pub(crate) async fn asked_to_end() {
    Interruptions::listen().next().await;
}
