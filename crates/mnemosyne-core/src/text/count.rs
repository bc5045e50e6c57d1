//! Numbers with the nouns they count: "1 item", "2 items", "3 capabilities".

use std::fmt::Display;

/// A number and its noun, which is given for one.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    if count == N::from(1) { format!("1 {noun}") } else { format!("{count} {}", plural(noun)) }
}

/// More than one of something; the last word of `noun` is what is counted.
#[must_use]
pub fn plural(noun: &str) -> String {
    let vowel = |character: char| "aeiou".contains(character);
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(vowel) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") || noun.ends_with("sh") => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_everything_else_is_many() {
        assert_eq!(counted(0_u32, "item"), "0 items");
        assert_eq!(counted(1_u64, "item"), "1 item");
        assert_eq!(counted(2_usize, "environment variable"), "2 environment variables");
        for (one, many) in
            [("capability", "capabilities"), ("day", "days"), ("process", "processes"), ("branch", "branches")]
        {
            assert_eq!(plural(one), many);
        }
    }
}
