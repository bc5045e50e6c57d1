//! The index of a complete segment, in a file beside it. It can always be made again from the segment, so that one
//! that is missing, damaged or of another release is as good as none.
//!
//! ```text
//! tag 8 | crc of the head 4 | crc of the body 4 | length of the body 8
//!   | first record 8 | salt of the segment 8 | version of the tags 4 | whether there are keys 4
//!   | last frame 8 | end 8 | next record 8 | earliest 8 | latest 8 | first key 12 | last key 12
//!   | for each block: first record 8, offset 8, earliest 8, latest 8, first key 12, last key 12, keys 4 + n
//! ```

use std::io;
use std::sync::Arc;

use super::index::{Block, Contents, Index, Summary};
use super::keys::Keys;
use super::segment::Segment;
use super::tag::Key;
use crate::codec::{Decoder, Encoder};
use crate::format::{FileTag, HISTORY_INDEX, TagError};
use crate::storage::{OpenMode, StorageBackend, read_up_to, remove_if_there};

const SUFFIX: &str = ".idx";
const TEMPORARY: &str = "index.tmp";
const HEAD_BYTES: usize = 112;
const HEAD_CRC_AT: usize = 8;

/// Which index it is of which segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) first_seq: u64,
    /// Of the segment: another one of the same name has another.
    pub(super) salt: u64,
    pub(super) tags_version: u32,
}

pub(super) fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}{SUFFIX}")
}

/// The first record of the segment that a file is the index of.
pub(super) fn first_seq_in(name: &str) -> Option<u64> {
    let first_seq = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(first_seq) == name).then_some(first_seq)
}

/// Writes the index of a segment. One at a time for one folder.
pub(super) fn write(
    backend: &dyn StorageBackend,
    dir: &str,
    identity: Identity,
    index: &Index,
) -> io::Result<()> {
    let temporary = format!("{dir}/{TEMPORARY}");
    remove_if_there(backend, &temporary)?;
    let file = backend.open(&temporary, OpenMode::CreateNew)?;
    file.write_at(0, &encode(identity, index))?;
    file.sync_data()?;
    backend.rename(&temporary, &format!("{dir}/{}", file_name(identity.first_seq)))
}

/// Reads the index of a segment, if there is one that fits.
pub(super) fn read(
    backend: &dyn StorageBackend,
    dir: &str,
    identity: Identity,
    segment: &Segment,
) -> Option<Index> {
    let file = open(backend, dir, identity)?;
    let length = usize::try_from(file.len().ok()?).ok()?;
    let bytes = read_up_to(&*file, 0, length).ok()?;
    let head = Head::decode(&bytes, identity)?;
    let body = bytes.get(HEAD_BYTES..)?;
    if body.len() as u64 != head.body_bytes || crc32c::crc32c(body) != head.body_crc {
        return None;
    }
    let blocks = decode_blocks(body)?;
    let index = Index { blocks, last_frame: head.last_frame, end: head.end, next_seq: head.next_seq };
    // What it says of the whole must be what it says of the parts, and lie in the segment.
    let begins = index.blocks.first().is_none_or(|first| first.first_seq >= identity.first_seq);
    let ends =
        index.blocks.last().is_none_or(|last| last.offset < index.end && last.first_seq < index.next_seq);
    let fits = begins && ends && index.summary() == head.summary && segment.length().ok()? >= index.end;
    fits.then_some(index)
}

/// Reads only what an index says about the whole segment.
pub(super) fn read_summary(backend: &dyn StorageBackend, dir: &str, identity: Identity) -> Option<Summary> {
    let file = open(backend, dir, identity)?;
    let bytes = read_up_to(&*file, 0, HEAD_BYTES).ok()?;
    Some(Head::decode(&bytes, identity)?.summary)
}

/// Whether an index is not as it was written, whatever it is an index of. One that is not there is none.
pub(super) fn is_damaged(backend: &dyn StorageBackend, path: &str) -> io::Result<bool> {
    let file = match backend.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let bytes = read_up_to(&*file, 0, length)?;
    if let Err(error) = HISTORY_INDEX.check(&bytes) {
        // A later release may have written it.
        return Ok(matches!(error, TagError::Foreign));
    }
    let Some((head, body)) = bytes.split_at_checked(HEAD_BYTES) else { return Ok(true) };
    let body_is_whole = Head::checksums(head)
        .is_some_and(|(crc, length)| body.len() as u64 == length && crc32c::crc32c(body) == crc);
    Ok(!body_is_whole)
}

fn open(
    backend: &dyn StorageBackend,
    dir: &str,
    identity: Identity,
) -> Option<Box<dyn crate::storage::StorageFile>> {
    let path = format!("{dir}/{}", file_name(identity.first_seq));
    backend.open(&path, OpenMode::Read).ok()
}

struct Head {
    body_crc: u32,
    body_bytes: u64,
    last_frame: u64,
    end: u64,
    next_seq: u64,
    summary: Summary,
}

impl Head {
    /// Checksum and length of the body, as a head tells that is as it was written.
    fn checksums(head: &[u8]) -> Option<(u32, u64)> {
        let mut decoder = Decoder::new(head);
        decoder.take(FileTag::BYTES)?;
        let mut without_crc = head.to_vec();
        without_crc[HEAD_CRC_AT..HEAD_CRC_AT + 4].fill(0);
        if decoder.u32()? != crc32c::crc32c(&without_crc) {
            return None;
        }
        Some((decoder.u32()?, decoder.u64()?))
    }

    fn decode(bytes: &[u8], identity: Identity) -> Option<Self> {
        HISTORY_INDEX.check(bytes).ok()?;
        let head = bytes.get(..HEAD_BYTES)?;
        let (body_crc, body_bytes) = Self::checksums(head)?;
        let mut decoder = Decoder::new(head);
        decoder.take(HEAD_CRC_AT + 16)?;
        let (first_seq, salt, tags_version) = (decoder.u64()?, decoder.u64()?, decoder.u32()?);
        if (Identity { first_seq, salt, tags_version }) != identity {
            return None;
        }
        let has_keys = decoder.u32()? != 0;
        let (last_frame, end, next_seq) = (decoder.u64()?, decoder.u64()?, decoder.u64()?);
        let times = decoder.u64()?..=decoder.u64()?;
        let bounds = (key(&mut decoder)?, key(&mut decoder)?);
        let summary = Summary { times, bounds: has_keys.then_some(bounds) };
        Some(Self { body_crc, body_bytes, last_frame, end, next_seq, summary })
    }
}

fn encode(identity: Identity, index: &Index) -> Vec<u8> {
    let summary = index.summary();
    let mut bytes = HISTORY_INDEX.bytes().to_vec();
    bytes.resize(HEAD_CRC_AT + 16, 0);
    bytes.put_u64(identity.first_seq);
    bytes.put_u64(identity.salt);
    bytes.put_u32(identity.tags_version);
    bytes.put_u32(u32::from(summary.bounds.is_some()));
    bytes.put_u64(index.last_frame);
    bytes.put_u64(index.end);
    bytes.put_u64(index.next_seq);
    put_times_and_bounds(&mut bytes, &summary);
    assert_eq!(bytes.len(), HEAD_BYTES, "the head has its length");
    for block in &index.blocks {
        let contents = &block.contents;
        bytes.put_u64(block.first_seq);
        bytes.put_u64(block.offset);
        let summary = Summary { times: contents.times.clone(), bounds: contents.keys.bounds() };
        put_times_and_bounds(&mut bytes, &summary);
        bytes.put_sized(contents.keys.encoded());
    }
    let body = &bytes[HEAD_BYTES..];
    let (body_crc, body_bytes) = (crc32c::crc32c(body), body.len() as u64);
    bytes[HEAD_CRC_AT + 4..HEAD_CRC_AT + 8].copy_from_slice(&body_crc.to_le_bytes());
    bytes[HEAD_CRC_AT + 8..HEAD_CRC_AT + 16].copy_from_slice(&body_bytes.to_le_bytes());
    let head_crc = crc32c::crc32c(&bytes[..HEAD_BYTES]);
    bytes[HEAD_CRC_AT..HEAD_CRC_AT + 4].copy_from_slice(&head_crc.to_le_bytes());
    bytes
}

fn put_times_and_bounds(bytes: &mut Vec<u8>, summary: &Summary) {
    bytes.put_u64(*summary.times.start());
    bytes.put_u64(*summary.times.end());
    let (first, last) = summary.bounds.unwrap_or((Key::MIN, Key::MIN));
    for key in [first, last] {
        bytes.put_u64(key.group);
        bytes.put_u32(key.part);
    }
}

/// The blocks in order; none when the bytes are something else.
fn decode_blocks(body: &[u8]) -> Option<Vec<Arc<Block>>> {
    let mut decoder = Decoder::new(body);
    let mut blocks: Vec<Arc<Block>> = Vec::new();
    while !decoder.is_at_end() {
        let (first_seq, offset) = (decoder.u64()?, decoder.u64()?);
        let times = decoder.u64()?..=decoder.u64()?;
        let bounds = (key(&mut decoder)?, key(&mut decoder)?);
        let encoded = decoder.sized()?;
        let keys = Keys::from_encoded((!encoded.is_empty()).then_some(bounds), encoded)?;
        if blocks.last().is_some_and(|last| last.offset >= offset || last.first_seq >= first_seq) {
            return None;
        }
        blocks.push(Arc::new(Block { first_seq, offset, contents: Contents { times, keys } }));
    }
    Some(blocks)
}

fn key(decoder: &mut Decoder<'_>) -> Option<Key> {
    Some(Key { group: decoder.u64()?, part: decoder.u32()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::segment::Origin;
    use crate::storage::MemoryBackend;

    const IDENTITY: Identity = Identity { first_seq: 5, salt: 77, tags_version: 2 };

    /// A segment, and an index that says it has frames of 30,000 bytes with ten records each.
    fn scene(keys: &[Vec<Key>]) -> (MemoryBackend, Segment, Index) {
        let backend = MemoryBackend::new();
        backend.create_dir("dir").expect("create");
        let segment = Segment::create(&backend, "dir", Origin { first_seq: 5, previous: None, salt: 77 })
            .expect("create");
        let file = backend.open(&segment.path, OpenMode::ReadWrite).expect("open");
        file.set_len(10_000_000).expect("lengthened");
        let mut index = segment.empty_index();
        for (position, keys) in keys.iter().enumerate() {
            let at = position as u64;
            let contents = Contents { times: at..=at + 1, keys: Keys::new(keys.clone()) };
            index.add(index.next_seq, 10, 30_000, contents);
        }
        (backend, segment, index)
    }

    fn any_keys() -> impl Strategy<Value = Vec<Vec<Key>>> {
        let key = (any::<u64>(), any::<u32>()).prop_map(|(group, part)| Key { group, part });
        prop::collection::vec(prop::collection::vec(key, 0..6), 0..12)
    }

    fn put(backend: &MemoryBackend, bytes: &[u8]) {
        let path = format!("dir/{}", file_name(IDENTITY.first_seq));
        let file = backend.open(&path, OpenMode::Create).expect("create");
        file.set_len(0).expect("emptied");
        file.write_at(0, bytes).expect("written");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_index_comes_back_for_its_own_segment_only(keys in any_keys()) {
            let (backend, segment, index) = scene(&keys);
            write(&backend, "dir", IDENTITY, &index).expect("written");
            prop_assert_eq!(read_summary(&backend, "dir", IDENTITY), Some(index.summary()));
            prop_assert_eq!(read(&backend, "dir", IDENTITY, &segment), Some(index));
            let others = [Identity { salt: 78, ..IDENTITY }, Identity { tags_version: 3, ..IDENTITY }];
            for other in others {
                prop_assert_eq!(read(&backend, "dir", other, &segment), None);
                prop_assert_eq!(read_summary(&backend, "dir", other), None);
            }
            let shorter = backend.open(&segment.path, OpenMode::ReadWrite).expect("open");
            shorter.set_len(39).expect("shortened");
            prop_assert_eq!(read(&backend, "dir", IDENTITY, &segment), None);
        }

        #[test]
        fn what_has_the_right_checksums_and_is_no_index_is_refused(
            keys in any_keys(),
            wounds in prop::collection::vec((16..400_usize, any::<u8>()), 1..5),
        ) {
            let (backend, segment, index) = scene(&keys);
            let mut bytes = encode(IDENTITY, &index);
            for (at, byte) in wounds {
                let length = bytes.len();
                bytes[16 + at % (length - 16)] = byte;
            }
            let crc = crc32c::crc32c(&bytes[HEAD_BYTES..]);
            bytes[12..16].copy_from_slice(&crc.to_le_bytes());
            bytes[8..12].fill(0);
            let crc = crc32c::crc32c(&bytes[..HEAD_BYTES]);
            bytes[8..12].copy_from_slice(&crc.to_le_bytes());
            put(&backend, &bytes);
            if let Some(found) = read(&backend, "dir", IDENTITY, &segment) {
                // What can be read can be asked.
                for position in 0..found.blocks.len() {
                    let (end, next) = found.after(position);
                    prop_assert!(end > found.blocks[position].offset && end <= 10_000_000);
                    prop_assert!(next > found.blocks[position].first_seq);
                }
            }
        }
    }
}
