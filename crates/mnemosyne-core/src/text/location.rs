//! Where a value stands in its document.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A place in a document.
///
/// Offsets are 32 bits wide: the largest document has 64 MiB, and a tree of
/// millions of values carries one of these for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last one.
    pub end: u32,
}

impl Location {
    /// The bytes of the place.
    #[must_use]
    pub fn bytes(self) -> Range<usize> {
        to_usize(self.start)..to_usize(self.end)
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(self) -> usize {
        to_usize(self.end.saturating_sub(self.start))
    }

    /// Whether the place is a point between two characters.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// Bytes between two counted positions of a [`Locator`].
const BLOCK_BYTES: usize = 512;

/// Turns byte offsets into places, in any order and in nearly constant time,
/// also in a document that is one line of 64 MiB.
pub(crate) struct Locator<'a> {
    text: &'a str,
    /// First byte of every line.
    lines: Vec<u32>,
    /// Characters before every block of [`BLOCK_BYTES`]; empty when the text is ASCII.
    blocks: Vec<u32>,
}

impl<'a> Locator<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut lines = vec![0];
        for (index, byte) in bytes.iter().enumerate() {
            let ends_line = match byte {
                b'\n' => true,
                b'\r' => bytes.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            if ends_line {
                lines.push(to_u32(index + 1));
            }
        }
        let mut blocks = Vec::new();
        if !text.is_ascii() {
            let mut characters = 0;
            for block in bytes.chunks(BLOCK_BYTES) {
                blocks.push(to_u32(characters));
                characters += count_characters(block);
            }
            blocks.push(to_u32(characters));
        }
        Self { text, lines, blocks }
    }

    /// The place of a range of bytes.
    pub(crate) fn at(&self, range: Range<usize>) -> Location {
        let start = range.start.min(self.text.len());
        let end = range.end.clamp(start, self.text.len());
        let line = self.lines.partition_point(|first| to_usize(*first) <= start).max(1);
        let first = to_usize(self.lines[line - 1]);
        let column = self.characters_before(start) - self.characters_before(first) + 1;
        Location { line: to_u32(line), column: to_u32(column), start: to_u32(start), end: to_u32(end) }
    }

    /// The byte offset of a line (from 1) and a column in characters (from 0),
    /// held within that line.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let index = line.clamp(1, self.lines.len()) - 1;
        let first = to_usize(self.lines[index]);
        let next = self.lines.get(index + 1).map_or(self.text.len(), |next| to_usize(*next));
        if self.blocks.is_empty() {
            return first.saturating_add(column).min(next);
        }
        let wanted = self.characters_before(first).saturating_add(column);
        let block = self.blocks.partition_point(|before| to_usize(*before) <= wanted).max(1) - 1;
        let mut offset = (block * BLOCK_BYTES).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset += 1;
        }
        // A block that starts within a character does not count that character.
        let missing = wanted.saturating_sub(self.characters_before(offset));
        for character in self.text[offset..].chars().take(missing) {
            if offset >= next {
                break;
            }
            offset += character.len_utf8();
        }
        offset.clamp(first, next)
    }

    /// Characters that start before a byte offset.
    fn characters_before(&self, offset: usize) -> usize {
        if self.blocks.is_empty() {
            return offset;
        }
        let block = offset / BLOCK_BYTES;
        let before = self.blocks.get(block).map_or(0, |before| to_usize(*before));
        before + count_characters(&self.text.as_bytes()[block * BLOCK_BYTES..offset])
    }
}

/// Characters that start in these bytes of UTF-8.
fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}

/// Offsets are checked against the limit of 64 MiB before any of them is made.
fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).expect("a pointer has at least 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "a: é\r\nbb: ü x\ry\n";
        let locator = Locator::new(text);
        let place = |part: &str| {
            let start = text.find(part).expect(part);
            let at = locator.at(start..start + part.len());
            (at.line, at.column)
        };
        assert_eq!(place("a"), (1, 1));
        assert_eq!(place("bb"), (2, 1));
        assert_eq!(place("x"), (2, 7));
        assert_eq!(place("y"), (3, 1));
    }

    #[test]
    fn offsets_are_found_again_in_long_lines_and_wide_text() {
        let text: String = (0..5_000).map(|index| if index % 3 == 0 { 'é' } else { 'x' }).collect();
        let locator = Locator::new(&text);
        for (column, (offset, _)) in text.char_indices().enumerate() {
            assert_eq!(locator.offset(1, column), offset);
            assert_eq!(to_usize(locator.at(offset..offset).column), column + 1);
        }
        assert_eq!(locator.offset(1, 1_000_000), text.len());
        assert_eq!(locator.offset(99, 3), locator.offset(1, 3));
    }

    #[test]
    fn ranges_outside_of_the_text_are_cut() {
        let at = Locator::new("ab").at(7..99);
        assert_eq!((at.line, at.column, at.start, at.end), (1, 3, 2, 2));
    }
}
