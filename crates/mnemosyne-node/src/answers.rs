//! Answers that need nothing but the state and what agents wrote: the same from a running node and from the disk.

use std::collections::BTreeSet;
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

/// The answer of the state together with that of the archive, which was asked since the first may not be all.
pub(crate) fn joined(asked: Option<String>, here: Answer, before: Option<Answer>) -> Answer {
    match (asked, here, before) {
        (Some(text), Answer::Found(here), Some(Answer::Found(before))) => {
            Answer::Found(of_both(&text, here, before))
        }
        (_, here, before) => before.unwrap_or(here),
    }
}

/// The text that is to be found, if something is.
pub(crate) fn text_to_find(request: &Request) -> Option<String> {
    if let Request::Find(text) = request { Some(text.clone()) } else { None }
}

/// What a text stands for among the runs of the state and those before: a beginning that both have is not unique.
fn of_both(text: &str, here: Found, before: Found) -> Found {
    if is_whole(text, &here) || before == Found::Nothing {
        return here;
    }
    if is_whole(text, &before) || here == Found::Nothing {
        return before;
    }
    let all: BTreeSet<RunId> = runs_of(&here).into_iter().chain(runs_of(&before)).collect();
    if all.len() == 1 { here } else { Found::Several(all.into_iter().take(CANDIDATES_MAX).collect()) }
}

/// Whether the text names the run that was found by its whole id.
fn is_whole(text: &str, found: &Found) -> bool {
    parts_of(text).0.parse::<RunId>().is_ok_and(|run| runs_of(found) == [run])
}

fn runs_of(found: &Found) -> Vec<RunId> {
    match found {
        Found::Nothing => Vec::new(),
        Found::Run(run) => vec![*run],
        Found::Item(item) => vec![item.run],
        Found::Several(runs) => runs.clone(),
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

/// Whether the state does not know what is asked about, which may have left it; or not whether there is more of it.
pub(crate) fn is_unknown(request: &Request, answer: &Answer) -> bool {
    match answer {
        Answer::Found(found) => !matches!(request, Request::Find(text) if is_whole(text, found)),
        Answer::Reply(Reply::Refused(Refusal::UnknownRun { .. } | Refusal::UnknownItem { .. })) => true,
        Answer::Items(items) => {
            items.is_empty() && matches!(request, Request::Items(filter) if filter.run.is_some())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_that_state_and_archive_have_is_not_unique_and_a_whole_id_is() {
        let [one, two] = [1 << 30, (1 << 30) + 1].map(RunId::from_u64);
        let both = |text: &str| of_both(text, Found::Run(one), Found::Item(two.item(3)));
        assert_eq!(both("1"), Found::Several(vec![one, two]));
        assert_eq!(both(&one.to_string()), Found::Run(one));
        assert_eq!(both(&format!("{two}.4")), Found::Item(two.item(3)));
        let same = of_both("1", Found::Item(one.item(0)), Found::Item(one.item(0)));
        assert_eq!(same, Found::Item(one.item(0)), "it is on its way into the archive");
        assert_eq!(of_both("1", Found::Nothing, Found::Run(two)), Found::Run(two));
        assert_eq!(of_both("1", Found::Run(one), Found::Nothing), Found::Run(one));
    }
}
