//! The log on a disk that loses, tears and reorders what was not synced, with power cuts at every moment.
//!
//! What is checked after each: the log holds the result of the first k operations, in order, with k at least the
//! number of those acknowledged; nothing else.

mod support;

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use mnemosyne_persistence::storage::{FaultBackend, Loss};
use mnemosyne_persistence::{Log, LogError, LogOptions, StateSlot};
use proptest::prelude::*;
use support::{Model, Step, acknowledgement, append, small_inline, small_threads, wait};

/// What happens to the disk at a crash; none is the death of the process alone.
const LOSSES: [Option<Loss>; 5] =
    [None, Some(Loss::Nothing), Some(Loss::Everything), Some(Loss::Torn), Some(Loss::Reordered)];

/// All states the log may be in, oldest first; the crash leaves one of them.
struct Expectation {
    allowed: Vec<Model>,
    current: Model,
}

impl Expectation {
    fn new(model: Model) -> Self {
        Self { allowed: vec![model.clone()], current: model }
    }

    /// Submits a step; what it leads to, wholly or in part, is possible from now on. Returns where its result is in
    /// `allowed`, and its acknowledgement.
    fn submit(&mut self, log: &Log, step: &Step) -> (usize, Receiver<Result<(), LogError>>) {
        let before = self.current.clone();
        let (done, acknowledged) = acknowledgement();
        self.current.submit(log, step, done);
        self.allowed.extend(before.partial(&self.current).into_iter().skip(1));
        self.allowed.push(self.current.clone());
        (self.allowed.len() - 1, acknowledged)
    }

    /// What this position stands for is durable: nothing earlier is possible any more.
    fn acknowledge(&mut self, position: usize) {
        self.allowed.drain(..position);
    }

    /// Checks what a log holds after a restart, and goes on from there.
    fn check(&mut self, log: &Log, context: &str) {
        let found = Model::of(log).expect("everything is readable");
        let index = self.allowed.iter().position(|model| model.matches(&found));
        let Some(index) = index else {
            panic!(
                "{context}: found {:?} with {} entries, but allowed are only {:?}",
                log.bounds(),
                found.entries.len(),
                self.allowed
                    .iter()
                    .map(|model| (model.next, model.purged, model.entries.len()))
                    .collect::<Vec<_>>()
            );
        };
        self.current = self.allowed[index].clone();
        self.allowed = vec![self.current.clone()];
    }
}

/// Runs steps until the end or until the power goes out. `wait_every` steps are submitted at once.
fn run(
    backend: &FaultBackend,
    options: LogOptions,
    steps: &[Step],
    wait_every: usize,
    expectation: &mut Expectation,
) {
    let log = match Log::open(Arc::new(backend.clone()), "log", options) {
        Ok(log) => log,
        Err(error) => {
            assert!(backend.is_crashed(), "only the power cut can do this: {error}");
            return;
        }
    };
    expectation.check(&log, "at the start");
    for group in steps.chunks(wait_every) {
        let waiting: Vec<_> =
            group.iter().map(|step| (expectation.submit(&log, step), is_lazy(step))).collect();
        let mut durable = 0;
        let mut failed = false;
        for ((position, acknowledged), is_lazy) in waiting {
            match acknowledged.recv().expect("answered") {
                Ok(()) if is_lazy => {}
                Ok(()) => durable = position,
                Err(_) => failed = true,
            }
        }
        expectation.acknowledge(durable);
        if failed {
            assert!(backend.is_crashed());
            return;
        }
    }
    if log.close().is_ok() {
        expectation.acknowledge(expectation.allowed.len() - 1);
    }
}

/// Opens the log after a crash, checks it, and checks that it can be used and opened once more.
fn verify(backend: &FaultBackend, options: &LogOptions, expectation: &mut Expectation, context: &str) {
    let open = |backend: FaultBackend| {
        Log::open(Arc::new(backend), "log", options.clone())
            .unwrap_or_else(|error| panic!("{context}: {error}"))
    };
    let log = open(backend.clone());
    expectation.check(&log, context);
    let next = log.bounds().next;
    append(&log, next..next + 3, 300).unwrap_or_else(|error| panic!("{context}: {error}"));
    let expected = Model::of(&log).expect("readable");
    // Only the process dies: what was just read must have been made durable by opening and appending.
    backend.crash(Loss::Everything);
    let log = open(backend.restart());
    assert!(Model::of(&log).expect("readable").matches(&expected), "{context}");
}

fn is_lazy(step: &Step) -> bool {
    matches!(step, Step::State(StateSlot::Committed, _))
}

/// A hundred operations of all kinds, over several segments.
fn workload() -> Vec<Step> {
    let step = |number: usize| match number % 10 {
        1 => Step::State(StateSlot::Vote, number as u8),
        3 => Step::State(StateSlot::Committed, number as u8),
        5 if number % 20 == 5 => Step::Truncate { back: 3 },
        7 if number % 30 == 17 => Step::Purge { ahead: 9 },
        8 => Step::Append { count: 9, bytes: 700 },
        9 => Step::State(StateSlot::Purged, number as u8),
        _ => Step::Append { count: 2, bytes: 450 },
    };
    (0..100).map(step).collect()
}

#[test]
fn every_crash_point_of_a_workload_is_survived() {
    let steps = workload();
    let backend = FaultBackend::new(0);
    run(&backend, small_inline(), &steps, 1, &mut Expectation::new(Model::default()));
    let operations = backend.operations();
    assert!(operations > 300, "the workload is worth it: {operations}");
    let mut torn = 0;
    for crash_at in 1..=operations {
        for (kind, loss) in LOSSES.into_iter().enumerate() {
            let context = format!("crash at operation {crash_at}, {loss:?}");
            let backend = FaultBackend::new(crash_at * 8 + kind as u64);
            backend.crash_at(crash_at);
            let mut expectation = Expectation::new(Model::default());
            run(&backend, small_inline(), &steps, 1, &mut expectation);
            if let Some(loss) = loss {
                backend.crash(loss);
            }
            let backend = backend.restart();
            let log = Log::open(Arc::new(backend.clone()), "log", small_inline());
            torn += usize::from(log.is_ok_and(|log| log.recovered().torn_bytes > 0));
            verify(&backend.restart(), &small_inline(), &mut expectation, &context);
        }
    }
    assert!(torn > 20, "torn tails were among them: {torn}");
}

#[test]
fn a_crash_during_recovery_is_survived() {
    let steps = workload();
    for first_crash in [50, 120, 121, 122, 200, 260] {
        for second_crash in 1..12 {
            for loss in [Loss::Torn, Loss::Reordered] {
                let context = format!("crashes at {first_crash} and {second_crash}, {loss:?}");
                let backend = FaultBackend::new(first_crash * 100 + second_crash);
                backend.crash_at(first_crash);
                let mut expectation = Expectation::new(Model::default());
                run(&backend, small_inline(), &steps, 1, &mut expectation);
                backend.crash(loss);
                let backend = backend.restart();
                backend.crash_at(backend.operations() + second_crash);
                let _ = Log::open(Arc::new(backend.clone()), "log", small_inline());
                backend.crash(loss);
                verify(&backend.restart(), &small_inline(), &mut expectation, &context);
            }
        }
    }
}

/// A log of several segments on a disk that was full, whose memory is ahead of it by `steps`. There is space again, but
/// nothing has tried yet.
fn ahead_of_the_disk(backend: &FaultBackend, steps: &[Step], expectation: &mut Expectation) -> Log {
    let log = Log::open(Arc::new(backend.clone()), "log", small_inline()).expect("open");
    let mut append_one = || {
        let (position, acknowledged) = expectation.submit(&log, &Step::Append { count: 1, bytes: 900 });
        if let Ok(result) = acknowledged.try_recv() {
            result.expect("durable");
            expectation.acknowledge(position);
        }
    };
    while log.stats().segments < 4 {
        append_one();
    }
    backend.fill_after(0);
    while !log.stats().full {
        append_one();
    }
    for step in steps {
        expectation.submit(&log, step);
    }
    backend.free_space();
    log
}

/// While the disk is full, entries are purged and truncated in memory that the disk still needs. Nothing may be removed
/// for it before the disk has caught up.
#[test]
fn a_crash_while_memory_is_ahead_of_a_full_disk_is_survived() {
    let some = vec![Step::Purge { ahead: 60 }];
    let all = vec![Step::Purge { ahead: 60 }, Step::Truncate { back: 3 }, Step::Purge { ahead: 100 }];
    let trigger = Step::State(StateSlot::Vote, 1);
    for (steps, segments_left) in [(some, 3), (all, 1)] {
        let backend = FaultBackend::new(0);
        let log = ahead_of_the_disk(&backend, &steps, &mut Expectation::new(Model::default()));
        let before = backend.operations();
        wait(|done| log.save_state(StateSlot::Vote, vec![1], done)).expect("durable");
        assert_eq!(log.stats().segments, segments_left, "what is not needed is removed in the end");
        for crash_in in 1..=backend.operations() - before {
            for loss in LOSSES {
                let context = format!("{steps:?}, crash at operation {crash_in}, {loss:?}");
                let backend = FaultBackend::new(crash_in);
                let mut expectation = Expectation::new(Model::default());
                let log = ahead_of_the_disk(&backend, &steps, &mut expectation);
                backend.crash_at(backend.operations() + crash_in);
                expectation.submit(&log, &trigger);
                drop(log);
                if let Some(loss) = loss {
                    backend.crash(loss);
                }
                verify(&backend.restart(), &small_inline(), &mut expectation, &context);
            }
        }
    }
}

/// Found by the random test below: when the removal of old segments failed while the next segment was still to be
/// prepared, closing the log waited for ever for that preparation.
#[test]
fn a_removal_that_fails_beside_a_due_preparation_does_not_hang_the_log() {
    let options = LogOptions { frame_bytes_max: 64 << 10, ..small_inline() };
    let run = |backend: &FaultBackend| {
        let Ok(log) = Log::open(Arc::new(backend.clone()), "log", options.clone()) else {
            return;
        };
        // In the second segment, one frame fills more than half of it and purges all that is in the first.
        let _ = append(&log, 0..8, 1200);
        let _ = append(&log, 8..10, 1200);
        let inner = log.clone();
        let nested = move |_| {
            inner.append(vec![support::entry(10, 17_000)], Box::new(|_| {}));
            inner.purge(9, Box::new(|_| {}));
        };
        log.append(Vec::new(), Box::new(nested));
        let _ = log.close();
    };
    let backend = FaultBackend::new(0);
    run(&backend);
    for crash_at in 1..=backend.operations() {
        let backend = FaultBackend::new(0);
        backend.crash_at(crash_at);
        run(&backend);
        assert!(backend.is_crashed());
    }
}

/// After a failed sync the system shows what the medium does not have. A process that restarts without a restart of
/// the machine reads it, and must make it durable before it builds on it.
#[test]
fn what_a_failed_sync_left_in_memory_is_made_durable_at_the_next_start() {
    use mnemosyne_persistence::storage::{FaultKind, Times};
    let backend = FaultBackend::new(3);
    let log = Log::open(Arc::new(backend.clone()), "log", small_inline()).expect("open");
    append(&log, 0..2, 900).expect("durable");
    backend.fail(FaultKind::Sync, Times::Once, ".seg");
    assert!(append(&log, 2..4, 900).is_err());
    drop(log);
    let backend = backend.restart();
    let log = Log::open(Arc::new(backend.clone()), "log", small_inline()).expect("open");
    assert_eq!(log.bounds().last, Some(3), "the system still shows it");
    backend.crash(Loss::Everything);
    let log = Log::open(Arc::new(backend.restart()), "log", small_inline()).expect("open");
    assert_eq!(log.bounds().last, Some(3), "and so it must stay");
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slot = prop::sample::select(&StateSlot::ALL);
    let step = prop_oneof![
        6 => (1..12_u64, 0..1500_usize).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        3 => (slot, any::<u8>()).prop_map(|(slot, value)| Step::State(slot, value)),
        1 => (0..8_u64).prop_map(|back| Step::Truncate { back }),
        1 => (0..12_u64).prop_map(|ahead| Step::Purge { ahead }),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_work_survives_random_crashes(
        lives in prop::collection::vec((steps(), 1..150_u64, 0..LOSSES.len()), 1..4),
        seed in any::<u64>(),
        wait_every in 1..6_usize,
        threads in any::<bool>(),
    ) {
        let options = if threads { small_threads() } else { small_inline() };
        let mut backend = FaultBackend::new(seed);
        let mut expectation = Expectation::new(Model::default());
        for (steps, crash_in, loss) in &lives {
            backend.crash_at(backend.operations() + crash_in);
            run(&backend, options.clone(), steps, wait_every, &mut expectation);
            if let Some(loss) = LOSSES[*loss] {
                backend.crash(loss);
            }
            backend = backend.restart();
        }
        verify(&backend, &options, &mut expectation, "at the end");
    }
}

#[test]
fn a_log_of_many_threads_survives_a_crash_under_load() {
    for seed in 0..30 {
        let backend = FaultBackend::new(seed);
        backend.crash_at(40 + seed * 7);
        let Ok(log) = Log::open(Arc::new(backend.clone()), "log", small_threads()) else {
            continue;
        };
        // Votes from four threads beside a stream of entries: each thread's last acknowledged vote bounds the rest.
        let acknowledged: Vec<u64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    let log = log.clone();
                    scope.spawn(move || {
                        let mut last = 0;
                        for value in 1..1000_u64 {
                            let bytes = value.to_le_bytes().to_vec();
                            if wait(|done| log.save_state(StateSlot::Vote, bytes, done)).is_err() {
                                break;
                            }
                            last = value;
                        }
                        last
                    })
                })
                .collect();
            let mut durable = 0;
            while append(&log, durable..durable + 1, 600).is_ok() {
                durable += 1;
            }
            for worker in workers {
                worker.join().expect("no worker fails");
            }
            vec![durable]
        });
        drop(log);
        backend.crash(Loss::Reordered);
        let log = Log::open(Arc::new(backend.restart()), "log", small_threads()).expect("open");
        assert!(log.bounds().next >= acknowledged[0], "seed {seed}");
    }
}
