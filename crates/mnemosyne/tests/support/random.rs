//! Chance with a seed that can be given again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Numbers by SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// From `MNEMOSYNE_TEST_SEED`, else from the clock; the seed is printed, and shown when the test fails.
    #[expect(clippy::print_stderr, reason = "whoever reads the failure needs the seed")]
    pub(crate) fn from_seed() -> Self {
        let given = std::env::var("MNEMOSYNE_TEST_SEED").ok();
        let seed = given.map_or_else(by_clock, |seed| seed.parse().expect("MNEMOSYNE_TEST_SEED is a number"));
        eprintln!("MNEMOSYNE_TEST_SEED={seed}");
        Self(seed)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % end
    }

    /// Up to `max`.
    pub(crate) fn moment(&mut self, max: Duration) -> Duration {
        let micros = u64::try_from(max.as_micros()).expect("a short time");
        Duration::from_micros(self.below(micros + 1))
    }
}

fn by_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}

/// A number from the environment, for longer runs of a story than a check at every change can afford.
pub(crate) fn amount(variable: &str, usual: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usual, |text| text.parse().unwrap_or_else(|error| panic!("{variable}={text:?}: {error}")))
}
