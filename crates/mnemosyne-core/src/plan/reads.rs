//! Which outputs an attempt reads when it starts, so that no others need be fetched.

use std::collections::BTreeSet;

use crate::plan::template::{Part, Template};
use crate::work::task::{Action, RunContext, TaskSpec};

/// Names of the items whose outputs the templates of a task read. A text that cannot be read names none; its own
/// refusal comes when it is expanded.
#[must_use]
pub fn outputs_read(task: &TaskSpec, context: &RunContext) -> BTreeSet<String> {
    let of_action: Vec<&String> = match &task.action {
        // Nothing is put into shell lines, and a review has no templates.
        Action::Shell(_) | Action::Review(_) => Vec::new(),
        Action::Argv(argv) => argv.iter().collect(),
        Action::Prompt(prompt) => vec![prompt],
    };
    let texts = of_action.into_iter().chain(task.env.values()).chain(context.env.values());
    let mut names = BTreeSet::new();
    for text in texts.filter(|text| Template::is_in(text)) {
        for part in Template::parse(text).iter().flat_map(Template::parts) {
            if let Part::Output(item, _) = part {
                names.insert(item.clone());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::task::Workspace;

    #[test]
    fn only_what_templates_name_is_read() {
        let output = |item: &str| format!("x ${{{{ items['{item}'].outputs.a }}}} y");
        let mut task = TaskSpec {
            action: Action::Argv(vec!["p".to_owned(), output("a.b"), output("c")]),
            env: [("V".to_owned(), output("d")), ("W".to_owned(), "plain".to_owned())].into(),
            workdir: None,
            workspace: Workspace::None,
            each: None,
            outputs_schema: None,
        };
        let context =
            RunContext { base_dir: "/".to_owned(), env: [("X".to_owned(), output("e"))].into(), intent: None };
        let named = |task: &TaskSpec| outputs_read(task, &context).into_iter().collect::<Vec<_>>();
        assert_eq!(named(&task), ["a.b", "c", "d", "e"]);
        task.action = Action::Shell(output("c"));
        assert_eq!(named(&task), ["d", "e"], "a shell line is not expanded");
        task.action = Action::Prompt(Template::literal(&output("c")));
        assert_eq!(named(&task), ["d", "e"], "nor is a literal text");
    }
}
