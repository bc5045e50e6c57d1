//! From pieces of a stream to its lines, each of bounded length.

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// As it was printed.
    Whole(Vec<u8>),
    /// Longer than the limit; what it said is not kept.
    TooLong,
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// The line that was begun is passed over to its end.
    too_long: bool,
}

impl Lines {
    /// Takes the next piece; gives every line that ends in it to `each`. Empty lines are none.
    pub(crate) fn take(&mut self, piece: &[u8], line_bytes_max: usize, mut each: impl FnMut(Line)) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.too_long || self.begun.len() + part.len() > line_bytes_max {
                self.too_long = true;
                self.begun = Vec::new();
            } else {
                self.begun.extend_from_slice(part);
            }
            // The last part has no newline behind it yet.
            if parts.peek().is_none() {
                return;
            }
            let line = std::mem::take(&mut self.begun);
            if std::mem::take(&mut self.too_long) {
                each(Line::TooLong);
            } else if !line.trim_ascii().is_empty() {
                each(Line::Whole(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.take(piece, 5, |line| found.push(line));
        }
        found
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let found = lines_of(&[b"ab", b"c\n\n  \nde", b"", b"f\ngh"]);
        assert_eq!(found, [Line::Whole(b"abc".to_vec()), Line::Whole(b"def".to_vec())]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_to_its_end() {
        let found = lines_of(&[b"abcdef", b"ghi", b"\nok\n123456\n"]);
        assert_eq!(found, [Line::TooLong, Line::Whole(b"ok".to_vec()), Line::TooLong]);
    }
}
