//! What agents wrote, on its way to stdout: as text, with the item's name before each line, as JSON, or raw. As text, what
//! agents print in a language of theirs is retold.
//!
//! Where something was not kept there is a mark, in the place where it would have stood. Lines are bounded: a longer
//! one comes in several pieces.

use std::collections::VecDeque;

use mnemosyne_agents::{Language, Retelling, acp, escape_control};
use mnemosyne_control::{Output, OutputStream};
use mnemosyne_core::id::ItemId;
use mnemosyne_core::text::counted;
use serde_json::json;

use crate::output::{fitted, in_one_line, line, say, shown, width, write_bytes};

/// Bytes of one line; a longer one is cut into pieces of this size.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Columns of an item's name before its lines.
const NAME_COLUMNS_MAX: usize = 32;

/// The form in which output is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Byte for byte.
    Raw,
    /// Escaped, as it comes.
    Text,
    /// Escaped, each line behind the name of its item, which has so many columns.
    Named(usize),
    /// One JSON object a line.
    Json,
}

/// Columns that the names of items take before their lines.
pub(crate) fn name_columns<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| width(&shown(name))).max().unwrap_or(0).min(NAME_COLUMNS_MAX)
}

/// Whose output it is.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) item: ItemId,
    pub(crate) name: Box<str>,
    pub(crate) attempt: u32,
    pub(crate) stream: OutputStream,
}

/// A piece of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A line without its end; `whole` says that it has one.
    Line { offset: u64, bytes: Vec<u8>, whole: bool },
    /// Bytes that were not kept.
    Gap { offset: u64, bytes: u64 },
}

/// One stream of one attempt, shown as it comes.
#[derive(Debug)]
pub(crate) struct Shown {
    source: Source,
    form: Form,
    /// What comes next.
    offset: u64,
    /// Bytes before `offset` that are not shown yet: an incomplete line or character.
    begun: Vec<u8>,
    /// Retells it, where it is in a language and shown as text.
    retelling: Option<Retelling>,
    /// The last lines, as long as there may be more of which only the last are wanted.
    latest: Option<Latest>,
    /// Nothing will be added any more.
    ended: bool,
}

/// The last so many pieces.
#[derive(Debug)]
struct Latest {
    count: usize,
    pieces: VecDeque<Piece>,
}

impl Shown {
    /// Nothing shown so far. `tail`: only so many of the lines that are there.
    pub(crate) fn new(source: Source, form: Form, tail: Option<usize>, language: Option<Language>) -> Self {
        let as_text = matches!(form, Form::Text | Form::Named(_)) && source.stream == OutputStream::Stdout;
        let retelling = language.filter(|_| as_text).map(Retelling::new);
        let latest = tail.map(|count| Latest { count, pieces: VecDeque::new() });
        Self { source, form, offset: 0, begun: Vec::new(), retelling, latest, ended: false }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Where to go on.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether nothing will be added any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Shows nothing of it any more.
    pub(crate) fn give_up(&mut self) {
        self.ended = true;
    }

    /// Shows what came. `is_last`: nobody waits for more.
    pub(crate) fn take(&mut self, output: Output, printer: &mut Printer, is_last: bool) {
        if output.dropped > 0 {
            self.finish_line(printer);
            let gap = Piece::Gap { offset: self.offset, bytes: output.dropped };
            self.put(gap, printer);
        }
        self.offset = output.next_offset;
        self.ended = output.ended;
        if !output.bytes.is_empty() {
            self.begun.extend(output.bytes);
            self.cut(printer);
            return;
        }
        if output.ended || is_last {
            self.finish_line(printer);
        }
        if let Some(latest) = self.latest.take() {
            latest.pieces.into_iter().for_each(|piece| self.put(piece, printer));
        }
    }

    /// Shows what is complete.
    fn cut(&mut self, printer: &mut Printer) {
        let in_lines = self.latest.is_some() || matches!(self.form, Form::Named(_) | Form::Json);
        let (in_lines, line_bytes_max) = match self.retelling {
            Some(_) => (true, acp::LINE_BYTES_MAX),
            None => (in_lines, LINE_BYTES_MAX),
        };
        if !in_lines {
            let whole = if self.form == Form::Raw { self.begun.len() } else { whole_characters(&self.begun) };
            let rest = self.begun.split_off(whole);
            printer.text(self.form, &std::mem::replace(&mut self.begun, rest));
            return;
        }
        let begun = std::mem::take(&mut self.begun);
        let mut offset = self.offset - begun.len() as u64;
        let mut rest = begun.as_slice();
        loop {
            let end = rest.iter().take(line_bytes_max).position(|byte| *byte == b'\n');
            let (length, whole) = match end {
                Some(end) => (end, true),
                None if rest.len() > line_bytes_max => (whole_characters(&rest[..line_bytes_max]), false),
                None => break,
            };
            self.put_line(offset, rest[..length].to_vec(), whole, printer);
            let taken = length + usize::from(whole);
            offset += taken as u64;
            rest = &rest[taken..];
        }
        self.begun = rest.to_vec();
    }

    /// Shows what is there of a line that has no end.
    fn finish_line(&mut self, printer: &mut Printer) {
        let bytes = std::mem::take(&mut self.begun);
        if !bytes.is_empty() {
            let offset = self.offset - bytes.len() as u64;
            self.put_line(offset, bytes, false, printer);
        }
        let rest = self.retelling.as_mut().map(Retelling::end);
        for bytes in rest.into_iter().flatten() {
            self.put(Piece::Line { offset: self.offset, bytes, whole: true }, printer);
        }
    }

    /// Shows a line, or what it tells.
    fn put_line(&mut self, offset: u64, bytes: Vec<u8>, whole: bool, printer: &mut Printer) {
        let Some(retelling) = &mut self.retelling else {
            return self.put(Piece::Line { offset, bytes, whole }, printer);
        };
        for bytes in retelling.line(&bytes) {
            self.put(Piece::Line { offset, bytes, whole: true }, printer);
        }
    }

    fn put(&mut self, piece: Piece, printer: &mut Printer) {
        match &mut self.latest {
            Some(latest) => {
                latest.pieces.push_back(piece);
                if latest.pieces.len() > latest.count {
                    latest.pieces.pop_front();
                }
            }
            None => printer.piece(&self.source, self.form, &piece),
        }
    }
}

/// Writes to stdout, and knows whether the line that was written last has an end.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    in_line: bool,
}

impl Printer {
    fn piece(&mut self, source: &Source, form: Form, piece: &Piece) {
        match (form, piece) {
            (Form::Json, piece) => line(json_of(source, piece)),
            (Form::Named(columns), Piece::Line { bytes, .. }) => {
                line(format!("{}{}", prefix(&source.name, columns), escape_control(bytes)));
            }
            (Form::Named(columns), Piece::Gap { bytes, .. }) => {
                line(format!("{}{}", prefix(&source.name, columns), mark(*bytes)));
            }
            (Form::Raw | Form::Text, Piece::Line { bytes, whole, .. }) => {
                self.text(form, bytes);
                if *whole {
                    self.text(form, b"\n");
                }
            }
            // What is read by programs holds nothing that the agent did not write.
            (Form::Raw, Piece::Gap { bytes, .. }) => say(mark(*bytes)),
            (Form::Text, Piece::Gap { bytes, .. }) => {
                if std::mem::take(&mut self.in_line) {
                    line("");
                }
                line(mark(*bytes));
            }
        }
    }

    fn text(&mut self, form: Form, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.in_line = *last != b'\n';
        }
        if form == Form::Raw {
            write_bytes(bytes);
        } else {
            write_bytes(escape_control(bytes).as_bytes());
        }
    }
}

fn mark(bytes: u64) -> String {
    format!("… {} not kept …", counted(bytes, "byte"))
}

/// The name of an item before a line of it.
fn prefix(name: &str, columns: usize) -> String {
    let name = fitted(&shown(name), columns);
    let room = columns.saturating_sub(width(&name));
    format!("{name}{} | ", " ".repeat(room))
}

fn json_of(source: &Source, piece: &Piece) -> String {
    let stream = match source.stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    };
    let mut value = json!({
        "item": source.item, "name": source.name, "attempt": source.attempt, "stream": stream,
    });
    match piece {
        Piece::Line { offset, bytes, whole } => {
            value["offset"] = (*offset).into();
            value["text"] = String::from_utf8_lossy(bytes).into();
            if !whole {
                // The line goes on in the next object, or has no end.
                value["partial"] = true.into();
            }
        }
        Piece::Gap { offset, bytes } => {
            value["offset"] = (*offset).into();
            value["not_kept"] = (*bytes).into();
        }
    }
    in_one_line(&value)
}

/// Length of `bytes` without a UTF-8 character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_character_that_is_cut_off_is_held_back() {
        for (bytes, whole) in [
            (b"".as_slice(), 0),
            (b"abc", 3),
            ("a€".as_bytes(), 4),
            (b"a\xe2\x82", 1),
            (b"a\xe2", 1),
            ("🙂".as_bytes(), 4),
            (b"\xf0\x9f\x99", 0),
            (b"\xff\xfe", 2),
            (b"\x82\x82\x82\x82", 4),
            (b"\xc3", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }

    #[test]
    fn of_a_tail_only_the_last_lines_are_kept_and_long_lines_come_in_pieces() {
        let source = Source {
            item: mnemosyne_core::id::RunId::MIN.item(0),
            name: "a".into(),
            attempt: 1,
            stream: OutputStream::Stdout,
        };
        let mut shown = Shown::new(source, Form::Text, Some(2), None);
        let long = "€".repeat(LINE_BYTES_MAX / 3 + 1);
        let bytes = format!("first\nsecond\n{long}\nlast").into_bytes();
        let next_offset = bytes.len() as u64;
        shown.take(Output { bytes, next_offset, ..Output::default() }, &mut Printer::default(), false);
        assert_eq!(shown.begun, b"last");
        let latest = shown.latest.expect("more may come");
        let length = |piece: &Piece| match piece {
            Piece::Line { bytes, whole, .. } => (bytes.len(), *whole),
            Piece::Gap { .. } => (0, false),
        };
        let lengths: Vec<(usize, bool)> = latest.pieces.iter().map(length).collect();
        assert_eq!(lengths, [(LINE_BYTES_MAX / 3 * 3, false), (3, true)], "cut between characters");
    }
}
