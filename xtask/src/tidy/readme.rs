//! The README names the commands that are really run.

use crate::check::TEST_COMMAND;
use crate::quickstart::QUICKSTART_COMMAND;
use crate::tidy::{Finding, Rule};
use crate::workspace::Workspace;

pub(super) const RULE: Rule = Rule {
    name: "the README's two commands are those that are run",
    why: "a command that nobody runs stops working without anybody noticing.",
    way_out: "change README.md together with the constants in xtask/src/check.rs and xtask/src/quickstart.rs.",
    find,
};

fn find(workspace: &Workspace) -> Vec<Finding> {
    let readme = workspace.texts.get("README.md").map_or("", String::as_str);
    let is_there = |command: &str| readme.lines().any(|line| line.trim() == command);
    let missing = [QUICKSTART_COMMAND, TEST_COMMAND].into_iter().filter(|command| !is_there(command));
    missing.map(|command| Finding::of("README.md", format!("has no line `{command}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_stands_on_a_line_of_its_own() {
        let text = format!("Run:\n\n    {QUICKSTART_COMMAND}\n\nTest:\n\n    {TEST_COMMAND}\n");
        assert!(find(&Workspace::of(&[("README.md", &text)])).is_empty());
        assert_eq!(find(&Workspace::of(&[("README.md", "cargo test")])).len(), 2);
    }
}
