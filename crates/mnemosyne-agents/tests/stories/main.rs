//! Stories of attempts, told with real processes: the shim, the fake agent, and
//! whatever that leaves behind. Everything waits for conditions, never for time
//! to pass; the limits are only there to end a test that went wrong.

mod attempt;
mod claiming;
mod output;
mod reattaching;
mod running;
mod stopping;
mod sweeping;
mod talking;
