//! Texts of strangers, made short and safe.

use crate::escape::escape_control;

/// Bytes of the longest answer that is kept.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the longest message that is shown to users.
const MESSAGE_BYTES_MAX: usize = 1_000;
/// Bytes of the longest name of a model or tool.
const NAME_BYTES_MAX: usize = 100;
/// Bytes of the longest name of a conversation.
const SESSION_BYTES_MAX: usize = 200;

/// A text for users: nothing in it controls a terminal.
pub(super) fn message(text: &str) -> String {
    cut(escape_control(text.trim().as_bytes()), MESSAGE_BYTES_MAX)
}

/// The name of a model or tool.
pub(super) fn label(text: &str) -> String {
    cut(escape_control(text.trim().as_bytes()), NAME_BYTES_MAX)
}

/// What an agent said last; none when it said nothing.
pub(super) fn answer(text: String) -> Option<String> {
    (!text.trim().is_empty()).then(|| cut(text, ANSWER_BYTES_MAX))
}

/// The name of a conversation; none when it is not one that can be an argument of a command.
pub(super) fn session(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let fits = (1..=SESSION_BYTES_MAX).contains(&text.len()) && !text.starts_with('-');
    (fits && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Appends as much of a text as an answer may have.
pub(super) fn append(answer: &mut String, text: &str) {
    // One character more than is kept tells that something was cut off.
    let room = (ANSWER_BYTES_MAX + char::MAX_LEN_UTF8).saturating_sub(answer.len());
    answer.push_str(&text[..text.floor_char_boundary(room)]);
}

/// At most `bytes_max` bytes, cut between characters, with a sign that there was more.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_and_control_nothing() {
        assert_eq!(message(" a\x1b[2J\n"), r"a\x1b[2J");
        let long = message(&"ž".repeat(MESSAGE_BYTES_MAX));
        assert!(long.ends_with("ž…") && long.len() <= MESSAGE_BYTES_MAX + 3, "{}", long.len());
        assert_eq!(label(&"x".repeat(1_000)).len(), NAME_BYTES_MAX + 3);
    }

    #[test]
    fn an_answer_is_kept_up_to_its_limit() {
        assert_eq!(answer(" \n".to_owned()), None);
        let mut long = String::new();
        for _ in 0..3 {
            append(&mut long, &"ž".repeat(ANSWER_BYTES_MAX / 3));
        }
        assert!(answer(long).is_some_and(|text| text.ends_with("ž…") && text.len() <= ANSWER_BYTES_MAX + 3));
    }

    #[test]
    fn a_conversation_has_a_name_that_can_be_an_argument() {
        for good in ["ses_494719016ffe85dk", "0199a213-81c0-7800-8aa1-bbab2a035a53", "a"] {
            assert_eq!(session(good).as_deref(), Some(good));
        }
        for bad in ["", "--last", "a b", "a/../b", "a\0", "é", &"x".repeat(201)] {
            assert_eq!(session(bad), None, "{bad:?}");
        }
    }
}
