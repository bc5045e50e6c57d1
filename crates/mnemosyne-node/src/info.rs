//! What a running node writes about itself for others to find it.

use std::fs;
use std::io;
use std::path::Path;

use mnemosyne_core::id::NodeId;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
const FILE: &str = "node.json";

/// Content of `node.json`; the file is there while a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The node's id.
    pub node: NodeId,
    /// Process id.
    pub pid: u32,
    /// Address of the HTTP API, when it is served.
    pub address: Option<String>,
    /// The program's version.
    pub version: String,
}

impl NodeInfo {
    /// Reads it; none when no node has written it.
    #[must_use]
    pub fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data_dir.join(FILE)).ok()?).ok()
    }

    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let temporary = data_dir.join(format!("{FILE}.new"));
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(temporary, data_dir.join(FILE))
    }

    pub(crate) fn remove(data_dir: &Path) {
        // A file that stays behind names a process that is gone; readers check.
        let _ = fs::remove_file(data_dir.join(FILE));
    }
}
