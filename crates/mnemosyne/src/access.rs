//! Reaches the node of the data directory: the one that runs, or one inside this process.

use std::io;
use std::time::{Duration, Instant};

use mnemosyne_control::Handle;
use mnemosyne_node::{Node, Part, StopKind};

use crate::failure::Failure;
use crate::output::say;
use crate::settings::Surroundings;
use crate::setup::start_node;

/// How long to wait for a node that is starting or ending.
const TURNOVER_MAX: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A node that can be talked to.
pub(crate) struct Access {
    /// How to talk to it.
    pub(crate) handle: Handle,
    /// The node, when it is in this process.
    pub(crate) own: Option<Node>,
}

impl Access {
    /// Connects to the running node, or starts one here.
    pub(crate) async fn open(around: &Surroundings, part: Part) -> Result<Self, Failure> {
        let mut deadline = Instant::now() + TURNOVER_MAX;
        let mut is_told = false;
        loop {
            let found = connect(around).await;
            if let Some(handle) = found.map_err(|error| Failure::not_reached(&around.data_dir, &error))? {
                if part == Part::Requests || !handle.is_ending() {
                    return Ok(Self { handle, own: None });
                }
                // Who is to do work does not rely on a node that is about to end, but takes its place, however long that
                // waits for its agents.
                deadline = Instant::now() + TURNOVER_MAX;
                if !std::mem::replace(&mut is_told, true) {
                    say("another node is ending; this one takes its place");
                }
            }
            match start_node(around, part).await {
                Ok(node) => return Ok(Self { handle: node.handle(), own: Some(node) }),
                // Another process holds the directory but does not answer: it starts or ends.
                Err(failure) if failure.locked && Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// For commands that make no sense in a folder that was never used: refuses
    /// to make a data directory.
    pub(crate) async fn existing(around: &Surroundings) -> Result<Self, Failure> {
        if !around.data_dir.is_dir() {
            return Err(Failure::no_data_dir(&around.data_dir));
        }
        Self::open(around, Part::Requests).await
    }

    /// Whether what is asked for is begun by a later node: none runs, or the one that does is about to end.
    pub(crate) fn waits_for_next(&self) -> bool {
        self.own.is_some() || self.handle.is_ending()
    }

    /// Lets go of the node; one in this process ends.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        if let Some(node) = self.own {
            node.close(StopKind::HandOver)
                .await
                .map_err(|error| Failure::unavailable(crate::failure::chain(&error)))?;
        }
        Ok(())
    }
}

/// Connects to the node that runs for this data directory, if one does.
pub(crate) async fn connect(around: &Surroundings) -> io::Result<Option<Handle>> {
    match mnemosyne_control::connect(&around.data_dir).await {
        Ok(handle) => Ok(Some(handle)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Ok(None),
            _ => Err(error),
        },
    }
}
