//! Identifiers. All of them are handed out by the log, never by a clock or a
//! random generator, so every replica knows the same ones.
//!
//! A run is named by the millisecond in which it was accepted, in nine
//! lower-case Crockford base-32 digits (`1kfj6ap2m`); further runs accepted in
//! the same millisecond get four more digits (`1kfj6ap2m0001`). So ids sort by
//! time as text, are short enough to type, and any unique prefix names a run.
//! An item is `RUN.ORDINAL`, counted from 1 in the order of the plan.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Stamp;

/// Crockford's base 32, lower case: no `i`, `l`, `o`, `u`.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Digits that hold the millisecond (44 bits are used: enough until the year 2527).
const TIME_DIGITS: usize = 9;
/// Digits that tell apart runs accepted in one millisecond.
const SERIAL_DIGITS: usize = 4;
/// Bits of [`RunId`] below the millisecond.
const SERIAL_BITS: u32 = 20;

/// Identifier of a run: one submission of a plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

impl RunId {
    /// Smaller than or equal to every id.
    pub const MIN: Self = Self(0);
    /// Larger than or equal to every id.
    pub const MAX: Self = Self(u64::MAX);

    /// The id that follows `last` for a run accepted at `stamp`.
    #[must_use]
    pub fn following(last: Option<Self>, stamp: Stamp) -> Self {
        let by_time = stamp.as_millis() << SERIAL_BITS;
        match last {
            Some(last) if last.0 >= by_time => Self(last.0 + 1),
            _ => Self(by_time),
        }
    }

    /// The id as a number, for indexes and wire formats.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The id of that number.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The ids whose text may begin so: the first and the last of them; none when no id does.
    #[must_use]
    pub fn beginning_with(text: &str) -> Option<(Self, Self)> {
        let digits = TIME_DIGITS + SERIAL_DIGITS;
        if text.is_empty() || text.len() > digits || !text.bytes().all(|digit| DIGITS.contains(&digit)) {
            return None;
        }
        let filled = |digit: char| {
            let text: String = text.chars().chain(std::iter::repeat(digit)).take(digits).collect();
            let (time, serial) = text.split_at(TIME_DIGITS);
            let time = decode(time)?.min((1 << (64 - SERIAL_BITS)) - 1);
            Some(Self((time << SERIAL_BITS) | decode(serial)?))
        };
        Some((filled('0')?, filled('z')?))
    }

    /// The item of this run with the given zero-based position in the plan.
    #[must_use]
    pub fn item(self, position: u32) -> ItemId {
        ItemId { run: self, position }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; TIME_DIGITS + SERIAL_DIGITS];
        encode(self.0 >> SERIAL_BITS, &mut text[..TIME_DIGITS]);
        let serial = self.0 & ((1 << SERIAL_BITS) - 1);
        let used = if serial == 0 {
            TIME_DIGITS
        } else {
            encode(serial, &mut text[TIME_DIGITS..]);
            TIME_DIGITS + SERIAL_DIGITS
        };
        f.pad(std::str::from_utf8(&text[..used]).expect("base 32 digits are ASCII"))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError { text: text.chars().take(40).collect(), expected: "a run id" };
        let (time, serial) = match text.len() {
            TIME_DIGITS => (text, "0"),
            length if length == TIME_DIGITS + SERIAL_DIGITS => {
                text.split_at_checked(TIME_DIGITS).ok_or_else(wrong)?
            }
            _ => return Err(wrong()),
        };
        let time = decode(time).ok_or_else(wrong)?;
        let serial = decode(serial).ok_or_else(wrong)?;
        if time >= 1 << (64 - SERIAL_BITS) {
            return Err(wrong());
        }
        Ok(Self((time << SERIAL_BITS) | serial))
    }
}

/// Identifier of a work item: its run and its position in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    /// The run the item belongs to.
    pub run: RunId,
    /// Zero-based position in the run; the text form counts from 1.
    pub position: u32,
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.run, u64::from(self.position) + 1))
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemId({self})")
    }
}

impl FromStr for ItemId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError { text: text.chars().take(40).collect(), expected: "an item id" };
        let (run, ordinal) = text.split_once('.').ok_or_else(wrong)?;
        let run = run.parse().map_err(|_| wrong())?;
        if !ordinal.bytes().all(|byte| byte.is_ascii_digit()) || ordinal.starts_with('0') {
            return Err(wrong());
        }
        let ordinal: u32 = ordinal.parse().map_err(|_| wrong())?;
        let position = ordinal.checked_sub(1).ok_or_else(wrong)?;
        Ok(Self { run, position })
    }
}

/// In formats for people an id is its text, elsewhere its number.
impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

impl Serialize for ItemId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.run, self.position).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            <(RunId, u32)>::deserialize(deserializer).map(|(run, position)| Self { run, position })
        }
    }
}

/// A text that is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    /// The offending text, shortened.
    pub text: String,
    /// What was expected in its place.
    pub expected: &'static str,
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!(concat!($prefix, "{}"), self.0))
            }
        }
    };
}

number_id! {
    /// Identifier of a node: one data directory, for its whole life. A wiped
    /// node comes back under a new one.
    NodeId, "n"
}
number_id! {
    /// Identifier of a session: the life of one node process.
    SessionId, "s"
}
number_id! {
    /// A question in the inbox.
    QuestionId, "q"
}
number_id! {
    /// The right to execute one attempt of an item. Every grant gets a larger
    /// one, so a result that carries an older token is recognised and refused.
    FencingToken, ""
}

/// Writes `value` into `digits`, most significant first.
fn encode(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(value & 31).expect("five bits fit")];
        value >>= 5;
    }
}

/// Reads base 32 digits; `None` when one of them is not a digit.
fn decode(text: &str) -> Option<u64> {
    text.bytes().try_fold(0_u64, |value, byte| {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        Some((value << 5) | u64::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_follow_the_stamp_and_stay_unique_within_a_millisecond() {
        let stamp = Stamp::from_millis(1_795_000_000_000);
        let first = RunId::following(None, stamp);
        let second = RunId::following(Some(first), stamp);
        let later = RunId::following(Some(second), Stamp::from_millis(1_795_000_000_001));
        assert!(first < second && second < later);
        assert!(first.to_string() < second.to_string());
        assert!(second.to_string() < later.to_string());
        assert_eq!(first.to_string().len(), 9);
        assert_eq!(second.to_string().len(), 13);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_never_repeats_an_id() {
        let ahead = RunId::following(None, Stamp::from_millis(1_000));
        assert!(RunId::following(Some(ahead), Stamp::from_millis(10)) > ahead);
    }

    #[test]
    fn text_forms_round_trip() {
        let run = RunId::following(None, Stamp::from_millis(1_795_000_000_000));
        for id in [run, RunId::following(Some(run), Stamp::from_millis(0))] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.item(16).to_string().parse(), Ok(id.item(16)));
            assert!(id.item(16).to_string().ends_with(".17"));
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "1", "1kfj6ap2u", "1kfj6ap2m.", "zzzzzzzzzzzzz", "ééééé", "1kfj6ap2m0"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        for text in ["1kfj6ap2m", "1kfj6ap2m.0", "1kfj6ap2m.01", "1kfj6ap2m.-1", "1kfj6ap2m.99999999999"] {
            assert!(text.parse::<ItemId>().is_err(), "{text}");
        }
    }
}
