//! Keys: sent, and neither shown nor kept.

use std::fmt;

/// What stands in the place of a key.
const HIDDEN: &str = "[hidden]";
/// Shorter values are no secrets, and would be found in every text.
const SECRET_BYTES_MIN: usize = 6;

/// A key, or the value of a header that may be one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a key, without the white space around it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Takes keys out of a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Redactor {
    secrets: Vec<Secret>,
    /// The end of what has come, when a key may begin in it.
    held: String,
}

impl Redactor {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut secrets: Vec<Secret> =
            secrets.into_iter().filter(|secret| secret.0.len() >= SECRET_BYTES_MIN).cloned().collect();
        // A longer one may contain a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.0.len()));
        Self { secrets, held: String::new() }
    }

    /// A whole text without keys.
    pub(super) fn whole(&self, text: &str) -> String {
        let replaced = |text: String, secret: &Secret| text.replace(secret.expose(), HIDDEN);
        self.secrets.iter().fold(text.to_owned(), replaced)
    }

    /// The next piece; returns what can be shown of the text by now.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let text = std::mem::take(&mut self.held) + piece;
        let text = self.whole(&text);
        let keep = self.secrets.iter().map(|secret| begun(&text, secret.expose())).max().unwrap_or(0);
        let (shown, held) = text.split_at(text.len() - keep);
        self.held = held.to_owned();
        shown.to_owned()
    }

    /// What was held back, when nothing more comes.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that a secret begins with.
fn begun(text: &str, secret: &str) -> usize {
    let longest = secret.len().saturating_sub(1).min(text.len());
    (1..=longest)
        .rev()
        .find(|length| secret.is_char_boundary(*length) && text.ends_with(&secret[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(secrets: &[&str], pieces: &[&str]) -> Vec<String> {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(secret)).collect();
        let mut redactor = Redactor::new(&secrets);
        let mut shown: Vec<String> = pieces.iter().map(|piece| redactor.push(piece)).collect();
        shown.push(redactor.rest());
        shown
    }

    #[test]
    fn a_key_is_hidden_wherever_the_text_is_cut() {
        let text = "before sk-secret-1 between sk-secret-1 after sk-sec";
        for at in 0..=text.len() {
            let shown = pieces(&["sk-secret-1"], &[&text[..at], &text[at..]]).concat();
            assert_eq!(shown, "before [hidden] between [hidden] after sk-sec");
        }
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        assert_eq!(pieces(&["sk-secret"], &["abc", "sk-", "x"]), ["abc", "", "sk-x", ""]);
        assert_eq!(pieces(&[], &["abc"]), ["abc", ""]);
        assert_eq!(pieces(&["1"], &["11"]), ["11", ""], "no secret is that short");
    }

    #[test]
    fn a_key_is_not_shown_for_debugging() {
        assert_eq!(format!("{:?}", Secret::new(" sk-secret \n")), "[hidden]");
    }
}
