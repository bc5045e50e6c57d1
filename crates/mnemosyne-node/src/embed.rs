//! A node as a part of another program, with closures of that program as agents.
//!
//! ```text
//!   Embedding ──start──▶ EmbeddedNode ──submit──▶ run ──wait──▶ outputs
//! ```
//! It is a node like any other: what it has confirmed is on disk, and the next
//! one on the same data directory goes on where this one was. While it runs,
//! the program `mnemosyne` talks to it like to a node of its own.

use std::path::PathBuf;
use std::sync::Arc;

use mnemosyne_consensus::CloseError;
use mnemosyne_control::{CallError, Found, Handle};
use mnemosyne_core::command::{OnExisting, Submission};
use mnemosyne_core::config::Settings;
use mnemosyne_core::config::elements::{AgentDefinition, AgentKind};
use mnemosyne_core::id::RunId;
use mnemosyne_core::plan::Offers;
use mnemosyne_core::role::AgentRole;
use mnemosyne_core::text::{Report, Source};
use mnemosyne_core::time::Span;
use mnemosyne_core::view::RunView;
use serde_json::Value;
use thiserror::Error;

use crate::builtin::BuiltinAgent;
use crate::fault::in_full;
use crate::node::Node;
use crate::options::{NodeError, Part};
use crate::runner::StopKind;
use crate::setup::plans::{Around, load_plan};
use crate::setup::{Program, store_options};
use crate::stores::{OnFatal, Stores, StoresError};
use crate::trial::{Trial, TrialError, Tried};

/// A node that is still to be started.
#[must_use = "nothing runs before it is started"]
pub struct Embedding {
    data_dir: PathBuf,
    settings: Settings,
    program: Program,
    /// Roles of the agents that were given, by their names.
    roles: Vec<(String, AgentRole)>,
    on_fatal: OnFatal,
}

/// A node that runs in this program.
pub struct EmbeddedNode {
    node: Node,
    handle: Handle,
    settings: Settings,
    offers: Offers,
    base_dir: PathBuf,
}

/// A run that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The run.
    pub run: RunId,
    /// How many items it has.
    pub items: u32,
    /// It was there before, by its key or as a run of the same plan that is unfinished.
    pub existing: bool,
}

/// What an embedded node could not do.
#[derive(Debug, Error)]
pub enum EmbedError {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Stores(#[from] StoresError),
    /// The node cannot be started.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The settings say something else of an agent than that it is a closure.
    #[error("the settings define the agent {0:?} with another kind than `builtin`")]
    NotBuiltin(String),
    /// There is no such agent.
    #[error("there is no agent {0:?}")]
    NoAgent(String),
    /// The plan is not valid.
    #[error("the plan is not valid:\n{0}")]
    Plan(Box<Report>),
    /// The node did not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The run has no such item.
    #[error("the run {0} has no item {1:?}")]
    NoItem(RunId, String),
    /// The node ended while it was waited for.
    #[error("the node ended: {0}")]
    Ended(String),
    /// An agent could not be tried.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// The log cannot be closed in order.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// Something else went wrong in this process.
    #[error("cannot {0}")]
    Process(&'static str, #[source] std::io::Error),
}

impl Embedding {
    /// A node on a data directory, which is made if it is not there, with the settings that hold when nobody says
    /// otherwise.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            settings: Settings::default(),
            program: Program::default(),
            roles: Vec::new(),
            on_fatal: Arc::new(|error| {
                tracing::error!("the disk of a node has failed, and the process ends: {}", in_full(error));
                std::process::abort();
            }),
        }
    }

    /// With these settings. Agents in them that are of kind `builtin` get their closures by [`Embedding::agent`].
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// With a closure as the agent of this name. It is an executor where the settings do not define it.
    pub fn agent(self, name: &str, agent: BuiltinAgent) -> Self {
        self.agent_as(AgentRole::Executor, name, agent)
    }

    /// The same with another role.
    pub fn agent_as(mut self, role: AgentRole, name: &str, agent: BuiltinAgent) -> Self {
        self.program.builtin.insert(name.to_owned(), agent);
        self.roles.push((name.to_owned(), role));
        self
    }

    /// With a program that acts as shim when called as `PROGRAM shim DIR`, such as `mnemosyne`. Without one the node
    /// runs no commands and no agents that are programs.
    pub fn shim(mut self, program: impl Into<PathBuf>) -> Self {
        self.program.shim = Some(program.into());
        self
    }

    /// What is done when the disk has failed. Nothing may be confirmed any more then, so this must end the process;
    /// when nothing else is said it is aborted.
    pub fn on_fatal(self, on_fatal: OnFatal) -> Self {
        Self { on_fatal, ..self }
    }

    /// Starts the node, which goes on with everything that an earlier one has left on the data directory. It ends by
    /// [`EmbeddedNode::close`] or with its process: one that is dropped goes on, and holds its folder until then.
    ///
    /// # Errors
    /// When another process holds the data directory, something in it is damaged, or an agent is defined otherwise.
    pub async fn start(mut self) -> Result<EmbeddedNode, EmbedError> {
        for (name, role) in self.roles {
            let new = AgentDefinition { kind: AgentKind::Builtin, role, ..AgentDefinition::default() };
            let defined = self.settings.agents.entry(name.clone()).or_insert(new);
            if defined.kind != AgentKind::Builtin {
                return Err(EmbedError::NotBuiltin(name));
            }
        }
        let base_dir =
            std::env::current_dir().map_err(|error| EmbedError::Process("tell the current folder", error))?;
        let (path, options, on_fatal) = (self.data_dir, store_options(&self.settings), self.on_fatal);
        let opened = tokio::task::spawn_blocking(move || Stores::open(&path, &options, on_fatal)).await;
        let stores = opened.map_err(|error| EmbedError::Process("open the data directory", error.into()))??;
        let offers = self.program.offers(&self.settings);
        let mut node = Node::start(self.program.options(&self.settings, stores, Part::Worker)).await?;
        node.serve()?;
        Ok(EmbeddedNode { handle: node.handle(), node, settings: self.settings, offers, base_dir })
    }
}

impl EmbeddedNode {
    /// For everything else that can be asked of a node.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Submits a plan in YAML, TOML or JSON. One of which a run is unfinished is that run. Relative paths in it start
    /// from the folder in which this process was when the node started.
    ///
    /// # Errors
    /// When the plan is not valid, or the node does not take it.
    pub async fn submit(&self, plan: &str) -> Result<Submitted, EmbedError> {
        self.submit_as(plan, None, OnExisting::Continue).await
    }

    /// Submits a plan under an idempotency key: whenever the same is submitted under the same key it is the same run,
    /// also after that has ended, as long as finished runs are kept (`scheduling.retention`, 7 days by default).
    ///
    /// # Errors
    /// As [`EmbeddedNode::submit`]; and when another plan was submitted under this key.
    pub async fn submit_once(&self, key: &str, plan: &str) -> Result<Submitted, EmbedError> {
        self.submit_as(plan, Some(key), OnExisting::Continue).await
    }

    async fn submit_as(
        &self,
        plan: &str,
        key: Option<&str>,
        existing: OnExisting,
    ) -> Result<Submitted, EmbedError> {
        let read = |file: &str| std::fs::read_to_string(self.base_dir.join(file)).map_err(|e| e.to_string());
        let agents: Vec<String> = self.settings.agents.keys().cloned().collect();
        let around = Around {
            default_name: "plan",
            key,
            base_dir: &self.base_dir.to_string_lossy(),
            agents: &agents,
            offers: &self.offers,
            files: &read,
        };
        let loaded = load_plan(&Source::new("plan", plan), &around);
        let spec = loaded.map_err(|report| EmbedError::Plan(Box::new(report)))?.spec;
        let (run, items, existing) = self.handle.submit(Submission { spec, existing }).await?;
        Ok(Submitted { run, items, existing })
    }

    /// Waits for the end of a run, also if that takes the word of a human.
    ///
    /// # Errors
    /// When there is no such run, or the node ends before it does.
    pub async fn wait(&self, run: RunId) -> Result<RunView, EmbedError> {
        let finished = async {
            loop {
                let seq = self.handle.latest_event();
                let view = self.handle.run(run).await?;
                if view.result.is_some() {
                    return Ok(view);
                }
                self.handle.wait_event(seq).await?;
            }
        };
        self.unless_it_ends(finished).await
    }

    /// The outputs of an item; none when it has not put out any.
    ///
    /// # Errors
    /// When there is no such item, or its outputs cannot be read.
    pub async fn outputs(&self, run: RunId, item: &str) -> Result<Option<Value>, EmbedError> {
        let Found::Item(id) = self.handle.find(&format!("{run}/{item}")).await? else {
            return Err(EmbedError::NoItem(run, item.to_owned()));
        };
        let Some(outputs) = self.handle.item(id).await?.outputs else { return Ok(None) };
        let bytes = self.handle.bytes(&outputs).await?;
        let damaged = |error: serde_json::Error| CallError::Damaged(format!("outputs: {error}"));
        Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
    }

    /// The test that agents of every kind must pass: gives an agent one small task, and says what was understood of
    /// what it did. `mnemosyne agent test` does the same. What it was given is cancelled when it has not ended by then.
    ///
    /// # Errors
    /// When there is no such agent, it was given nothing within `timeout`, or there is no end to it.
    pub async fn try_agent(&self, agent: &str, timeout: Span) -> Result<Tried, EmbedError> {
        let definition =
            self.settings.agents.get(agent).ok_or_else(|| EmbedError::NoAgent(agent.to_owned()))?;
        let trial = Trial { agent, definition, timeout };
        let run = self.submit_as(&trial.plan(), None, OnExisting::New).await?.run;
        self.unless_it_ends(async { Ok(trial.tried(&self.handle, run).await?) }).await
    }

    /// Ends the node. What it has confirmed is on disk; closures that still run are dropped, and their attempts are
    /// repeated by the next node.
    ///
    /// # Errors
    /// When the log cannot be closed in order.
    pub async fn close(self) -> Result<(), EmbedError> {
        self.node.close(StopKind::HandOver).await?;
        Ok(())
    }

    async fn unless_it_ends<T>(
        &self,
        wait: impl Future<Output = Result<T, EmbedError>>,
    ) -> Result<T, EmbedError> {
        tokio::select! {
            done = wait => done,
            ended = self.node.ended() => Err(EmbedError::Ended(match ended {
                Ok(_) => "it was asked to".to_owned(),
                Err(why) => why,
            })),
        }
    }
}
