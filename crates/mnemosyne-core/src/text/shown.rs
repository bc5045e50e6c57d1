//! Other people's text in our messages: escaped, shortened, joined.

use crate::text::limits::{CHOICES_SHOWN_MAX, QUOTE_CHARS_MAX};

/// A text as a message quotes it: `"like \u{1b} this…"`.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("\"{}\"", shorten(text, QUOTE_CHARS_MAX))
}

/// A name as a message quotes it: `` `like this` ``.
#[must_use]
pub fn name(text: &str) -> String {
    format!("`{}`", shorten(text, QUOTE_CHARS_MAX))
}

/// At most `limit` characters of a text, those that would move the cursor,
/// hide or reorder text escaped.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == limit {
            out.push('…');
            break;
        }
        push_shown(&mut out, character);
    }
    out
}

/// Appends a character in the form in which it is harmless on a terminal.
pub(crate) fn push_shown(out: &mut String, character: char) {
    let reorders = matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if character.is_control() || reorders {
        out.extend(character.escape_default());
    } else {
        out.push(character);
    }
}

/// Names in a row: `` `a`, `b` and 3 more ``.
#[must_use]
pub fn join<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    let mut more = 0_usize;
    for (index, text) in names.into_iter().enumerate() {
        if index >= CHOICES_SHOWN_MAX {
            more += 1;
            continue;
        }
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&name(text));
    }
    if more > 0 {
        out.push_str(&format!(" and {more} more"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidirectional_characters_are_escaped() {
        assert_eq!(quote("a\u{1b}[2J\u{202e}b\0"), "\"a\\u{1b}[2J\\u{202e}b\\u{0}\"");
    }

    #[test]
    fn long_texts_and_long_rows_are_cut() {
        assert_eq!(quote(&"x".repeat(100)).chars().count(), QUOTE_CHARS_MAX + 3);
        let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert!(join(names.iter().map(String::as_str)).ends_with("`11` and 8 more"));
    }
}
