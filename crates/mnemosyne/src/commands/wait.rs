//! `mnemosyne wait`.

use std::time::Duration;

use clap::Args;
use mnemosyne_core::time::Span;

use super::duration;
use super::run::{human, report};
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::say;
use crate::progress::Progress;
use crate::settings::Surroundings;
use crate::view::View;

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The run: its id, or any beginning of it that is unique
    run: String,
    /// Give up after this time (90s, 1h30m)
    #[arg(long, value_name = "D", value_parser = duration)]
    timeout: Option<Span>,
}

impl Wait {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open(&around).await?;
        self.wait(&around, &view).await
    }

    async fn wait(&self, around: &Surroundings, node: &View) -> Result<Exit, Failure> {
        let handle = &node.handle;
        let run = ids::run(handle, &self.run).await?;
        let view = handle.run(run).await?;
        if view.result.is_none() && !node.live {
            return Err(Failure::unavailable(format!(
                "run {run} is unfinished and no node is running; start one with `mnemosyne up`"
            )));
        }
        let seq = handle.status().await?.event_seq;
        let mut progress = Progress::follow(handle, run, seq, around.json);
        let time_is_up = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(Duration::from_millis(timeout.as_millis())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            view = progress.until_the_end() => match view? {
                view if view.result.is_none() => Ok(human(&view)),
                view => report(handle, &view, around.json).await,
            },
            () = time_is_up => {
                say(format!("time is up; run {run} goes on in the node"));
                Ok(Exit::Timeout)
            }
            () = crate::signals::asked_to_end() => {
                say(format!("interrupted; run {run} goes on in the node"));
                Ok(Exit::Interrupted)
            }
        }
    }
}
