//! Frames: the unit that is written at once, and that is either whole or torn.
//!
//! ```text
//! 0       4        8         16     20       24
//! magic   length   number    crc    head     payload … padded with zeros to a multiple of eight
//! ```
//!
//! `length` counts the payload without padding, `number` orders the frames, `crc` is CRC32C over the payload and
//! `head` is CRC32C over the twenty bytes before it, both started from the salt of the file. The salt differs from
//! file to file, so that bytes which were copied here from another file, by accident or by malice, never pass for a
//! frame; and with its own checksum a false header is dismissed without reading the payload it claims to have.

use crate::codec::Decoder;

const MAGIC: [u8; 4] = *b"MnFr";
const ALIGNMENT: usize = 8;
const CRC_AT: usize = 16;
const HEAD_CRC_AT: usize = 20;

/// Bytes before the payload.
pub(crate) const FRAME_HEADER: usize = 24;

/// A frame whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'bytes> {
    pub(crate) number: u64,
    pub(crate) payload: &'bytes [u8],
    /// Bytes from the start of this frame to the start of the next.
    pub(crate) length: usize,
}

/// Empties `buffer` and leaves room for the header; the payload is appended next, then [`finish`] completes it.
pub(crate) fn start(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(FRAME_HEADER, 0);
}

/// Pads the payload and fills in the header. May be repeated with another salt as long as nothing was appended.
pub(crate) fn finish(buffer: &mut Vec<u8>, payload_length: usize, number: u64, salt: u64) {
    let length = u32::try_from(payload_length).expect("frames are bounded far below 4 GiB");
    buffer.truncate(FRAME_HEADER + payload_length);
    buffer.resize(padded(payload_length), 0);
    buffer[..4].copy_from_slice(&MAGIC);
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..CRC_AT].copy_from_slice(&number.to_le_bytes());
    let crc = checksum(&buffer[FRAME_HEADER..FRAME_HEADER + payload_length], salt);
    buffer[CRC_AT..HEAD_CRC_AT].copy_from_slice(&crc.to_le_bytes());
    let head_crc = checksum(&buffer[..HEAD_CRC_AT], salt);
    buffer[HEAD_CRC_AT..FRAME_HEADER].copy_from_slice(&head_crc.to_le_bytes());
}

/// Bytes a frame with such a payload occupies.
pub(crate) fn padded(payload_length: usize) -> usize {
    (FRAME_HEADER + payload_length).next_multiple_of(ALIGNMENT)
}

/// The frame at the start of `bytes`, if there is a whole one.
pub(crate) fn check(bytes: &[u8], salt: u64) -> Option<Frame<'_>> {
    let header = Header::decode(bytes, salt)?;
    let end = FRAME_HEADER + header.payload_length;
    let payload = bytes.get(FRAME_HEADER..end)?;
    let length = padded(header.payload_length);
    let padding = bytes.get(end..length)?;
    let whole = checksum(payload, salt) == header.crc && padding.iter().all(|byte| *byte == 0);
    whole.then_some(Frame { number: header.number, payload, length })
}

/// The frame at the start of `bytes` by what its header says, whatever its checksum: a mistake that tests plant.
#[cfg(feature = "planted")]
pub(crate) fn believed(bytes: &[u8], salt: u64) -> Option<Frame<'_>> {
    let header = Header::decode(bytes, salt)?;
    let payload = bytes.get(FRAME_HEADER..FRAME_HEADER + header.payload_length)?;
    Some(Frame { number: header.number, payload, length: padded(header.payload_length) })
}

/// How long the frame at the start of `bytes` is, when its header is whole; the rest may be missing.
pub(crate) fn claimed_length(bytes: &[u8], salt: u64) -> Option<usize> {
    Header::decode(bytes, salt).map(|header| padded(header.payload_length))
}

struct Header {
    payload_length: usize,
    number: u64,
    crc: u32,
}

impl Header {
    fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        if decoder.array::<4>()? != MAGIC {
            return None;
        }
        let header = Self {
            payload_length: usize::try_from(decoder.u32()?).ok()?,
            number: decoder.u64()?,
            crc: decoder.u32()?,
        };
        (decoder.u32()? == checksum(&bytes[..HEAD_CRC_AT], salt)).then_some(header)
    }
}

/// Looks for a whole frame with a number of at least `number_min` at or after `from`: its presence proves that
/// what comes before it was once whole too. Returns its offset.
pub(crate) fn find(bytes: &[u8], from: usize, number_min: u64, salt: u64) -> Option<usize> {
    let mut offset = from.next_multiple_of(ALIGNMENT);
    while offset + FRAME_HEADER <= bytes.len() {
        let candidate = &bytes[offset..];
        if candidate[..4] == MAGIC && check(candidate, salt).is_some_and(|frame| frame.number >= number_min) {
            return Some(offset);
        }
        offset += ALIGNMENT;
    }
    None
}

/// One past the last byte that is not zero.
pub(crate) fn end_of_data(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn checksum(bytes: &[u8], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8], number: u64, salt: u64) -> Vec<u8> {
        let mut buffer = Vec::new();
        start(&mut buffer);
        buffer.extend_from_slice(payload);
        finish(&mut buffer, payload.len(), number, salt);
        buffer
    }

    #[test]
    fn a_frame_reads_back_and_is_aligned() {
        for length in 0..40 {
            let payload = vec![7; length];
            let bytes = frame(&payload, 3, 99);
            assert_eq!(bytes.len() % 8, 0);
            let read = check(&bytes, 99).expect("whole");
            assert_eq!((read.number, read.payload, read.length), (3, &payload[..], bytes.len()));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = frame(b"some payload", 1, 5);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&damaged, 5).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_file_is_none() {
        assert!(check(&frame(b"payload", 1, 5), 6).is_none());
    }

    #[test]
    fn a_later_frame_is_found_behind_garbage() {
        let mut bytes = vec![0xA5; 64];
        bytes.extend(frame(b"later", 9, 5));
        assert_eq!(find(&bytes, 8, 9, 5), Some(64));
        assert_eq!(find(&bytes, 8, 10, 5), None);
        assert_eq!(find(&bytes, 8, 9, 4), None);
    }
}
