//! What the author probably meant.

use crate::text::shown::name;

/// Differences between a word and a suggestion for it.
const DISTANCE_MAX: usize = 2;
/// Words longer than this are not compared letter by letter.
const WORD_CHARS_MAX: usize = 64;
/// Shortest beginning of a word that is completed.
const PREFIX_CHARS_MIN: usize = 3;

/// The known word nearest to an unknown one, if any is near enough: at most
/// two letters changed, added, dropped or swapped (one in words of up to four
/// letters), or a beginning of one and only one word.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    if folded.is_empty() || folded.len() > WORD_CHARS_MAX {
        return None;
    }
    let allowed = if folded.len() <= 4 { 1 } else { DISTANCE_MAX };
    let mut best: Option<(usize, &str)> = None;
    let mut completion = None;
    let mut completions = 0;
    for candidate in known {
        let other = fold(candidate);
        if other.len() > WORD_CHARS_MAX {
            continue;
        }
        if folded.len() >= PREFIX_CHARS_MIN
            && other.len() >= PREFIX_CHARS_MIN
            && (other.starts_with(&folded) || folded.starts_with(&other))
        {
            completions += 1;
            completion = Some(candidate);
        }
        if other.len().abs_diff(folded.len()) > allowed {
            continue;
        }
        let distance = distance(&folded, &other);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate).or(if completions == 1 { completion } else { None })
}

/// The sentence that suggests the nearest word.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|nearest| format!("did you mean {}?", name(nearest)))
}

/// Letters without case, and one form of hyphen.
fn fold(word: &str) -> Vec<char> {
    word.chars()
        .take(WORD_CHARS_MAX + 1)
        .flat_map(char::to_lowercase)
        .map(|c| if c == '-' { '_' } else { c })
        .collect()
}

/// Damerau-Levenshtein distance with adjacent swaps (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let substituted = last[column] + usize::from(a != b);
            let mut least = substituted.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        let known = ["prompt", "prompt_file", "priority", "needs", "run", "timeouts"];
        for (word, meant) in [
            ("promt", "prompt"),
            ("prompt-file", "prompt_file"),
            ("nedes", "needs"),
            ("rnu", "run"),
            ("Run", "run"),
            ("timeout", "timeouts"),
            ("prio", "priority"),
        ] {
            assert_eq!(nearest(word, known), Some(meant), "{word}");
        }
    }

    #[test]
    fn strangers_are_not() {
        for word in ["", "x", "banana", "command", &"x".repeat(10_000)] {
            assert_eq!(nearest(word, ["prompt", "run", "needs"]), None, "{word}");
        }
    }

    #[test]
    fn an_ambiguous_beginning_is_not_completed() {
        assert_eq!(nearest("work", ["workspace", "workdir_of"]), None);
    }
}
