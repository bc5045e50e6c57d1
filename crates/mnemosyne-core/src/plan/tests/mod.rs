//! Plans from text to the compiled form, and everything that can be wrong with one.

mod accepted;
mod approval;
mod errors;
mod formats;
mod hostile;
mod ways_out;

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{AgentOffer, CompileOptions, Loaded, NodeOffer, Offers, Purpose, load};
use crate::role::AgentRole;
use crate::text::{Report, Source};
use crate::work::payload::Payload;
use crate::work::task::TaskSpec;

/// Everything that plans in these tests are compiled with.
struct World {
    vars: BTreeMap<String, String>,
    agents: Vec<String>,
    offers: Offers,
    purpose: Purpose,
}

impl World {
    fn new() -> Self {
        let agent = |name: &str, langs: &[&str]| AgentOffer {
            name: name.into(),
            role: AgentRole::Executor,
            not_run: None,
            in_folder: name != "gpt",
            capabilities: BTreeMap::from([(
                "lang".to_owned(),
                langs.iter().map(|lang| String::from(*lang)).collect::<BTreeSet<_>>(),
            )]),
        };
        let node =
            NodeOffer { name: "n1".into(), labels: BTreeMap::from([("os".to_owned(), "linux".to_owned())]) };
        Self {
            vars: BTreeMap::new(),
            agents: vec!["claude".into()],
            offers: Offers {
                agents: vec![agent("claude", &["rust", "go"]), agent("codex", &["python"]), agent("gpt", &[])],
                nodes: Some(vec![node]),
            },
            purpose: Purpose::Run,
        }
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    fn load(&self, name: &str, text: &str) -> Result<Loaded, Report> {
        let files = |path: &str| match path {
            "p.md" => Ok("from a file".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        let schemas = |schema: &serde_json::Value| match schema.get("type").and_then(|word| word.as_str()) {
            Some("strin") => Err("at \"/type\": no such type".to_owned()),
            _ => Ok(()),
        };
        let options = CompileOptions {
            purpose: self.purpose,
            vars: &self.vars,
            default_name: "unnamed",
            namespace: None,
            default_namespace: "default",
            key: None,
            priority: None,
            base_dir: "/base",
            default_agents: &self.agents,
            offers: Some(&self.offers),
            files: &files,
            schemas: &schemas,
        };
        load(&Source::new(name, text), &options)
    }
}

fn yaml(text: &str) -> Loaded {
    World::new().load("plan.yaml", text).unwrap_or_else(|report| panic!("{report}"))
}

/// The whole text that someone with this plan would see.
fn refused(text: &str) -> String {
    World::new().load("plan.yaml", text).expect_err("the plan is wrong").to_string()
}

fn task(loaded: &Loaded, name: &str) -> TaskSpec {
    let item = loaded.spec.items.iter().find(|item| &*item.name == name).expect(name);
    match &item.task {
        Payload::Inline(bytes) => postcard::from_bytes(bytes).expect("what compile has encoded"),
        Payload::Blob(_) => unreachable!("compile stores bytes inline"),
    }
}
