//! `cargo xtask bench disk`: the floor under every durable figure.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::output::line;

const APPEND: [u8; 512] = [0xa5; 512];

#[derive(Debug, Args)]
pub(crate) struct Disk {
    /// The folder whose disk is measured; a file is made there and removed again
    dir: PathBuf,
    /// Number of appends
    #[arg(long, default_value_t = 2_000)]
    appends: usize,
}

impl Disk {
    pub(crate) fn run(&self) -> Result<()> {
        ensure!(self.appends > 0, "at least one append is needed");
        line(figure(&self.dir, self.appends)?);
        Ok(())
    }
}

/// How fast a disk is: what a durable figure is to be seen beside.
pub(super) struct Floor {
    /// The median of an append with its fdatasync.
    #[cfg(feature = "bench")]
    pub(super) median: Duration,
    words: String,
}

impl std::fmt::Display for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

/// Measures the disk of a folder.
pub(super) fn figure(dir: &Path, appends: usize) -> Result<Floor> {
    let path = dir.join(format!(".bench-disk-{}", std::process::id()));
    let opened = OpenOptions::new().write(true).create_new(true).open(&path);
    let file = opened.with_context(|| format!("cannot make a file in {}", dir.display()))?;
    let measured = measure(file, appends);
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    let mut times = measured?;
    times.sort_unstable();
    Ok(Floor {
        #[cfg(feature = "bench")]
        median: percentile(&times, 50),
        words: summary(dir, &times),
    })
}

/// The median of some times.
#[cfg(feature = "bench")]
pub(super) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    percentile(times, 50)
}

/// Median, 99th percentile and maximum of some times, in words.
pub(super) fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent| millis(percentile(times, percent));
    format!("p50 {}, p99 {}, max {}", at(50), at(99), at(100))
}

/// The time of each append with its fdatasync.
fn measure(mut file: File, appends: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(appends);
    for _ in 0..appends {
        let start = Instant::now();
        file.write_all(&APPEND).context("cannot append")?;
        file.sync_data().context("cannot make the append durable")?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn summary(dir: &Path, times: &[Duration]) -> String {
    let total: Duration = times.iter().sum();
    let rate = times.len() as f64 / total.as_secs_f64();
    format!(
        "disk of {}: append of {} bytes with fdatasync: p50 {}, p99 {}, max {} ({} appends, {rate:.0}/s one after another)",
        dir.display(),
        APPEND.len(),
        millis(percentile(times, 50)),
        millis(percentile(times, 99)),
        millis(percentile(times, 100)),
        times.len(),
    )
}

/// The smallest of the sorted times that at least so many percent do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

pub(super) fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times: Vec<Duration> = (1..=10).map(Duration::from_millis).collect();
        let at = |percent| percentile(&times, percent).as_millis();
        assert_eq!([at(1), at(50), at(51), at(99), at(100)], [1, 5, 6, 10, 10]);
        assert_eq!(percentile(&times[..1], 99).as_millis(), 1);
    }
}
