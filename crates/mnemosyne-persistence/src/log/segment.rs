//! The header of a segment file, and its name.
//!
//! ```text
//! 0    8              12   16      24        32        40    48            52
//! tag  header length  crc  number  previous  declared  salt  state length  state … zeros to a multiple of 4096
//! ```

use crate::codec::{Decoder, Encoder};
use crate::format::{FileTag, LOG_SEGMENT, TagError};

use super::LogError;
use super::options::STATE_BYTES_MAX;
use super::state::HardState;

const HEADER_ALIGNMENT: usize = 4096;
const FIXED: usize = 52;
const SUFFIX: &str = ".seg";

/// Four slots of the largest size, and generous room for the rest.
const HEADER_BYTES_MAX: usize = 4 * STATE_BYTES_MAX + 2 * HEADER_ALIGNMENT;

/// What a segment says about itself and about everything before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The number of its first frame, which is also its name.
    pub(super) number: u64,
    /// The number of the segment before it; zero for the very first.
    pub(super) previous: u64,
    /// The length the file was prepared with; it never gets shorter.
    pub(super) declared: u64,
    /// Starts the checksums of its frames.
    pub(super) salt: u64,
    /// The log as it was when the segment was begun.
    pub(super) state: HardState,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut state = Vec::new();
        self.state.encode(&mut state);
        let length = (FIXED + state.len()).next_multiple_of(HEADER_ALIGNMENT);
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&LOG_SEGMENT.bytes());
        bytes.put_u32(u32::try_from(length).expect("slots are bounded"));
        bytes.put_u32(0);
        bytes.put_u64(self.number);
        bytes.put_u64(self.previous);
        bytes.put_u64(self.declared);
        bytes.put_u64(self.salt);
        bytes.put_sized(&state);
        bytes.resize(length, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `file`, and how long it is in bytes.
    pub(super) fn decode(name: &str, file: &[u8]) -> Result<(Self, usize), LogError> {
        match LOG_SEGMENT.check(file) {
            Ok(()) => {}
            Err(TagError::Foreign) => {
                let what = "this is not the start of a log segment";
                return Err(LogError::damaged(name, 0, what));
            }
            Err(TagError::Newer { found }) => {
                return Err(LogError::NewerFormat {
                    file: name.to_owned(),
                    found,
                    supported: LOG_SEGMENT.version(),
                });
            }
        }
        Self::decode_checked(file)
            .ok_or_else(|| LogError::damaged(name, 0, "the header of the segment is not whole"))
    }

    fn decode_checked(file: &[u8]) -> Option<(Self, usize)> {
        let mut decoder = Decoder::new(file);
        decoder.take(FileTag::BYTES)?;
        let length = usize::try_from(decoder.u32()?).ok()?;
        let crc = decoder.u32()?;
        if !(FIXED..=HEADER_BYTES_MAX).contains(&length) || length % HEADER_ALIGNMENT != 0 {
            return None;
        }
        let bytes = file.get(..length)?;
        if checksum(bytes) != crc {
            return None;
        }
        let header = Self {
            number: decoder.u64()?,
            previous: decoder.u64()?,
            declared: decoder.u64()?,
            salt: decoder.u64()?,
            state: HardState::decode(decoder.sized()?)?,
        };
        let possible = header.previous < header.number && header.declared >= length as u64;
        possible.then_some((header, length))
    }
}

/// How much of a file is enough to read any header.
pub(super) fn header_bytes_max() -> usize {
    HEADER_BYTES_MAX
}

/// The name of a segment in the folder of the log.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

/// The number in the name of a segment; `None` for other files.
pub(super) fn number_in(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name && number > 0).then_some(number)
}

/// The checksum of a header, as if its own field were zero.
fn checksum(header: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &[0; 4]);
    crc32c::crc32c_append(crc, &header[16..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::StateSlot;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn header() -> SegmentHeader {
        let mut state = HardState::default();
        state.set_slot(StateSlot::Vote, Arc::from(vec![9; 5000]));
        SegmentHeader { number: 12, previous: 3, declared: 1 << 20, salt: 77, state }
    }

    #[test]
    fn a_header_reads_back_and_notices_every_flipped_bit() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), 8192);
        let (read, length) = SegmentHeader::decode("f", &bytes).expect("whole");
        assert_eq!((read, length), (header(), 8192));
        for byte in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1;
            assert!(SegmentHeader::decode("f", &damaged).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn names_carry_the_number() {
        assert_eq!(file_name(7), "00000000000000000007.seg");
        assert_eq!(number_in("00000000000000000007.seg"), Some(7));
        for other in ["7.seg", "00000000000000000000.seg", "mark", "+0000000000000000007.seg"] {
            assert_eq!(number_in(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut tagged = LOG_SEGMENT.bytes().to_vec();
            tagged.extend(bytes);
            prop_assert!(SegmentHeader::decode("f", &tagged).is_err());
        }
    }
}
