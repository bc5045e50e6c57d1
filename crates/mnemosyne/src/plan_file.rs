//! Plans on the command line: a file, standard input, or a prompt.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_core::command::{OnExisting, Submission};
use mnemosyne_core::plan::{CompileOptions, Loaded, Purpose, load};
use mnemosyne_core::text::Source;

use crate::failure::Failure;
use crate::output::say;
use crate::settings::Surroundings;
use crate::setup::offers;

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
    /// A prompt for an agent in place of a plan
    #[arg(short = 'p', long, value_name = "TEXT", conflicts_with = "plan")]
    pub(crate) prompt: Option<String>,
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
}

impl PlanArgs {
    /// Reads, checks and compiles the plan; says its warnings.
    pub(crate) fn load(
        &self,
        around: &Surroundings,
        submit: Option<&SubmitArgs>,
        purpose: Purpose,
    ) -> Result<Loaded, Failure> {
        let document = self.document()?;
        let vars = self.variables()?;
        let offers = offers(&around.config.settings);
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
        let loaded = load(&Source::new(&document.name, &document.text), &options)?;
        if !loaded.warnings.diagnostics.is_empty() {
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

    fn document(&self) -> Result<Document, Failure> {
        let here = std::env::current_dir().map_err(|error| Failure::usage(error.to_string()))?;
        match (&self.plan, &self.prompt, &self.plan_text) {
            (Some(file), _, _) if file.as_os_str() == "-" => {
                let text = read(std::io::stdin().lock(), "standard input")?;
                Ok(Document { name: "stdin".to_owned(), text, base_dir: here })
            }
            (Some(file), _, _) => from_file(file, &here),
            (None, Some(prompt), _) => Ok(of_prompt(prompt, here)),
            (None, None, Some(text)) => match text.strip_prefix('@') {
                Some(file) => from_file(Path::new(file), &here),
                None if text.trim_start().starts_with('{') => {
                    Ok(Document { name: "--plan".to_owned(), text: text.clone(), base_dir: here })
                }
                None => Ok(of_prompt(text, here)),
            },
            (None, None, None) => Err(Failure::usage("no plan was given")),
        }
    }

    fn variables(&self) -> Result<BTreeMap<String, String>, Failure> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::usage(format!("--var {text:?} is not of the form NAME=VALUE"))),
        };
        self.vars.iter().map(pair).collect()
    }
}

/// A plan of one item that hands the prompt to an agent.
fn of_prompt(prompt: &str, base_dir: PathBuf) -> Document {
    let plan =
        serde_json::json!({ "version": 1, "name": "prompt", "items": { "prompt": { "prompt": prompt } } });
    Document { name: "prompt.json".to_owned(), text: plan.to_string(), base_dir }
}

fn from_file(file: &Path, here: &Path) -> Result<Document, Failure> {
    let opened = std::fs::File::open(file)
        .map_err(|error| Failure::usage(format!("cannot open the plan {}: {error}", file.display())))?;
    let text = read(opened, &file.display().to_string())?;
    let folder = here.join(file);
    let folder = folder.parent().unwrap_or(here);
    let base_dir = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok(Document { name: file.display().to_string(), text, base_dir })
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
