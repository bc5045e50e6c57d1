//! From a workflow to the plan that a user would write for it.

use serde_json::{Map, Value, json};

use super::load::Workflow;
use super::run_spec::Estimates;

/// Characters of the name of a task that go into the name of an item.
const WORD_CHARS_MAX: usize = 60;

/// A plan in JSON in which every task is a process that lasts as long as the task did.
pub(super) fn plan(workflow: &Workflow, millis: &[u64], estimates: Estimates) -> String {
    let names: Vec<String> =
        workflow.tasks.iter().enumerate().map(|(position, task)| name(position, &task.name)).collect();
    let item = |(position, millis): (usize, &u64)| {
        let needs: Vec<&str> =
            workflow.tasks[position].parents.iter().map(|parent| names[*parent].as_str()).collect();
        let mut item = json!({ "run": ["sleep", seconds(*millis)], "needs": needs });
        if estimates == Estimates::Given {
            item["estimate"] = format!("{millis}ms").into();
        }
        (names[position].clone(), item)
    };
    let items: Map<String, Value> = millis.iter().enumerate().map(item).collect();
    json!({ "version": 1, "name": word(&workflow.name), "items": items }).to_string()
}

/// Names sort like positions, so that items stand in the order of the tasks.
fn name(position: usize, task: &str) -> String {
    format!("{position:06}-{}", word(task))
}

fn word(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    text.chars().take(WORD_CHARS_MAX).map(plain).collect()
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workflows::load::Task;

    #[test]
    fn an_item_lasts_as_long_as_its_task_and_needs_what_the_task_needs() {
        let task = |name: &str, parents: &[usize]| Task {
            name: name.to_owned(),
            seconds: 0.0,
            parents: parents.to_vec(),
        };
        let workflow = Workflow { name: "a/b".to_owned(), tasks: vec![task("z", &[1]), task("a b", &[])] };
        let text = plan(&workflow, &[1_234, 5], Estimates::Given);
        assert_eq!(
            text,
            r#"{"items":{"000000-z":{"estimate":"1234ms","needs":["000001-a-b"],"run":["sleep","1.234"]},"#
                .to_owned()
                + r#""000001-a-b":{"estimate":"5ms","needs":[],"run":["sleep","0.005"]}},"name":"a-b","version":1}"#
        );
        assert!(!plan(&workflow, &[1, 1], Estimates::Withheld).contains("estimate"));
    }
}
