//! `[optimizer]`: what an attempt of an agent is told beside its task.

use crate::config::elements::Validation;
use crate::text::{Shape, TextRule};

const PATH: Shape = Shape::Text(TextRule { noun: "a path", min: 1, max: 4_096 });

element! {
    /// The context of attempts.
    Optimizer ("the optimizer") {
        /// Tokens that a prompt may have with everything that helps; the task itself is never cut.
        context_tokens: u64 = 100_000, Shape::Int { min: 1_000, max: 10_000_000 };
        /// Share of it, in percent, from which on a conversation is not taken up again but begun anew.
        checkpoint_percent: u64 = 80, Shape::Int { min: 1, max: 100 };
        /// Folder with skills, from that of the configuration file: Markdown files that are told where their keywords occur in
        /// the task.
        skills: Option<String> = None, PATH;
    }
}

impl Optimizer {
    pub(crate) fn validate(&self, validation: &mut Validation<'_>) {
        if self.skills.as_ref().is_some_and(|skills| skills.trim().is_empty()) {
            validation.fail("skills", "is empty", "give the path of a folder, or remove it");
        }
    }
}
