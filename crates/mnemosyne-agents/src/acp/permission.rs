//! Permission requests of agents: options are chosen by their kind, never by
//! their place. Agents list `allow_always` first.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use super::update::text_of;
use super::wire::RpcId;

/// Options of one request that are read.
const OPTIONS_MAX: usize = 32;
/// Longest id of an option.
const OPTION_BYTES_MAX: usize = 1_024;
/// Characters of a tool's title, and of what is shown of its input.
const SHOWN_CHARS_MAX: usize = 2_000;

/// What is done about permission requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PermissionPolicy {
    /// A human is asked.
    #[default]
    Ask,
    /// All are allowed, each once.
    Allow,
    /// All are rejected, each once.
    Reject,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This time.
    Allow,
    /// And from now on without asking.
    AllowAlways,
    /// Not this time.
    Reject,
    /// And from now on without asking.
    RejectAlways,
}

/// Kinds of options, as the protocol names them.
const ALLOW_ONCE: &str = "allow_once";
const ALLOW_ALWAYS: &str = "allow_always";
const REJECT_ONCE: &str = "reject_once";
const REJECT_ALWAYS: &str = "reject_always";

impl Decision {
    /// The kinds of options that say so, the best first. What was allowed once
    /// is never allowed for good: where that is all there is, it is rejected.
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Allow => &[ALLOW_ONCE, REJECT_ONCE, REJECT_ALWAYS],
            Self::AllowAlways => &[ALLOW_ALWAYS, ALLOW_ONCE, REJECT_ONCE, REJECT_ALWAYS],
            Self::Reject => &[REJECT_ONCE, REJECT_ALWAYS],
            Self::RejectAlways => &[REJECT_ALWAYS, REJECT_ONCE],
        }
    }
}

/// An option that an agent offers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PermissionOption {
    id: String,
    kind: String,
}

/// A question of an agent that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionRequest {
    /// The id of the request; the same in every node that reads it.
    pub id: RpcId,
    /// What the agent wants to do, in its words. Text of a stranger.
    pub title: String,
    /// What kind of tool it is: `edit`, `execute`, … Text of a stranger.
    pub kind: Option<String>,
    /// What the tool would be given, as JSON, shortened. Text of a stranger.
    pub input: Option<String>,
    options: Vec<PermissionOption>,
}

impl PermissionRequest {
    /// Reads a request. What is missing in it is empty.
    pub(super) fn read(id: RpcId, params: &Value) -> Self {
        let tool = &params["toolCall"];
        let options = params["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let options = options.iter().take(OPTIONS_MAX).filter_map(|option| {
            let (id, kind) = (option["optionId"].as_str()?, option["kind"].as_str()?);
            (id.len() <= OPTION_BYTES_MAX)
                .then(|| PermissionOption { id: id.to_owned(), kind: kind.to_owned() })
        });
        let input = tool.get("rawInput").filter(|input| !input.is_null());
        Self {
            id,
            title: text_of(&tool["title"], SHOWN_CHARS_MAX)
                .or_else(|| text_of(&tool["toolCallId"], SHOWN_CHARS_MAX))
                .unwrap_or_else(|| "a tool without a name".to_owned()),
            kind: text_of(&tool["kind"], 100),
            input: input.map(|input| input.to_string().chars().take(SHOWN_CHARS_MAX).collect()),
            options: options.collect(),
        }
    }

    /// The id of the option that says what was decided; none when the agent offers none.
    pub(super) fn choose(&self, decision: Decision) -> Option<&str> {
        let of_kind = |kind: &&str| self.options.iter().find(|option| option.kind == *kind);
        decision.kinds().iter().find_map(of_kind).map(|option| option.id.as_str())
    }

    /// Whether an option that was chosen lets the tool run.
    pub(super) fn is_allowed_by(&self, chosen: Option<&str>) -> bool {
        let option = self.options.iter().find(|option| Some(option.id.as_str()) == chosen);
        option.is_some_and(|option| [ALLOW_ONCE, ALLOW_ALWAYS].contains(&option.kind.as_str()))
    }
}

/// A decision on its way.
pub type Deciding = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// Whoever decides in place of the node about what an agent may do. The same
/// request is asked again by a node that comes after one that died: together
/// with the attempt, the id of the request names the question.
pub trait PermissionDesk: Send + Sync {
    /// Decides, whenever that may be. Dropped when it does not matter any more.
    fn ask(&self, request: PermissionRequest) -> Deciding;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(kinds: &[&str]) -> PermissionRequest {
        let options: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({"optionId": format!("id of {kind}"), "name": "?", "kind": kind}))
            .collect();
        PermissionRequest::read(
            RpcId::Number(1),
            &json!({"toolCall": {"toolCallId": "t", "title": "touch x", "rawInput": {"a": 1}}, "options": options}),
        )
    }

    #[test]
    fn options_are_chosen_by_kind_wherever_they_stand() {
        let all = request(&["allow_always", "reject_always", "allow_once", "reject_once"]);
        for (decision, chosen, allows) in [
            (Decision::Allow, "id of allow_once", true),
            (Decision::AllowAlways, "id of allow_always", true),
            (Decision::Reject, "id of reject_once", false),
            (Decision::RejectAlways, "id of reject_always", false),
        ] {
            assert_eq!(all.choose(decision), Some(chosen));
            assert_eq!(all.is_allowed_by(Some(chosen)), allows);
        }
        assert_eq!((all.title.as_str(), all.input.as_deref()), ("touch x", Some(r#"{"a":1}"#)));
    }

    #[test]
    fn what_is_allowed_once_is_not_allowed_for_good_for_want_of_an_option() {
        let chosen = |kinds, decision| request(kinds).choose(decision).map(str::to_owned);
        assert_eq!(
            chosen(&["allow_always", "reject_once"], Decision::Allow).as_deref(),
            Some("id of reject_once")
        );
        assert_eq!(chosen(&["allow_once"], Decision::AllowAlways).as_deref(), Some("id of allow_once"));
        assert_eq!(chosen(&["reject_always"], Decision::Reject).as_deref(), Some("id of reject_always"));
        assert_eq!(chosen(&["allow_always"], Decision::Allow), None);
        assert_eq!(chosen(&["what_is_this"], Decision::Reject), None);
        assert_eq!(chosen(&[], Decision::Allow), None);
    }

    #[test]
    fn what_a_former_node_chose_is_understood() {
        let all = request(&["allow_always", "reject_once"]);
        assert!(all.is_allowed_by(Some("id of allow_always")));
        assert!(!all.is_allowed_by(Some("id of reject_once")));
        assert!(!all.is_allowed_by(Some("unknown")) && !all.is_allowed_by(None));
    }
}
