//! The name of an item as a part of the name of a branch.
//!
//! Git allows less in names of branches than a plan does in names of items, so
//! what it does not allow is written as `%` and two hexadecimal digits. Since
//! `%` is always written so, too, different names have different branches. Long
//! names end in `+` and a hash of the whole.

/// What all our branches begin with.
pub(crate) const BRANCH_PREFIX: &str = "mnemosyne";
/// Longest part; below the 255 bytes of file systems, with room for the `.lock` that git adds.
const PART_BYTES_MAX: usize = 120;
/// Hexadecimal digits of the hash of a name that was cut.
const HASH_DIGITS: usize = 32;

/// The branch of an item.
pub(crate) fn branch_of(run: &str, name: &str) -> String {
    format!("{BRANCH_PREFIX}/{}/{}", part(run), part(name))
}

/// A name as one part of the name of a branch.
fn part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && dot(name, index));
        if plain {
            part.push(char::from(byte));
        } else {
            part.push_str(&format!("%{byte:02X}"));
        }
    }
    if part.is_empty() {
        // No other name becomes a lone percent sign.
        return "%".to_owned();
    }
    if part.len() > PART_BYTES_MAX {
        part.truncate(PART_BYTES_MAX - HASH_DIGITS - 1);
        part.push('+');
        part.extend(blake3::hash(name.as_bytes()).to_hex().chars().take(HASH_DIGITS));
    }
    part
}

/// Whether the dot at `index` may stand for itself: not at an end, not beside another one, not in `.lock`.
fn dot(name: &str, index: usize) -> bool {
    let rest = &name.as_bytes()[index + 1..];
    index > 0 && !rest.is_empty() && rest[0] != b'.' && !rest.eq_ignore_ascii_case(b"lock")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::process::Command;

    use super::*;

    #[test]
    fn odd_names_become_different_branches_that_git_accepts() {
        let long = "x".repeat(300);
        let longer = format!("{long}y");
        let dotted = format!("{}.lock", "y".repeat(115));
        let names = [
            "build",
            "a.b",
            "a..b",
            "a.",
            ".a",
            "a.lock",
            "a.lock.lock",
            "a.LOCK",
            "a b",
            "a~b",
            "a^b",
            "a:b",
            "a?b",
            "a*b",
            "a[b]",
            "a\\b",
            "a/b",
            "a//b",
            "/a",
            "a@{b",
            "@",
            "-a",
            "-",
            "",
            "%",
            "%25",
            ".",
            "..",
            "HEAD",
            "é",
            "…",
            "a\nb",
            "a\0b",
            "a%2Fb",
            "+",
            &long,
            &longer,
            &dotted,
        ];
        let branches: HashSet<String> = names.iter().map(|name| branch_of("1m82b71r4", name)).collect();
        assert_eq!(branches.len(), names.len(), "two names share a branch");
        for branch in branches {
            let checked = Command::new("git").args(["check-ref-format", "--branch", &branch]).output();
            assert!(checked.expect("git runs").status.success(), "{branch}");
            assert!(branch.len() < 255, "{branch}");
        }
    }

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(branch_of("1m82b71r4", "build-api_v2.1"), "mnemosyne/1m82b71r4/build-api_v2.1");
        assert_eq!(branch_of("1m82b71r4", "test[eu]"), "mnemosyne/1m82b71r4/test%5Beu%5D");
    }
}
