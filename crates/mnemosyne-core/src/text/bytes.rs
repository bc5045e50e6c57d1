//! Numbers of bytes as people write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes, written `64k`, `8M`, `1G`; a bare number is bytes. The
/// units are powers of 1024, with or without `iB` or `B` behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(u64);

/// Units from the largest.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('k', 10)];

impl Bytes {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Reads a size.
    ///
    /// # Errors
    /// [`BytesError`] names the text and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BytesError> {
        let fail = |problem| BytesError { text: text.chars().take(40).collect(), problem };
        let trimmed = text.trim();
        let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(fail("it does not start with a whole number"));
        }
        let unit = unit.trim_start().to_ascii_lowercase();
        let shift = match unit.as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(fail("the unit is not one of k, M, G, T")),
        };
        let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        number.map(Self).ok_or_else(|| fail("it is too large"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, shift)| self.0 > 0 && self.0.trailing_zeros() >= *shift);
        match unit {
            Some((unit, shift)) => f.pad(&format!("{}{unit}", self.0 >> shift)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size: {problem}")]
pub struct BytesError {
    /// The offending text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, shown) in [
            ("0", 0, "0"),
            ("1000", 1_000, "1000"),
            ("64k", 65_536, "64k"),
            ("1 GiB", 1 << 30, "1G"),
            ("1536K", 1_572_864, "1536k"),
        ] {
            let size = Bytes::parse(text).expect(text);
            assert_eq!(size.as_u64(), bytes, "{text}");
            assert_eq!(size.to_string(), shown);
            assert_eq!(Bytes::parse(&size.to_string()), Ok(size));
        }
    }

    #[test]
    fn what_is_not_a_size_says_why() {
        for text in ["", "k", "-1", "1.5G", "64x", "99999999999999999999", "20000000T", "１k"] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
    }
}
