//! Changes that steer agents or git itself: whoever reviews must see them.
//!
//! An agent that rewrites the instructions of agents, their permissions, or
//! hooks, works on everybody who comes after it. Nothing of it is refused here:
//! an item may have been asked to do just that.

use std::fmt;
use std::path::Path;

/// Names of folders and files that agents and git obey; in any folder of the tree.
const NAMES: [&str; 27] = [
    ".claude",
    "claude.md",
    "claude.local.md",
    ".mcp.json",
    "mcp.json",
    "agents.md",
    "agents.override.md",
    ".agents",
    ".codex",
    ".gemini",
    "gemini.md",
    ".opencode",
    "opencode.json",
    "opencode.jsonc",
    ".cursor",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    ".aider.conf.yml",
    "copilot-instructions.md",
    ".githooks",
    ".husky",
    ".pre-commit-config.yaml",
    "lefthook.yml",
    ".gitattributes",
    ".gitmodules",
    ".envrc",
];
/// How many changes are named.
pub(super) const TOUCHED_MAX: usize = 100;
/// Longest path that is shown.
const PATH_CHARS_MAX: usize = 300;

/// A change that whoever reviews must see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// What was changed.
    pub path: String,
    /// Why that matters.
    pub reason: &'static str,
}

impl Touched {
    /// The hooks or settings of the repository were changed.
    pub(super) fn repository() -> Self {
        Self {
            path: "the repository itself".to_owned(),
            reason: "its hooks, settings or attributes were changed, which all its worktrees share",
        }
    }

    /// A repository of its own in the tree.
    pub(super) fn repository_within(path: &[u8]) -> Self {
        Self {
            path: shown(&String::from_utf8_lossy(path)),
            reason: "a repository of its own, whose files are not part of what is recorded",
        }
    }

    /// More changes than are named.
    pub(super) fn more(count: usize) -> Self {
        Self { path: format!("{count} more"), reason: "not named here" }
    }

    /// The files of this path steer agents or git.
    pub(super) fn steering(path: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(path);
        let steers = text.split('/').any(|part| NAMES.contains(&part.to_ascii_lowercase().as_str()));
        steers.then(|| Self { path: shown(&text), reason: "it steers agents or git" })
    }

    /// A link at this path in `tree` leads out of it.
    pub(super) fn link(tree: &Path, path: &Path) -> Option<Self> {
        let target = std::fs::read_link(tree.join(path)).ok()?;
        let from = path.parent().unwrap_or(Path::new(""));
        // By its text alone, since what it leads to is not to be looked at.
        let depth = from.join(&target).components().try_fold(0_i64, |depth, part| {
            let depth = match part {
                std::path::Component::ParentDir => depth - 1,
                std::path::Component::CurDir => depth,
                _ => depth + 1,
            };
            (depth >= 0).then_some(depth)
        });
        let leads_out = target.is_absolute() || depth.is_none();
        leads_out.then(|| Self {
            path: shown(&path.to_string_lossy()),
            reason: "a link that leads out of the worktree",
        })
    }
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

fn shown(path: &str) -> String {
    crate::escape_control(path.as_bytes()).chars().take(PATH_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_permissions_and_hooks_are_seen_in_any_folder_and_case() {
        let steering = [
            ".claude/settings.json",
            "sub/.mcp.json",
            "CLAUDE.md",
            "docs/Agents.md",
            ".husky/pre-commit",
            ".gitattributes",
        ];
        for path in steering {
            assert!(Touched::steering(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["src/claude.rs", "README.md", "my.claude/x", "agents/a.md"] {
            assert!(Touched::steering(path.as_bytes()).is_none(), "{path}");
        }
    }

    #[test]
    fn links_are_judged_by_their_text() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("sub")).expect("created");
        let leads_out = |target: &str| {
            let path = Path::new("sub/link");
            let _ = std::fs::remove_file(dir.path().join(path));
            std::os::unix::fs::symlink(target, dir.path().join(path)).expect("linked");
            Touched::link(dir.path(), path).is_some()
        };
        assert!(!leads_out("../a"));
        assert!(!leads_out("deeper/../x"));
        assert!(leads_out("../../a"));
        assert!(leads_out("/etc/passwd"));
        assert!(leads_out("../../x/../y"));
    }
}
