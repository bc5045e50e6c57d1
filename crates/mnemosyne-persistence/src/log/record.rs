//! Records: what the payload of a frame is made of.

use std::sync::Arc;

use crate::codec::{Decoder, Encoder};

use super::options::{PAYLOAD_BYTES_MAX, STATE_BYTES_MAX};
use super::{LogEntry, StateSlot};

const ENTRY: u8 = 1;
const STATE: u8 = 2;
const TRUNCATE: u8 = 3;
const PURGE: u8 = 4;

/// Bytes of an entry before its payload: kind, checksum, length, index, term.
pub(super) const ENTRY_HEADER: usize = 25;

/// One step in the life of a log. An entry has a checksum of its own, so that it can be read back without its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'bytes> {
    Entry {
        index: u64,
        term: u64,
        payload: &'bytes [u8],
    },
    State {
        slot: StateSlot,
        value: &'bytes [u8],
    },
    /// Drops every entry after this one, or all of them.
    Truncate {
        after: Option<u64>,
    },
    /// Drops every entry up to this one.
    Purge {
        upto: u64,
    },
}

/// Where in a payload something is impossible, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impossible {
    pub(super) offset: usize,
    pub(super) what: &'static str,
}

impl Record<'_> {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        match *self {
            Self::Entry { index, term, payload } => {
                buffer.put_u8(ENTRY);
                buffer.put_u32(entry_checksum(index, term, payload));
                buffer.put_u64(index);
                buffer.put_u64(term);
                buffer.put_sized(payload);
            }
            Self::State { slot, value } => {
                buffer.put_u8(STATE);
                buffer.put_u8(slot.code());
                buffer.put_sized(value);
            }
            Self::Truncate { after } => {
                buffer.put_u8(TRUNCATE);
                buffer.put_u8(u8::from(after.is_some()));
                buffer.put_u64(after.unwrap_or(0));
            }
            Self::Purge { upto } => {
                buffer.put_u8(PURGE);
                buffer.put_u64(upto);
            }
        }
    }
}

impl<'entry> From<&'entry LogEntry> for Record<'entry> {
    fn from(entry: &'entry LogEntry) -> Self {
        Self::Entry { index: entry.index, term: entry.term, payload: &entry.payload }
    }
}

/// Goes through the records of a payload; ends after the first impossible one.
pub(super) struct Records<'bytes> {
    decoder: Decoder<'bytes>,
    failed: bool,
}

impl<'bytes> Records<'bytes> {
    pub(super) fn new(payload: &'bytes [u8]) -> Self {
        Self { decoder: Decoder::new(payload), failed: false }
    }
}

impl<'bytes> Iterator for Records<'bytes> {
    type Item = Result<(usize, Record<'bytes>), Impossible>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.decoder.is_at_end() {
            return None;
        }
        let offset = self.decoder.position();
        let record = decode(&mut self.decoder);
        self.failed = record.is_err();
        Some(record.map(|record| (offset, record)).map_err(|what| Impossible { offset, what }))
    }
}

/// The entry in these bytes, which must be one whole entry record.
pub(super) fn decode_entry(bytes: &[u8]) -> Result<LogEntry, &'static str> {
    let mut decoder = Decoder::new(bytes);
    let Record::Entry { index, term, payload } = decode(&mut decoder)? else {
        return Err("there is no entry here");
    };
    Ok(LogEntry { index, term, payload: Arc::from(payload) })
}

fn decode<'bytes>(decoder: &mut Decoder<'bytes>) -> Result<Record<'bytes>, &'static str> {
    const SHORT: &str = "a record is cut off";
    match decoder.u8().ok_or(SHORT)? {
        ENTRY => {
            let crc = decoder.u32().ok_or(SHORT)?;
            let index = decoder.u64().ok_or(SHORT)?;
            let term = decoder.u64().ok_or(SHORT)?;
            let payload = decoder.sized().ok_or(SHORT)?;
            if payload.len() > PAYLOAD_BYTES_MAX {
                return Err("the payload of an entry is too large");
            }
            if entry_checksum(index, term, payload) != crc {
                return Err("the checksum of an entry does not hold");
            }
            Ok(Record::Entry { index, term, payload })
        }
        STATE => {
            let code = decoder.u8().ok_or(SHORT)?;
            let slot = StateSlot::from_code(code).ok_or("there is no such state slot")?;
            let value = decoder.sized().ok_or(SHORT)?;
            if value.len() > STATE_BYTES_MAX {
                return Err("the value of a state slot is too large");
            }
            Ok(Record::State { slot, value })
        }
        TRUNCATE => {
            let flag = decoder.u8().ok_or(SHORT)?;
            let index = decoder.u64().ok_or(SHORT)?;
            match (flag, index) {
                (0, 0) => Ok(Record::Truncate { after: None }),
                (1, index) => Ok(Record::Truncate { after: Some(index) }),
                _ => Err("a truncation is neither whole nor partial"),
            }
        }
        PURGE => Ok(Record::Purge { upto: decoder.u64().ok_or(SHORT)? }),
        _ => Err("there is no such kind of record"),
    }
}

fn entry_checksum(index: u64, term: u64, payload: &[u8]) -> u32 {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&index.to_le_bytes());
    head[8..].copy_from_slice(&term.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_read_back_with_their_offsets() {
        let records = [
            Record::Entry { index: 4, term: 2, payload: b"work" },
            Record::State { slot: StateSlot::Vote, value: b"me" },
            Record::Truncate { after: None },
            Record::Truncate { after: Some(9) },
            Record::Purge { upto: 3 },
        ];
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for record in records {
            expected.push(Ok((bytes.len(), record)));
            record.encode(&mut bytes);
        }
        assert_eq!(Records::new(&bytes).collect::<Vec<_>>(), expected);
        assert_eq!(decode_entry(&bytes[..ENTRY_HEADER + 4]).expect("whole").index, 4);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for record in Records::new(&bytes) {
                if let Err(impossible) = record {
                    prop_assert!(impossible.offset < bytes.len());
                }
            }
            let _ = decode_entry(&bytes);
        }
    }
}
