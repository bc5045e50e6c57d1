//! Stories about the blobs that a state refers to.

use crate::story::{Story, item, run};
use mnemosyne_core::blobs::Blobs;
use mnemosyne_core::command::Command;
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::RunImage;
use mnemosyne_core::reply::Reply;
use mnemosyne_core::work::attempt::AttemptResult;
use mnemosyne_core::work::payload::{BlobRef, Payload};
use mnemosyne_core::work::report::{AttemptReport, WorktreeReport};
use mnemosyne_core::work::review::{Judgement, ReviewVerdict};
use mnemosyne_core::work::spec::{Review, Reviewer};

fn blob(number: u8) -> BlobRef {
    BlobRef { hash: [number; 32], length: 1 << 20 }
}

fn payload(number: u8) -> Payload {
    Payload::Blob(Box::new(blob(number)))
}

/// A run with a blob in each place that a plan and an attempt have for one, and that is approved by a human.
fn with_blobs(story: &mut Story) -> RunId {
    let mut spec = run("large", vec![item("a", &[])]);
    spec.context = payload(1);
    spec.items[0].task = payload(2);
    spec.items[0].review = Some(0);
    let reviewer = Some(Reviewer { demand: 0, policy: 0, task: payload(3) });
    spec.reviews = vec![Review { reviewer, max_rounds: 1, ..Review::default() }];
    let id = story.submit(spec);
    let token = story.token(id.item(0));
    let worktree = WorktreeReport { diff: Some(payload(6)), ..WorktreeReport::default() };
    let report = AttemptReport {
        answer: Some(payload(4)),
        transcript: Some(blob(5)),
        subject: Some([100; 32]),
        worktree: Some(Box::new(worktree)),
        ..AttemptReport::default()
    };
    let result = AttemptResult::Succeeded { outputs: Some(payload(7)) };
    let finished = Command::Finished { item: id.item(0), token, result, report: Some(Box::new(report)) };
    assert_eq!(story.ask(finished), Reply::Done);
    id
}

fn numbers(blobs: &Blobs) -> Vec<u8> {
    blobs.iter().map(|hash| hash[0]).collect()
}

#[test]
fn a_state_refers_to_the_blobs_of_its_plans_and_attempts() {
    let mut story = Story::with_slots(1);
    with_blobs(&mut story);
    assert_eq!(numbers(&story.state.snapshot().blobs()), [1, 2, 3, 4, 5, 6, 7]);
    story.restart();
    assert_eq!(numbers(&story.state.snapshot().blobs()), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_a_run_refers_to_leaves_the_state_with_it() {
    let mut story = Story::with_slots(1);
    let id = with_blobs(&mut story);
    let judgement = Judgement {
        verdict: ReviewVerdict::Approve,
        subject: Some([100; 32]),
        summary: "good".into(),
        findings: Some(payload(8)),
    };
    let result = AttemptResult::Reviewed(Box::new(judgement));
    story.finish(id.item(1), result);
    assert!(story.state.run_view(id).expect("kept").result.is_some());
    story.tick(1_000 * 60 * 60 * 24 * 365);
    let image = story.last.retired.pop().expect("it has left the state").image;
    assert_eq!(numbers(&image.blobs()), [1, 2, 3, 4, 5, 6, 7, 8]);
    let records: Vec<Vec<u8>> = image.records().collect();
    let read = RunImage::read(records.iter().map(Vec::as_slice)).expect("it is whole");
    assert_eq!(read.blobs(), image.blobs());
    assert_eq!(story.state.snapshot().blobs(), Blobs::new());
}
