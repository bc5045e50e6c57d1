//! Text that people write: read into one tree with places, and errors about it.
//!
//! Plans and configuration come as YAML, JSON or TOML. Each reader turns its
//! format into the same [`Node`] tree, in which every value knows where it
//! stands, so that whoever decodes the tree can point at the offending line
//! without knowing the format.
//!
//! ```text
//! Source ──read──▶ Node ──shape::check──▶ Findings ──report──▶ Diagnostics
//!  (text)          (tree)  (types, words)  (what, where)        (with excerpt)
//! ```
//!
//! This module opens no file: text comes in, data goes out. It does not know
//! what a plan or a setting is.

mod build;
mod bytes;
mod count;
mod diagnostic;
mod finding;
mod json;
pub mod limits;
mod location;
mod node;
mod schema;
mod shape;
mod shape_check;
mod shown;
mod source;
mod suggest;
mod toml;
mod yaml;

pub use bytes::{Bytes, BytesError};
pub use count::{counted, plural};
pub use diagnostic::{Diagnostic, RelatedPlace, Report};
pub use finding::{Finding, Findings, Severity};
pub use location::Location;
pub use node::{Fields, Key, Node, Value};
pub use schema::json_schema;
pub use shape::{Field, Object, Shape, TextRule, Word};
pub use shape_check::{Area, check_shape};
pub use shown::{join, name, quote, shorten};
pub use source::{Format, Source};
pub use suggest::{did_you_mean, nearest};

use location::Locator;

/// Reads a source into a tree.
///
/// # Errors
/// The findings say what is wrong with the text and where.
pub fn read(source: &Source<'_>) -> Result<Node, Findings> {
    let text = source.text();
    if text.len() > limits::DOCUMENT_BYTES_MAX {
        return Err(Findings::from(
            Finding::error(
                "text/limit",
                format!(
                    "the document has {} bytes; the limit is {} (64 MiB)",
                    text.len(),
                    limits::DOCUMENT_BYTES_MAX
                ),
            )
            .help("split it, or move long prompts to files of their own (`prompt_file`)"),
        ));
    }
    let locator = Locator::new(text);
    match source.format() {
        Format::Yaml => yaml::read(text, &locator),
        Format::Json => json::read(text, &locator),
        Format::Toml => toml::read(text, &locator),
    }
}
