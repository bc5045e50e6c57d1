//! What agents of kind `acp` are told: what they may do without asking, and how much.

use super::{AgentDefinition, AgentKind};
use crate::config::elements::Validation;

words! {
    /// What is done when an agent asks for permission.
    PermissionWord {
        /// A human is asked.
        Ask = "ask",
        /// It may, each time anew.
        Allow = "allow",
        /// It may not.
        Reject = "reject",
    }
}

impl AgentDefinition {
    /// Checks the keys of agents that speak the Agent Client Protocol.
    pub(super) fn validate_acp(&self, validation: &mut Validation<'_>) {
        if self.kind == AgentKind::Acp {
            // A ready-made definition of another kind is told as such.
            if !self.resume.is_empty() && self.preset.is_none() {
                let message = "does not fit: the protocol takes up sessions itself";
                validation.fail("resume", message, "remove it");
            }
            return;
        }
        let given = [
            ("permissions", self.permissions != PermissionWord::Ask),
            ("turns_max", self.turns_max.is_some()),
            ("tool_calls_max", self.tool_calls_max.is_some()),
            ("auth_method", self.auth_method.is_some()),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!(
                "does not fit: an agent of kind `{}` does not speak the Agent Client Protocol",
                self.kind.as_str()
            );
            validation.fail(key, &message, "remove it, or set kind = \"acp\"");
        }
    }
}
