//! The log while nothing fails.

mod support;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use mnemosyne_persistence::log::Execution;
use mnemosyne_persistence::{FileBackend, Log, LogError, LogOptions, MemoryBackend, StateSlot, StorageBackend};
use support::{Model, acknowledgement, append, entry, small_inline, small_threads, wait};

fn both() -> [LogOptions; 2] {
    [small_inline(), small_threads()]
}

fn memory() -> Arc<dyn StorageBackend> {
    Arc::new(MemoryBackend::new())
}

#[test]
fn what_was_appended_is_there_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let files = Arc::new(FileBackend::open(folder.path()).expect("open"));
    for (options, backend) in both().into_iter().zip([memory(), files]) {
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        assert_eq!(log.bounds().last, None);
        let (done, acknowledged) = acknowledgement();
        log.append((0..10).map(|index| entry(index, 100)).collect(), done);
        assert_eq!(log.read(3..5, usize::MAX).expect("read"), [entry(3, 100), entry(4, 100)]);
        acknowledged.recv().expect("answered").expect("durable");
        append(&log, 10..500, 100).expect("durable");
        let before = Model::of(&log).expect("read");
        log.close().expect("close");

        let log = Log::open(backend, "log", options).expect("reopen");
        assert_eq!(log.recovered().torn_bytes, 0);
        assert!(log.recovered().segments > 1);
        assert_eq!(Model::of(&log).expect("read"), before);
        assert_eq!(log.bounds().last, Some(499));
        assert_eq!(log.term(123), Some(13));
        append(&log, 500..501, 100).expect("it goes on");
    }
}

#[test]
fn a_handle_that_is_dropped_closes_the_log() {
    for options in both() {
        let backend = memory();
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        let (done, acknowledged) = acknowledgement();
        log.append(vec![entry(1, 10)], done);
        drop(log.clone());
        drop(log);
        acknowledged.recv().expect("answered").expect("durable");
        let names = backend.list("log").expect("list");
        assert_eq!(names, ["00000000000000000001.seg", "mark"], "nothing is left over");
        let log = Log::open(backend, "log", options).expect("reopen");
        assert_eq!(log.read(0..9, 9).expect("read"), [entry(1, 10)]);
    }
}

#[test]
fn a_closed_log_refuses_and_still_reads() {
    for options in both() {
        let log = Log::open(memory(), "log", options).expect("open");
        append(&log, 0..3, 10).expect("durable");
        log.clone().close().expect("close");
        assert!(matches!(append(&log, 3..4, 10), Err(LogError::Closed)));
        let refused = wait(|done| log.save_state(StateSlot::Vote, vec![1], done));
        assert!(matches!(refused, Err(LogError::Closed)));
        assert!(matches!(wait(|done| log.purge(1, done)), Err(LogError::Closed)));
        assert!(matches!(wait(|done| log.truncate_after(1, done)), Err(LogError::Closed)));
        assert_eq!(log.read(0..9, 1000).expect("read").len(), 3);
    }
}

#[test]
fn entries_come_in_order_or_not_at_all() {
    let log = Log::open(memory(), "log", small_inline()).expect("open");
    append(&log, 5..8, 10).expect("a first entry may have any index");
    for wrong in [vec![9], vec![7], vec![8, 10], vec![8, 8]] {
        let entries = wrong.iter().map(|index| entry(*index, 10)).collect();
        let refused = wait(|done| log.append(entries, done));
        assert!(matches!(refused, Err(LogError::OutOfOrder { .. })), "{wrong:?}");
        assert_eq!(log.bounds().last, Some(7), "{wrong:?}");
    }
    append(&log, 8..9, 10).expect("due");
}

#[test]
fn values_beyond_the_limits_are_refused() {
    let log = Log::open(memory(), "log", small_inline()).expect("open");
    let refused = wait(|done| log.save_state(StateSlot::Custom, vec![0; (64 << 10) + 1], done));
    assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    wait(|done| log.save_state(StateSlot::Custom, vec![7; 64 << 10], done)).expect("the limit");
    let refused = wait(|done| log.append(vec![entry(u64::MAX, 1)], done));
    assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    let refused = wait(|done| log.purge(u64::MAX, done));
    assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    append(&log, u64::MAX - 3..u64::MAX, 10).expect("the last indices there are");
    assert_eq!(log.bounds().next, u64::MAX);
}

#[test]
fn options_that_cannot_work_are_named() {
    let wrong = [
        LogOptions { segment_bytes_first: 1, ..LogOptions::default() },
        LogOptions { segment_bytes_max: 1 << 19, ..LogOptions::default() },
        LogOptions { segment_bytes_max: 1 << 40, ..LogOptions::default() },
        LogOptions { frame_bytes_max: 0, ..LogOptions::default() },
        LogOptions { execution: Execution::Inline { frames_per_mark: 0 }, ..LogOptions::default() },
    ];
    for options in wrong {
        let backend = memory();
        let refused = Log::open(Arc::clone(&backend), "log", options);
        assert!(matches!(refused, Err(LogError::Option { .. })));
        assert!(backend.list("").expect("list").is_empty());
    }
}

#[test]
fn acknowledgements_keep_the_order_of_the_calls() {
    for options in both() {
        let log = Log::open(memory(), "log", options).expect("open");
        let order = Arc::new(Mutex::new(Vec::new()));
        let (finished, wait_for_all) = channel();
        for number in 0..300_u64 {
            let order = Arc::clone(&order);
            let finished = finished.clone();
            let done = Box::new(move |result: Result<(), LogError>| {
                result.expect("durable");
                order.lock().expect("alive").push(number);
                if number == 299 {
                    finished.send(()).expect("the test waits");
                }
            });
            match number % 4 {
                0 => log.save_state(StateSlot::Vote, vec![number as u8], done),
                1 => log.append(Vec::new(), done),
                2 => log.purge(number / 8, done),
                _ => {
                    let next = log.bounds().next;
                    log.append(vec![entry(next, 500)], done);
                }
            }
        }
        wait_for_all.recv().expect("the last one comes");
        assert_eq!(*order.lock().expect("alive"), (0..300).collect::<Vec<_>>());
    }
}

#[test]
fn the_committed_slot_rides_along_without_a_sync_of_its_own() {
    for options in both() {
        let backend = memory();
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        append(&log, 0..1, 10).expect("durable");
        let before = log.stats();
        for value in 0..200 {
            wait(|done| log.save_state(StateSlot::Committed, vec![value], done)).expect("at once");
        }
        let after = log.stats();
        assert_eq!((before.fsyncs, before.frames), (after.fsyncs, after.frames));
        assert!(after.queue_bytes < 20, "only the last value waits: {}", after.queue_bytes);
        append(&log, 1..2, 10).expect("durable");
        assert_eq!(log.stats().frames, after.frames + 1);
        wait(|done| log.save_state(StateSlot::Committed, vec![222], done)).expect("at once");
        log.close().expect("close");
        let log = Log::open(backend, "log", options).expect("reopen");
        assert_eq!(log.state(StateSlot::Committed), Some(vec![222]));
        assert_eq!(log.state(StateSlot::Vote), None);
    }
}

#[test]
fn truncated_entries_are_replaced_and_stay_replaced() {
    for options in both() {
        let backend = memory();
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        append(&log, 0..20, 200).expect("durable");
        // Everything in one go, so that old and new versions of an entry may share a frame.
        let (done, acknowledged) = acknowledgement();
        log.append((20..30).map(|index| entry(index, 10)).collect(), Box::new(|_| {}));
        log.truncate_after(14, Box::new(|_| {}));
        log.append((15..18).map(|index| entry(index, 33)).collect(), Box::new(|_| {}));
        log.truncate_after(16, Box::new(|_| {}));
        log.append((17..19).map(|index| entry(index, 44)).collect(), done);
        acknowledged.recv().expect("answered").expect("durable");
        let expected = [entry(15, 33), entry(16, 33), entry(17, 44), entry(18, 44)];
        assert_eq!(log.read(15..99, 10_000).expect("read"), expected);
        log.close().expect("close");
        let log = Log::open(backend, "log", options).expect("reopen");
        assert_eq!(log.read(15..99, 10_000).expect("read"), expected);
        wait(|done| log.truncate_after(None, done)).expect("durable");
        assert_eq!(log.bounds().last, None);
        append(&log, 40..41, 1).expect("a log without history may start anywhere");
    }
}

#[test]
fn purged_segments_are_removed_and_everything_else_is_kept() {
    for options in both() {
        let backend = memory();
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        wait(|done| log.save_state(StateSlot::Vote, b"kept for ever".to_vec(), done)).expect("durable");
        for index in 0..400 {
            append(&log, index..index + 1, 500).expect("durable");
        }
        assert!(log.stats().segments > 5);
        wait(|done| log.purge(389, done)).expect("durable");
        assert_eq!(log.bounds().first, 390);
        assert_eq!(log.bounds().purged, Some(389));
        assert!(log.read(0..390, 1000).expect("read").is_empty());
        assert!(log.stats().segments <= 2);
        log.close().expect("close");
        assert!(backend.list("log").expect("list").len() <= 3);

        let log = Log::open(backend, "log", options).expect("reopen");
        assert_eq!(log.state(StateSlot::Vote), Some(b"kept for ever".to_vec()));
        assert_eq!(log.read(0..1000, 100_000).expect("read").len(), 10);
        assert!(matches!(append(&log, 500..501, 1), Err(LogError::OutOfOrder { .. })));
        wait(|done| log.purge(999, done)).expect("beyond the end, as after an installed snapshot");
        append(&log, 1000..1001, 1).expect("due");
    }
}

#[test]
fn a_batch_larger_than_a_segment_works() {
    for options in both() {
        let backend = memory();
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        append(&log, 0..1, 100_000).expect("one entry larger than any segment");
        append(&log, 1..50, 1000).expect("many entries, larger than a frame");
        append(&log, 50..51, 200_000).expect("and once more");
        assert!(log.stats().frames > 10);
        let before = Model::of(&log).expect("read");
        log.close().expect("close");
        let log = Log::open(backend, "log", options).expect("reopen");
        assert_eq!(Model::of(&log).expect("read"), before);
        append(&log, 51..52, 10).expect("it goes on");
    }
}

#[test]
fn reads_are_bounded_but_give_at_least_one_entry() {
    let log = Log::open(memory(), "log", small_inline()).expect("open");
    append(&log, 0..100, 1000).expect("durable");
    assert_eq!(log.read(0..100, 0).expect("read").len(), 1);
    assert_eq!(log.read(0..100, 3500).expect("read").len(), 3);
    assert_eq!(log.read(90..200, usize::MAX).expect("read").len(), 10);
    // Across the border between disk and memory: about four entries are cached.
    let read = log.read(80..100, usize::MAX).expect("read");
    assert_eq!(read, (80..100).map(|index| entry(index, 1000)).collect::<Vec<_>>());
    let reversed = std::ops::Range { start: 50, end: 20 };
    assert!(log.read(reversed, 1000).expect("read").is_empty());
    assert!(log.read(200..300, 1000).expect("read").is_empty());
    assert!(log.stats().cache_bytes <= 4 << 10);
}

#[test]
fn a_full_queue_blocks_the_caller_and_loses_nothing() {
    let options = LogOptions { queue_bytes_max: 2000, ..small_threads() };
    let log = Log::open(memory(), "log", options).expect("open");
    std::thread::scope(|scope| {
        let (sender, acknowledged) = channel();
        let writer = log.clone();
        scope.spawn(move || {
            for index in 0..500 {
                let sender = sender.clone();
                let done = move |result| sender.send(result).expect("the test waits");
                writer.append(vec![entry(index, 700)], Box::new(done));
                assert!(writer.stats().queue_bytes <= 2000);
            }
        });
        let results: Vec<_> = acknowledged.iter().collect();
        assert_eq!(results.len(), 500);
        assert!(results.iter().all(Result::is_ok));
    });
}

#[test]
fn an_acknowledgement_may_use_the_log() {
    for options in both() {
        let options = LogOptions { queue_bytes_max: 1, ..options };
        let log = Log::open(memory(), "log", options).expect("open");
        let (sender, finished) = channel();
        let inner = log.clone();
        log.append(
            vec![entry(0, 10)],
            Box::new(move |_| {
                for index in 1..20 {
                    let sender = sender.clone();
                    let done = move |result| sender.send(result).expect("the test waits");
                    inner.append(vec![entry(index, 100)], Box::new(done));
                }
            }),
        );
        assert_eq!(finished.iter().filter(Result::is_ok).count(), 19);
        assert_eq!(log.bounds().last, Some(19));
    }
}

#[test]
fn the_last_handle_may_be_dropped_by_an_acknowledgement() {
    for options in both() {
        let backend = memory();
        let log = Log::open(Arc::clone(&backend), "log", options.clone()).expect("open");
        let (sender, finished) = channel();
        let last = log.clone();
        let (release, released) = channel::<()>();
        let threaded = options.execution == Execution::Threads;
        log.append(
            vec![entry(0, 10)],
            Box::new(move |result| {
                if threaded {
                    released.recv().expect("the test lets it go on");
                }
                drop(last);
                sender.send(result).expect("the test waits");
            }),
        );
        drop(log);
        if threaded {
            release.send(()).expect("the writer waits");
        }
        finished.recv().expect("answered").expect("durable");
    }
}

#[test]
fn statistics_tell_what_was_done() {
    let log = Log::open(memory(), "log", small_inline()).expect("open");
    append(&log, 0..3, 100).expect("durable");
    append(&log, 3..4, 100).expect("durable");
    let stats = log.stats();
    assert_eq!((stats.fsyncs, stats.frames, stats.entries), (2, 2, 4));
    assert_eq!(stats.fsync_latency.count(), 2);
    assert!(stats.bytes >= 500 && stats.bytes < 700, "{}", stats.bytes);
    assert!(!stats.full && !stats.poisoned);
    assert_eq!((stats.queue_bytes, stats.cache_bytes, stats.segments), (0, 400, 1));
}
