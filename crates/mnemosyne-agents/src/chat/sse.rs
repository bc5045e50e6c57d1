//! Server-sent events, piece by piece as they come over the wire.
//!
//! How the bytes are cut into pieces changes nothing: the events are those of
//! the whole. Lines end in LF, CR LF or CR; comments and unknown fields are
//! passed over; a line or an event beyond its bound ends the stream.

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its lines of data, joined.
    pub data: String,
}

/// A line or the data of an event was longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {bytes_max} bytes")]
pub struct TooLarge {
    /// The bound.
    pub bytes_max: usize,
}

/// Reads events out of pieces of a stream.
#[derive(Debug)]
pub struct SseParser {
    bytes_max: usize,
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    /// The last byte was a CR: an LF after it belongs to the same line end.
    after_cr: bool,
    /// Nothing but a byte order mark has come so far.
    at_start: bool,
}

impl SseParser {
    /// A reader of a stream whose lines and events have at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            line: Vec::new(),
            event: SseEvent::default(),
            has_data: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes the next piece and adds the events that it completes.
    ///
    /// # Errors
    /// When a line or an event is too large; what comes after it cannot be read.
    pub fn push(&mut self, piece: &[u8], events: &mut Vec<SseEvent>) -> Result<(), TooLarge> {
        for byte in piece {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => self.end_line(events)?,
                byte if self.line.len() < self.bytes_max => self.line.push(*byte),
                _ => return Err(self.too_large()),
            }
        }
        Ok(())
    }

    /// The event that the end of the stream completes: some servers leave out the empty line after the last one.
    ///
    /// # Errors
    /// When it is too large.
    pub fn finish(mut self) -> Result<Option<SseEvent>, TooLarge> {
        let mut events = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut events)?;
        }
        self.end_line(&mut events)?;
        Ok(events.pop())
    }

    fn end_line(&mut self, events: &mut Vec<SseEvent>) -> Result<(), TooLarge> {
        let line = std::mem::take(&mut self.line);
        let mut bytes = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        if bytes.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                events.push(event);
            }
            return Ok(());
        }
        let text = String::from_utf8_lossy(bytes);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.add_data(value)?,
            "event" => self.event.name = Some(value.to_owned()),
            // A comment, which keeps the connection alive, or a field that means nothing here.
            _ => {}
        }
        // The buffer of the line is used again.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn add_data(&mut self, value: &str) -> Result<(), TooLarge> {
        if self.event.data.len() + value.len() >= self.bytes_max {
            return Err(self.too_large());
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
        Ok(())
    }

    fn too_large(&self) -> TooLarge {
        TooLarge { bytes_max: self.bytes_max }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All events of a stream that comes in these pieces, and how it ended.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Result<(), TooLarge>) {
        let mut parser = SseParser::new(64);
        let mut events = Vec::new();
        for piece in pieces {
            if let Err(error) = parser.push(piece, &mut events) {
                return (events, Err(error));
            }
        }
        let last = parser.finish();
        match last {
            Ok(last) => {
                events.extend(last);
                (events, Ok(()))
            }
            Err(error) => (events, Err(error)),
        }
    }

    fn data(text: &str) -> Vec<String> {
        let (events, ended) = read([text.as_bytes()]);
        assert_eq!(ended, Ok(()));
        events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn events_end_with_an_empty_line_or_with_the_stream() {
        assert_eq!(data("data: a\n\ndata:b\r\n\r\ndata: c\r\rdata: d"), ["a", "b", "c", "d"]);
        assert_eq!(data("data: a\ndata: b\n\n"), ["a\nb"]);
        assert_eq!(data("data\n\n"), [""]);
        assert!(data("\n\n: comment\n\nevent: x\n\nid: 5\n\n").is_empty());
        assert_eq!(data("\u{feff}data: a\n\n"), ["a"]);
        assert_eq!(data("data:  a : b\n\n"), [" a : b"]);
    }

    #[test]
    fn an_event_has_the_name_that_stands_with_its_data() {
        let (events, _) = read([b"event: one\ndata: a\n\ndata: b\n\n".as_slice()]);
        let names: Vec<Option<&str>> = events.iter().map(|event| event.name.as_deref()).collect();
        assert_eq!(names, [Some("one"), None]);
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let line = [b'x'; 65];
        assert_eq!(read([line.as_slice()]).1, Err(TooLarge { bytes_max: 64 }));
        let lines = "data: 0123456789\n".repeat(8);
        assert_eq!(read([lines.as_bytes()]).1, Err(TooLarge { bytes_max: 64 }));
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_changes_nothing(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "data: a", "data:b", "event: e", ": c", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\u{feff}",
                    "é", "data", ":", " ", "0123456789012345678901234567890123456789",
                ]),
                0..40,
            ),
            noise in prop::collection::vec(any::<u8>(), 0..20),
            cuts in prop::collection::vec(0..600_usize, 0..10),
        ) {
            let mut bytes = parts.concat().into_bytes();
            bytes.extend(noise);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(read(pieces), read([bytes.as_slice()]));
            prop_assert_eq!(read(bytes.chunks(1)), read([bytes.as_slice()]));
        }
    }
}
