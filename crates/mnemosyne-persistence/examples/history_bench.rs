//! How fast the history takes events, and how fast it finds them again: 5,000,000 about 1,000,000 items. Then the same
//! for an archive of 1,000,000 runs.
//!
//! `cargo run --release -p mnemosyne-persistence --example history_bench [folder]`

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemosyne_persistence::{
    Archive, FileBackend, History, HistoryOptions, HistoryReader, Key, MemoryBackend, Page, Selection,
    StorageBackend, Tag, Tagger,
};

const EVENTS: u64 = 5_000_000;
const ARCHIVED: u64 = 1_000_000;
const RUNS: u64 = 1_000;
const ITEMS_OF_RUN: u64 = 1_000;
const OPTIONS: HistoryOptions = HistoryOptions {
    segment_bytes_max: 64 << 20,
    buffer_bytes_max: 1 << 20,
    tagger: Tagger { version: 1, tag },
};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("history-bench-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let outcome = run(&folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn run(folder: &Path) -> Outcome {
    for options in [HistoryOptions { tagger: Tagger::NONE, ..OPTIONS }, OPTIONS] {
        let rate = fill(&mut History::open(Arc::new(MemoryBackend::new()), "history", options)?)?;
        println!("append to memory, tags of version {}: {:.2} million/s", options.tagger.version, rate / 1e6);
    }
    let backend: Arc<dyn StorageBackend> = Arc::new(FileBackend::open(folder)?);
    let mut history = History::open(Arc::clone(&backend), "history", OPTIONS)?;
    println!("append to disk: {:.2} million/s", fill(&mut history)? / 1e6);
    drop(history);
    for (name, event) in [("history", event as fn(u64) -> [u8; 40]), ("all runs at once", event_of_any_run)] {
        println!("-- {name}");
        if name != "history" {
            fill_with(&mut History::open(Arc::clone(&backend), name, OPTIONS)?, event)?;
        }
        print_bytes(&folder.join(name), "item")?;
        let began = Instant::now();
        let reader = History::open(Arc::clone(&backend), name, OPTIONS)?.reader();
        println!("open: {:?}", began.elapsed());
        ask(&reader)?;
    }
    println!("-- archive");
    archive(folder, &backend)
}

fn print_bytes(folder: &Path, what: &str) -> Outcome {
    for suffix in [".hist", ".idx"] {
        let bytes = bytes_of(folder, suffix)?;
        println!("{suffix}: {:.1} MB, {:.2} bytes an {what}", bytes / 1e6, bytes / 1e6);
    }
    Ok(())
}

/// Events about items of ten runs at a time, each about another item than the one before.
fn event(seq: u64) -> [u8; 40] {
    let round = seq / (10 * ITEMS_OF_RUN * 5);
    let run = round * 10 + seq % 10;
    let position = seq / 10 / 5 % ITEMS_OF_RUN;
    let mut bytes = [7; 40];
    bytes[..8].copy_from_slice(&(1_000 + seq / 100).to_le_bytes());
    bytes[8..16].copy_from_slice(&(1 + run).to_le_bytes());
    bytes[16..24].copy_from_slice(&position.to_le_bytes());
    bytes
}

/// Events about all runs, one after the other: each run is everywhere.
fn event_of_any_run(seq: u64) -> [u8; 40] {
    let mut bytes = event(seq);
    bytes[8..16].copy_from_slice(&(1 + seq % RUNS).to_le_bytes());
    bytes[16..24].copy_from_slice(&(seq / RUNS / 5).to_le_bytes());
    bytes
}

fn tag(event: &[u8]) -> Tag {
    let number = |at: usize| u64::from_le_bytes(event[at..at + 8].try_into().expect("eight bytes"));
    Tag { at: number(0), key: Some(Key { group: number(8), part: number(16) as u32 >> 8 }) }
}

/// Events a second.
fn fill(history: &mut History) -> Result<f64, Box<dyn Error>> {
    fill_with(history, event)
}

fn fill_with(history: &mut History, event: fn(u64) -> [u8; 40]) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    for seq in 0..EVENTS {
        history.append(seq, &event(seq))?;
    }
    history.sync()?;
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}

fn bytes_of(folder: &Path, suffix: &str) -> Result<f64, Box<dyn Error>> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(suffix) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64)
}

fn ask(reader: &HistoryReader) -> Outcome {
    let all = Selection::default;
    let item = Key { group: 500, part: 3 };
    let questions = [
        ("a run", Selection { keys: Some(Key::all_of(500)), ..all() }),
        ("an item", Selection { keys: Some(item..=item), ..all() }),
        (
            "the newest 100 of a run",
            Selection { keys: Some(Key::all_of(20)), limit: 100, backwards: true, ..all() },
        ),
        ("a moment", Selection { times: 26_000..=26_020, ..all() }),
        ("the newest 100", Selection { limit: 100, backwards: true, ..all() }),
        ("100 after a number", Selection { seqs: 3_000_000..=u64::MAX, limit: 100, ..all() }),
        ("a run that is not there", Selection { keys: Some(Key::all_of(5_000)), ..all() }),
    ];
    for (name, selection) in questions {
        let mut took: Vec<Duration> = Vec::new();
        let mut found = 0;
        for _ in 0..5 {
            let began = Instant::now();
            found = reader
                .select(&selection, &mut |event| {
                    name != "an item" || tag(event).key == Some(item) && event[16] == 9
                })?
                .len();
            took.push(began.elapsed());
        }
        println!("{name}: {found} events, {:?} at first, {:?} then", took[0], took[1..].iter().min());
    }
    Ok(())
}

/// A head and one more record for each run; every hundredth run lived long, so that its number comes late.
fn archive(folder: &Path, backend: &Arc<dyn StorageBackend>) -> Outcome {
    let mut archive = Archive::open(Arc::clone(backend), "archive", OPTIONS)?;
    let began = Instant::now();
    for position in 0..ARCHIVED {
        let run = if position % 100 == 0 { (position / 2).max(1) * 1000 + 7 } else { position * 1000 };
        for part in 0..2_u64 {
            let mut record = vec![7; 150];
            record[8..16].copy_from_slice(&run.to_le_bytes());
            record[16..24].copy_from_slice(&(part << 8).to_le_bytes());
            archive.append(position * 2 + part, &record)?;
        }
    }
    archive.sync()?;
    println!("append: {:.2} million records/s", 2.0 * ARCHIVED as f64 / began.elapsed().as_secs_f64() / 1e6);
    print_bytes(&folder.join("archive"), "archived run")?;
    drop(archive);
    let began = Instant::now();
    let reader = Archive::open(Arc::clone(backend), "archive", OPTIONS)?.reader();
    println!("open: {:?}", began.elapsed());
    for position in [1, ARCHIVED / 2 + 1, ARCHIVED - 1] {
        for _ in 0..2 {
            let began = Instant::now();
            let found = reader.get(position * 1000)?.len();
            println!("run {position}: {found} records, {:?}", began.elapsed());
        }
    }
    for (name, page) in [
        ("the oldest 100", Page { after: None, limit: 100, backwards: false }),
        ("the newest 100", Page { after: None, limit: 100, backwards: true }),
        (
            "100 before one in the middle",
            Page { after: Some(ARCHIVED / 2 * 1000), limit: 100, backwards: true },
        ),
    ] {
        for _ in 0..2 {
            let began = Instant::now();
            let found = reader.heads(&page)?.len();
            println!("{name}: {found} heads, {:?}", began.elapsed());
        }
    }
    Ok(())
}
