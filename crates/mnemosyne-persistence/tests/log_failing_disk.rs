//! A disk that is full for a while, or broken for good.

mod support;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use mnemosyne_persistence::storage::{FaultBackend, FaultKind, Loss, Times};
use mnemosyne_persistence::{Log, LogError, LogOptions, StateSlot};
use support::{acknowledgement, append, entry, small_inline, small_threads, wait, with_fatal};

fn open(backend: &FaultBackend, options: &LogOptions) -> Log {
    Log::open(Arc::new(backend.clone()), "log", options.clone()).expect("open")
}

/// Appends one entry after the other until the disk is full; returns the acknowledgement that is missing.
fn fill(log: &Log) -> (u64, Receiver<Result<(), LogError>>) {
    for index in log.bounds().next.. {
        let (done, acknowledged) = acknowledgement();
        log.append(vec![entry(index, 900)], done);
        // With threads, either the acknowledgement or the flag comes; there is nothing to wait for but them.
        loop {
            if let Ok(result) = acknowledged.try_recv() {
                result.expect("durable");
                break;
            }
            if log.stats().full {
                return (index, acknowledged);
            }
            std::thread::yield_now();
        }
    }
    unreachable!("the disk is full sooner")
}

#[test]
fn a_full_disk_suspends_the_service_and_nothing_else() {
    for options in [small_inline(), small_threads()] {
        let (options, fatal) = with_fatal(&options);
        let backend = FaultBackend::new(1);
        let log = open(&backend, &options);
        backend.fill_after(100_000);
        let (last, waiting) = fill(&log);
        assert!(last > 40);
        assert_eq!(log.read(0..1, 1000).expect("reads go on"), [entry(0, 900)]);
        assert_eq!(log.read(last..last + 1, 1000).expect("and see all").len(), 1);
        let (done, vote) = acknowledgement();
        log.save_state(StateSlot::Vote, vec![1], done);
        assert!(waiting.try_recv().is_err() && vote.try_recv().is_err());
        assert!(log.stats().full);

        backend.free_space();
        append(&log, last + 1..last + 2, 900).expect("service resumes");
        waiting.recv().expect("answered").expect("durable");
        vote.recv().expect("answered").expect("durable");
        assert!(!log.stats().full);
        assert!(fatal.lock().expect("alive").is_empty());

        backend.crash(Loss::Everything);
        let log = open(&backend.restart(), &options);
        assert_eq!(log.bounds().last, Some(last + 1));
    }
}

#[test]
fn with_threads_service_resumes_by_itself() {
    let backend = FaultBackend::new(1);
    let log = open(&backend, &small_threads());
    backend.fill_after(50_000);
    let (_, waiting) = fill(&log);
    backend.free_space();
    waiting.recv().expect("answered without another call").expect("durable");
}

#[test]
fn a_log_closed_on_a_full_disk_says_what_it_gave_up() {
    for options in [small_inline(), small_threads()] {
        let backend = FaultBackend::new(1);
        let log = open(&backend, &options);
        backend.fill_after(50_000);
        let (last, waiting) = fill(&log);
        let (done, later) = acknowledgement();
        log.append(vec![entry(last + 1, 10)], done);
        assert!(matches!(log.close(), Err(LogError::Full)));
        for given_up in [waiting, later] {
            assert!(matches!(given_up.recv().expect("answered"), Err(LogError::Full)));
        }
        backend.free_space();
        let log = open(&backend.restart(), &options);
        assert_eq!(log.bounds().last, Some(last - 1));
    }
}

#[test]
fn a_failed_sync_ends_the_service_and_is_told_once() {
    for options in [small_inline(), small_threads()] {
        for times in [Times::Once, Times::Always] {
            let (options, fatal) = with_fatal(&options);
            let backend = FaultBackend::new(1);
            let log = open(&backend, &options);
            append(&log, 0..10, 100).expect("durable");
            backend.fail(FaultKind::Sync, times, ".seg");
            // Several operations at once: each is answered, none with success.
            let (sender, results) = channel();
            for index in 10..20 {
                let sender = sender.clone();
                let done = move |result: Result<(), LogError>| sender.send(result).expect("alive");
                log.append(vec![entry(index, 100)], Box::new(done));
            }
            drop(sender);
            let results: Vec<_> = results.iter().collect();
            assert_eq!(results.len(), 10);
            assert!(results.iter().all(|result| matches!(result, Err(LogError::Poisoned { .. }))));
            let later = wait(|done| log.save_state(StateSlot::Vote, vec![1], done));
            assert!(matches!(later, Err(LogError::Poisoned { .. })));
            let lazy = wait(|done| log.save_state(StateSlot::Committed, vec![1], done));
            assert!(matches!(lazy, Err(LogError::Poisoned { .. })));
            assert!(log.stats().poisoned);
            assert_eq!(log.read(0..10, 10_000).expect("reads go on").len(), 10);
            let close = log.close().expect_err("it failed");
            assert!(matches!(close, LogError::Io { operation: "sync", .. }), "{close}");
            let calls = fatal.lock().expect("alive");
            assert_eq!(calls.len(), 1, "{calls:?}");
            assert!(calls[0].contains("sync"), "{calls:?}");

            backend.crash(Loss::Everything);
            let log = open(&backend.restart(), &options);
            assert_eq!(log.bounds().last, Some(9), "what was acknowledged is there");
        }
    }
}

#[test]
fn a_failed_write_ends_the_service() {
    for options in [small_inline(), small_threads()] {
        for kind in [FaultKind::Write, FaultKind::ShortWrite] {
            let (options, fatal) = with_fatal(&options);
            let backend = FaultBackend::new(1);
            let log = open(&backend, &options);
            append(&log, 0..1, 2000).expect("durable");
            backend.fail(kind, Times::Once, ".seg");
            let failed = append(&log, 1..2, 2000);
            assert!(matches!(failed, Err(LogError::Poisoned { .. })));
            assert_eq!(fatal.lock().expect("alive").len(), 1);
            drop(log);
            let log = open(&backend.restart(), &options);
            assert_eq!(log.bounds().last, Some(0), "the half frame was cut");
        }
    }
}

#[test]
fn failures_of_the_housekeeping_end_the_service_too() {
    for options in [small_inline(), small_threads()] {
        for path in ["mark", "prepared"] {
            let (options, fatal) = with_fatal(&options);
            let backend = FaultBackend::new(1);
            let log = open(&backend, &options);
            backend.fail(FaultKind::Sync, Times::Once, path);
            let mut index = 0;
            while append(&log, index..index + 1, 900).is_ok() {
                index += 1;
                assert!(index < 10_000, "{path}: the failure is noticed");
            }
            // The housekeeper may still be about to tell.
            assert!(log.close().is_err());
            assert_eq!(fatal.lock().expect("alive").len(), 1);
        }
    }
}

#[test]
fn a_panic_in_an_acknowledgement_poisons_the_log_instead_of_hanging_it() {
    let (options, fatal) = with_fatal(&small_threads());
    let backend = FaultBackend::new(1);
    let log = open(&backend, &options);
    log.append(vec![entry(0, 10)], Box::new(|_| panic!("a planned panic of the test")));
    // Answered or dropped, but never waited for in vain.
    let (done, next) = acknowledgement();
    log.append(vec![entry(1, 10)], done);
    assert!(!matches!(next.recv(), Ok(Ok(()))));
    assert!(log.close().is_err());
    assert_eq!(fatal.lock().expect("alive").len(), 1);
}
