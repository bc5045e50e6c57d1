//! Configuration: `mnemosyne.toml`, the environment, the command line.
//!
//! ```text
//! defaults  <  file  <  MNEMOSYNE__SECTION__KEY  <  flags
//!     └───────────────────┬──────────────────────────┘
//!                     [`resolve`] ──▶ Settings (typed, concrete) + where each came from
//! ```
//!
//! Every element of the configuration has a file of its own with a table of
//! its keys. The table makes the type, reads the file, names the environment
//! variables, and fills `config show` and the reference; there is no second
//! place to add a key to.
//!
//! Nothing here reads a file or the environment: both are handed in.

pub mod elements;
mod environment;
mod origin;
mod reference;
mod resolve;
mod settings;
mod value;

pub use crate::text::{Bytes, BytesError};
pub use origin::Origin;
pub use reference::{KeyReference, config_schema, reference};
pub use resolve::{Origins, Override, Resolved, Row, resolve};
pub use settings::Settings;
