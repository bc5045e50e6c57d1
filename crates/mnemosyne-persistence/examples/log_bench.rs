//! How close the log comes to the disk: raw fdatasync, one append after the other, and many at once.
//!
//! `cargo run --release -p mnemosyne-persistence --example log_bench [folder]`

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

use mnemosyne_persistence::log::LatencyHistogram;
use mnemosyne_persistence::{FileBackend, Log, LogEntry, LogOptions, StorageBackend};

const PAYLOAD: usize = 200;
const SPAN: Duration = Duration::from_secs(4);

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("log-bench-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let outcome = run(&folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn run(folder: &Path) -> Outcome {
    for round in 1..=2 {
        println!("round {round}, payloads of {PAYLOAD} bytes");
        raw(folder)?;
        one_by_one(folder)?;
        for in_flight in [64, 1024] {
            in_flight_appends(folder, in_flight, 1)?;
        }
        in_flight_appends(folder, 16, 100)?;
        reopen(folder)?;
        std::fs::remove_dir_all(folder.join("log"))?;
    }
    Ok(())
}

/// What the disk does without us: the same number of bytes into a file full of zeros, then fdatasync.
fn raw(folder: &Path) -> Outcome {
    let path = folder.join("raw");
    let mut file = std::fs::File::create(&path)?;
    file.write_all(&vec![0; 64 << 20])?;
    file.sync_all()?;
    let record = vec![1; PAYLOAD + 56];
    let mut latency = LatencyHistogram::default();
    let started = Instant::now();
    let mut offset = 0;
    while started.elapsed() < SPAN && offset + (record.len() as u64) < 64 << 20 {
        let begun = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&file, &record, offset)?;
        file.sync_data()?;
        latency.record(begun.elapsed());
        offset += record.len() as u64;
    }
    report("raw write + fdatasync", &latency, started.elapsed(), 1);
    std::fs::remove_file(path)?;
    Ok(())
}

fn one_by_one(folder: &Path) -> Outcome {
    let log = open(folder)?;
    let mut latency = LatencyHistogram::default();
    let (sender, receiver) = channel();
    let started = Instant::now();
    let mut index = log.bounds().next;
    while started.elapsed() < SPAN {
        let begun = Instant::now();
        let sender = sender.clone();
        log.append(
            vec![entry(index)],
            Box::new(move |result| {
                // The loop below always waits.
                let _ = sender.send(result);
            }),
        );
        receiver.recv()??;
        latency.record(begun.elapsed());
        index += 1;
    }
    report("append, one by one", &latency, started.elapsed(), 1);
    let fsync = log.stats().fsync_latency;
    report("  of it fdatasync", &fsync, started.elapsed(), 1);
    Ok(log.close()?)
}

/// Appends of `batch` entries each, so many at a time.
fn in_flight_appends(folder: &Path, in_flight: usize, batch: u64) -> Outcome {
    let log = open(folder)?;
    let mut latency = LatencyHistogram::default();
    let (sender, receiver) = sync_channel(in_flight);
    let started = Instant::now();
    let mut index = log.bounds().next;
    let mut waiting = 0;
    loop {
        let goes_on = started.elapsed() < SPAN;
        while goes_on && waiting < in_flight {
            let sender = sender.clone();
            let begun = Instant::now();
            let entries = (index..index + batch).map(entry).collect();
            index += batch;
            waiting += 1;
            log.append(
                entries,
                Box::new(move |result| {
                    let _ = sender.send((begun, result));
                }),
            );
        }
        if waiting == 0 {
            break;
        }
        let (begun, result) = receiver.recv()?;
        result?;
        latency.record(begun.elapsed());
        waiting -= 1;
    }
    let stats = log.stats();
    let label = format!("{in_flight} appends of {batch} in flight");
    report(&label, &latency, started.elapsed(), batch);
    println!(
        "{:32} {:>9.0} fsync/s, {:.1} entries and {:.0} kB each, {:.0} MB/s",
        "",
        stats.fsyncs as f64 / started.elapsed().as_secs_f64(),
        stats.entries as f64 / stats.fsyncs as f64,
        stats.bytes as f64 / stats.fsyncs as f64 / 1e3,
        stats.bytes as f64 / started.elapsed().as_secs_f64() / 1e6,
    );
    Ok(log.close()?)
}

fn reopen(folder: &Path) -> Outcome {
    let started = Instant::now();
    let log = open(folder)?;
    let elapsed = started.elapsed();
    let bounds = log.bounds();
    println!(
        "{:32} {:>9} entries in {} segments read and checked in {elapsed:?}",
        "reopen",
        bounds.next - bounds.first,
        log.recovered().segments,
    );
    Ok(log.close()?)
}

fn open(folder: &Path) -> Result<Log, Box<dyn Error>> {
    let backend: Arc<dyn StorageBackend> = Arc::new(FileBackend::open(folder)?);
    Ok(Log::open(backend, "log", LogOptions::default())?)
}

fn entry(index: u64) -> LogEntry {
    LogEntry { index, term: 1, payload: Arc::from([7; PAYLOAD].as_slice()) }
}

fn report(label: &str, latency: &LatencyHistogram, elapsed: Duration, entries: u64) {
    println!(
        "{label:32} {:>9.0} entries/s   p50 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
        (latency.count() * entries) as f64 / elapsed.as_secs_f64(),
        latency.quantile(0.5),
        latency.quantile(0.99),
        latency.max(),
    );
}
