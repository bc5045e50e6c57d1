//! Which blobs something refers to: every [`BlobRef`] in it, wherever it stands.
//!
//! Found by walking what is serialized, so that a field that is added later cannot be forgotten. What refers to a blob
//! in another way, as a hash among other bytes, is not seen.
//!
//! [`BlobRef`]: crate::work::payload::BlobRef

mod walk;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::image::RunImage;
use crate::orchestration::Facts;
use crate::snapshot::Snapshot;
use crate::work::run::Run;

/// Hashes of blobs.
pub type Blobs = BTreeSet<[u8; 32]>;

impl Snapshot {
    /// All blobs that the state refers to. A snapshot is taken in no time; this looks at every item.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        // Named one by one: who adds facts decides here whether they refer to blobs.
        let Facts {
            settings,
            now: _,
            applied: _,
            event_seq: _,
            last_token: _,
            last_session: _,
            last_run: _,
            last_question: _,
            hash: _,
            totals: _,
            nodes,
            sessions,
            inbox,
            strays: _,
            retired_lately: _,
            track_records,
            archived_records: _,
            runs,
        } = self.facts();
        let mut found = Blobs::new();
        collect(&(settings, nodes, sessions, inbox, track_records), &mut found);
        for Run { head, items, counts: _, hard_failures: _, classes: _, granted: _ } in runs.iter().flatten() {
            collect(head, &mut found);
            items.iter().for_each(|item| collect(item, &mut found));
        }
        found
    }
}

impl RunImage {
    /// All blobs that the run refers to.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        let mut found = Blobs::new();
        collect(&(&self.head, &self.questions), &mut found);
        self.items.iter().for_each(|item| collect(item, &mut found));
        found
    }
}

/// Adds the blobs that a value refers to.
pub fn collect<T: Serialize + ?Sized>(value: &T, found: &mut Blobs) {
    value.serialize(&mut walk::Walk::new(found)).expect("nothing that the core keeps refuses to be serialized");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::work::payload::{BlobRef, Payload};

    fn blob(number: u8) -> BlobRef {
        BlobRef { hash: [number; 32], length: 7 }
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Newtype(BlobRef);

    #[derive(Serialize)]
    struct Tuple(u8, BlobRef);

    #[derive(Serialize)]
    struct Fields {
        hash: [u8; 32],
        first: BlobRef,
        #[serde(rename = "hash of it")]
        second: Option<Box<BlobRef>>,
    }

    #[derive(Serialize)]
    enum Variants {
        Nothing,
        Newtype(BlobRef),
        Tuple(BlobRef, char),
        Struct { hash: [u8; 32], blob: BlobRef },
    }

    #[derive(Serialize)]
    struct Everything {
        simple: (bool, i8, i16, i32, i64, i128, u16, u32, u64, u128, f32, f64),
        texts: (String, char, Unit, ()),
        none: Option<BlobRef>,
        some: Option<BlobRef>,
        newtype: Newtype,
        tuple: Tuple,
        fields: Fields,
        variants: Vec<Variants>,
        list: Vec<BlobRef>,
        keys: BTreeMap<BlobRef, u8>,
        values: BTreeMap<u8, BlobRef>,
        plain: (u8, BlobRef),
        payloads: [Payload; 2],
    }

    #[test]
    fn a_blob_is_found_wherever_it_stands() {
        let everything = Everything {
            simple: (true, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1.0, 1.0),
            texts: ("text".to_owned(), 'c', Unit, ()),
            none: None,
            some: Some(blob(1)),
            newtype: Newtype(blob(2)),
            tuple: Tuple(100, blob(3)),
            fields: Fields { hash: [101; 32], first: blob(4), second: Some(Box::new(blob(5))) },
            variants: vec![
                Variants::Nothing,
                Variants::Newtype(blob(6)),
                Variants::Tuple(blob(7), 'c'),
                Variants::Struct { hash: [102; 32], blob: blob(8) },
            ],
            list: vec![blob(9), blob(10)],
            keys: BTreeMap::from([(blob(11), 103)]),
            values: BTreeMap::from([(104, blob(12))]),
            plain: (105, blob(13)),
            payloads: [Payload::Inline(vec![106; 32].into()), Payload::Blob(Box::new(blob(14)))],
        };
        let mut found = Blobs::new();
        collect(&everything, &mut found);
        assert_eq!(found, (1..=14).map(|number| [number; 32]).collect::<Blobs>());
    }
}
