//! Reading a history beside the one who writes it.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use mnemosyne_persistence::{
    History, HistoryOptions, MemoryBackend, OpenMode, Selection, StorageBackend, StorageFile, Tagger,
};

const SMALL: HistoryOptions =
    HistoryOptions { segment_bytes_max: 4000, buffer_bytes_max: 1000, tagger: Tagger::NONE };

fn event(seq: u64) -> Vec<u8> {
    vec![seq as u8 | 1; (seq as usize * 37) % 300]
}

fn events(range: std::ops::Range<u64>) -> Vec<(u64, Vec<u8>)> {
    range.map(|seq| (seq, event(seq))).collect()
}

fn fill(history: &mut History, range: std::ops::Range<u64>) {
    for seq in range {
        history.append(seq, &event(seq)).expect("appended");
    }
}

/// Memory whose syncs of segments wait to be let through, once a gate is set.
#[derive(Debug, Clone, Default)]
struct Gated {
    memory: MemoryBackend,
    gate: Arc<Mutex<Option<Gate>>>,
}

#[derive(Debug)]
struct Gate {
    arrived: Sender<()>,
    pass: Receiver<()>,
}

impl Gated {
    /// From now on syncs tell that they have arrived, and wait.
    fn close(&self) -> (Receiver<()>, Sender<()>) {
        let ((arrived, arrivals), (let_pass, pass)) = (channel(), channel());
        *self.gate.lock().expect("alive") = Some(Gate { arrived, pass });
        (arrivals, let_pass)
    }
}

impl StorageBackend for Gated {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let (file, gate) = (self.memory.open(path, mode)?, Arc::clone(&self.gate));
        Ok(Box::new(GatedFile { file, gate }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.create_dir(dir)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.memory.remove(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.memory.sync_dir(dir)
    }
}

#[derive(Debug)]
struct GatedFile {
    file: Box<dyn StorageFile>,
    gate: Arc<Mutex<Option<Gate>>>,
}

impl StorageFile for GatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        if let Some(gate) = self.gate.lock().expect("alive").take() {
            gate.arrived.send(()).expect("the test waits");
            gate.pass.recv().expect("the test lets it pass");
        }
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

#[test]
fn readers_answer_while_the_owner_waits_for_the_disk() {
    let backend = Gated::default();
    let mut history = History::open(Arc::new(backend.clone()), "history", SMALL).expect("open");
    fill(&mut history, 0..100);
    history.sync().expect("durable");
    fill(&mut history, 100..103);
    let reader = history.reader();
    let (arrivals, let_pass) = backend.close();
    let owner = std::thread::spawn(move || {
        history.sync().expect("durable");
        history
    });
    arrivals.recv().expect("the owner is in the middle of its sync");
    assert_eq!((reader.last_seq(), reader.durable_seq()), (Some(102), Some(99)));
    assert_eq!(reader.read(0, 1000).expect("read"), events(0..103));
    assert_eq!(reader.read_back(2).expect("read"), events(101..103));
    let_pass.send(()).expect("the owner waits");
    let mut history = owner.join().expect("the owner goes on");
    assert_eq!(reader.durable_seq(), Some(102));
    fill(&mut history, 103..200);
    assert_eq!(reader.read(0, 1000).expect("read"), events(0..200));
}

#[test]
fn what_is_read_meanwhile_has_no_gap_and_only_grows() {
    let memory = Arc::new(MemoryBackend::new());
    let mut history = History::open(memory, "history", SMALL).expect("open");
    let reader = history.reader();
    let owner = std::thread::spawn(move || {
        for start in (0..4000).step_by(100) {
            fill(&mut history, start..start + 100);
            history.drop_before(start / 2).expect("dropped");
        }
    });
    let mut next = 0_u64;
    while next < 4000 {
        let found = reader.read(next.saturating_sub(100), 10_000).expect("read");
        let Some((first, _)) = found.first() else { continue };
        let end = first + found.len() as u64;
        assert!(found == events(*first..end), "from {first} to {end}");
        assert!(end >= next, "{next} events were there");
        next = end;
    }
    owner.join().expect("the owner is done");
}

#[test]
fn what_is_removed_in_the_middle_of_a_question_leaves_no_gap_in_the_answer() {
    let filled = || {
        let mut history = History::open(Arc::new(MemoryBackend::new()), "history", SMALL).expect("open");
        fill(&mut history, 0..4000);
        history.sync().expect("durable");
        history
    };
    for backwards in [false, true] {
        let mut history = filled();
        let reader = history.reader();
        let selection = Selection { backwards, limit: 10_000, ..Selection::default() };
        let mut asked = 0;
        let found = reader.select(&selection, &mut |_| {
            asked += 1;
            if asked == 100 {
                assert!(history.drop_before(2000).expect("dropped") > 20, "more than what is kept open");
            }
            true
        });
        let mut found = found.expect("what is there");
        if backwards {
            found.reverse();
        }
        let first = found.first().expect("the newer ones are there").0;
        assert!(first > 0 && first <= 2000, "{first}");
        assert!(found == events(first..4000), "from {first}");
    }
}
