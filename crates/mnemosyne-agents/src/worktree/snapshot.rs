//! What lies in a working tree at one moment: its commit, the hash of all its
//! files, and how it differs from where it started.
//!
//! The hash is that of the git tree which a commit of everything would have:
//! also of what is not committed, and of new files that are not ignored. It is
//! made with an index and a folder of objects of our own. So nothing is left in
//! the repository, the agent's index is not touched, and no mark that an agent
//! put there (`assume-unchanged`) hides a change.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::WorktreeError;
use super::git::{Call, Git};
use super::touched::{TOUCHED_MAX, Touched};
use crate::subject::Subject;

/// Bytes of the list of changed files that are looked at.
const CHANGES_BYTES_MAX: usize = 16 << 20;
/// Git's mode of a link.
const LINK_MODE: &[u8] = b"120000";
/// Git's mode of a repository within the tree.
const REPOSITORY_MODE: &[u8] = b"160000";

/// How long a snapshot may take, and how much of the difference is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// The longest time.
    pub time_max: Duration,
    /// Bytes of the difference that are kept.
    pub diff_bytes_max: usize,
}

/// What lies in a working tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The hash of all its files.
    pub tree: Subject,
    /// The commit it is at; none before the first one.
    pub head: Option<String>,
    /// The branch it is on; none when it is on no branch.
    pub branch: Option<String>,
    /// Something in it is in no commit.
    pub dirty: bool,
    /// Why some of its files are not in the hash, if so.
    pub incomplete: Option<String>,
    /// How it differs from its start.
    pub diff: Diff,
    /// Changes that whoever reviews must see.
    pub touched: Vec<Touched>,
}

/// A difference, as a patch without the contents of binary files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Its beginning, whole lines; in whatever encoding the files have.
    pub text: Vec<u8>,
    /// Bytes of the whole.
    pub bytes: u64,
    /// Files that differ.
    pub files: u64,
}

impl Diff {
    /// Whether the text is not the whole.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.bytes > self.text.len() as u64
    }
}

/// What lies in the working tree around `folder`, and how it differs from the
/// commit `since`, or from the one it is at. `scratch` is an existing folder
/// for what is needed meanwhile. Nobody else changes the tree meanwhile, or the
/// result is of no moment in particular.
///
/// Blocks; call it beside the async threads.
///
/// # Errors
/// When `folder` is in no working tree, or git cannot tell.
pub fn snapshot(
    folder: &Path,
    since: Option<&str>,
    scratch: &Path,
    limits: &SnapshotLimits,
) -> Result<Snapshot, WorktreeError> {
    let git = Git::within(limits.time_max);
    let root = git.call(folder, "find the worktree of").args(&["rev-parse", "--show-toplevel"]).line()?;
    let own = Own::make(scratch, PathBuf::from(root), git)?;
    let look = |args: &[&str]| git.call(&own.root, "look at").args(args);
    let text = |args: &[&str]| {
        let done = look(args).attempt()?;
        Ok::<_, WorktreeError>((done.code == Some(0)).then(|| done.line().to_string_lossy().into_owned()))
    };
    let head = text(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
    let head_tree = text(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"])?;
    let branch = text(&["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    let incomplete = own.take_in(git)?;
    let tree = own.call(git, "hash").args(&["write-tree"]).line()?.to_string_lossy().into_owned();
    let status = ["status", "--porcelain", "-z", "--ignore-submodules=none", "--untracked-files=normal"];
    let dirty = head_tree.as_deref() != Some(tree.as_str())
        || incomplete.is_some()
        || look(&status).keep(0).run()?.printed_bytes > 0;
    let from = match since.map(str::to_owned).or(head_tree) {
        Some(from) => from,
        // Before the first commit: the tree of nothing.
        None => look(&["hash-object", "-t", "tree", "--", "/dev/null"]).line()?.to_string_lossy().into_owned(),
    };
    let (files, touched) = own.changes(git, &from, &tree)?;
    let diff = own.diff(git, &from, &tree, files, limits.diff_bytes_max)?;
    let subject = Subject::of_tree(&tree).map_err(|error| WorktreeError::Git {
        operation: "hash",
        place: own.root.clone(),
        message: error.to_string(),
    })?;
    Ok(Snapshot { tree: subject, head, branch, dirty, incomplete, diff, touched })
}

/// An index and a folder of objects of our own, beside a working tree. Removed when dropped.
struct Own {
    root: PathBuf,
    dir: PathBuf,
    /// The objects of the repository, as git wants them named.
    objects: OsString,
}

impl Own {
    fn make(scratch: &Path, root: PathBuf, git: Git) -> Result<Self, WorktreeError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let scratch = std::path::absolute(scratch).map_err(WorktreeError::io("find", scratch))?;
        let dir = scratch.join(format!("snapshot-{}-{serial}", std::process::id()));
        // Of a process with the same id that was killed.
        super::mend::remove_folder(&dir)?;
        let args = ["rev-parse", "--path-format=absolute", "--git-path", "objects"];
        let objects = git.call(&root, "look at").args(&args).line()?;
        let own = Self { root, dir, objects: quoted(&objects) };
        let objects = own.dir.join("objects");
        std::fs::create_dir_all(&objects).map_err(WorktreeError::io("make the folder", &objects))?;
        Ok(own)
    }

    /// A call of git that sees our index, and writes objects to our folder.
    fn call(&self, git: Git, operation: &'static str) -> Call {
        git.call(&self.root, operation)
            .env("GIT_INDEX_FILE", self.dir.join("index"))
            .env("GIT_OBJECT_DIRECTORY", self.dir.join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.objects)
    }

    /// Takes all files into our index; says what could not be taken in.
    fn take_in(&self, git: Git) -> Result<Option<String>, WorktreeError> {
        let sparse = git.call(&self.root, "look at").args(&["config", "--bool", "core.sparseCheckout"]);
        if sparse.attempt()?.line() == "true" {
            // Which files are left out on purpose is known to the agent's index alone.
            let args = ["rev-parse", "--path-format=absolute", "--git-path", "index"];
            let index = PathBuf::from(git.call(&self.root, "look at").args(&args).line()?);
            std::fs::copy(&index, self.dir.join("index")).map_err(WorktreeError::io("copy", &index))?;
        } else {
            let path = self.dir.join("entries");
            let failed = || WorktreeError::io("write", &path);
            let list = File::create(&path).map_err(failed())?;
            git.call(&self.root, "list the files of")
                .args(&["ls-files", "--stage", "-z"])
                .into_file(list)
                .run()?;
            let list = File::open(&path).map_err(failed())?;
            self.call(git, "list the files of")
                .stdin(list)
                .args(&["update-index", "-z", "--index-info"])
                .run()?;
        }
        let settings = ["-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false"];
        let done =
            self.call(git, "hash the files of").args(&settings).args(&["add", "--all", "--ignore-errors"]);
        let done = done.attempt()?;
        match done.code {
            Some(0) => Ok(None),
            Some(1) => match WorktreeError::of_git("hash the files of", &self.root, &done) {
                full @ WorktreeError::NoRoom { .. } => Err(full),
                _ => Ok(Some(crate::escape_control(done.complaint.as_bytes()))),
            },
            _ => Err(WorktreeError::of_git("hash the files of", &self.root, &done)),
        }
    }

    /// How many files differ, and which of them whoever reviews must see.
    fn changes(&self, git: Git, from: &str, to: &str) -> Result<(u64, Vec<Touched>), WorktreeError> {
        let args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--end-of-options", from, to];
        let listed = self.call(git, "compare").args(&args).keep(CHANGES_BYTES_MAX).run()?;
        let (mut files, mut more) = (0, 0);
        let mut touched = Vec::new();
        let mut parts = listed.printed.split(|byte| *byte == 0);
        while let (Some(what), Some(path)) = (parts.next(), parts.next()) {
            files += 1;
            let found = Touched::steering(path).or_else(|| self.odd(what, path));
            match found {
                Some(found) if touched.len() < TOUCHED_MAX => touched.push(found),
                found => more += usize::from(found.is_some()),
            }
        }
        if more > 0 {
            touched.push(Touched::more(more));
        }
        Ok((files, touched))
    }

    /// A change to something that is no ordinary file, if that matters.
    fn odd(&self, what: &[u8], path: &[u8]) -> Option<Touched> {
        // `:OLD_MODE NEW_MODE OLD_HASH NEW_HASH STATUS`
        match what.split(|byte| *byte == b' ').nth(1)? {
            LINK_MODE => Touched::link(&self.root, Path::new(OsStr::from_bytes(path))),
            REPOSITORY_MODE => Some(Touched::repository_within(path)),
            _ => None,
        }
    }

    fn diff(
        &self,
        git: Git,
        from: &str,
        to: &str,
        files: u64,
        bytes_max: usize,
    ) -> Result<Diff, WorktreeError> {
        if bytes_max == 0 {
            return Ok(Diff { files, ..Diff::default() });
        }
        let how = ["-r", "-p", "--find-renames", "--no-color", "--no-ext-diff", "--no-textconv"];
        let call = self.call(git, "compare").args(&["diff-tree"]).args(&how);
        let call = call.args(&["--src-prefix=a/", "--dst-prefix=b/", "--end-of-options", from, to]);
        let done = call.keep(bytes_max).run()?;
        let mut text = done.printed;
        if done.printed_bytes > text.len() as u64 {
            let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            text.truncate(end);
        }
        Ok(Diff { text, bytes: done.printed_bytes, files })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = super::mend::remove_folder(&self.dir);
    }
}

/// A path for a list of paths that are separated by colons.
fn quoted(path: &OsStr) -> OsString {
    let mut quoted = vec![b'"'];
    for byte in path.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}
