//! Ready-made definitions of agents: how well-known programs are called without a terminal.
//!
//! The prompt goes to standard input, where it has no limit and cannot be taken
//! for an option. Programs that let their conversation be named get the name
//! from us, so that it is known before anything runs; the others tell theirs in
//! their output. Either way the argv for going on is used only when the name of
//! a conversation is known.

use crate::config::elements::{AgentDefinition, CostSource, Dialect};

/// Variables that programs need to reach their provider, whoever it is.
const NETWORK: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
];

words! {
    /// A ready-made definition of an agent.
    Preset {
        /// Claude Code.
        ClaudeCode = "claude-code",
        /// Codex.
        Codex = "codex",
        /// Gemini CLI.
        Gemini = "gemini",
        /// opencode.
        Opencode = "opencode",
    }
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ClaudeCode, Self::Codex, Self::Gemini, Self::Opencode];

    /// The program that it calls.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
        }
    }

    /// The definition.
    #[must_use]
    pub fn definition(self) -> AgentDefinition {
        let parts = match self {
            Self::ClaudeCode => Parts {
                command: "claude -p --output-format stream-json --verbose --session-id {session} {args}",
                resume: "claude -p --output-format stream-json --verbose --resume {session} {args}",
                dialect: Dialect::ClaudeCode,
                cost: CostSource::Reported,
                env_allow: &["ANTHROPIC_*", "CLAUDE_CODE_*", "CLAUDE_CONFIG_DIR"],
            },
            Self::Codex => Parts {
                command: "codex exec --json --skip-git-repo-check --sandbox workspace-write {args} -",
                resume: "codex exec --json --skip-git-repo-check --sandbox workspace-write {args} resume {session} -",
                dialect: Dialect::Codex,
                cost: CostSource::Unknown,
                env_allow: &["OPENAI_*", "CODEX_*"],
            },
            Self::Gemini => Parts {
                command: "gemini --skip-trust --output-format stream-json --session-id {session} {args}",
                resume: "gemini --skip-trust --output-format stream-json --resume {session} {args}",
                dialect: Dialect::Gemini,
                cost: CostSource::Unknown,
                env_allow: &["GEMINI_*", "GOOGLE_*"],
            },
            Self::Opencode => Parts {
                command: "opencode run --format json {args}",
                resume: "opencode run --format json --session {session} {args}",
                dialect: Dialect::Opencode,
                cost: CostSource::Reported,
                env_allow: &["OPENCODE_*", "ANTHROPIC_*", "OPENAI_*", "OPENROUTER_*", "GEMINI_*", "XDG_*"],
            },
        };
        AgentDefinition { preset: Some(self), ..parts.definition() }
    }
}

/// What the ready-made definitions differ in.
struct Parts {
    /// Words with a space between each two.
    command: &'static str,
    resume: &'static str,
    dialect: Dialect,
    cost: CostSource,
    env_allow: &'static [&'static str],
}

impl Parts {
    fn definition(&self) -> AgentDefinition {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        AgentDefinition {
            command: words(self.command),
            resume: words(self.resume),
            dialect: self.dialect,
            cost: self.cost,
            env_allow: self.env_allow.iter().chain(NETWORK).map(|name| (*name).to_owned()).collect(),
            ..AgentDefinition::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_calls_its_program_and_can_go_on() {
        for preset in Preset::ALL {
            let definition = preset.definition();
            for argv in [&definition.command, &definition.resume] {
                assert_eq!(argv[0], preset.program());
                assert!(argv.iter().any(|argument| argument == "{args}"), "{argv:?}");
                assert!(argv.iter().all(|argument| !argument.is_empty()), "{argv:?}");
            }
            assert!(definition.resume.iter().any(|argument| argument == "{session}"));
        }
    }
}
