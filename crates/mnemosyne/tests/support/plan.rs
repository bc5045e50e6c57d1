//! Pieces of plans.

use super::scene::fake_agent;

/// `run` of an item that has the scripted agent do these steps: an argument list, as YAML and as JSON.
pub(crate) fn agent<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> String {
    let steps: Vec<String> = steps.into_iter().map(|step| step.as_ref().to_owned()).collect();
    let words: Vec<&str> = std::iter::once(fake_agent()).chain(steps.iter().map(String::as_str)).collect();
    serde_json::to_string(&words).expect("texts can be written")
}

/// A plan of these items, each a name and its words.
pub(crate) fn plan<N: AsRef<str>, W: AsRef<str>>(items: impl IntoIterator<Item = (N, W)>) -> String {
    let mut text = "version: 1\nname: story\nitems:\n".to_owned();
    for (name, words) in items {
        text.push_str(&format!("  {}: {{ {} }}\n", name.as_ref(), words.as_ref()));
    }
    text
}

/// Words of an item that has the scripted agent do these steps.
pub(crate) fn does<S: AsRef<str>>(steps: impl IntoIterator<Item = S>) -> String {
    format!("run: {}", agent(steps))
}
