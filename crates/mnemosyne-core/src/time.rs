//! Time as the log knows it: stamps on entries and spans between them.
//!
//! The core never reads a clock. A node stamps each entry it proposes; apply
//! takes the later of that stamp and the last one, so time never goes back.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment: milliseconds since the Unix epoch, as stamped on a log entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// The largest stamp an id can carry (44 bits, the year 2527).
    pub const MAX: Self = Self((1 << 44) - 1);

    /// A stamp of so many milliseconds since the Unix epoch, capped at [`Stamp::MAX`].
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis).min(Self::MAX)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-22T17:43:00.000Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let millis = i64::try_from(self.0).expect("stamps have 44 bits");
        let moment = jiff::Timestamp::from_millisecond(millis);
        format!("{:.3}", moment.expect("jiff reaches to the year 9999"))
    }

    /// The moment `span` later, saturating.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// In formats for people a stamp is RFC 3339, elsewhere a number.
impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.to_rfc3339())
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self::from_millis);
        }
        let moment: jiff::Timestamp = String::deserialize(deserializer)?.parse().map_err(de::Error::custom)?;
        u64::try_from(moment.as_millisecond()).map(Self::from_millis).map_err(de::Error::custom)
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A span of seconds, saturating.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// The span in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Reads `90s`, `1h30m`, `500ms`, `2d`; a bare `0` is allowed, other bare
    /// numbers are not, since their unit would be a guess.
    ///
    /// # Errors
    /// [`SpanError`] names the text and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let fail = |problem| SpanError { text: text.chars().take(40).collect(), problem };
        let trimmed = text.trim();
        if trimmed == "0" {
            return Ok(Self::ZERO);
        }
        if trimmed.is_empty() {
            return Err(fail("it is empty"));
        }
        let mut rest = trimmed;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                return Err(fail("a number is missing before the unit"));
            }
            let (number, tail) = rest.split_at(digits);
            let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at(letters);
            let factor: u64 = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "" => return Err(fail("the unit is missing (ms, s, m, h, d)")),
                _ => return Err(fail("the unit is not one of ms, s, m, h, d")),
            };
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
            total = part
                .and_then(|part| total.checked_add(part))
                .filter(|total| *total <= Stamp::MAX.as_millis())
                .ok_or_else(|| fail("it is too long"))?;
            rest = tail.trim_start();
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        let mut rest = self.0;
        for (factor, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
            if rest >= factor {
                text.push_str(&format!("{}{unit}", rest / factor));
                rest %= factor;
            }
        }
        f.pad(&text)
    }
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: {problem}; write 90s, 1h30m or 500ms")]
pub struct SpanError {
    /// The offending text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in
            [("90s", 90_000), ("1h30m", 5_400_000), ("500ms", 500), ("2d", 172_800_000), ("0", 0)]
        {
            let span = Span::parse(text).expect(text);
            assert_eq!(span.as_millis(), millis, "{text}");
            assert_eq!(Span::parse(&span.to_string()), Ok(span));
        }
    }

    #[test]
    fn what_is_not_a_duration_says_why() {
        for text in ["", "5", "s", "5 parsecs", "-1s", "99999999999999999999s", "1h30", "9999999999d"] {
            let error = Span::parse(text).expect_err(text);
            assert!(error.to_string().contains("is not a duration"), "{error}");
        }
    }

    #[test]
    fn stamps_are_written_with_milliseconds_in_utc() {
        assert_eq!(Stamp::from_millis(1_795_000_000_007).to_rfc3339(), "2026-11-18T11:06:40.007Z");
        assert_eq!(Stamp::from_millis(0).to_rfc3339(), "1970-01-01T00:00:00.000Z");
        assert!(Stamp::MAX.to_rfc3339().starts_with("2527-"));
    }

    #[test]
    fn stamps_saturate() {
        assert_eq!(Stamp::MAX.plus(Span::from_secs(u64::MAX)), Stamp::MAX);
        assert_eq!(Stamp::from_millis(5).since(Stamp::from_millis(9)), Span::ZERO);
    }
}
