//! Bounds on documents that people hand in. A refusal names the bound.

/// Bytes of one document.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// Levels of lists and maps within each other.
pub const DEPTH_MAX: usize = 64;
/// Values in one document, copies made by YAML aliases included.
pub const NODES_MAX: usize = 10_000_000;
/// Values that YAML aliases may add to a document by copying.
pub const ALIAS_NODES_MAX: usize = 1_000_000;
/// Commas, equals signs and brackets in a TOML document: more than its values.
pub const TOML_MARKS_MAX: usize = 5_000_000;
/// Bytes of a TOML document in which all syntax errors are looked for, not only the first.
pub const TOML_RECOVERY_BYTES_MAX: usize = 256 << 10;
/// Errors that are kept; further ones are counted.
pub const FINDINGS_MAX: usize = 50;
/// Characters of an offending text that a message quotes.
pub const QUOTE_CHARS_MAX: usize = 60;
/// Characters of a source line that an excerpt shows.
pub const EXCERPT_CHARS_MAX: usize = 120;
/// Words that an error lists as possible.
pub const CHOICES_SHOWN_MAX: usize = 12;
