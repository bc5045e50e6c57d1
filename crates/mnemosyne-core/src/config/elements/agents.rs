//! `[agents.NAME]`: definitions of agents.

mod acp;
mod endpoint;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::elements::{Preset, Validation};
use crate::plan::AgentOffer;
use crate::role::AgentRole;
use crate::text::{Node, Shape, TextRule, Word, join, name, nearest};

pub use acp::PermissionWord;

const NAME: Shape = Shape::Text(TextRule { noun: "a name", min: 1, max: 200 });
const ARGUMENT: Shape = Shape::Text(TextRule { noun: "an argument", min: 0, max: 1 << 20 });
const ARGV: Shape = Shape::List { of: &ARGUMENT, min: 1, max: 1_000 };
const CAPABILITY: Shape = Shape::Scalar(TextRule { noun: "a word", min: 1, max: 200 });
const WORD_OR_LIST: Shape = Shape::Either(&[CAPABILITY, Shape::List { of: &CAPABILITY, min: 1, max: 64 }]);
/// What an argument of a command may stand for.
const PLACEHOLDERS: [&str; 4] = ["prompt", "session", "prompt_file", ARGS];
/// What `args` stand for; an argument of its own.
const ARGS: &str = "args";
const ROLES: &[Word] = &[
    Word { name: "orchestrator", doc: "Coordinates." },
    Word { name: "optimizer", doc: "Prepares the context of an attempt." },
    Word { name: "reviewer", doc: "Judges results." },
    Word { name: "executor", doc: "Does the work." },
];

words! {
    /// How an agent is run.
    AgentKind {
        /// A command-line program, one process an attempt.
        Cli = "cli",
        /// A program that speaks the Agent Client Protocol.
        Acp = "acp",
        /// An endpoint over HTTP.
        Http = "http",
        /// Code of this program.
        Builtin = "builtin",
    }
}

impl AgentKind {
    /// Whether this version can run agents of this kind.
    #[must_use]
    pub fn is_run(self) -> bool {
        matches!(self, Self::Cli | Self::Http | Self::Acp)
    }
}

words! {
    /// How the prompt reaches a program.
    PromptPassing {
        /// On its standard input.
        Stdin = "stdin",
        /// As an argument, at `{prompt}`.
        Arg = "arg",
        /// In a file, named at `{prompt_file}`.
        File = "file",
    }
}

words! {
    /// How the output of a program is read.
    Dialect {
        /// Not at all: the exit code decides.
        Plain = "plain",
        /// JSON lines of Claude Code.
        ClaudeCode = "claude-code",
        /// JSON lines of Codex.
        Codex = "codex",
        /// JSON lines of Gemini CLI.
        Gemini = "gemini",
        /// JSON lines of opencode.
        Opencode = "opencode",
    }
}

words! {
    /// Where the cost of an attempt is read.
    CostSource {
        /// Nowhere; asking for a budget is then an error.
        Unknown = "unknown",
        /// In what the agent reports.
        Reported = "reported",
        /// In a table of prices.
        Table = "table",
    }
}

element! {
    /// The definition of an agent.
    AgentDefinition ("an agent") {
        /// A ready-made definition, over which the other keys go.
        preset: Option<Preset> = None, Shape::Word(Preset::WORDS);
        /// How it is run.
        kind: AgentKind = AgentKind::Cli, Shape::Word(AgentKind::WORDS);
        /// The pool it belongs to.
        role: AgentRole = AgentRole::Executor, Shape::Word(ROLES);
        /// Program and arguments; {prompt}, {session}, {prompt_file} and {args} stand for values.
        command: Vec<String> = Vec::new(), ARGV;
        /// Program and arguments that take up a session again; used only when its name is known.
        resume: Vec<String> = Vec::new(), ARGV;
        /// Further arguments, in the place of {args}.
        args: Vec<String> = Vec::new(), Shape::List { of: &ARGUMENT, min: 0, max: 1_000 };
        /// How its output is read.
        dialect: Dialect = Dialect::Plain, Shape::Word(Dialect::WORDS);
        /// How the prompt reaches it.
        prompt: PromptPassing = PromptPassing::Stdin, Shape::Word(PromptPassing::WORDS);
        /// Account whose limits it shares with others.
        account: Option<String> = None, NAME;
        /// What it can do: a word or a list of words for each capability.
        capabilities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new(),
            Shape::Map { noun: "capability", of: &WORD_OR_LIST, max: 64 };
        /// Where the cost of an attempt is read.
        cost: CostSource = CostSource::Unknown, Shape::Word(CostSource::WORDS);
        /// Environment variables that it may see besides the usual ones.
        env_allow: Vec<String> = Vec::new(), Shape::List { of: &NAME, min: 0, max: 1_000 };
        /// What it is for.
        description: Option<String> = None, Shape::Text(TextRule { noun: "a text", min: 0, max: 4_096 });
        /// Address of an endpoint, without `/chat/completions`.
        base_url: Option<String> = None, Shape::Text(TextRule { noun: "an address", min: 1, max: 2_048 });
        /// Model that the endpoint is asked for.
        model: Option<String> = None, NAME;
        /// Environment variable of the node that holds the key of the endpoint.
        api_key_env: Option<String> = None, NAME;
        /// Instruction that the endpoint gets before every prompt.
        system: Option<String> = None, Shape::Text(TextRule { noun: "a text", min: 1, max: 64 << 10 });
        /// How much chance there is in the answers of the endpoint.
        temperature: Option<f64> = None, Shape::Number { min: 0.0, max: 2.0 };
        /// Tokens that an answer of the endpoint may have.
        max_tokens: Option<u32> = None, Shape::Int { min: 1, max: 10_000_000 };
        /// Further headers for the endpoint, each with the environment variable of the node that holds its value.
        headers_env: BTreeMap<String, String> = BTreeMap::new(),
            Shape::Map { noun: "header", of: &NAME, max: 32 };
        /// Whether an endpoint on another machine may be asked without encryption.
        plain_http: bool = false, Shape::Bool;
        /// What is done when an agent of kind `acp` asks for permission.
        permissions: PermissionWord = PermissionWord::Ask, Shape::Word(PermissionWord::WORDS);
        /// How often the model of an agent of kind `acp` may go on after the result of a tool; else 200.
        turns_max: Option<u32> = None, Shape::Int { min: 1, max: 1_000_000 };
        /// How many tools an agent of kind `acp` may use in one attempt; else 1000.
        tool_calls_max: Option<u32> = None, Shape::Int { min: 1, max: 1_000_000 };
        /// How to log in when an agent of kind `acp` asks for it, by its name for that.
        auth_method: Option<String> = None, NAME;
    }
}

impl AgentDefinition {
    /// A definition out of a tree whose shape has been checked.
    pub(crate) fn read(node: &Node) -> Self {
        let mut agent = Self::default();
        agent.overlay(Some(node));
        let Some(preset) = agent.preset else { return agent };
        agent = preset.definition();
        agent.overlay(Some(node));
        // A program of one's own would not be the one that goes on.
        if node.get("command").is_some() && node.get("resume").is_none() {
            agent.resume.clear();
        }
        agent
    }

    /// `command` or `resume` with `args` in their place.
    #[must_use]
    pub fn argv(&self, template: &[String]) -> Vec<String> {
        let mut argv = Vec::with_capacity(template.len() + self.args.len());
        for argument in template {
            match argument.as_str() {
                "{args}" => argv.extend_from_slice(&self.args),
                _ => argv.push(argument.clone()),
            }
        }
        argv
    }

    /// The agent as plans are checked against it.
    #[must_use]
    pub fn offer(&self, name: &str) -> AgentOffer {
        AgentOffer {
            name: name.into(),
            role: self.role,
            capabilities: self.capabilities.clone(),
            not_run: (!self.kind.is_run()).then(|| self.kind.as_str()),
            in_folder: self.kind != AgentKind::Http,
        }
    }

    pub(crate) fn validate(&self, validation: &mut Validation<'_>) {
        self.validate_endpoint(validation);
        self.validate_acp(validation);
        let is_process = matches!(self.kind, AgentKind::Cli | AgentKind::Acp);
        if is_process && self.command.is_empty() {
            let message = format!("is missing: an agent of kind `{}` is a program", self.kind.as_str());
            validation.fail("command", &message, "add command = [\"program\", \"argument\"]");
        }
        if !is_process && !self.command.is_empty() {
            let message = format!("does not fit: an agent of kind `{}` is not a program", self.kind.as_str());
            validation.fail("command", &message, "remove it, or set kind = \"cli\"");
        }
        for (key, argv) in [("command", &self.command), ("resume", &self.resume)] {
            if argv.first().is_some_and(|program| program.trim().is_empty()) {
                validation.fail(key, "names no program", "the first element is the program");
            }
            for unknown in argv
                .iter()
                .flat_map(|argument| placeholders(argument))
                .filter(|word| !PLACEHOLDERS.contains(word))
            {
                let help = match nearest(unknown, PLACEHOLDERS) {
                    Some(near) => format!("did you mean {{{near}}}?"),
                    None => format!("known are {}", join(PLACEHOLDERS)),
                };
                validation.fail(key, &format!("has the unknown placeholder {}", name(unknown)), &help);
            }
        }
        let has = |argv: &[String], word: &str| {
            argv.iter().any(|argument| placeholders(argument).any(|found| found == word))
        };
        if self.kind == AgentKind::Cli && !self.command.is_empty() {
            let (needed, unfit) = match self.prompt {
                PromptPassing::Stdin => (None, &["prompt", "prompt_file"][..]),
                PromptPassing::Arg => (Some("prompt"), &["prompt_file"][..]),
                PromptPassing::File => (Some("prompt_file"), &["prompt"][..]),
            };
            if let Some(needed) = needed.filter(|needed| !has(&self.command, needed)) {
                let message =
                    format!("has no argument {{{needed}}}, though prompt = \"{}\"", self.prompt.as_str());
                validation.fail(
                    "command",
                    &message,
                    &format!("put \"{{{needed}}}\" where the program expects it"),
                );
            }
            for unfit in unfit.iter().filter(|unfit| has(&self.command, unfit)) {
                let message =
                    format!("has the argument {{{unfit}}}, though prompt = \"{}\"", self.prompt.as_str());
                let way = if *unfit == "prompt" { "arg" } else { "file" };
                validation.fail("command", &message, &format!("set prompt = \"{way}\""));
            }
        }
        self.validate_kind(validation);
        self.validate_args(validation);
        if !self.resume.is_empty() && !has(&self.resume, "session") {
            validation.fail(
                "resume",
                "has no argument {session}, so it could not know which one",
                "put \"{session}\" into it",
            );
        }
    }

    fn validate_kind(&self, validation: &mut Validation<'_>) {
        if self.kind == AgentKind::Cli {
            return;
        }
        let message = format!("does not fit: it is for kind `cli`, not `{}`", self.kind.as_str());
        if self.preset.is_some() {
            validation.fail("preset", &message, "remove it, or the key `kind`");
        } else if self.dialect != Dialect::Plain {
            validation.fail("dialect", &message, "remove it, or the key `kind`");
        }
    }

    fn validate_args(&self, validation: &mut Validation<'_>) {
        for (key, argv) in [("command", &self.command), ("resume", &self.resume)] {
            let part =
                |argument: &&String| **argument != "{args}" && placeholders(argument).any(|word| word == ARGS);
            if let Some(argument) = argv.iter().find(part) {
                let message = format!("has {{args}} within the argument {}", name(argument));
                validation.fail(key, &message, "make it an argument of its own: \"{args}\"");
            }
        }
        if !self.args.is_empty() && !self.command.iter().any(|argument| argument == "{args}") {
            let help = "put \"{args}\" into `command`, or write them there";
            validation.fail("args", "have no place: `command` has no argument {args}", help);
        }
    }
}

/// The words in single braces: `{session}`. Other braces, as in JSON, are none.
fn placeholders(argument: &str) -> impl Iterator<Item = &str> {
    argument.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        let fits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        fits.then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_words_in_braces() {
        assert_eq!(
            placeholders("--id={session}/{prompt_file}").collect::<Vec<_>>(),
            ["session", "prompt_file"]
        );
        assert_eq!(placeholders("{\"a\": {}} {A} {x").count(), 0);
    }
}
