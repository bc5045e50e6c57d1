//! How long a provider asks to wait, in the words of its error.

use std::time::Duration;

/// The longest wait that is believed.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);
/// What stands before the time.
const LEADS: [&str; 6] = ["try again in", "retry in", "retry after", "retry-after", "reset after", "resets in"];
/// Parts of a time that are read: days, hours, minutes, seconds.
const PARTS_MAX: usize = 4;

/// The wait that a text names: `try again in 2 hours 13 minutes`, `reset after 21h58m24s`, `retry after 17`.
pub(super) fn wait_in(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    LEADS.iter().find_map(|lead| {
        let (_, after) = text.split_once(lead)?;
        duration(after.trim_start_matches([' ', ':', '=']))
    })
}

/// A wait of so many seconds, as a number or a text of one.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    span(text.trim().parse().ok()?)
}

fn duration(text: &str) -> Option<Duration> {
    let mut total: Option<Duration> = None;
    let mut rest = text;
    for _ in 0..PARTS_MAX {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else { break };
        let after = rest[digits..].trim_start_matches(' ');
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let Some(unit) = unit(&after[..letters]) else {
            // A number without a unit is one of seconds; behind others it is something else.
            return total.or_else(|| span(number));
        };
        let part = span(number * unit)?;
        total = Some(total.unwrap_or_default().saturating_add(part).min(WAIT_MAX));
        rest = after[letters..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    total
}

/// Seconds of a unit.
fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "ms" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

fn span(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_the_words_of_providers() {
        for (text, millis) in [
            ("Rate limit is exceeded. Try again in 17 seconds.; retrying 5/5", Some(17_000)),
            ("hit your usage limit. Upgrade or try again in 2 hours 13 minutes.", Some(7_980_000)),
            ("try again in 3 days 6 hours 57 minutes.", Some(284_220_000)),
            ("Please try again in 11.054s. Visit", Some(11_054)),
            ("Your quota will reset after 21h58m24s.", Some(79_104_000)),
            ("Please retry in 41.6s.", Some(41_600)),
            ("retry after 35ms", Some(35)),
            ("Retry-After: 30", Some(30_000)),
            ("try again in 1 minute and 5 seconds", Some(65_000)),
            ("try again in 9999 days", Some(WAIT_MAX.as_secs() * 1_000)),
            ("try again at 3:28 PM", None),
            ("try again in a while", None),
            ("no words of it", None),
        ] {
            assert_eq!(wait_in(text), millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(seconds("2.5"), Some(Duration::from_millis(2_500)));
        assert_eq!((seconds("-1"), seconds("soon"), seconds("NaN")), (None, None, None));
    }
}
