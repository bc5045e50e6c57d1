//! What a verdict is about: the hash of exactly what was looked at.
//!
//! Of a git tree that is the hash git gives it; of any other folder a hash of
//! its contents ([`contents`]); of outputs the hash of their bytes. A verdict
//! holds for a subject and for nothing that differs from it.

mod contents;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use contents::{ContentError, ContentLimits, contents};

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    kind: SubjectKind,
    hash: [u8; 32],
}

/// Of what kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SubjectKind {
    /// A git tree by its SHA-1, 20 bytes with zeros behind them.
    Sha1Tree,
    /// A git tree by its SHA-256.
    Sha256Tree,
    /// A folder by the BLAKE3 of its contents.
    Folder,
    /// Bytes by their BLAKE3.
    Bytes,
}

/// A text that names no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no subject; one is `tree:`, `folder:` or `bytes:` and a hash in lower-case hexadecimal digits"
)]
pub struct NoSubject(String);

impl Subject {
    /// A git tree by the name git gives it.
    ///
    /// # Errors
    /// When the name is none.
    pub fn of_tree(hex: &str) -> Result<Self, NoSubject> {
        let wrong = || NoSubject(hex.chars().take(80).collect());
        let kind = match hex.len() {
            40 => SubjectKind::Sha1Tree,
            64 => SubjectKind::Sha256Tree,
            _ => return Err(wrong()),
        };
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = (digit(digits[0]).ok_or_else(wrong)? << 4) | digit(digits[1]).ok_or_else(wrong)?;
        }
        Ok(Self { kind, hash })
    }

    /// Bytes, such as outputs.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self { kind: SubjectKind::Bytes, hash: *blake3::hash(bytes).as_bytes() }
    }

    fn of_folder(hash: [u8; 32]) -> Self {
        Self { kind: SubjectKind::Folder, hash }
    }

    /// Of what kind it is.
    #[must_use]
    pub fn kind(&self) -> SubjectKind {
        self.kind
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, length) = match self.kind {
            SubjectKind::Sha1Tree => ("tree", 20),
            SubjectKind::Sha256Tree => ("tree", 32),
            SubjectKind::Folder => ("folder", 32),
            SubjectKind::Bytes => ("bytes", 32),
        };
        write!(f, "{word}:")?;
        self.hash[..length].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let wrong = || NoSubject(text.chars().take(80).collect());
        let (word, hex) = text.split_once(':').ok_or_else(wrong)?;
        let subject = Self::of_tree(hex).map_err(|_| wrong())?;
        let kind = match (word, subject.kind) {
            ("tree", kind) => kind,
            ("folder", SubjectKind::Sha256Tree) => SubjectKind::Folder,
            ("bytes", SubjectKind::Sha256Tree) => SubjectKind::Bytes,
            _ => return Err(wrong()),
        };
        Ok(Self { kind, ..subject })
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_shown() {
        let sha1 = "a1dffc7a64c0b2d395484bf452e9aeb1da3a18f2";
        let tree = Subject::of_tree(sha1).expect("a tree");
        assert_eq!(tree.to_string(), format!("tree:{sha1}"));
        for subject in [tree, Subject::of_bytes(b"x"), Subject::of_folder([7; 32])] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        assert_ne!(Subject::of_folder(*Subject::of_bytes(b"x").hash()), Subject::of_bytes(b"x"));
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        let upper = format!("tree:{}", "A".repeat(40));
        for text in ["", "tree:", "tree:zz", "folder:abcd", &upper, "leaf:00", &"tree:é".repeat(20)] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
