//! `mnemosyne logs`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use mnemosyne_agents::Language;
use mnemosyne_control::{Handle, OutputQuery, OutputStream};
use mnemosyne_core::command::Target;
use mnemosyne_core::config::elements::{AgentKind, Dialect};
use mnemosyne_core::id::ItemId;
use mnemosyne_core::view::ItemView;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::items;
use crate::log_output::{Form, Printer, Shown, Source, name_columns};
use crate::output::{say, shown};
use crate::settings::Surroundings;
use crate::view::View;

/// Bytes fetched at a time.
const CHUNK: usize = 256 * 1024;
/// Time between two looks while following.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same in a run of so many items that a look takes long.
const LOOK_SELDOM: Duration = Duration::from_secs(1);
/// From so many items on.
const MANY_ITEMS: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The item (RUN.NUMBER or RUN/NAME), or a run: then all its items, each line behind the name of its item
    #[arg(value_name = "ID")]
    id: String,
    /// Go on until the attempt, or the run, has ended
    #[arg(short, long)]
    follow: bool,
    /// Of what is there only the last lines of each stream
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Of this attempt [default: the latest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
    /// As it was written: agents' lines of JSON are not retold, control characters not escaped; not to a terminal
    #[arg(long)]
    raw: bool,
}

/// How a look shows what it finds.
#[derive(Clone, Copy)]
struct Look<'a> {
    around: &'a Surroundings,
    form: Form,
    /// It is about one item alone.
    is_alone: bool,
}

/// The output of one item as far as it has been shown.
struct Followed {
    attempt: u32,
    streams: Vec<Shown>,
}

impl Logs {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        if self.raw && std::io::stdout().is_terminal() {
            return Err(Failure::usage(
                "--raw could let an agent's output take over your terminal; redirect it",
            ));
        }
        if self.raw && globals.json {
            return Err(Failure::usage("--raw and --json exclude each other"));
        }
        let around = Surroundings::resolve(globals)?;
        let mut view = View::open(&around).await?;
        let target = match ids::target(&view.handle, &self.id).await? {
            Target::Run(run) if view.handle.run(run).await?.items() == 1 => Target::Item(run.item(0)),
            Target::Run(_) if self.raw => {
                return Err(Failure::usage(
                    "--raw shows the output of one item; name one: RUN.NUMBER or RUN/NAME",
                ));
            }
            target => target,
        };
        let mut shown = BTreeMap::new();
        let mut printer = Printer::default();
        let mut said = false;
        loop {
            let look = self.look(&around, &view.handle, target, (&mut shown, &mut printer)).await;
            let count = match look {
                Ok(None) => return Ok(Exit::Success),
                Ok(Some(count)) => count,
                Err(failure) if failure.gone && self.follow => {
                    view = View::of_next(&around).await?;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            if !view.live && !std::mem::replace(&mut said, true) {
                say("no node is running; whether there is more is known when one is (`mnemosyne up`)");
            }
            tokio::time::sleep(if count < MANY_ITEMS { LOOK_EVERY } else { LOOK_SELDOM }).await;
            view.look_for_node(&around).await;
        }
    }

    /// Shows what has come since the last look; returns how many items there are, or nothing when nothing more comes.
    async fn look(
        &self,
        around: &Surroundings,
        handle: &Handle,
        target: Target,
        (followed, printer): (&mut BTreeMap<ItemId, Followed>, &mut Printer),
    ) -> Result<Option<usize>, Failure> {
        let (items, form, is_over) = match target {
            Target::Item(item) => {
                let form = if self.raw { Form::Raw } else { Form::Text };
                let mut detail = handle.item(item).await?;
                if let Some(shown) = detail.history.iter().find(|one| Some(one.attempt) == self.attempt) {
                    detail.item.agent.clone_from(&shown.agent);
                }
                (vec![detail.item], form, true)
            }
            Target::Run(run) => {
                let is_over = handle.run(run).await?.result.is_some();
                let items = items::list(handle, Some(run), &[], usize::MAX).await?;
                let columns = name_columns(items.iter().map(|item| &*item.name));
                (items, Form::Named(columns), is_over)
            }
        };
        let form = if around.json { Form::Json } else { form };
        let look = Look { around, form, is_alone: matches!(target, Target::Item(_)) };
        let mut is_over = is_over;
        for item in &items {
            is_over &= self.item(handle, item, look, (&mut *followed, &mut *printer)).await?;
        }
        Ok(if is_over || !self.follow { None } else { Some(items.len()) })
    }

    /// Shows what has come of one item; says whether nothing more comes.
    async fn item(
        &self,
        handle: &Handle,
        item: &ItemView,
        look: Look<'_>,
        (followed, printer): (&mut BTreeMap<ItemId, Followed>, &mut Printer),
    ) -> Result<bool, Failure> {
        let is_alone = look.is_alone;
        let wanted = self.attempt.unwrap_or(item.attempts);
        if let std::collections::btree_map::Entry::Vacant(e) = followed.entry(item.id) {
            if wanted == 0 || wanted > item.attempts {
                return self.nothing_yet(item, is_alone);
            }
            e.insert(self.begin(item, wanted, look));
        }
        let Some(of_item) = followed.get_mut(&item.id) else { return Ok(true) };
        loop {
            let mut ended = true;
            for stream in &mut of_item.streams {
                if let Err(failure) = self.stream(handle, stream, printer).await {
                    if is_alone || failure.gone {
                        return Err(failure);
                    }
                    say(format!("{}: {failure}", shown(&item.name)));
                    stream.give_up();
                }
                ended &= stream.has_ended();
            }
            let is_last = is_alone || self.attempt.is_some() || of_item.attempt >= item.attempts;
            if !ended || is_last {
                return Ok(ended && (is_alone || self.attempt.is_some() || item.state.is_terminal()));
            }
            // In a run that is followed, later attempts are shown behind the earlier ones.
            *of_item = self.begin(item, of_item.attempt + 1, look);
        }
    }

    fn begin(&self, item: &ItemView, attempt: u32, look: Look<'_>) -> Followed {
        let language = language_of(item, look.around);
        let streams: &[OutputStream] =
            if self.stderr { &[OutputStream::Stderr] } else { &[OutputStream::Stdout, OutputStream::Stderr] };
        let stream = |stream: &OutputStream| {
            let source = Source { item: item.id, name: item.name.clone(), attempt, stream: *stream };
            Shown::new(source, look.form, self.tail, language)
        };
        Followed { attempt, streams: streams.iter().map(stream).collect() }
    }

    /// There is no such attempt: says whether there will be none.
    fn nothing_yet(&self, item: &ItemView, is_alone: bool) -> Result<bool, Failure> {
        if !is_alone || (self.follow && !item.state.is_terminal()) {
            return Ok(item.state.is_terminal());
        }
        let (id, name) = (item.id, shown(&item.name));
        Err(Failure::usage(match self.attempt {
            Some(number) if item.attempts > 0 => {
                format!("item {id} {name} has no attempt {number}; the last one is {}", item.attempts)
            }
            _ if item.state.is_terminal() => {
                format!("item {id} {name} was never started; `mnemosyne why {id}` says why")
            }
            _ => format!("item {id} {name} has not been started yet; -f waits for it"),
        }))
    }

    /// Shows what there is of a stream that has not been shown.
    async fn stream(&self, handle: &Handle, stream: &mut Shown, printer: &mut Printer) -> Result<(), Failure> {
        while !stream.has_ended() {
            let Source { item, attempt, stream: which, .. } = *stream.source();
            let attempt = Some(attempt);
            let query = OutputQuery { item, attempt, stream: which, offset: stream.offset(), limit: CHUNK };
            let output = handle.output(query).await?;
            let is_all = output.bytes.is_empty();
            stream.take(output, printer, !self.follow);
            if is_all {
                break;
            }
        }
        Ok(())
    }
}

/// The language of what the agent of an item prints, as it is configured now; none of plain text.
fn language_of(item: &ItemView, around: &Surroundings) -> Option<Language> {
    let agent = around.config.settings.agents.get(item.agent.as_deref()?)?;
    match (agent.kind, agent.dialect) {
        (AgentKind::Acp, _) => Some(Language::Acp),
        (AgentKind::Cli, Dialect::Plain) => None,
        (AgentKind::Cli, dialect) => Some(Language::Dialect(dialect)),
        _ => None,
    }
}
