//! Mistakes that tests can plant in the state machine, to see that they are found. Without the feature `planted`
//! nothing of them is compiled, and with it no release build is.

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("planted mistakes are for tests: the feature `planted` is not for release builds");

/// A known mistake.
#[cfg(feature = "planted")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// A report is taken with any token, as long as its item has an attempt.
    StaleTokenAccepted,
    /// A report is taken with the token of an attempt whose node was taken for gone.
    LostTokenAccepted,
    /// The first dependency that is met releases its dependents.
    DependencyNotChecked,
    /// Only so many items are remembered as completed; later ones release nobody.
    CompletedSetCapped,
    /// Dispatch takes no notice of priorities.
    PriorityIgnored,
    /// An interruption spends an attempt like a fault of the work.
    InterruptionCounted,
    /// The ends of back-offs are not known any more after a snapshot was read.
    TimerLost,
    /// What only a human may approve is approved by nobody.
    GateOpensItself,
}

#[cfg(feature = "planted")]
impl crate::orchestration::Orchestration {
    /// Plants a mistake in a state machine, as it is new or was just read from a snapshot.
    pub fn plant(&mut self, planted: Option<Planted>) {
        self.unindex_queues();
        self.planted = planted;
        self.reindex_queues();
        if planted == Some(Planted::TimerLost) {
            self.index.timers.forget_backoffs();
        }
    }
}

/// Whether a mistake is planted.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($state:expr, $mistake:ident) => {
        $state.planted == Some(crate::planted::Planted::$mistake)
    };
}

/// Whether a mistake is planted: never.
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($state:expr, $mistake:ident) => {
        false
    };
}
