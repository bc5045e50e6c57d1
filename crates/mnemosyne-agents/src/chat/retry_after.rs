//! When a provider wants to be asked again, as it says in the headers of a refusal.
//!
//! Providers say it in many ways; the plainest one that is there counts. What
//! names a moment is read against the provider's own clock, so ours does not matter.

use std::time::{Duration, SystemTime};

/// No provider is believed beyond this.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Numbers from here on are moments and not spans: seconds since 1970.
const MOMENT_SECS_MIN: f64 = 1e9;
/// And these are milliseconds since then.
const MOMENT_MILLIS_MIN: f64 = 1e12;

/// The wait that the headers of a refusal ask for; `header` gives one by its name in lower case.
pub(super) fn retry_after<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Duration> {
    let now = header("date").and_then(moment);
    let span = |text: &str| wait(text, now);
    let millis = header("retry-after-ms").and_then(number).map(|millis| millis / 1_000.0);
    let wait = millis
        .and_then(seconds)
        .or_else(|| header("retry-after").and_then(span))
        .or_else(|| exhausted(&header, now))
        .or_else(|| header("ratelimit-reset").and_then(span))
        .or_else(|| header("x-ratelimit-reset").and_then(span));
    wait.map(|wait| wait.min(WAIT_MAX))
}

/// The longest wait for one of the limits that are used up.
fn exhausted<'a>(header: &impl Fn(&str) -> Option<&'a str>, now: Option<SystemTime>) -> Option<Duration> {
    ["requests", "tokens"]
        .into_iter()
        .filter_map(|what| {
            let left = header(&format!("x-ratelimit-remaining-{what}")).and_then(number);
            let reset = header(&format!("x-ratelimit-reset-{what}"))?;
            if left.is_some_and(|left| left > 0.0) { None } else { wait(reset, now) }
        })
        .max()
}

/// A wait in seconds, as `1m30s`, or until a moment.
fn wait(text: &str, now: Option<SystemTime>) -> Option<Duration> {
    let text = text.trim();
    let until = |moment: SystemTime| Some(moment.duration_since(now?).unwrap_or_default());
    if let Some(number) = number(text) {
        let since_epoch = |span: Option<Duration>| until(SystemTime::UNIX_EPOCH.checked_add(span?)?);
        return match number {
            millis if millis >= MOMENT_MILLIS_MIN => since_epoch(seconds(millis / 1_000.0)),
            secs if secs >= MOMENT_SECS_MIN => since_epoch(seconds(secs)),
            span => seconds(span),
        };
    }
    units(text).or_else(|| moment(text).and_then(until))
}

fn moment(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

fn number(text: &str) -> Option<f64> {
    let plain = text.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.trim().parse().ok().filter(|_| plain)
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// `6m0s`, `1.5s`, `20ms`, `1h`.
fn units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (count, after) = rest.split_at(digits);
        let letters = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        sum = sum.checked_add(seconds(number(count)? * factor)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    fn after(headers: &[(&str, &str)]) -> Option<u128> {
        let found =
            retry_after(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
        found.map(|wait| wait.as_millis())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(after(&[("retry-after", "7")]), Some(7_000));
        assert_eq!(after(&[("retry-after", " 0.5 ")]), Some(500));
        assert_eq!(after(&[NOW, ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), Some(10_000));
        assert_eq!(after(&[NOW, ("retry-after", "Sunday, 06-Nov-94 08:49:40 GMT")]), Some(3_000));
        assert_eq!(after(&[NOW, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0), "it has passed");
        assert_eq!(
            after(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]),
            None,
            "nobody says what time it is"
        );
    }

    #[test]
    fn the_usual_headers_are_understood() {
        assert_eq!(after(&[("retry-after-ms", "250"), ("retry-after", "1")]), Some(250));
        assert_eq!(after(&[("x-ratelimit-reset-requests", "6m0s")]), Some(360_000));
        let of_tokens = [
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m1.5s"),
        ];
        assert_eq!(after(&of_tokens), Some(61_500));
        assert_eq!(after(&[("ratelimit-reset", "12")]), Some(12_000));
        assert_eq!(after(&[NOW, ("x-ratelimit-reset", "784111780")]), Some(WAIT_MAX.as_millis()));
        assert_eq!(after(&[NOW, ("x-ratelimit-reset", "1784111780")]), Some(WAIT_MAX.as_millis()));
    }

    #[test]
    fn what_is_no_wait_is_none() {
        for text in ["", "-1", "soon", "1x", "s", "1e9", "NaN", "inf", "1.2.3", "99999999999999999999999999999"]
        {
            let wait = after(&[("retry-after", text)]);
            assert!(wait.is_none_or(|wait| wait <= WAIT_MAX.as_millis()), "{text}: {wait:?}");
        }
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[("retry-after", "-1")]), None);
    }
}
