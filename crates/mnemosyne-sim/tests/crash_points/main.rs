//! Every operation of a disk under a workload, and what a power cut there leaves: nothing is lost, torn or out of
//! order that was acknowledged, and nothing is there that was never asked for.
//!
//! Nothing is modelled here. A member as it stands in every node, with its log, its snapshots, its history and its archive, works
//! on a disk of which a copy is made before each operation that changes something. Each copy loses its power in each
//! of three ways, and a member is started from what is left of it.
//! Source: "All File Systems Are Not Created Equal" (OSDI 2014), which tried every crash point of eleven programs.

mod expected;
mod member;
mod workload;

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use mnemosyne_persistence::storage::{FaultBackend, Loss};

use expected::{Expected, Sent};
use member::{Member, runtime};
use workload::Progress;

/// Commands that somebody waits for.
const OPERATIONS: u64 = 500;
/// What a power cut does to what was not synced.
const LOSSES: [Loss; 3] = [Loss::Everything, Loss::Torn, Loss::Reordered];
/// Of so many recoveries one is interrupted by another power cut.
const INTERRUPTED: u64 = 5;
/// Copies of the disk that wait for somebody to look at them.
const QUEUE: usize = 8;

/// The disk as it was before one of its operations, with what had been asked for and acknowledged by then.
struct Image {
    disk: FaultBackend,
    sent: usize,
    acknowledged: usize,
}

/// How often what was done.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    operations: u64,
    power_cuts: u64,
    interrupted: u64,
    went_on: u64,
    archived: usize,
}

#[test]
#[expect(clippy::print_stdout, reason = "figures, for whoever runs it with --nocapture")]
fn a_power_cut_at_any_operation_of_the_disk_loses_nothing_and_invents_nothing() {
    let progress = Progress::default();
    let (sender, images) = sync_channel(QUEUE);
    let images = Arc::new(Mutex::new(images));
    let workers: Vec<_> = (0..thread::available_parallelism().map_or(2, usize::from))
        .map(|_| {
            let (images, sent) = (Arc::clone(&images), Arc::clone(&progress.sent));
            thread::spawn(move || look_at_all(&images, &sent))
        })
        .collect();
    // When all workers have failed, nobody is waited for.
    drop(images);

    let disk = FaultBackend::new(1);
    let watch = || {
        let (sender, progress) = (sender.clone(), progress.clone());
        disk.watch(move |disk| {
            let acknowledged = *progress.acknowledged.lock().expect("nothing panics while it holds this lock");
            let sent = progress.sent.lock().expect("nothing panics while it holds this lock").len();
            // Nobody takes it any more when a check has failed, which is told below.
            let _ = sender.send(Image { disk, sent, acknowledged });
        });
    };
    let first = runtime().block_on(workload::run(&disk, watch, &progress, OPERATIONS));
    drop(sender);
    assert!(first > 1, "what a snapshot covers has left the log");

    let mut all = Figures::default();
    for worker in workers {
        let figures = worker.join().expect("every check holds");
        all.operations += figures.operations;
        all.power_cuts += figures.power_cuts;
        all.interrupted += figures.interrupted;
        all.went_on += figures.went_on;
        all.archived = figures.archived.max(all.archived);
    }
    println!("{OPERATIONS} commands: {all:?}");
    assert!(all.operations > OPERATIONS * 2, "each command is at least written and synced: {all:?}");
    assert_eq!(all.power_cuts, all.operations * LOSSES.len() as u64);
    assert!(all.interrupted > 100 && all.went_on > 100 && all.archived > 20, "{all:?}");
}

fn look_at_all(images: &Mutex<Receiver<Image>>, sent: &Mutex<Vec<Sent>>) -> Figures {
    let mut figures = Figures::default();
    let mut expected = Expected::default();
    loop {
        let next = images.lock().expect("the other workers hold").recv();
        let Ok(image) = next else { return figures };
        {
            let sent = sent.lock().expect("nothing panics while it holds this lock");
            expected.advance(&sent, image.acknowledged, image.sent);
        }
        figures.operations += 1;
        figures.archived = expected.archived();
        for (way, loss) in (0..).zip(LOSSES) {
            let number = image.disk.operations();
            let context = format!("power cut before operation {} ({loss:?})", number + 1);
            cut_and_look(&image, loss, number * 3 + way, &expected, &context, &mut figures);
        }
    }
}

/// Cuts the power, starts from what is left, and looks; sometimes the power goes out again meanwhile.
fn cut_and_look(
    image: &Image,
    loss: Loss,
    number: u64,
    expected: &Expected,
    context: &str,
    figures: &mut Figures,
) {
    let disk = image.disk.copy(number);
    disk.crash(loss);
    let mut disk = disk.restart();
    figures.power_cuts += 1;
    if number.is_multiple_of(INTERRUPTED) {
        disk.crash_at(disk.operations() + 1 + number / INTERRUPTED % 12);
        let started = runtime().block_on(Member::start(&disk));
        assert!(started.is_ok() || disk.is_crashed(), "{context}: {:?}", started.err());
        drop(started);
        disk.crash(loss);
        disk = disk.restart();
        figures.interrupted += 1;
    }
    let disk = runtime().block_on(async {
        let member = Member::start(&disk).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        let seen = expected.check(&member, context).await;
        if !number.is_multiple_of(INTERRUPTED + 2) {
            return None;
        }
        member.tick_of_after(seen).await;
        Some(disk)
    });
    let Some(disk) = disk else { return };
    // It works, and what it has acknowledged since is durable, too.
    disk.crash(Loss::Everything);
    let again = disk.restart();
    runtime().block_on(async {
        let member = Member::start(&again).await.unwrap_or_else(|error| panic!("{context}, again: {error}"));
        expected.check_after_tick(&member, context).await;
    });
    figures.went_on += 1;
}
