//! `mnemosyne session ls`, `show`, `resume`, `recover`.

use clap::{Args, Subcommand};
use mnemosyne_control::{Handle, Reconciled, Request};
use mnemosyne_core::id::SessionId;
use mnemosyne_core::session::{Left, Session as Record, SessionEnd, SessionView};
use mnemosyne_core::text::counted;
use mnemosyne_core::view::ItemView;
use mnemosyne_node::is_alive;
use serde_json::{Value, json as value};

use super::show::item_json;
use crate::access::{Access, connect};
use crate::cli::Globals;
use crate::examples;
use crate::failure::{Exit, Failure};
use crate::output::{Table, json, line, say, shown};
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// List the sessions of the nodes: the one that runs, and how those before it ended
    #[command(after_help = examples::SESSION_LS)]
    Ls(SessionLs),
    /// Show all that is known of a session, and what became of the work that it left
    #[command(after_help = examples::SESSION_SHOW)]
    Show(SessionShow),
    /// Let start again what an orphaned session has interrupted (auto_resume = false)
    #[command(after_help = examples::SESSION_RESUME)]
    Resume(SessionResume),
    /// Look again what runs of the work that orphaned sessions left, and what has become of it
    #[command(after_help = examples::SESSION_RECOVER)]
    Recover(SessionRecover),
}

#[derive(Debug, Args)]
pub(crate) struct SessionLs {}

#[derive(Debug, Args)]
pub(crate) struct SessionShow {
    /// The session (s3)
    #[arg(value_parser = session)]
    id: SessionId,
}

#[derive(Debug, Args)]
pub(crate) struct SessionResume {
    /// The session (s3) [default: all that hold something]
    #[arg(value_parser = session)]
    id: Option<SessionId>,
}

#[derive(Debug, Args)]
pub(crate) struct SessionRecover {
    /// The session (s3) [default: all that were orphaned]
    #[arg(value_parser = session)]
    id: Option<SessionId>,
}

fn session(word: &str) -> Result<SessionId, String> {
    let number = word.strip_prefix('s').unwrap_or(word).parse();
    number.map(SessionId).map_err(|_| "not a session; `mnemosyne session ls` lists them".to_owned())
}

impl Session {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        match self {
            Self::Ls(_) => list(&around).await,
            Self::Show(command) => show(&around, command.id).await,
            Self::Resume(command) => resume(&around, command.id).await,
            Self::Recover(command) => recover(&around, command.id).await,
        }
    }
}

async fn list(around: &Surroundings) -> Result<Exit, Failure> {
    let view = View::open(around).await?;
    let sessions = view.handle.sessions().await?;
    if around.json {
        json(&sessions.iter().map(|session| session_json(session, view.live)).collect::<Vec<_>>());
        return Ok(Exit::Success);
    }
    if sessions.is_empty() {
        say("no node has ever run here; `mnemosyne up` starts one");
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["ID", "NODE", "STATE", "STARTED", "ENDED", "PID", "LEFT"]);
    for view_of in &sessions {
        let one = &view_of.session;
        table.row(vec![
            one.id.to_string(),
            one.node.to_string(),
            state(one, view.live).to_owned(),
            one.started_at.to_rfc3339(),
            one.ended_at.map_or(String::new(), |at| at.to_rfc3339()),
            one.opening.as_ref().map_or(String::new(), |opening| opening.process.pid.to_string()),
            left_in_short(view_of),
        ]);
    }
    table.print();
    Ok(Exit::Success)
}

async fn show(around: &Surroundings, id: SessionId) -> Result<Exit, Failure> {
    let view = View::open(around).await?;
    let work = view.handle.work_left_by(id).await?;
    let found = find(&view.handle, id).await?;
    if around.json {
        let mut shown = session_json(&found, view.live);
        shown["work"] = work.iter().map(item_json).collect();
        json(&shown);
        return Ok(Exit::Success);
    }
    words(&found, view.live);
    of_work(&work);
    Ok(Exit::Success)
}

async fn resume(around: &Surroundings, id: Option<SessionId>) -> Result<Exit, Failure> {
    let access = Access::existing(around).await?;
    let answer = async {
        let sessions = access.handle.sessions().await?;
        let holds = |view: &&SessionView| view.session.holds || view.held > 0;
        let ids = match id {
            Some(id) => vec![id],
            None => sessions.iter().filter(holds).map(|view| view.session.id).collect(),
        };
        let mut resumed = Vec::new();
        for id in &ids {
            let items = access.handle.change(Request::ResumeSession(*id)).await?;
            if !around.json {
                say(format!("{id}: {} resumed", counted(items, "item")));
            }
            resumed.push(value!({ "id": id.to_string(), "items": items }));
        }
        if around.json {
            json(&resumed);
        } else if ids.is_empty() {
            say("no session holds anything back");
        }
        Ok(Exit::Success)
    };
    let answer = answer.await;
    access.close().await?;
    answer
}

async fn recover(around: &Surroundings, id: Option<SessionId>) -> Result<Exit, Failure> {
    // Only a node can look after what runs; without one, what is on disk tells what there is to look after.
    let found = connect(around).await.map_err(|error| Failure::not_reached(&around.data_dir, &error))?;
    let done = match &found {
        Some(handle) => Some(handle.reconcile().await?),
        None => None,
    };
    let view = View::open(around).await?;
    let sessions = view.handle.sessions().await?;
    let ids: Vec<SessionId> = match id {
        Some(id) => vec![find(&view.handle, id).await?.session.id],
        None => {
            let is_orphaned = |view_of: &&SessionView| state(&view_of.session, view.live) == "orphaned";
            sessions.iter().filter(is_orphaned).map(|view| view.session.id).collect()
        }
    };
    let mut work = Vec::new();
    for id in &ids {
        for item in view.handle.work_left_by(*id).await? {
            if work.iter().all(|known: &ItemView| known.id != item.id) {
                work.push(item);
            }
        }
    }
    if around.json {
        json(&value!({
            "sessions": ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "work": work.iter().map(item_json).collect::<Vec<_>>(),
            "looked": done.as_ref().map(|done| value!({
                "held": done.held, "taken_up": done.taken_up, "stopped": done.stopped, "unknown": done.unknown,
            })),
        }));
        return Ok(Exit::Success);
    }
    match &done {
        Some(done) => of_look(done),
        None => say("no node is running; the next one takes up what is left (`mnemosyne up` starts one)"),
    }
    if ids.is_empty() {
        say("no session was orphaned");
    }
    of_work(&work);
    Ok(Exit::Success)
}

async fn find(handle: &Handle, id: SessionId) -> Result<SessionView, Failure> {
    let sessions = handle.sessions().await?;
    let found = sessions.into_iter().find(|view| view.session.id == id);
    found.ok_or_else(|| {
        Failure::usage(format!("there is no session {id}; `mnemosyne session ls` lists those that are known"))
    })
}

/// How a session stands. One without an end whose process is gone is orphaned, also before a node has said so.
pub(super) fn state(session: &Record, live: bool) -> &'static str {
    let is_there = || match &session.opening {
        Some(opening) => is_alive(&opening.process),
        None => false,
    };
    match session.end {
        SessionEnd::Running if live || is_there() => SessionEnd::Running.as_str(),
        SessionEnd::Running => SessionEnd::Orphaned.as_str(),
        end => end.as_str(),
    }
}

/// A session as JSON, with the names that stay.
pub(super) fn session_json(view: &SessionView, live: bool) -> Value {
    let session = &view.session;
    let opening = session.opening.as_ref();
    let process = opening.map(|opening| &opening.process);
    value!({
        "id": session.id.to_string(), "node": session.node.to_string(), "state": state(session, live),
        "previous": session.previous.map(|id| id.to_string()),
        "started_at": session.started_at, "heartbeat_at": session.heartbeat_at, "ended_at": session.ended_at,
        "pid": process.map(|process| process.pid), "start_ticks": process.map(|process| process.start_ticks),
        "boot_id": process.map(|process| &process.boot_id), "host": process.map(|process| &process.host),
        "version": process.map(|process| &process.version),
        "auto_resume": opening.map(|opening| opening.auto_resume),
        "handover": session.handover, "left": session.left.map(left_json),
        "under_way": view.under_way, "held": view.held,
    })
}

fn left_json(left: Left) -> Value {
    let Left { running, assigned, ready, questions } = left;
    value!({ "running": running, "assigned": assigned, "ready": ready, "questions": questions })
}

fn left_in_short(view: &SessionView) -> String {
    let mut parts = Vec::new();
    if let Some(left) = view.session.left {
        let each = [
            (u64::from(left.running), "running"),
            (u64::from(left.assigned), "assigned"),
            (left.ready, "ready"),
            (left.questions, "for a human"),
        ];
        parts
            .extend(each.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    }
    // Nobody has counted what one without an end has left.
    if view.session.left.is_none() && view.under_way > 0 {
        parts.push(format!("{} under way", view.under_way));
    }
    let parts =
        if parts.is_empty() && view.session.left.is_some() { "nothing".to_owned() } else { parts.join(", ") };
    // They are among those that ran.
    if view.held > 0 { format!("{parts}; held now: {}", view.held) } else { parts }
}

fn words(view: &SessionView, live: bool) {
    let session = &view.session;
    let say = |what: &str, text: String| line(format!("{what:<10} {text}"));
    say("session", format!("{} of {}", session.id, session.node));
    say("state", state(session, live).to_owned());
    if let Some(opening) = &session.opening {
        let process = &opening.process;
        let (host, version) = (shown(&process.host), shown(&process.version));
        say("process", format!("{} on {host}, version {version}", process.pid));
    }
    if let Some(previous) = session.previous {
        say("previous", previous.to_string());
    }
    say("started", session.started_at.to_rfc3339());
    if session.ended_at.is_none() {
        say("heartbeat", session.heartbeat_at.to_rfc3339());
    }
    if let Some(ended) = session.ended_at {
        say("ended", ended.to_rfc3339());
    }
    if let Some(handover) = &session.handover {
        say("handover", shown(handover));
    }
    let left = left_in_short(view);
    if !left.is_empty() {
        say("left", left);
    }
    if session.holds || view.held > 0 {
        let id = session.id;
        say(
            "held",
            format!("{}; `mnemosyne session resume {id}` lets it start again", counted(view.held, "item")),
        );
    }
}

fn of_work(work: &[ItemView]) {
    for item in work {
        let (name, reason) = (shown(&item.name), shown(&super::show::reason(item)));
        let state = item.state.as_str().replace('_', " ");
        line(format!("{} {name} {state}{}{reason}", item.id, if reason.is_empty() { "" } else { ": " }));
    }
}

fn of_look(done: &Reconciled) {
    say(format!("the node holds {}", counted(done.held, "attempt")));
    if !done.taken_up.is_empty() {
        say(format!("{} taken up, which nobody had in hand", counted(done.taken_up.len(), "attempt")));
    }
    for folder in &done.stopped {
        say(format!("stopped: {}, whose attempt is over", shown(folder)));
    }
    for folder in &done.unknown {
        say(format!(
            "left alone: {}, which this log has never granted; `mnemosyne inbox` asks what is to become of it",
            shown(folder)
        ));
    }
}

/// What is said of a session that was found orphaned, and of what it was at.
pub(crate) fn of_orphaned(session: &Record, work: &[ItemView]) -> String {
    let process =
        session.opening.as_ref().map_or(String::new(), |opening| format!(" (pid {})", opening.process.pid));
    let work = match work.len() {
        0 => "it was at nothing".to_owned(),
        count => format!("what becomes of the {} that it was at is looked into", counted(count, "item")),
    };
    format!("session {}{process} went without a word; {work}", session.id)
}
