//! A door for whoever throws bytes at a conversation.

use super::conversation::{Act, Conversation, Opening, Resume};
use super::lines::{Line, Lines};
use super::permission::{Decision, PermissionPolicy};
use super::request::CANCEL;
use super::wire::Message;
use crate::retell::{Language, Retelling};

/// Lines of an agent between these are those of a later node.
const NEXT_NODE: &[u8] = b"next node";

/// Lets an agent say anything, one line after the other, and checks what we
/// say: every request once, no answer without a question, one conclusion.
pub fn hear_anything(bytes: &[u8]) {
    let (policy, bytes) = match bytes.split_first() {
        Some((first, rest)) if first % 3 == 0 => (PermissionPolicy::Allow, rest),
        Some((first, rest)) if first % 3 == 1 => (PermissionPolicy::Reject, rest),
        _ => (PermissionPolicy::Ask, bytes),
    };
    let opening = || Opening {
        cwd: "/work".to_owned(),
        prompt: "do it".to_owned(),
        resume: Some(Resume { session: "old".to_owned(), prompt: "go on".to_owned(), cost_microusd: 7 }),
        permissions: policy,
        ..Opening::default()
    };
    let mut conversation = Conversation::new(opening());
    let (mut said, mut heard): (Vec<String>, Vec<Option<Vec<u8>>>) = (Vec::new(), Vec::new());
    let mut retelling = Retelling::new(Language::Acp);
    let mut lines = Lines::default();
    let mut text = bytes.to_vec();
    text.push(b'\n');
    lines.take(&text, 10_000, |line| {
        let line = match line {
            Line::Whole(line) => Some(line),
            Line::TooLong => None,
        };
        // Whoever watches sees it in other words.
        retelling.line(line.as_deref().unwrap_or_default());
        if line.as_deref() == Some(NEXT_NODE) {
            conversation = Conversation::new(opening());
            said.iter().for_each(|line| conversation.recall(line.as_bytes()));
            heard.iter().for_each(|line| conversation.hear(line.as_deref()));
        } else {
            conversation.hear(line.as_deref());
            heard.push(line);
        }
        act(&mut conversation, &mut said);
    });
    conversation.cancel();
    act(&mut conversation, &mut said);
    let _ = conversation.interrupted("the end");
    check(&said, heard.len());
}

fn act(conversation: &mut Conversation, said: &mut Vec<String>) {
    while let Some(act) = conversation.next_act() {
        match act {
            Act::Say(line) => said.push(line),
            // Some questions stay open.
            Act::Ask(request) if request.title.len() % 2 == 0 => {
                conversation.decide(&request.id, Decision::Allow);
            }
            Act::Ask(_) => {}
        }
    }
}

fn check(said: &[String], heard: usize) {
    let (mut ids, mut cancels, mut answers) = (Vec::new(), 0, 0);
    for line in said {
        match Message::read(line.as_bytes()) {
            Some(Message::Request { id, .. }) => ids.push(id),
            Some(Message::Notification { method, .. }) if method == CANCEL => cancels += 1,
            Some(Message::Response { .. }) => answers += 1,
            other => panic!("we said {line:?}, which is {other:?}"),
        }
    }
    let asked = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), asked, "a request was said twice: {said:?}");
    assert!(cancels <= 1, "{said:?}");
    assert!(answers <= heard, "{answers} answers to {heard} lines");
}
