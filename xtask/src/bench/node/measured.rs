//! A figure in the table at the end: what was measured, and what is aimed at.

use std::time::Duration;

use crate::bench::disk::millis;

/// What was measured.
pub(super) struct Measured {
    what: &'static str,
    value: String,
    aim: String,
    reached: Option<bool>,
    /// One append with fdatasync in the same minute and at the same pace.
    disk: Option<Duration>,
}

impl Measured {
    /// A figure without an aim.
    pub(super) fn new(what: &'static str, value: String) -> Self {
        Self { what, value, aim: String::new(), reached: None, disk: None }
    }

    /// The same with a value that it should not exceed.
    pub(super) fn at_most(self, aim: impl std::fmt::Display, reached: bool) -> Self {
        Self { aim: format!("≤ {aim}"), reached: Some(reached), ..self }
    }

    /// The same with a value that it should reach.
    pub(super) fn at_least(self, aim: &str, reached: bool) -> Self {
        Self { aim: format!("≥ {aim}"), reached: Some(reached), ..self }
    }

    /// The same beside a figure of the disk that was measured together with it.
    pub(super) fn beside(self, disk: Duration) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// The row of the table, with one append with fdatasync before and after the measurement.
    pub(super) fn row(&self, disk: [Duration; 2]) -> String {
        let reached = match self.reached {
            None => "",
            Some(true) => "reached",
            Some(false) => "missed",
        };
        let disk = match self.disk {
            Some(during) => format!("{} meanwhile", millis(during)),
            None => disk.map(millis).join(", "),
        };
        format!("{:<42} {:>16}   {:<13} {reached:<8} {disk}", self.what, self.value, self.aim)
    }

    /// What stands above the rows.
    pub(super) fn head() -> String {
        format!("{:<42} {:>16}   {:<22} one fdatasync before, after", "figure", "measured", "aim")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_aimed_at_and_whether_it_is_reached() {
        let disk = [150, 160].map(Duration::from_micros);
        let row = |measured: Measured| measured.row(disk).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(row(Measured::new("a", "7 s".to_owned())), "a 7 s 0.150 ms, 0.160 ms");
        let aimed = Measured::new("a", "7 s".to_owned()).at_most("3 s", false);
        assert_eq!(row(aimed), "a 7 s ≤ 3 s missed 0.150 ms, 0.160 ms");
        assert_eq!(
            row(Measured::new("a", "7/s".to_owned()).at_least("3/s", true)),
            "a 7/s ≥ 3/s reached 0.150 ms, 0.160 ms"
        );
    }
}
