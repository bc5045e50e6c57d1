//! A small disk for a data directory, which can be filled up.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use super::{Running, Scene, skipped, wait_until};

/// Mounts a file system in namespaces of its own, says so, and holds it until its standard input is closed.
const HOLD: &str = r#"mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" && echo mounted && exec cat"#;
/// What fills the disk.
const FILL: &str = "fill";

/// A file system of its own, with the data directory of a scene on it.
pub(crate) struct SmallDisk {
    /// Where it is mounted, seen from outside its namespaces.
    path: PathBuf,
    /// Unmounted when this is dropped.
    _holder: Running,
}

impl SmallDisk {
    /// Puts the data directory of a scene on a disk of so many KiB. None, with
    /// the reason on stderr, where this user may not mount anything.
    pub(crate) fn below(scene: &Scene, kib: u32) -> Option<Self> {
        let folder = scene.path().join("disk");
        fs::create_dir(&folder).expect("a new folder");
        let mut command = scene.program("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", HOLD, "sh", &format!("{kib}k")]);
        command.arg(&folder).stdin(std::process::Stdio::piped());
        let mut holder = scene.start(command);
        wait_until("a disk of our own", || holder.printed() == "mounted\n" || !holder.is_running());
        if !holder.is_running() {
            skipped(&format!("no disk of our own can be mounted here: {}", holder.said().trim()));
            return None;
        }
        let inside = folder.strip_prefix("/").expect("an absolute path");
        let path = PathBuf::from(format!("/proc/{}/root", holder.pid())).join(inside);
        fs::create_dir(path.join("data")).expect("a new folder");
        std::os::unix::fs::symlink(path.join("data"), scene.data_dir()).expect("a new link");
        Some(Self { path, _holder: holder })
    }

    /// Leaves not a byte of room.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.path.join(FILL)).expect("a new file");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path.join(FILL)).expect("the disk was filled before");
    }
}
