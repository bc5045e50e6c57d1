//! The digest of a run: equal digests, equal plans.
//!
//! It covers everything that decides what the run does and nothing else: not
//! the format of the file, not comments, descriptions or the idempotency key
//! of the submission. Settings are written out item by item, so the tables of
//! the compiled form may be laid out differently in a later version.

use blake3::Hasher;
use serde::Serialize;

use crate::work::payload::Payload;
use crate::work::spec::RunSpec;

/// Changes when the same plan is to get another digest.
const DOMAIN: &[u8] = b"mnemosyne plan digest 1\n";

/// The digest of a compiled plan.
pub(crate) fn digest(spec: &RunSpec) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(DOMAIN);
    put(&mut hasher, &(&spec.name, &spec.namespace, spec.items.len()));
    put_payload(&mut hasher, &spec.context);
    // Encoded once for each table entry, not once for each item.
    let policies: Vec<Vec<u8>> = spec.policies.iter().map(encode).collect();
    let demands: Vec<Vec<u8>> = spec.demands.iter().map(encode).collect();
    for item in &spec.items {
        put(&mut hasher, &(&item.name, &item.needs, item.priority, &item.estimate, &item.key));
        put_bytes(&mut hasher, &policies[usize::from(item.policy)]);
        put_bytes(&mut hasher, &demands[usize::from(item.demand)]);
        put(&mut hasher, &item.group.map(|group| &spec.groups[usize::from(group)]));
        put_payload(&mut hasher, &item.task);
        put(&mut hasher, &(&item.phase, &item.expand_into));
        if let Some(review) = item.review.map(|review| &spec.reviews[usize::from(review)]) {
            put(&mut hasher, &(review.human, review.max_rounds, review.wait, review.accept_on_timeout));
            if let Some(reviewer) = &review.reviewer {
                put_bytes(&mut hasher, &policies[usize::from(reviewer.policy)]);
                put_bytes(&mut hasher, &demands[usize::from(reviewer.demand)]);
                put_payload(&mut hasher, &reviewer.task);
            }
        }
    }
    put(&mut hasher, &spec.phases);
    *hasher.finalize().as_bytes()
}

fn put(hasher: &mut Hasher, value: &impl Serialize) {
    put_bytes(hasher, &encode(value));
}

fn put_payload(hasher: &mut Hasher, payload: &Payload) {
    match payload {
        Payload::Inline(bytes) => put_bytes(hasher, bytes),
        Payload::Blob(blob) => put_bytes(hasher, &blob.hash),
    }
}

/// The length goes first, so that no two sequences run into each other.
fn put_bytes(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&u64::try_from(bytes.len()).expect("a length fits 64 bits").to_le_bytes());
    hasher.update(bytes);
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data of known length is always encoded")
}
