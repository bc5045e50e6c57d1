//! Pieces of a stream, cut into lines of bounded length.

/// Bytes of the longest line that is looked at.
pub(super) const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Cuts a stream into lines. What is too long for a line is dropped and counted.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// The rest of the line is passed over: it is too long, or its beginning is missing.
    skipping: bool,
    /// Lines that were not handed on whole.
    skipped: u64,
}

impl Lines {
    /// Takes the next piece and hands on every line that it completes, without its line feed.
    pub(super) fn feed(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.push(&rest[..at]);
            self.complete(&mut take);
            rest = &rest[at + 1..];
        }
        self.push(rest);
    }

    /// Something is missing here: neither the line that was begun nor the one that goes on afterwards is whole.
    pub(super) fn gap(&mut self) {
        if !self.skipping {
            self.skipped = self.skipped.saturating_add(1);
        }
        self.begun.clear();
        self.skipping = true;
    }

    /// The stream has ended: what was begun is a line, too.
    pub(super) fn end(&mut self, mut take: impl FnMut(&[u8])) {
        self.complete(&mut take);
        self.begun.shrink_to_fit();
    }

    /// Lines that were not handed on whole.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.begun.len() + bytes.len() > LINE_BYTES_MAX {
            self.gap();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn complete(&mut self, take: &mut impl FnMut(&[u8])) {
        if !self.skipping && !self.begun.is_empty() {
            take(&self.begun);
        }
        self.begun.clear();
        self.skipping = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| taken.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines.end(|line| taken.push(String::from_utf8_lossy(line).into_owned()));
        (taken, lines.skipped())
    }

    #[test]
    fn pieces_of_any_size_make_the_same_lines() {
        let whole = b"one\n\ntwo\nthree";
        let expected = (vec!["one".to_owned(), "two".to_owned(), "three".to_owned()], 0);
        assert_eq!(lines_of(&[whole]), expected);
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(lines_of(&bytes), expected);
    }

    #[test]
    fn a_line_over_the_limit_is_counted_and_the_next_one_is_read() {
        let long = vec![b'x'; LINE_BYTES_MAX / 2 + 1];
        assert_eq!(lines_of(&[&long, &long, b"\nnext\n"]), (vec!["next".to_owned()], 1));
        let mut lines = Lines::default();
        for _ in 0..64 {
            lines.feed(&long, |_| panic!("no line ends here"));
            assert!(lines.begun.capacity() <= 2 * LINE_BYTES_MAX);
        }
        assert_eq!(lines.skipped(), 1);
    }

    #[test]
    fn what_is_cut_by_a_gap_is_no_line() {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        let mut take = |line: &[u8]| taken.push(line.to_owned());
        lines.feed(b"whole\nhal", &mut take);
        lines.gap();
        lines.gap();
        lines.feed(b"f of another\nlast\n", &mut take);
        assert_eq!(lines.skipped(), 1);
        assert_eq!(taken, [b"whole".to_vec(), b"last".to_vec()]);
    }
}
