//! What the shell sees of the state machine.

use mnemosyne_core::effect::Effect;
use mnemosyne_core::event::EventRecord;
use mnemosyne_core::image::Retired;
use mnemosyne_core::orchestration::Orchestration;

/// What one committed entry led to.
#[derive(Debug)]
pub struct Applied {
    /// Index of the entry.
    pub index: u64,
    /// What happened.
    pub events: Vec<EventRecord>,
    /// What is to be done.
    pub effects: Vec<Effect>,
    /// Runs that have left the state.
    pub retired: Vec<Retired>,
    /// The entry was committed before this process started; its effects were
    /// for another one.
    pub replayed: bool,
}

/// Called for every committed entry, in order, on the task that applies them.
pub trait Observer: Send + Sync + 'static {
    /// An entry was applied; `state` is what it led to. Must not block.
    fn applied(&mut self, state: &Orchestration, applied: Applied);

    /// The state was read back from a snapshot. Whether something is missing of what was derived from the entries before
    /// it, so that those are to be shown again as far as the log has them.
    fn lacks(&self, _restored: &Orchestration) -> bool {
        false
    }

    /// A snapshot is about to be made durable, after which entries it covers
    /// may leave the log. Whatever was derived from the entries applied so far
    /// must be durable when this returns.
    ///
    /// # Errors
    /// When it could not be made durable; the snapshot is then not taken.
    fn before_snapshot(&mut self) -> std::io::Result<()>;
}
