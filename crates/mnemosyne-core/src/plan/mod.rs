//! Plans: from a file that people and models write to a [`RunSpec`].
//!
//! ```text
//! text ──read──▶ Plan ──compile──▶ RunSpec            (goes into the log)
//!  words, types    │   names, templates, foreach,
//!                  │   defaults, agents, cycles
//!                  └──check──▶ findings                (`plan check`)
//! RunSpec ──▶ Graph ──▶ explain, DOT, mermaid          (`plan graph|explain`)
//! ```
//!
//! The tables in [`words`] know every word; decoder, suggestions and JSON
//! Schema follow them. Nothing here opens a file: the content of a
//! `prompt_file` is asked of the caller.
//!
//! [`RunSpec`]: crate::work::spec::RunSpec

mod check;
mod choice;
mod compile;
mod decode;
mod digest;
mod elements;
mod explain;
mod graph;
mod instances;
mod legacy;
pub mod limits;
mod load;
mod model;
mod offer;
mod phases;
mod reads;
mod render;
mod resolve;
mod review;
mod schema;
mod settings;
mod template;
#[cfg(test)]
mod tests;
mod vars;
pub mod words;

pub use compile::{CompileOptions, Compiled, Purpose, compile};
pub use decode::{Decoded, decode, read};
pub use explain::{ExplainedAction, ExplainedItem, ExplainedNeed, ExplainedPolicy, Explanation};
pub use graph::{CriticalPath, Cycle, Graph};
pub use load::{Loaded, load};
pub use model::{
    Each, Foreach, Item, Limit, Needed, Phase, Placed, Plan, RetryWords, Review, Shared, Var, Work,
};
pub use offer::{AgentOffer, Match, NodeOffer, Offers};
pub use reads::outputs_read;
pub use render::{Drawing, DrawnItem, DrawnNeed, dot, mermaid, tree};
pub use schema::plan_schema;
pub use template::{Part, Step, Template, TemplateError, Values, expand_outputs};
