//! Answers that need nothing but the state and what agents wrote: the same from a running node and from the disk.

use std::io;
use std::path::Path;

use mnemosyne_agents::{OutputReader, Stream};
use mnemosyne_control::{Answer, Exported, Found, Output, OutputQuery, OutputStream, Request};
use mnemosyne_core::id::{FencingToken, ItemId, RunId};
use mnemosyne_core::image::RunImage;
use mnemosyne_core::orchestration::Orchestration;
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::time::Stamp;
use mnemosyne_persistence::StoreError;

use crate::fault::in_full;
use crate::process::ProcessRunner;
use crate::stores::PayloadError;

/// Items of one answer.
const ITEMS_MAX: usize = 100_000;
/// Questions of one answer.
const QUESTIONS_MAX: usize = 10_000;
/// Bytes of output of one answer.
const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Candidates that are named when an id is not unique.
const CANDIDATES_MAX: usize = 10;

/// Answers a question about the state; none when it asks for something else.
pub(crate) fn of_state(state: &Orchestration, now: Stamp, request: &Request) -> Option<Answer> {
    Some(match request {
        Request::Find(text) => Answer::Found(find(state, text)),
        Request::Items(filter) => {
            let mut filter = filter.clone();
            filter.limit = filter.limit.min(ITEMS_MAX);
            Answer::Items(state.items(&filter))
        }
        Request::Item(item) => or_refused(state.detail(*item), |detail| Answer::Item(Box::new(detail))),
        Request::Why(item) => or_refused(state.why(*item), Answer::Why),
        Request::Run(run) => or_refused(state.run_view(*run), Answer::Run),
        Request::Runs(limit) => Answer::Runs(state.runs(*limit)),
        Request::Export(run) => match state.image(*run) {
            Some(image) => Answer::Exported(Box::new(exported(&image))),
            None => Answer::Reply(Reply::Refused(Refusal::UnknownRun { run: *run })),
        },
        Request::Questions(limit) => Answer::Questions(state.questions((*limit).min(QUESTIONS_MAX))),
        Request::Status => {
            let mut status = state.status();
            // The time of the log stands still while nothing happens.
            status.now = status.now.max(now);
            Answer::Status(Box::new(status))
        }
        Request::TrackRecords => {
            let records = state.track_records().iter();
            Answer::TrackRecords(records.map(|(skill, record)| (skill.clone(), *record)).collect())
        }
        Request::Sessions => Answer::Sessions(state.sessions()),
        Request::WorkLeftBy(session) => match state.session(*session) {
            Some(_) => Answer::Items(state.work_left_by(*session, ITEMS_MAX)),
            None => Answer::Reply(Reply::Refused(Refusal::NoSession { session: *session })),
        },
        _ => return None,
    })
}

/// A run by itself, for another data directory.
pub(crate) fn exported(image: &RunImage) -> Exported {
    Exported {
        records: image.records().map(Vec::into_boxed_slice).collect(),
        blobs: image.blobs().into_iter().collect(),
    }
}

/// The attempt whose output is asked for: its token, and whether it has ended.
pub(crate) fn attempt_of(
    state: &Orchestration,
    query: &OutputQuery,
) -> Result<Result<(FencingToken, bool), String>, Refusal> {
    let detail = state.detail(query.item)?;
    let attempt = match query.attempt {
        None => detail.history.last(),
        Some(number) => detail.history.iter().find(|attempt| attempt.attempt == number),
    };
    let item = query.item;
    Ok(attempt.map(|attempt| (attempt.token, attempt.ended_at.is_some())).ok_or_else(|| match query.attempt {
        None => format!("item {item} has not been started yet"),
        Some(number) => format!("item {item} has no attempt {number}"),
    }))
}

/// A part of what an attempt wrote; `ended` says that it is over.
pub(crate) fn output(
    attempts: &Path,
    token: FencingToken,
    ended: bool,
    query: &OutputQuery,
) -> io::Result<Output> {
    let dir = ProcessRunner::folder(attempts, query.item, token.0);
    let stream = match query.stream {
        OutputStream::Stdout => Stream::Stdout,
        OutputStream::Stderr => Stream::Stderr,
    };
    let limit = query.limit.min(OUTPUT_BYTES_MAX);
    let reader = OutputReader::new(&dir, stream);
    let chunk = match reader.read_from(query.offset, limit) {
        // Granted, and its folder is not made yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !ended => {
            return Ok(Output { next_offset: query.offset, ..Output::default() });
        }
        chunk => chunk?,
    };
    let mut next_offset = chunk.end();
    let ended = ended && chunk.bytes.is_empty();
    if ended {
        // What the disk had no room for at the end is only known from the record of the end.
        next_offset = next_offset.max(reader.total_bytes()?);
    }
    let dropped = next_offset - chunk.bytes.len() as u64 - query.offset;
    Ok(Output { bytes: chunk.bytes, dropped, next_offset, ended })
}

pub(crate) fn or_refused<T>(found: Result<T, Refusal>, answer: impl FnOnce(T) -> Answer) -> Answer {
    match found {
        Ok(found) => answer(found),
        Err(refusal) => Answer::Reply(Reply::Refused(refusal)),
    }
}

/// What is answered when the bytes of a payload cannot be had.
pub(crate) fn no_payload(error: &PayloadError) -> Answer {
    match error {
        PayloadError::Blob(StoreError::Io { .. } | StoreError::Failed { .. }) => Answer::Failed(in_full(error)),
        _ => Answer::Damaged(in_full(error)),
    }
}

/// What a text stands for: a run id or the beginning of one, and behind it
/// `.ORDINAL` or `/NAME` for an item.
fn find(state: &Orchestration, text: &str) -> Found {
    let (run, item) = parts_of(text);
    let runs = match run.parse::<RunId>() {
        Ok(run) if state.run_view(run).is_ok() => vec![run],
        _ if run.is_empty() => Vec::new(),
        _ => state.runs_by_prefix(run, CANDIDATES_MAX),
    };
    match runs[..] {
        [] => Found::Nothing,
        [run] => find_item(state, run, item),
        _ => Found::Several(runs),
    }
}

/// The run and the item that a text names.
pub(crate) fn parts_of(text: &str) -> (&str, Option<&str>) {
    match text.split_once(['.', '/']) {
        Some((run, item)) => (run, Some(item)),
        None => (text, None),
    }
}

/// A run, or the item of it that is named.
pub(crate) fn find_item(state: &Orchestration, run: RunId, item: Option<&str>) -> Found {
    let Some(item) = item else { return Found::Run(run) };
    let by_ordinal = format!("{run}.{item}").parse::<ItemId>().ok().filter(|id| state.detail(*id).is_ok());
    by_ordinal.or_else(|| state.item_by_name(run, item)).map_or(Found::Nothing, Found::Item)
}

/// Whether the state does not know what is asked about; it may have left it.
pub(crate) fn is_unknown(request: &Request, answer: &Answer) -> bool {
    match answer {
        Answer::Found(Found::Nothing)
        | Answer::Reply(Reply::Refused(Refusal::UnknownRun { .. } | Refusal::UnknownItem { .. })) => true,
        Answer::Items(items) => {
            items.is_empty() && matches!(request, Request::Items(filter) if filter.run.is_some())
        }
        _ => false,
    }
}
