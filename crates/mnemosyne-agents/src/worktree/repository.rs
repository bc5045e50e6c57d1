//! The repository that a plan's folder is in, and what is registered there.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use super::error::WorktreeError;
use super::git::Git;
use super::lock::Lock;

/// The oldest git that can do what is needed here (`worktree add --reason`).
pub(super) const GIT_MIN: &str = "2.34";
/// The same as numbers.
const GIT_MIN_NUMBERS: (u32, u32) = (2, 34);
/// The file of the lock, in the folder that all worktrees of a repository share.
const LOCK_FILE: &str = "mnemosyne.lock";
/// Bytes that a file of a registration may have.
const SMALL_BYTES_MAX: u64 = 64 << 10;

/// A repository, seen from one of its checkouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    /// The folder that all its worktrees share, usually `.git`.
    pub(crate) common: PathBuf,
    /// The checkout that the plan's folder is in.
    pub(crate) checkout: PathBuf,
    /// From the checkout to the plan's folder.
    pub(crate) prefix: PathBuf,
}

/// A worktree as the repository knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Its folder inside of the repository.
    pub(crate) admin: PathBuf,
    /// The `.git` file of the worktree; none when the registration is half made.
    pub(crate) link: Option<PathBuf>,
    /// Why it is locked, if it is.
    pub(crate) locked: Option<String>,
}

impl Repository {
    /// The repository that `base` is in.
    pub(crate) fn around(base: &Path, git: Git) -> Result<Self, WorktreeError> {
        let base = base.canonicalize().map_err(WorktreeError::io("find the plan's folder", base))?;
        check_version(&base, git)?;
        let look = |args: &[&str]| git.call(&base, "look at").args(args).attempt();
        let common = look(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
        match common.code {
            Some(0) => {}
            // Of a repository that it does not trust it says more than that there is none.
            _ if common.complaint.contains("not a git repository") => {
                return Err(WorktreeError::NotARepository { folder: base });
            }
            _ => return Err(WorktreeError::of_git("look at", &base, &common)),
        }
        let common = PathBuf::from(common.line());
        let inside = look(&["rev-parse", "--is-inside-work-tree"])?;
        if inside.line() != "true" {
            return Err(WorktreeError::NoWorkingTree { folder: base });
        }
        let checkout = git.call(&base, "look at").args(&["rev-parse", "--show-toplevel"]).line()?;
        let checkout = PathBuf::from(checkout);
        let prefix = base.strip_prefix(&checkout).map(Path::to_owned).unwrap_or_default();
        let common = common.canonicalize().map_err(WorktreeError::io("find the repository", &common))?;
        Ok(Self { common, checkout, prefix })
    }

    /// The commit that the checkout is at.
    pub(crate) fn head(&self, git: Git) -> Result<String, WorktreeError> {
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", "HEAD^{commit}"];
        let head = git.call(&self.checkout, "look at").args(&args).attempt()?;
        match head.code {
            Some(0) => Ok(head.line().to_string_lossy().into_owned()),
            _ => Err(WorktreeError::NoCommit { checkout: self.checkout.clone() }),
        }
    }

    /// Whether the commit has submodules, which a new worktree is without.
    pub(crate) fn has_submodules(&self) -> bool {
        self.checkout.join(".gitmodules").exists()
    }

    /// Takes the lock of the repository.
    pub(crate) fn lock(&self, git: Git) -> Result<Lock, WorktreeError> {
        lock(&self.common, git)
    }

    /// The checkouts of the repository, the main one first.
    pub(crate) fn checkouts(&self, git: Git) -> Result<Vec<PathBuf>, WorktreeError> {
        let listed =
            git.call(&self.checkout, "look at").args(&["worktree", "list", "--porcelain"]).run()?.printed;
        let main = listed.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"worktree "));
        let main = main.map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        let linked = registrations(&self.common)?.into_iter();
        let linked = linked.filter_map(|one| one.link?.parent().map(Path::to_owned));
        Ok(main.into_iter().chain([self.checkout.clone()]).chain(linked).collect())
    }
}

/// Takes the lock of the repository whose shared folder is `common`.
pub(super) fn lock(common: &Path, git: Git) -> Result<Lock, WorktreeError> {
    Lock::take(&common.join(LOCK_FILE), git)
}

/// What is registered in the repository whose shared folder is `common`.
pub(super) fn registrations(common: &Path) -> Result<Vec<Registration>, WorktreeError> {
    let folder = common.join("worktrees");
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(WorktreeError::io("list the worktrees in", &folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let admin = entry.map_err(WorktreeError::io("list the worktrees in", &folder))?.path();
        let link = small(&admin, "gitdir").map(|text| normal(&admin.join(path_of(&text))));
        let locked = small(&admin, "locked").map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        found.push(Registration { admin, link, locked });
    }
    found.sort_by(|one, other| one.admin.cmp(&other.admin));
    Ok(found)
}

/// The registration of the worktree at `tree`.
pub(super) fn registration_of(common: &Path, tree: &Path) -> Result<Option<Registration>, WorktreeError> {
    let link = tree.join(".git");
    Ok(registrations(common)?.into_iter().find(|one| one.link.as_deref() == Some(link.as_path())))
}

/// Where the `.git` file of a worktree leads to; none when there is no such file.
pub(super) fn admin_behind(tree: &Path) -> Option<PathBuf> {
    let text = small(tree, ".git")?;
    Some(normal(&tree.join(path_of(text.strip_prefix(b"gitdir: ")?))))
}

fn small(dir: &Path, name: &str) -> Option<Vec<u8>> {
    crate::collect::collect_file(dir, Path::new(name), SMALL_BYTES_MAX).ok().flatten()
}

fn path_of(text: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(text.trim_ascii_end()))
}

/// A path without `.` and `..`, without a look at what is there: git may write relative ones.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            component => normal.push(component),
        }
    }
    normal
}

/// Refuses a git that is too old.
fn check_version(place: &Path, git: Git) -> Result<(), WorktreeError> {
    let line = git.call(place, "ask for the version in").args(&["--version"]).line()?;
    let line = line.to_string_lossy();
    match version(&line) {
        Some(version) if version >= GIT_MIN_NUMBERS => Ok(()),
        _ => Err(WorktreeError::GitTooOld { found: line.chars().take(80).collect() }),
    }
}

/// The first two numbers of `git version 2.47.3 (…)`.
fn version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("git version ")?.split(['.', ' ', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("git version 2.47.3"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert!(version("git version 2.9.0") < Some(GIT_MIN_NUMBERS));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn relative_links_are_followed_by_their_text_alone() {
        assert_eq!(normal(Path::new("/a/b/../../c/./d")), Path::new("/c/d"));
    }
}
