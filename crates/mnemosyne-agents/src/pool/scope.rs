//! Marks code whose panic ends an agent, and not the process.
//!
//! A panic is a bug, and a process of which a part is missing waits for it for ever; so a node ends on any panic. An
//! agent has somebody who notices that it is gone. What it executes runs with a mark on the thread, and the panic hook
//! asks for it.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::agent::Work;

thread_local! {
    static SUPERVISED: Cell<bool> = const { Cell::new(false) };
}

/// Whether what runs on this thread now is executed by an agent, so that a supervisor notices when it panics.
#[must_use]
pub fn is_supervised() -> bool {
    SUPERVISED.get()
}

/// Makes work for an agent. When making it panics the work does, so that it is the agent that crashes.
pub fn supervised(make: impl FnOnce() -> Work) -> Work {
    let mark = Mark::set();
    let made = catch_unwind(AssertUnwindSafe(make));
    drop(mark);
    made.unwrap_or_else(|panic| Box::pin(async move { resume_unwind(panic) }))
}

/// Work that is marked whenever it is polled.
pub(super) struct Supervised(pub(super) Work);

impl Future for Supervised {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let _mark = Mark::set();
        self.0.as_mut().poll(context)
    }
}

/// The mark, as long as it lives; it ends also when a panic unwinds.
struct Mark {
    before: bool,
}

impl Mark {
    fn set() -> Self {
        Self { before: SUPERVISED.replace(true) }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        SUPERVISED.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(work: &mut Supervised) -> std::thread::Result<Poll<()>> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        catch_unwind(AssertUnwindSafe(|| Pin::new(work).poll(&mut context)))
    }

    #[test]
    fn the_mark_is_there_while_work_is_polled_and_only_then() {
        let mut work = Supervised(Box::pin(async {
            assert!(is_supervised());
            std::future::pending::<()>().await;
        }));
        assert!(!is_supervised());
        assert!(poll(&mut work).is_ok_and(|polled| polled.is_pending()));
        assert!(!is_supervised());
    }

    #[test]
    fn a_panic_takes_the_mark_away_again() {
        let mut work = Supervised(Box::pin(async { panic!("planted") }));
        assert!(poll(&mut work).is_err());
        assert!(!is_supervised());
    }

    #[test]
    fn a_panic_while_work_is_made_is_one_of_the_work() {
        let made = supervised(|| {
            assert!(is_supervised());
            panic!("planted")
        });
        assert!(!is_supervised());
        let panic = poll(&mut Supervised(made)).expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&"planted"));
    }
}
