//! Moments as users name them.

use mnemosyne_core::time::{Span, Stamp};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

/// A moment: so long ago, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Ago(Span),
    At(Stamp),
}

impl Moment {
    /// The moment, seen from `now`.
    pub(crate) fn before(self, now: Stamp) -> Stamp {
        match self {
            Self::Ago(span) => Stamp::from_millis(now.as_millis().saturating_sub(span.as_millis())),
            Self::At(stamp) => stamp,
        }
    }
}

/// Reads `90s`, `2d`, or a time in RFC 3339 such as `2026-11-22T17:43:00Z`.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(span) = Span::parse(text) {
        return Ok(Moment::Ago(span));
    }
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    Stamp::deserialize(text).map(Moment::At).map_err(|_| {
        "neither a span of time such as 90s, 2h or 1d (so long ago) nor a time such as 2026-11-22T17:43:00Z"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spans_or_times() {
        let now = Stamp::from_millis(1_795_369_380_000);
        let before = |text: &str| moment(text).map(|moment| moment.before(now).to_rfc3339());
        assert_eq!(before("90s"), Ok("2026-11-22T17:41:30.000Z".to_owned()));
        assert_eq!(before("2026-11-22T17:43:00+01:00"), Ok("2026-11-22T16:43:00.000Z".to_owned()));
        assert_eq!(before("9999d"), moment("9999d").map(|moment| moment.before(now).to_rfc3339()));
        for wrong in ["", "yesterday", "2026-11-22", "5", "-3s"] {
            assert!(before(wrong).is_err(), "{wrong}");
        }
    }
}
