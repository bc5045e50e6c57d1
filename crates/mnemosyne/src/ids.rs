//! From what a user types to the run or item that is meant.

use mnemosyne_control::{Found, Handle};
use mnemosyne_core::command::Target;
use mnemosyne_core::id::{ItemId, RunId};

use crate::failure::Failure;

/// The run or item that `text` stands for.
pub(crate) async fn target(handle: &Handle, text: &str) -> Result<Target, Failure> {
    match handle.find(text).await? {
        Found::Run(run) => Ok(Target::Run(run)),
        Found::Item(item) => Ok(Target::Item(item)),
        Found::Nothing => Err(Failure::usage(format!(
            "there is no run or item {text:?}; `mnemosyne ps` lists them (RUN, RUN.NUMBER or RUN/NAME)"
        ))),
        Found::Several(runs) => {
            let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!("{text:?} could be {}; type more of it", runs.join(", "))))
        }
    }
}

/// The item that `text` stands for; the only item of a run may be named by the run.
pub(crate) async fn item(handle: &Handle, text: &str) -> Result<ItemId, Failure> {
    match target(handle, text).await? {
        Target::Item(item) => Ok(item),
        Target::Run(run) if handle.run(run).await?.items() == 1 => Ok(run.item(0)),
        Target::Run(run) => Err(Failure::usage(format!(
            "{run} is a run of several items; name one of them: {run}.1 or {run}/NAME"
        ))),
    }
}

/// The run that `text` stands for.
pub(crate) async fn run(handle: &Handle, text: &str) -> Result<RunId, Failure> {
    Ok(match target(handle, text).await? {
        Target::Run(run) => run,
        Target::Item(item) => item.run,
    })
}
