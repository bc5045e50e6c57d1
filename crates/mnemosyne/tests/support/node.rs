//! A node in the foreground, and what commands say about its work.

use serde_json::Value;

use super::{Running, Scene, wait_until};

impl Scene {
    /// Starts `mnemosyne up` and waits until it takes requests.
    #[track_caller]
    pub(crate) fn up(&self) -> Running {
        let mut node = self.spawn(["up"]);
        node.wait_said("node is up");
        node
    }

    /// Writes a configuration that lets so many executors work at the same time.
    pub(crate) fn slots(&self, executors: u32) {
        self.write("mnemosyne.toml", format!("[node.slots]\nexecutor = {executors}\n"));
    }

    /// All items.
    #[track_caller]
    pub(crate) fn items(&self) -> Vec<Value> {
        match self.json("ps") {
            Value::Array(items) => items,
            other => panic!("`ps --json` is not an array: {other}"),
        }
    }

    /// The latest item of this name, as `ps` shows it.
    #[track_caller]
    pub(crate) fn item(&self, name: &str) -> Value {
        let items = self.items();
        let found = items.iter().rev().find(|item| item["name"] == name);
        found.unwrap_or_else(|| panic!("there is no item {name:?}: {items:?}")).clone()
    }

    /// The id of the latest item of this name.
    #[track_caller]
    pub(crate) fn id(&self, name: &str) -> String {
        text(&self.item(name)["id"])
    }

    /// The state of the latest item of this name.
    #[track_caller]
    pub(crate) fn state(&self, name: &str) -> String {
        text(&self.item(name)["state"])
    }

    /// Everything about the latest item of this name.
    #[track_caller]
    pub(crate) fn show(&self, name: &str) -> Value {
        self.json(&format!("show {}", self.id(name)))
    }

    /// What `why` says about the latest item of this name.
    #[track_caller]
    pub(crate) fn why(&self, name: &str) -> String {
        let id = self.id(name);
        let said = self.run(["why", &id]).exits(0).stdout;
        let said = said.trim_end().strip_prefix(&format!("{id} {name} ")).map(str::to_owned);
        said.unwrap_or_else(|| panic!("`why` begins with the id and the name of the item"))
    }

    /// Waits until the latest item of this name is in a state.
    #[track_caller]
    pub(crate) fn wait_state(&self, name: &str, state: &str) {
        wait_until(&format!("{name} to be {state}: {}", self.item(name)), || self.state(name) == state);
    }

    /// What became of the attempts of the latest item of this name.
    #[track_caller]
    pub(crate) fn outcomes(&self, name: &str) -> Vec<String> {
        let detail = self.show(name);
        let history = detail["history"].as_array().expect("the history is an array");
        history.iter().map(|attempt| attempt["outcome"].as_str().unwrap_or("none yet").to_owned()).collect()
    }

    /// The cookies of all attempts of the latest item of this name.
    pub(crate) fn cookies(&self, name: &str) -> Vec<String> {
        let prefix = format!("{}-", self.id(name));
        let attempts = std::fs::read_dir(self.data_dir().join("attempts")).expect("attempts have folders");
        let of_item =
            attempts.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let spec = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("spec.json")).ok();
        let cookie =
            |spec: Vec<u8>| serde_json::from_slice::<Value>(&spec).ok().map(|spec| text(&spec["cookie"]));
        of_item.filter_map(spec).filter_map(cookie).collect()
    }
}

/// A JSON string without its quotes.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}
