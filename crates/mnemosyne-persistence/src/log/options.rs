//! The settings of a log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::LogError;

/// The largest payload of one entry, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// The largest value of one state slot, in bytes.
pub const STATE_BYTES_MAX: usize = 64 << 10;

/// The settings of a log. All sizes are in bytes.
#[derive(Clone)]
pub struct LogOptions {
    /// Size of the first segment; each next one is twice as large. At least 16 KiB.
    pub segment_bytes_first: u64,
    /// Where the doubling stops. At most 1 GiB. A segment is made larger only for a frame that would not fit.
    pub segment_bytes_max: u64,
    /// How much one write, with its one fdatasync, may hold; a single larger entry is written alone.
    pub frame_bytes_max: usize,
    /// How much may wait for the writer before [`Log::append`](super::Log::append) blocks its caller.
    pub queue_bytes_max: usize,
    /// How much of the recent entries is kept in memory. Entries that are not durable yet are kept in any case.
    pub cache_bytes_max: usize,
    /// How long the high-water mark may lag behind the log.
    pub mark_interval: Duration,
    /// How long to wait before a full disk is tried again.
    pub retry_full: Duration,
    /// Where the work is done.
    pub execution: Execution,
    /// Called once, before anything else, when the log can acknowledge nothing any more. The node ends its process.
    pub on_fatal: Arc<dyn Fn(&LogError) + Send + Sync>,
    /// A mistake that tests plant: the high-water mark is not looked at.
    #[cfg(feature = "planted")]
    pub ignores_mark: bool,
}

/// Where the work of a log is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// A writer thread and a housekeeping thread: for every real node.
    Threads,
    /// Inside the calling thread, without any thread or clock: for simulations that must run the same way twice.
    /// An operation is durable when its call returns. With a full disk it stays queued, and every later call tries
    /// again; nothing ever blocks.
    Inline {
        /// The high-water mark is written after so many frames. At least 1.
        frames_per_mark: u32,
    },
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes_first: 1 << 20,
            segment_bytes_max: 64 << 20,
            frame_bytes_max: 4 << 20,
            queue_bytes_max: 64 << 20,
            cache_bytes_max: 64 << 20,
            mark_interval: Duration::from_millis(100),
            retry_full: Duration::from_millis(250),
            execution: Execution::Threads,
            on_fatal: Arc::new(|_| {}),
            #[cfg(feature = "planted")]
            ignores_mark: false,
        }
    }
}

impl fmt::Debug for LogOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogOptions")
            .field("segment_bytes_first", &self.segment_bytes_first)
            .field("segment_bytes_max", &self.segment_bytes_max)
            .field("frame_bytes_max", &self.frame_bytes_max)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("cache_bytes_max", &self.cache_bytes_max)
            .field("mark_interval", &self.mark_interval)
            .field("retry_full", &self.retry_full)
            .field("execution", &self.execution)
            .finish_non_exhaustive()
    }
}

impl LogOptions {
    /// Refuses values that cannot work, naming the option.
    ///
    /// # Errors
    /// [`LogError::Option`].
    pub fn validate(&self) -> Result<(), LogError> {
        let refuse = |option, found, required| Err(LogError::Option { option, found, required });
        if self.segment_bytes_first < 16 << 10 {
            let found = self.segment_bytes_first;
            return refuse("segment_bytes_first", found, "at least 16384");
        }
        if self.segment_bytes_max < self.segment_bytes_first || self.segment_bytes_max > 1 << 30 {
            let required = "between segment_bytes_first and 1073741824";
            return refuse("segment_bytes_max", self.segment_bytes_max, required);
        }
        if self.frame_bytes_max < 1 << 10 || self.frame_bytes_max > PAYLOAD_BYTES_MAX {
            let found = self.frame_bytes_max as u64;
            return refuse("frame_bytes_max", found, "between 1024 and 268435456");
        }
        if matches!(self.execution, Execution::Inline { frames_per_mark: 0 }) {
            return refuse("frames_per_mark", 0, "at least 1");
        }
        Ok(())
    }
}
