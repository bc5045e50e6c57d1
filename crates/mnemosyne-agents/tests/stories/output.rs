//! An agent may print without end; the node, the shim and the disk do not notice.

use mnemosyne_agents::{ShimIdentity, Stream};

use crate::attempt::{Attempt, code, wait_until};

const MIB: u64 = 1 << 20;

/// A figure of `/proc/PID/status`, in bytes.
fn memory(identity: &ShimIdentity, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", identity.pid)).expect("the shim lives");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    let kibibytes: u64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number");
    kibibytes * 1024
}

#[test]
fn a_flood_without_a_line_feed_costs_neither_memory_nor_disk() {
    let mut attempt =
        Attempt::of(&["pid:started", "wait-for:go", "flood:256M:nonewline", "pid:flooded", "wait-for:end"]);
    attempt.spec.output_head_bytes = 1_000;
    attempt.spec.output_tail_bytes = MIB;
    let identity = attempt.launch();
    attempt.lines_of("started");
    let before = memory(&identity, "VmHWM");
    std::fs::write(attempt.work.join("go"), "").expect("written");
    attempt.lines_of("flooded");
    let after = memory(&identity, "VmHWM");
    std::fs::write(attempt.work.join("end"), "").expect("written");
    let record = attempt.record(&identity);
    assert_eq!(code(&record), 0);
    assert_eq!(record.stdout.total_bytes, 256 * MIB);
    assert!(after - before < 2 * MIB, "the shim grew from {before} to {after} bytes");
    let text = attempt.text(Stream::Stdout);
    assert!(text.len() as u64 >= 1_000 + MIB / 2 && text.len() as u64 <= 1_000 + MIB + 100, "{}", text.len());
    let marker = text.lines().nth(1).expect("a line between head and tail");
    let kept = text.len() - marker.len() - 2;
    assert_eq!(marker, format!("[{} bytes dropped]", 256 * MIB - kept as u64));
    let on_disk: u64 = std::fs::read_dir(&attempt.dir)
        .expect("listed")
        .map(|entry| entry.expect("an entry").metadata().expect("metadata").len())
        .sum();
    assert!(on_disk < MIB + 64 * 1024, "{on_disk}");
}

#[test]
fn output_is_followed_while_the_agent_runs() {
    let attempt = Attempt::of(&["stdout:first", "wait-for:go", "stdout:second", "wait-for:end"]);
    let identity = attempt.launch();
    let reader = mnemosyne_agents::OutputReader::new(&attempt.dir, Stream::Stdout);
    let mut seen = Vec::new();
    let mut follow = |until: &str| {
        wait_until(until, || {
            let chunk = reader.read_from(seen.len() as u64, 1 << 16).expect("read");
            assert_eq!(chunk.start, seen.len() as u64, "nothing was dropped");
            seen.extend(chunk.bytes);
            seen.ends_with(until.as_bytes())
        });
    };
    follow("first\n");
    std::fs::write(attempt.work.join("go"), "").expect("written");
    follow("second\n");
    std::fs::write(attempt.work.join("end"), "").expect("written");
    assert_eq!(code(&attempt.record(&identity)), 0);
}

#[test]
fn bytes_that_are_no_text_are_kept_as_they_are() {
    let attempt = Attempt::of(&["raw:1b5d303b70776e07ff00c328"]);
    attempt.run();
    let output =
        mnemosyne_agents::OutputReader::new(&attempt.dir, Stream::Stdout).read_bounded(1 << 24).expect("read");
    assert_eq!(output.to_bytes(), b"\x1b]0;pwn\x07\xff\x00\xc3\x28");
}
