//! Items whose outputs are a plan: it is checked like a plan file, and its
//! items join the run with the report that the item has succeeded.

use std::sync::Arc;

use mnemosyne_core::view::Order;
use mnemosyne_core::work::attempt::{AttemptResult, Fault};
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::spec::RunSpec;
use mnemosyne_core::work::task::RunContext;

use crate::fault::in_full;
use crate::runner::Ended;
use crate::stores::{PayloadError, Payloads};

/// Compiles the plan that an item named like the first argument wrote, as JSON
/// text, for a run of this context; or says in full what is wrong with it.
pub type Planner = Arc<dyn Fn(&str, &str, &RunContext) -> Result<RunSpec, String> + Send + Sync>;

/// Adds the items that a plan asks for to the report of an attempt that wrote one.
pub(crate) async fn with_children(
    order: &Order,
    ended: Ended,
    payloads: &Payloads,
    planner: &Planner,
) -> Ended {
    let AttemptResult::Succeeded { outputs } = &ended.result else { return ended };
    let Some(outputs) = outputs.clone() else {
        let message = "its outputs are to be a plan, and it wrote none".into();
        return Ended { result: AttemptResult::Failed { fault: Fault::Outputs, message }, ..ended };
    };
    let (name, context) = (order.name.clone(), order.context.clone());
    let (payloads, planner) = (payloads.clone(), Arc::clone(planner));
    let compiled =
        tokio::task::spawn_blocking(move || compile(&name, outputs, &context, &payloads, &*planner)).await;
    let result = compiled.unwrap_or_else(|error| failed(error.to_string()));
    Ended { result, ..ended }
}

fn compile(
    name: &str,
    outputs: Payload,
    context: &Payload,
    payloads: &Payloads,
    planner: &dyn Fn(&str, &str, &RunContext) -> Result<RunSpec, String>,
) -> AttemptResult {
    let read = || -> Result<_, PayloadError> { Ok((payloads.get(&outputs)?, payloads.decode(context)?)) };
    let (text, context) = match read() {
        Ok(read) => read,
        Err(error) => return failed(in_full(&error)),
    };
    let mut children = match planner(name, &String::from_utf8_lossy(&text), &context) {
        Ok(children) => children,
        Err(problem) => return failed(problem),
    };
    let stored =
        children.items.iter_mut().map(|item| &mut item.task).try_for_each(|task| payloads.externalise(task));
    let reviewers = children.reviews.iter_mut().filter_map(|review| review.reviewer.as_mut());
    let stored = stored.and_then(|()| {
        reviewers.map(|reviewer| &mut reviewer.task).try_for_each(|task| payloads.externalise(task))
    });
    match stored {
        Ok(()) => AttemptResult::Expanded { outputs: Some(outputs), children: Box::new(children) },
        Err(error) => failed(in_full(&error)),
    }
}

fn failed(problem: String) -> AttemptResult {
    AttemptResult::Failed { fault: Fault::Outputs, message: problem.into() }
}
