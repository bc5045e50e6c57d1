//! Fields of JSON that a stranger wrote: what does not fit is not there.

use mnemosyne_core::work::report::ModelUsage;
use serde_json::Value;

/// Fields of an event, by their path: `usage.input_tokens`.
pub(super) trait Fields {
    /// The value at a path.
    fn at(&self, path: &str) -> Option<&Value>;

    /// The text at a path.
    fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The text at a path, or nothing.
    fn word(&self, path: &str) -> &str {
        self.text(path).unwrap_or_default()
    }

    /// The count at a path; a fraction or a number below zero is none.
    fn count(&self, path: &str) -> u64 {
        self.at(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whether `true` stands at a path.
    fn is(&self, path: &str) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of the list at a path.
    fn list(&self, path: &str) -> &[Value] {
        self.at(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The price at a path, given in US dollars, in millionths.
    fn microusd(&self, path: &str) -> Option<u64> {
        micros(self.at(path)?.as_f64()?)
    }
}

impl Fields for Value {
    fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, key| value.get(key))
    }
}

/// Tokens by the four names that a dialect has for them.
pub(super) fn tokens(event: &Value, [input, output, read, write]: [&str; 4]) -> ModelUsage {
    ModelUsage {
        input_tokens: event.count(input),
        output_tokens: event.count(output),
        cache_read_tokens: event.count(read),
        cache_write_tokens: event.count(write),
        ..ModelUsage::default()
    }
}

/// More dollars than anybody pays.
const DOLLARS_MAX: f64 = 1e9;

/// Dollars in millionths; none for what is no price.
fn micros(dollars: f64) -> Option<u64> {
    (0.0..=DOLLARS_MAX).contains(&dollars).then(|| (dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_not_there() {
        let event = json!({"a": {"b": "text", "n": 3, "neg": -1, "f": 1.5, "yes": true}, "l": [1]});
        assert_eq!((event.text("a.b"), event.text("a.n"), event.text("a.b.c")), (Some("text"), None, None));
        assert_eq!(
            (event.count("a.n"), event.count("a.neg"), event.count("a.f"), event.count("x")),
            (3, 0, 0, 0)
        );
        assert!(
            event.is("a.yes") && !event.is("a.n") && event.list("l").len() == 1 && event.list("a").is_empty()
        );
        assert_eq!(json!([1]).text("a"), None);
    }

    #[test]
    fn a_price_is_kept_in_millionths() {
        for (price, micros) in [
            (json!(2.5), Some(2_500_000)),
            (json!(0.000_175), Some(175)),
            (json!(0), Some(0)),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("1"), None),
        ] {
            assert_eq!(json!({ "cost": price }).microusd("cost"), micros, "{price}");
        }
    }
}
