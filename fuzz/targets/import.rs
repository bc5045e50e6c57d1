//! Any bytes as the file that `import` takes: its parts, the run that they are, and that run taken in, merged, forked
//! and gone on with. It is refused, or every invariant holds after every entry.
//!
//! In a real file the parts stand before a BLAKE3 hash, which whoever makes a hostile one makes, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_core::command::{Command, ForkSource, Target};
use mnemosyne_core::id::NodeId;
use mnemosyne_core::image::{RunImage, RunSummary, context_of};
use mnemosyne_core::inbox::{Ask, Decision};
use mnemosyne_core::invariant;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Cause, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_fuzz::{apply, machine};

/// Kind of the parts that are records of the run.
const RECORD: u8 = 1;
/// Most items of a run that is looked at one by one.
const ITEMS_MAX: u32 = 64;
/// How often what is granted comes to an end.
const ROUNDS: u64 = 8;

fuzz_target!(|bytes: &[u8]| {
    let records: Vec<Box<[u8]>> = mnemosyne_persistence::fuzzing::parts(bytes)
        .into_iter()
        .filter(|(kind, _)| *kind == RECORD)
        .map(|(_, record)| record.into_boxed_slice())
        .collect();
    if let Some(first) = records.first() {
        let _ = RunSummary::of(first);
    }
    let Ok(image) = RunImage::read(records.iter().map(|record| &**record)) else {
        // What cannot be read changes nothing.
        let mut state = machine();
        apply(&mut state, 2_000, vec![Command::Import { records }]);
        assert!(state.runs(1).is_empty());
        return;
    };
    let written: Vec<Vec<u8>> = image.records().collect();
    let again = RunImage::read(written.iter().map(Vec::as_slice)).expect("what was written can be read");
    assert_eq!(again.records().collect::<Vec<_>>(), written);
    look_at(&image);
    let mut state = machine();
    if state.check_image(image.clone()).is_err() {
        return;
    }
    apply(&mut state, 2_000, vec![Command::Import { records: records.clone() }]);
    go_on(&mut state, &image);
    // The same run once more, beside what has come of it here.
    apply(&mut state, 5_000_000, vec![Command::Import { records: records.clone() }]);
    let fork = Command::Fork { source: ForkSource::Records(records), from: vec![0] };
    apply(&mut state, 6_000_000, vec![fork, Command::Tick]);
    if let Err(violation) = invariant::check_restore(&state) {
        panic!("{violation}");
    }
});

/// As `import` does before it hands the run over, and `show` once it is there.
fn look_at(image: &RunImage) {
    if let Payload::Inline(context) = image.context() {
        let _ = context_of(context);
        let context = context.to_vec();
        let _ = image.clone().moved_to("/elsewhere", &context);
    }
    // Only what has left is looked at like this.
    let Ok(state) = image.clone().into_state() else { return };
    let _ = (state.runs(1), state.status());
    for position in 0..image.len().min(ITEMS_MAX) {
        let item = image.run().item(position);
        let _ = (state.detail(item), state.why(item));
    }
}

/// Its items come to an end, in all the ways there are; time passes, and a user changes his mind.
fn go_on(state: &mut Orchestration, image: &RunImage) {
    let run = image.run();
    apply(state, 10_000, vec![Command::Tick]);
    for round in 0..ROUNDS {
        work(state, round);
    }
    apply(state, 1_000_000, vec![Command::Pause { target: Target::Run(run) }, Command::Tick]);
    apply(state, 2_000_000, vec![Command::Resume { target: Target::Run(run) }, Command::Tick]);
    apply(state, 3_000_000, vec![Command::Retry { target: Target::Run(run) }]);
    apply(state, 4_000_000, vec![Command::Cancel { target: Target::Run(run), reason: "enough".into() }]);
}

/// What is granted ends and what was asked is answered, each time otherwise.
fn work(state: &mut Orchestration, round: u64) {
    let ended = state.orders_of(NodeId(1)).into_iter().flat_map(|Order { item, token, .. }| {
        let result = match round % 4 {
            0 => AttemptResult::Failed { fault: Fault::ExitCode(1), message: "no".into() },
            1 => AttemptResult::Succeeded { outputs: None },
            2 => AttemptResult::Requeue { cause: Cause::Throttled, message: "later".into(), after: None },
            _ => AttemptResult::Blocked(Box::new(Ask::default())),
        };
        [Command::Started { item, token }, Command::Finished { item, token, result, report: None }]
    });
    let decision = [Decision::Approve, Decision::Answer, Decision::Reject][round as usize % 3];
    let decided = state.questions(ITEMS_MAX as usize).into_iter().map(|question| Command::Decide {
        question: question.id,
        decision,
        text: "so".into(),
    });
    let commands = ended.chain(decided).collect();
    apply(state, 20_000 + round * 100_000, commands);
}
