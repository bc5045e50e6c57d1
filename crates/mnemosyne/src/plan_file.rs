//! Plans on the command line: a file, standard input, or a prompt.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_core::command::{OnExisting, Submission};
use mnemosyne_core::config::Settings;
use mnemosyne_core::plan::{CompileOptions, Item, Loaded, Purpose, Shared, Work, load};
use mnemosyne_core::text::{Format, Source};

use crate::failure::Failure;
use crate::output::say;
use crate::prompt;
use crate::settings::Surroundings;
use crate::setup::program;

/// Bytes of a plan that are read.
const PLAN_BYTES_MAX: u64 = 64 * 1024 * 1024 + 1;
/// Namespace of plans that name none.
const NAMESPACE_DEFAULT: &str = "default";

/// Which plan, and what to fill in.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The plan file (YAML, TOML or JSON); `-` reads standard input
    #[arg(value_name = "PLAN", required_unless_present_any = ["prompt", "plan_text"])]
    pub(crate) plan: Option<PathBuf>,
    /// A prompt for an agent in place of a plan, taken word for word
    #[arg(short = 'p', long, value_name = "TEXT", conflicts_with = "plan", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,
    /// Agent that gets the prompt [default: the first by name that can take it]
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    pub(crate) agent: Option<String>,
    /// Hand the prompt to the agent as it is, without the phases of a specification, a plan and reviews
    #[arg(long, conflicts_with = "plan")]
    pub(crate) single: bool,
    /// A plan as text, as JSON, or as @FILE
    #[arg(long = "plan", value_name = "TEXT|JSON|@FILE", conflicts_with_all = ["plan", "prompt"], hide = true)]
    pub(crate) plan_text: Option<String>,
    /// Give a variable of the plan its value
    #[arg(long = "var", value_name = "K=V")]
    pub(crate) vars: Vec<String>,
}

/// How to submit it.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Idempotency key: the same key is the same run
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Priority of items that name none, 0 to 10; higher is sooner
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(crate) priority: Option<u8>,
    /// Start another run even if one of the same plan is unfinished
    #[arg(long)]
    pub(crate) new: bool,
}

/// A document with its name and the folder its relative paths start from.
struct Document {
    name: String,
    text: String,
    base_dir: PathBuf,
    /// It was made of a prompt.
    of_prompt: bool,
}

impl PlanArgs {
    /// Reads, checks and compiles the plan; says its warnings.
    pub(crate) fn load(
        &self,
        around: &Surroundings,
        submit: Option<&SubmitArgs>,
        purpose: Purpose,
    ) -> Result<Loaded, Failure> {
        let document = self.document(&around.config.settings)?;
        let vars = self.variables(document.of_prompt)?;
        let offers = program().offers(&around.config.settings);
        let agents: Vec<String> = around.config.settings.agents.keys().cloned().collect();
        let base_dir = document.base_dir.to_string_lossy().into_owned();
        let stem =
            Path::new(&document.name).file_stem().map_or_else(|| "plan".into(), |stem| stem.to_string_lossy());
        let files = |name: &str| {
            std::fs::read_to_string(document.base_dir.join(name)).map_err(|error| error.to_string())
        };
        let options = CompileOptions {
            purpose,
            vars: &vars,
            default_name: &stem,
            namespace: around.namespace.as_deref(),
            default_namespace: NAMESPACE_DEFAULT,
            key: submit.and_then(|submit| submit.key.as_deref()),
            priority: submit.and_then(|submit| submit.priority),
            base_dir: &base_dir,
            default_agents: &agents,
            offers: Some(&offers),
            files: &files,
            schemas: &mnemosyne_node::check_outputs_schema,
        };
        let source = match document.of_prompt {
            true => Source::with_format(&document.name, &document.text, Format::Json),
            false => Source::new(&document.name, &document.text),
        };
        let loaded = load(&source, &options).map_err(|report| match document.of_prompt {
            true => prompt::without_places(report),
            false => report,
        })?;
        if purpose == Purpose::Run {
            prompt::say_choice("items that name no agent go", &chosen(&loaded), "`agent` names another one");
        }
        // Whoever only looks gets them with the answer.
        let is_in_answer = around.json && purpose == Purpose::Check;
        if !loaded.warnings.diagnostics.is_empty() && !is_in_answer {
            say(loaded.warnings.to_string().trim_end());
        }
        Ok(loaded)
    }

    /// What to submit.
    pub(crate) fn submission(&self, around: &Surroundings, submit: &SubmitArgs) -> Result<Submission, Failure> {
        let loaded = self.load(around, Some(submit), Purpose::Run)?;
        let existing = if submit.new { OnExisting::New } else { OnExisting::Continue };
        Ok(Submission { spec: loaded.spec, existing })
    }

    fn document(&self, settings: &Settings) -> Result<Document, Failure> {
        let here = std::env::current_dir().map_err(|error| Failure::usage(error.to_string()))?;
        match (&self.plan, &self.prompt, &self.plan_text) {
            (Some(file), _, _) if file.as_os_str() == "-" => {
                let text = read(std::io::stdin().lock(), "standard input")?;
                Ok(Document { name: "stdin".to_owned(), text, base_dir: here, of_prompt: false })
            }
            (Some(file), _, _) => from_file(file, &here),
            (None, Some(prompt), _) => self.of_prompt(prompt, here, settings),
            (None, None, Some(text)) if text.starts_with('@') || text.trim_start().starts_with('{') => {
                if self.agent.is_some() {
                    return Err(Failure::usage("--agent goes with a prompt; a plan says itself who does what"));
                }
                match text.strip_prefix('@') {
                    Some(file) => from_file(Path::new(file), &here),
                    None => Ok(Document {
                        name: "--plan".to_owned(),
                        text: text.clone(),
                        base_dir: here,
                        of_prompt: false,
                    }),
                }
            }
            (None, None, Some(text)) => self.of_prompt(text, here, settings),
            (None, None, None) => Err(Failure::usage("no plan was given")),
        }
    }

    /// A plan of one item that hands the prompt to an agent.
    fn of_prompt(&self, text: &str, base_dir: PathBuf, settings: &Settings) -> Result<Document, Failure> {
        let text = prompt::plan(text, self.agent.as_deref(), self.single, settings)?;
        Ok(Document { name: prompt::SOURCE.to_owned(), text, base_dir, of_prompt: true })
    }

    fn variables(&self, of_prompt: bool) -> Result<BTreeMap<String, String>, Failure> {
        if of_prompt && !self.vars.is_empty() {
            return Err(Failure::usage("--var goes with a plan; a prompt is taken word for word"));
        }
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::usage(format!("--var {text:?} is not of the form NAME=VALUE"))),
        };
        self.vars.iter().map(pair).collect()
    }
}

/// The agents of the first item that has a prompt and names none; its plan leaves the choice to us.
fn chosen(loaded: &Loaded) -> Vec<&str> {
    let names_none = |shared: &Shared| shared.agent.is_none();
    if !names_none(&loaded.plan.defaults) {
        return Vec::new();
    }
    let leaves_open = |item: &&Item| {
        let is_prompt =
            item.work.as_ref().is_some_and(|work| matches!(work.value, Work::Prompt(_) | Work::PromptFile(_)));
        is_prompt && item.shared.as_deref().is_none_or(names_none)
    };
    let Some(item) = loaded.plan.items.iter().find(leaves_open) else { return Vec::new() };
    let is_of_item = |name: &str| name.split_once('[').map_or(name, |(base, _)| base) == &*item.name.text;
    let found = loaded.spec.items.iter().find(|spec| is_of_item(&spec.name));
    let demand = found.and_then(|found| loaded.spec.demands.get(usize::from(found.demand)));
    demand.map_or(Vec::new(), |demand| demand.agents.iter().map(|agent| &**agent).collect())
}

fn from_file(file: &Path, here: &Path) -> Result<Document, Failure> {
    let opened = std::fs::File::open(file)
        .map_err(|error| Failure::usage(format!("cannot open the plan {}: {error}", file.display())))?;
    let text = read(opened, &file.display().to_string())?;
    let folder = here.join(file);
    let folder = folder.parent().unwrap_or(here);
    let base_dir = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok(Document { name: file.display().to_string(), text, base_dir, of_prompt: false })
}

fn read(source: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    source
        .take(PLAN_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("cannot read the plan {name}: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!("the plan {name} is not UTF-8 text: the byte at {at} is not valid"))
    })
}
