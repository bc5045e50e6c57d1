//! When an agent that has crashed is restarted.
//!
//! Each restart in a row waits longer than the one before, up to a bound. An agent that crashes more often than the
//! rules allow within a window of time is left alone for a while, so that a bug does not keep the machine busy.

use std::collections::VecDeque;
use std::time::Duration;

use mnemosyne_core::hash::mix;
use tokio::time::Instant;

/// Jitter of a back-off, in thousandths of it: agents that crashed together do not come back together.
const JITTER_PERMILLE: u64 = 200;

/// How agents that crash are restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRules {
    /// The wait before the first restart; it doubles with each crash in a row.
    pub first_wait: Duration,
    /// The longest such wait.
    pub wait_max: Duration,
    /// Restarts within the window.
    pub restarts_max: usize,
    /// The window.
    pub window: Duration,
    /// How long an agent is left alone that crashed more often than that.
    pub rest: Duration,
    /// Where the jitter starts from.
    pub seed: u64,
}

impl Default for RestartRules {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(100),
            wait_max: Duration::from_secs(30),
            restarts_max: 5,
            window: Duration::from_secs(60),
            rest: Duration::from_secs(300),
            seed: 0,
        }
    }
}

/// What becomes of an agent that has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is restarted after this time.
    Restart(Duration),
    /// It has crashed too often and is left alone for this time.
    Rest(Duration),
}

/// The crashes of one agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Crashes {
    /// The latest, those within the window; at most as many as it may be restarted.
    recent: VecDeque<Instant>,
    /// Since it did its work last.
    in_a_row: u32,
    /// Since the beginning.
    pub(super) total: u32,
}

impl Crashes {
    /// Records a crash of agent `number`.
    pub(super) fn crashed(&mut self, now: Instant, number: u32, rules: &RestartRules) -> Next {
        self.total = self.total.saturating_add(1);
        while self.recent.front().is_some_and(|at| now.saturating_duration_since(*at) >= rules.window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= rules.restarts_max {
            // Afterwards it gets as many chances as a new one.
            self.recent.clear();
            self.in_a_row = 0;
            return Next::Rest(rules.rest);
        }
        self.recent.push_back(now);
        let doubled = 2_u32.saturating_pow(self.in_a_row);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let wait = rules.first_wait.saturating_mul(doubled).min(rules.wait_max);
        Next::Restart(self.jittered(wait, number, rules))
    }

    /// It has done a piece of work.
    pub(super) fn worked(&mut self) {
        self.in_a_row = 0;
    }

    /// Up to a fifth shorter, and never longer than the bound.
    fn jittered(&self, wait: Duration, number: u32, rules: &RestartRules) -> Duration {
        let drawn = mix(rules.seed ^ mix((u64::from(number) << 32) | u64::from(self.total)));
        let permille = u32::try_from(1_000 - drawn % (JITTER_PERMILLE + 1)).unwrap_or(1_000);
        wait.saturating_mul(permille) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> RestartRules {
        RestartRules { restarts_max: 100, ..RestartRules::default() }
    }

    fn wait(next: Next) -> Duration {
        match next {
            Next::Restart(wait) => wait,
            Next::Rest(_) => panic!("it is restarted"),
        }
    }

    #[test]
    fn each_restart_in_a_row_waits_longer_up_to_a_bound() {
        let (mut crashes, now, rules) = (Crashes::default(), Instant::now(), rules());
        let waits: Vec<Duration> = (0..40).map(|_| wait(crashes.crashed(now, 1, &rules))).collect();
        let most = |row: u32| rules.first_wait.saturating_mul(2_u32.saturating_pow(row)).min(rules.wait_max);
        for (row, wait) in (0..).zip(&waits) {
            assert!((most(row) * 4 / 5..=most(row)).contains(wait), "crash {row}: {wait:?}");
        }
        assert!(waits[..8].is_sorted(), "{waits:?}");
        crashes.worked();
        assert!(wait(crashes.crashed(now, 1, &rules)) <= rules.first_wait, "it has worked in between");
        assert_eq!(crashes.total, 41);
    }

    #[test]
    fn agents_that_crash_together_come_back_apart_and_always_the_same() {
        let now = Instant::now();
        let first = |number, rules: &RestartRules| Crashes::default().crashed(now, number, rules);
        let waits: std::collections::BTreeSet<Duration> =
            (1..=16).map(|number| wait(first(number, &rules()))).collect();
        assert!(waits.len() > 8, "{waits:?}");
        assert_eq!(first(3, &rules()), first(3, &rules()));
        assert_ne!(first(3, &rules()), first(3, &RestartRules { seed: 7, ..rules() }));
    }

    #[test]
    fn too_many_crashes_within_the_window_mean_a_rest() {
        let rules = RestartRules::default();
        let start = Instant::now();
        let mut crashes = Crashes::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..5 {
            assert!(matches!(crashes.crashed(at(second), 1, &rules), Next::Restart(_)), "{second}");
        }
        assert_eq!(crashes.crashed(at(5), 1, &rules), Next::Rest(rules.rest));
        assert!(matches!(crashes.crashed(at(400), 1, &rules), Next::Restart(_)), "it starts anew");
    }

    #[test]
    fn crashes_that_are_far_apart_are_never_too_many() {
        let (rules, start) = (RestartRules::default(), Instant::now());
        let mut crashes = Crashes::default();
        for minute in 0..100 {
            let now = start + Duration::from_secs(20 * minute);
            assert!(matches!(crashes.crashed(now, 1, &rules), Next::Restart(_)), "{minute}");
        }
        assert!(crashes.recent.len() <= rules.restarts_max);
    }
}
