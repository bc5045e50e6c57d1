//! How long a submitted item waits for its start, and a done one for its record.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mnemosyne_core::event::Event;
use mnemosyne_core::id::ItemId;
use mnemosyne_core::work::state::ItemState;
use tokio::sync::mpsc;

use super::measured::Measured;
use super::noop::Noop;
use super::scene::{start, stop, submission};
use crate::bench::disk::{median, millis, quantiles};
use crate::bench::folder::Folder;
use crate::output::line;

/// Items a second.
const RATE: u32 = 50;
/// Items in all.
const ITEMS: u32 = 500;

/// Submits one item after the other at this rate and follows each.
pub(super) async fn measure(dir: &Path) -> Result<Vec<Measured>> {
    let folder = Folder::below(dir, "latency")?;
    let (starts, mut started) = mpsc::unbounded_channel();
    let node = start(folder.path(), 64, Arc::new(Noop(Some(starts)))).await?;
    let handle = node.handle();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / (2 * RATE));
    let mut disk = Paced::new(folder.path())?;
    let watcher = tokio::spawn(ends(handle.clone(), handle.latest_event()));
    let mut to_start = Vec::new();
    let mut begun_at: BTreeMap<ItemId, Instant> = BTreeMap::new();
    for number in 0..ITEMS {
        let next = submission(&number.to_string(), 1)?;
        ticks.tick().await;
        disk.measure()?;
        ticks.tick().await;
        let asked = Instant::now();
        handle.submit(next).await?;
        let (item, begun) = started.recv().await.context("the node stopped")?;
        to_start.push(begun.duration_since(asked));
        begun_at.insert(item, begun);
    }
    let ended = watcher.await??;
    let mut to_record: Vec<Duration> =
        ended.iter().filter_map(|(item, at)| Some(at.duration_since(*begun_at.get(item)?))).collect();
    line(format!("latency      submit → start {} at {RATE} items/s", quantiles(&mut to_start)));
    line(format!(
        "latency      in between, append of 512 bytes with fdatasync {}",
        quantiles(&mut disk.appends)
    ));
    line(format!("latency      in between, waking a thread that sleeps {}", quantiles(&mut disk.wakes)));
    line(format!("latency      start → recorded completion {}", quantiles(&mut to_record)));
    stop(node).await?;
    // One fdatasync and half of another one's, since the disk may be busy with the last; the rest is computing.
    let floor = median(&mut disk.appends);
    let aim = floor.mul_f64(1.5) + Duration::from_micros(200);
    let start = median(&mut to_start);
    let started = Measured::new("submit → start, p50", millis(start)).at_most(millis(aim), start <= aim);
    let recorded = Measured::new("start → recorded completion, p50", millis(median(&mut to_record)));
    Ok([started, recorded].map(|measured| measured.beside(floor)).into())
}

/// What the disk and the machine take in the same minute and at the same pace:
/// one that is used rarely is slower than one that is kept busy.
struct Paced {
    file: File,
    appends: Vec<Duration>,
    wakes: Vec<Duration>,
    sleeper: SyncSender<Instant>,
    awake: Receiver<Duration>,
}

impl Paced {
    fn new(dir: &Path) -> Result<Self> {
        let file = File::create(dir.join("paced")).context("cannot make a file")?;
        let (sleeper, asked) = sync_channel::<Instant>(1);
        let (woken, awake) = sync_channel(1);
        // Ends with the sender.
        std::thread::spawn(move || asked.iter().try_for_each(|asked| woken.send(asked.elapsed())));
        Ok(Self { file, appends: Vec::new(), wakes: Vec::new(), sleeper, awake })
    }

    fn measure(&mut self) -> Result<()> {
        let started = Instant::now();
        self.file.write_all(&[0xa5; 512]).context("cannot append")?;
        self.file.sync_data().context("cannot make the append durable")?;
        self.appends.push(started.elapsed());
        self.sleeper.send(Instant::now()).context("the sleeper is gone")?;
        self.wakes.push(self.awake.recv().context("the sleeper is gone")?);
        Ok(())
    }
}

/// When the completion of each item could be seen.
async fn ends(handle: mnemosyne_control::Handle, mut seq: u64) -> Result<BTreeMap<ItemId, Instant>> {
    let mut ended = BTreeMap::new();
    while ended.len() < usize::try_from(ITEMS)? {
        handle.wait_event(seq).await?;
        let now = Instant::now();
        for record in handle.events(seq, 10_000).await? {
            seq = record.seq;
            if let Event::WorkItemEnded { item, state: ItemState::Succeeded } = record.event {
                ended.insert(item, now);
            }
        }
    }
    Ok(ended)
}
