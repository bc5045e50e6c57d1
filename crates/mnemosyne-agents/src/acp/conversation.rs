//! One turn with an agent, as a pure machine: lines in, lines and a conclusion out.
//!
//! ```text
//!   initialize ─▶ session/load ──refused──▶ session/new ─▶ session/prompt ─▶ stop reason
//!                      │ wants a log-in          │              │ permission requests, updates
//!                      └──▶ authenticate ◀───────┘              │ stop, budget: session/cancel
//! ```
//! What a node said before it died is told to it by [`Conversation::recall`],
//! before it hears again from the beginning what the agent said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::budget::Budget;
use super::failure::{shown, verdict_of, wants_login, words_of};
use super::permission::{Decision, PermissionPolicy, PermissionRequest};
use super::request::{self, Ask};
use super::turn::Turn;
use super::update::{Update, model_of, text_of};
use super::wire::{Message, RpcError, RpcId};
use super::{MALFORMED_MAX, PERMISSIONS_OPEN_MAX};
use crate::conclusion::{Conclusion, Verdict};

/// Longest name of a session.
const SESSION_CHARS_MAX: usize = 1_024;

/// What is wanted of the agent.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The working folder of the session, absolute.
    pub cwd: String,
    /// What it is to do.
    pub prompt: String,
    /// The session to take up.
    pub resume: Option<Resume>,
    /// What it is told first in a session of its own.
    pub context: Option<String>,
    /// How to log in, where the agent wants it and offers this.
    pub auth_method: Option<String>,
    /// What is done about permission requests.
    pub permissions: PermissionPolicy,
    /// How much it may do.
    pub budget: Budget,
}

/// A session that was begun before, by another process of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// Its name.
    pub session: String,
    /// What the agent is to do in it, in place of the prompt that it has had already.
    pub prompt: String,
    /// What its earlier turns have cost, in millionths of a US dollar, as far as it is known.
    pub cost_microusd: u64,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Say this line to the agent.
    Say(String),
    /// Ask whoever decides, and tell [`Conversation::decide`].
    Ask(PermissionRequest),
}

/// Why the turn is to end before its end.
#[derive(Clone, Debug)]
enum Early {
    Cancelled,
    Budget(String),
    Failed(String),
}

/// What an agent says of itself.
#[derive(Debug)]
struct Agent {
    loads_sessions: bool,
    auth_methods: Vec<String>,
}

/// One turn with one agent.
#[derive(Debug)]
pub struct Conversation {
    opening: Opening,
    /// Ids of our requests, also those of a former node.
    said: BTreeSet<i64>,
    /// Those of them that have no reply yet.
    awaited: BTreeSet<i64>,
    cancel_is_said: bool,
    /// Answers that a former node gave, by request; the option, or that it was cancelled.
    recalled: BTreeMap<RpcId, VecDeque<Option<String>>>,
    agent: Option<Agent>,
    wants_login: bool,
    logged_in: bool,
    load_refused: bool,
    session: Option<String>,
    model: Option<String>,
    open: Vec<PermissionRequest>,
    turn: Turn,
    malformed: u32,
    early: Option<Early>,
    to_do: VecDeque<Act>,
    conclusion: Option<Conclusion>,
}

impl Conversation {
    /// A conversation of which nothing was said yet.
    #[must_use]
    pub fn new(opening: Opening) -> Self {
        Self {
            opening,
            said: BTreeSet::new(),
            awaited: BTreeSet::new(),
            cancel_is_said: false,
            recalled: BTreeMap::new(),
            agent: None,
            wants_login: false,
            logged_in: false,
            load_refused: false,
            session: None,
            model: None,
            open: Vec::new(),
            turn: Turn::default(),
            malformed: 0,
            early: None,
            to_do: VecDeque::new(),
            conclusion: None,
        }
    }

    /// Takes a line that a former node said. To be called before anything is heard.
    pub fn recall(&mut self, line: &[u8]) {
        match Message::read(line) {
            Some(Message::Request { id: RpcId::Number(id), .. }) => {
                self.said.insert(id);
                self.awaited.insert(id);
            }
            Some(Message::Notification { method, .. }) => self.cancel_is_said |= method == request::CANCEL,
            Some(Message::Response { id, result }) => {
                let option =
                    result.ok().and_then(|result| Some(result["outcome"]["optionId"].as_str()?.to_owned()));
                self.recalled.entry(id).or_default().push_back(option);
            }
            // Not of ours; whoever wrote it, the agent has it.
            _ => {}
        }
    }

    /// Takes a line of the agent; `None` for one that was too long.
    pub fn hear(&mut self, line: Option<&[u8]>) {
        if self.conclusion.is_some() {
            return;
        }
        match line.and_then(Message::read) {
            Some(Message::Request { id, method, params }) if method == request::REQUEST_PERMISSION => {
                self.hear_permission(id, &params);
            }
            Some(Message::Request { id, method, .. }) => {
                if self.recollect(&id).is_none() {
                    self.to_do.push_back(Act::Say(request::not_offered(&id, &method)));
                }
            }
            Some(Message::Notification { method, params }) if method == request::SESSION_UPDATE => {
                self.hear_update(&params);
            }
            Some(Message::Notification { .. }) => {}
            Some(Message::Response { id, result }) => self.hear_reply(&id, result),
            None => self.hear_nonsense(),
        }
    }

    /// The next thing to do; none when there is nothing before the next line or decision.
    pub fn next_act(&mut self) -> Option<Act> {
        if let Some(act) = self.to_do.pop_front() {
            return Some(act);
        }
        if self.conclusion.is_some() {
            return None;
        }
        if self.early.is_some() && !self.said.contains(&Ask::Prompt.id()) {
            self.conclusion = Some(self.interrupted(""));
            return None;
        }
        self.next_request()
    }

    /// Takes a decision about a permission request. One that is not open any more changes nothing.
    pub fn decide(&mut self, id: &RpcId, decision: Decision) {
        let Some(at) = self.open.iter().position(|request| request.id == *id) else { return };
        let request = self.open.remove(at);
        self.answer(&request, decision);
    }

    /// Ends the turn: the agent is asked to, and open permission requests are answered.
    pub fn cancel(&mut self) {
        self.end_early(Early::Cancelled);
    }

    /// Whether the turn is to end before its end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.early.is_some() || self.cancel_is_said
    }

    /// How the turn ended, once it has.
    #[must_use]
    pub fn conclusion(&self) -> Option<&Conclusion> {
        self.conclusion.as_ref()
    }

    /// How a turn ended whose agent says nothing any more, and why, where nothing better is known.
    #[must_use]
    pub fn interrupted(&self, why: &str) -> Conclusion {
        if let Some(conclusion) = &self.conclusion {
            return conclusion.clone();
        }
        let (verdict, message) = match &self.early {
            Some(Early::Budget(limit)) => (Verdict::Budget, limit.clone()),
            Some(Early::Failed(problem)) => (Verdict::Failed, problem.clone()),
            Some(Early::Cancelled) if why.is_empty() => (Verdict::Interrupted, "it was cancelled".to_owned()),
            _ => (Verdict::Interrupted, why.to_owned()),
        };
        self.concluded(verdict, message, &Value::Null)
    }

    /// The next step on the way to the prompt.
    fn next_request(&mut self) -> Option<Act> {
        let Some(agent) = &self.agent else {
            return self.say_once(Ask::Initialize, request::initialize);
        };
        if let Some(session) = self.session.clone() {
            let opening = self.opening.clone();
            let texts: Vec<&str> = match &opening.resume {
                Some(resume) if resume.session == session => vec![resume.prompt.as_str()],
                _ => opening.context.as_deref().into_iter().chain([opening.prompt.as_str()]).collect(),
            };
            return self.say_once(Ask::Prompt, || request::prompt(&session, &texts));
        }
        if self.wants_login && !self.logged_in {
            let method = self.opening.auth_method.clone().filter(|method| agent.auth_methods.contains(method));
            let Some(method) = method else {
                let offered = shown(&agent.auth_methods.join(", "));
                let message = format!("the agent is not logged in; it offers: {offered}");
                self.conclude(Verdict::Login, message);
                return None;
            };
            return self.say_once(Ask::Authenticate, || request::authenticate(&method));
        }
        let (logged_in, cwd) = (self.logged_in, self.opening.cwd.clone());
        match self.opening.resume.clone() {
            Some(resume) if agent.loads_sessions && !self.load_refused => {
                let line = || request::load_session(logged_in, &cwd, &resume.session);
                self.say_once(Ask::Load { logged_in }, line)
            }
            _ => self.say_once(Ask::New { logged_in }, || request::new_session(logged_in, &cwd)),
        }
    }

    /// Says a request, unless it has been said.
    fn say_once(&mut self, ask: Ask, line: impl FnOnce() -> String) -> Option<Act> {
        if !self.said.insert(ask.id()) {
            return None;
        }
        self.awaited.insert(ask.id());
        Some(Act::Say(line()))
    }

    fn hear_reply(&mut self, id: &RpcId, result: Result<Value, RpcError>) {
        let ask = match id {
            RpcId::Number(id) if self.awaited.remove(id) => Ask::of(*id),
            _ => None,
        };
        // The answer to a question that was never asked.
        let Some(ask) = ask else { return self.hear_nonsense() };
        match (ask, result) {
            (Ask::Initialize, Ok(reply)) => self.meet(&reply),
            (Ask::Authenticate, Ok(_)) => self.logged_in = true,
            (Ask::New { .. } | Ask::Load { .. }, Err(error)) if wants_login(&error) && !self.logged_in => {
                self.wants_login = true;
            }
            (Ask::New { .. }, Ok(reply)) => match text_of(&reply["sessionId"], SESSION_CHARS_MAX) {
                Some(session) => self.begin(session, &reply),
                None => self.conclude(Verdict::Failed, "the agent gave its session no name".to_owned()),
            },
            (Ask::Load { .. }, Ok(reply)) => {
                let session = self.opening.resume.clone().unwrap_or_default().session;
                self.begin(session, &reply);
            }
            (Ask::Load { .. }, Err(_)) => self.load_refused = true,
            (Ask::Prompt, Ok(reply)) => self.hear_end(&reply),
            (Ask::Authenticate, Err(error)) => {
                self.conclude(Verdict::Login, format!("the log-in was refused: {}", words_of(&error)));
            }
            (Ask::Initialize | Ask::New { .. } | Ask::Prompt, Err(error)) => {
                let (verdict, message) = self.because_of(verdict_of(&error), words_of(&error));
                self.conclude(verdict, message);
            }
        }
    }

    /// Takes what the agent says of itself.
    fn meet(&mut self, reply: &Value) {
        let version = &reply["protocolVersion"];
        if version.as_i64() != Some(request::PROTOCOL_VERSION) {
            let message = format!(
                "the agent speaks version {} of the protocol, and this program version {}",
                shown(&version.to_string()),
                request::PROTOCOL_VERSION
            );
            return self.conclude(Verdict::Failed, message);
        }
        let methods = reply["authMethods"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.agent = Some(Agent {
            loads_sessions: reply["agentCapabilities"]["loadSession"] == Value::Bool(true),
            auth_methods: methods.iter().take(32).filter_map(|method| text_of(&method["id"], 200)).collect(),
        });
    }

    fn begin(&mut self, session: String, reply: &Value) {
        self.model = model_of(reply);
        if let Some(resume) = self.opening.resume.as_ref().filter(|resume| resume.session == session) {
            self.turn.take_up(resume.cost_microusd);
        }
        self.session = Some(session);
    }

    fn hear_update(&mut self, params: &Value) {
        let update = Update::read(params);
        let Some(session) = &self.session else { return self.turn.hear_before(&update) };
        // An agent may have more sessions than ours.
        if params["sessionId"].as_str() != Some(session) {
            return;
        }
        self.turn.hear(update);
        if let Some(limit) = self.opening.budget.exceeded(self.turn.turns(), self.turn.tool_calls()) {
            self.end_early(Early::Budget(limit));
        }
    }

    fn hear_permission(&mut self, id: RpcId, params: &Value) {
        let request = PermissionRequest::read(id, params);
        if let Some(chosen) = self.recollect(&request.id) {
            if !request.is_allowed_by(chosen.as_deref()) {
                self.turn.deny(&shown(&request.title));
            }
            return;
        }
        if self.is_ending() {
            return self.to_do.push_back(Act::Say(request::permission(&request.id, None)));
        }
        match self.opening.permissions {
            PermissionPolicy::Allow => self.answer(&request, Decision::Allow),
            PermissionPolicy::Reject => self.answer(&request, Decision::Reject),
            PermissionPolicy::Ask if self.open.len() >= PERMISSIONS_OPEN_MAX => {
                self.turn.deny(&shown(&request.title));
                let refusal = request::too_many(&request.id, PERMISSIONS_OPEN_MAX);
                self.to_do.push_back(Act::Say(refusal));
            }
            PermissionPolicy::Ask => {
                self.open.push(request.clone());
                self.to_do.push_back(Act::Ask(request));
            }
        }
    }

    /// What a former node answered to this request, if it did.
    fn recollect(&mut self, id: &RpcId) -> Option<Option<String>> {
        self.recalled.get_mut(id)?.pop_front()
    }

    fn answer(&mut self, request: &PermissionRequest, decision: Decision) {
        let option = request.choose(decision);
        if !request.is_allowed_by(option) {
            self.turn.deny(&shown(&request.title));
        }
        self.to_do.push_back(Act::Say(request::permission(&request.id, option)));
    }

    fn hear_nonsense(&mut self) {
        self.malformed = self.malformed.saturating_add(1);
        if self.malformed > MALFORMED_MAX {
            let problem =
                format!("more than {MALFORMED_MAX} lines of its output are no messages of the protocol");
            self.end_early(Early::Failed(problem));
        }
    }

    fn end_early(&mut self, why: Early) {
        if self.early.is_some() || self.conclusion.is_some() {
            return;
        }
        self.early = Some(why);
        if self.cancel_is_said {
            return;
        }
        if let (Some(session), true) = (&self.session, self.said.contains(&Ask::Prompt.id())) {
            self.to_do.push_back(Act::Say(request::cancel(session)));
            self.cancel_is_said = true;
        }
        for request in std::mem::take(&mut self.open) {
            self.to_do.push_back(Act::Say(request::permission(&request.id, None)));
        }
    }

    /// Takes the end of the turn.
    fn hear_end(&mut self, reply: &Value) {
        let (verdict, message) = match reply["stopReason"].as_str() {
            Some("end_turn") if self.turn.denials().is_empty() => (Verdict::Done, String::new()),
            Some("end_turn") => {
                let message = format!("it was not allowed to: {}", self.turn.denials().join("; "));
                (Verdict::Denied, message)
            }
            Some("max_tokens") => (Verdict::Budget, "the model has used up its tokens".to_owned()),
            Some("max_turn_requests") => {
                (Verdict::Budget, "the agent has used up its requests to the model".to_owned())
            }
            Some("refusal") => (Verdict::Refused, "the model declined".to_owned()),
            Some("cancelled") => (Verdict::Interrupted, "it was cancelled".to_owned()),
            other => {
                let reason = other.map_or_else(|| "none".to_owned(), shown);
                (Verdict::Failed, format!("the turn ended for a reason that is not known: {reason}"))
            }
        };
        let (verdict, message) = match verdict {
            Verdict::Interrupted => self.because_of(verdict, message),
            _ => (verdict, message),
        };
        self.conclusion = Some(self.concluded(verdict, message, reply));
    }

    /// Our own reason to end the turn comes before what the agent made of it.
    fn because_of(&self, verdict: Verdict, message: String) -> (Verdict, String) {
        match &self.early {
            Some(Early::Budget(limit)) => (Verdict::Budget, limit.clone()),
            Some(Early::Failed(problem)) => (Verdict::Failed, problem.clone()),
            Some(Early::Cancelled) => (Verdict::Interrupted, "it was cancelled".to_owned()),
            None => (verdict, message),
        }
    }

    fn conclude(&mut self, verdict: Verdict, message: String) {
        self.conclusion = Some(self.concluded(verdict, message, &Value::Null));
    }

    fn concluded(&self, verdict: Verdict, message: String, reply: &Value) -> Conclusion {
        Conclusion {
            verdict,
            message,
            answer: self.turn.answer(),
            session: self.session.clone(),
            usage: self.turn.usage(self.model.as_deref(), reply),
            denials: self.turn.denials().to_vec(),
        }
    }
}
