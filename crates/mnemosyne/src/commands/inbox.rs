//! `mnemosyne inbox`, `approve`, `reject`, `answer`.

use clap::Args;
use mnemosyne_control::{Answer as Answered, Handle, Request};
use mnemosyne_core::command::Target;
use mnemosyne_core::id::QuestionId;
use mnemosyne_core::inbox::{Decision, Question};
use serde_json::{Value, json as value};

use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{Table, fitted, json, say, shown};
use crate::settings::Surroundings;
use crate::view::View;

/// Columns of a question; JSON has the whole.
const TEXT_COLUMNS: usize = 80;
/// Questions of one answer.
const QUESTIONS_MAX: usize = 10_000;

#[derive(Clone, Debug, Args)]
pub(crate) struct Inbox {
    /// Only questions of this run
    run: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// Questions, or items or runs with one open question
    #[arg(required = true)]
    ids: Vec<String>,
    /// What to say with it
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    message: String,
}

#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// Questions, or items or runs with one open question
    #[arg(required = true)]
    ids: Vec<String>,
    /// Why; it is recorded with the item
    #[arg(short = 'm', long, value_name = "TEXT")]
    message: String,
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// A question, or an item or run with one open question
    id: String,
    /// What the next attempt is to be told
    text: String,
}

impl Inbox {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open(&around).await?;
        let run = match &self.run {
            Some(run) => Some(ids::run(&view.handle, run).await?),
            None => None,
        };
        let mut open = questions(&view.handle).await?;
        open.retain(|question| run.is_none_or(|run| question.item.run == run));
        if around.json {
            json(&open.iter().map(question_json).collect::<Vec<_>>());
            return Ok(Exit::Success);
        }
        if open.is_empty() {
            say("nobody waits for a decision");
            return Ok(Exit::Success);
        }
        let mut table = Table::new(&["ID", "ITEM", "KIND", "QUESTION"]);
        for question in &open {
            let name = view.handle.item(question.item).await.map_or_else(
                |_| question.item.to_string(),
                |detail| format!("{} {}", question.item, shown(&detail.item.name)),
            );
            table.row(vec![
                question.id.to_string(),
                fitted(&name, TEXT_COLUMNS / 2),
                question.ask.kind.as_str().to_owned(),
                fitted(&shown(&question.ask.text), TEXT_COLUMNS),
            ]);
        }
        table.print();
        Ok(Exit::Success)
    }
}

impl Approve {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        decide(globals, &self.ids, Decision::Approve, &self.message).await
    }
}

impl Reject {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        decide(globals, &self.ids, Decision::Reject, &self.message).await
    }
}

impl Answer {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        decide(globals, &[self.id], Decision::Answer, &self.text).await
    }
}

/// Finds all questions first, so that a mistyped one decides nothing, then decides each.
async fn decide(
    globals: &Globals,
    texts: &[String],
    decision: Decision,
    message: &str,
) -> Result<Exit, Failure> {
    let around = Surroundings::resolve(globals)?;
    let access = Access::existing(&around).await?;
    let answer = async {
        let open = questions(&access.handle).await?;
        let mut found = Vec::new();
        for text in texts {
            found.push(find(&access.handle, &open, text).await?);
        }
        let mut decided = Vec::new();
        for question in found {
            access.handle.change(Request::Decide(question.id, decision, message.to_owned())).await?;
            let word = match decision {
                Decision::Approve => "approved",
                Decision::Reject => "rejected",
                Decision::Answer => "answered",
            };
            if !around.json {
                say(format!("{} of {}: {word}", question.id, question.item));
            }
            decided.push(value!({
                "id": question.id.to_string(), "item": question.item.to_string(), "decision": decision.as_str(),
            }));
        }
        if around.json {
            json(&decided);
        }
        Ok(Exit::Success)
    };
    let answer = answer.await;
    access.close().await?;
    answer
}

/// The question that a text stands for: its own id, or the only open one of an item or a run.
async fn find<'q>(handle: &Handle, open: &'q [Question], text: &str) -> Result<&'q Question, Failure> {
    let number = text.strip_prefix('q').and_then(|digits| digits.parse().ok()).map(QuestionId);
    if let Some(id) = number {
        return open.iter().find(|question| question.id == id).ok_or_else(|| {
            Failure::usage(format!(
                "there is no open question {id}; `mnemosyne inbox` lists those that are open"
            ))
        });
    }
    let target = ids::target(handle, text).await?;
    let of_target = open.iter().filter(|question| match target {
        Target::Run(run) => question.item.run == run,
        Target::Item(item) => question.item == item,
    });
    match of_target.collect::<Vec<_>>()[..] {
        [] => Err(Failure::usage(format!(
            "{text} has no open question; `mnemosyne inbox` lists those that are open"
        ))),
        [question] => Ok(question),
        ref several => {
            let ids: Vec<String> = several.iter().map(|question| question.id.to_string()).collect();
            Err(Failure::usage(format!(
                "{text} has several open questions: {}; name one of them",
                ids.join(", ")
            )))
        }
    }
}

async fn questions(handle: &Handle) -> Result<Vec<Question>, Failure> {
    match handle.call(Request::Questions(QUESTIONS_MAX)).await? {
        Answered::Questions(questions) => Ok(questions),
        _ => Err(Failure::unavailable("the node answered something else than was asked".to_owned())),
    }
}

fn question_json(question: &Question) -> Value {
    value!({
        "id": question.id.to_string(),
        "item": question.item.to_string(),
        "run": question.item.run.to_string(),
        "kind": question.ask.kind.as_str(),
        "text": question.ask.text,
        "running": question.token.is_some(),
        "asked_at": question.asked_at,
        "until": question.until,
        "default": question.until.map(|_| if question.ask.yes_on_timeout { "approve" } else { "reject" }),
    })
}
