//! A backend on a disk that forgets: what was not synced may be lost, torn or reordered by a power cut, and any
//! operation may fail on demand. Everything that happens follows from the seed and the order of the calls.

mod disk;
mod inode;
mod random;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::memory::copy_from;
use super::path::validate_dir;
use super::{OpenMode, StorageBackend, StorageFile, validate_path};
use disk::{Disk, Witness};

/// What a power cut does to everything that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it is there: the system had just written it. (When only the process dies, there is no loss either, but
    /// also nothing more on the medium: that is [`FaultBackend::restart`] alone.)
    Nothing,
    /// None of it is there.
    Everything,
    /// It is there up to some moment, which may lie in the middle of a write; each file and the names on their own.
    Torn,
    /// Any sector of it is there or not.
    Reordered,
}

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A sync of a file or folder fails, and what it should have made durable never will be.
    Sync,
    /// A write fails without writing.
    Write,
    /// A write fails half done.
    ShortWrite,
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The next time only.
    Once,
    /// From now on, until [`FaultBackend::heal`].
    Always,
}

/// A disk with a page cache that a power cut can empty. Clones are the same disk in the same life of the machine.
#[derive(Debug, Clone)]
pub struct FaultBackend {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

impl FaultBackend {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new(seed))), life: 0 }
    }

    /// How many operations that change something were begun so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Lets the power go out in the middle of the operation with this number, counted from one since the disk is new.
    /// Everything after it fails until [`FaultBackend::restart`].
    pub fn crash_at(&self, operation: u64) {
        self.disk().crash_at = Some(operation);
    }

    /// Whether the power is out.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.disk().crashed
    }

    /// Cuts the power now, if it is not out yet, and decides what of the unsynced data reached the medium.
    pub fn crash(&self, loss: Loss) {
        let mut disk = self.disk();
        disk.crashed = true;
        disk.lose(loss);
    }

    /// Another disk with the same content, synced or not; `seed` decides what a power cut leaves of it.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        Self::of(self.disk().copy(seed))
    }

    /// Shows `witness` a copy of the disk before each operation that changes something. It must not use this disk.
    pub fn watch(&self, mut witness: impl FnMut(Self) + Send + 'static) {
        self.disk().witness = Some(Witness(Box::new(move |copy| witness(Self::of(copy)))));
    }

    /// Shows the disk to nobody any more.
    pub fn unwatch(&self) {
        self.disk().witness = None;
    }

    fn of(disk: Disk) -> Self {
        let life = disk.life;
        Self { disk: Arc::new(Mutex::new(disk)), life }
    }

    /// The same disk after the next start of the machine. All that was opened in the life before stays dead, also
    /// when there was no crash. Plans for crashes and failures are forgotten.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut disk = self.disk();
        disk.crashed = false;
        disk.crash_at = None;
        disk.forget_plans();
        disk.life += 1;
        Self { disk: Arc::clone(&self.disk), life: disk.life }
    }

    /// Lets operations fail on files and folders whose present path contains `path_part`; `""` means any.
    pub fn fail(&self, kind: FaultKind, times: Times, path_part: &str) {
        self.disk().plan(kind, times, path_part);
    }

    /// Ends all planned failures.
    pub fn heal(&self) {
        self.disk().forget_plans();
    }

    /// Lets the disk be full after so many more bytes.
    pub fn fill_after(&self, bytes: u64) {
        let mut disk = self.disk();
        disk.capacity = Some(disk.used() + bytes);
    }

    /// Gives the disk room without end again.
    pub fn free_space(&self) {
        self.disk().capacity = None;
    }

    /// What the medium has of a file.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn medium(&self, path: &str) -> io::Result<Vec<u8>> {
        self.disk().find(path).map(|inode| inode.durable.clone())
    }

    /// Flips one bit on the medium.
    ///
    /// # Errors
    /// When there is no such file, or no such byte that was synced. Nothing was changed.
    pub fn flip_bit(&self, path: &str, offset: u64, bit: u8) -> io::Result<()> {
        let position = super::memory::to_index(offset)?;
        let mut disk = self.disk();
        let inode = disk.find(path)?;
        let (live, durable) = (inode.live.get_mut(position), inode.durable.get_mut(position));
        let (Some(live), Some(durable)) = (live, durable) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        *live ^= 1 << (bit % 8);
        *durable ^= 1 << (bit % 8);
        Ok(())
    }

    /// Shortens a file on the medium.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        let length = super::memory::to_index(length)?;
        let mut disk = self.disk();
        let inode = disk.find(path)?;
        inode.live.truncate(length);
        inode.durable.truncate(length);
        Ok(())
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("nothing panics while the disk is locked")
    }
}

impl StorageBackend for FaultBackend {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        validate_path(path)?;
        let inode = self.disk().open(self.life, path, mode)?;
        Ok(Box::new(FaultFile { backend: self.clone(), inode, writable: mode != OpenMode::Read }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        validate_dir(dir)?;
        self.disk().list(self.life, dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        validate_path(dir)?;
        self.disk().create_dir(self.life, dir)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        validate_path(path)?;
        self.disk().remove(self.life, path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        validate_path(from)?;
        validate_path(to)?;
        self.disk().rename(self.life, from, to)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        validate_dir(dir)?;
        self.disk().sync_dir(self.life, dir)
    }
}

#[derive(Debug)]
struct FaultFile {
    backend: FaultBackend,
    inode: u64,
    writable: bool,
}

impl FaultFile {
    fn require_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

impl StorageFile for FaultFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.backend.disk();
        disk.require_power(self.backend.life)?;
        Ok(copy_from(&disk.inode(self.inode).live, offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.require_writable()?;
        let life = self.backend.life;
        let mut disk = self.backend.disk();
        disk.write(life, self.inode, offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let life = self.backend.life;
        self.backend.disk().sync(life, self.inode)
    }

    fn len(&self) -> io::Result<u64> {
        let mut disk = self.backend.disk();
        disk.require_power(self.backend.life)?;
        Ok(disk.inode(self.inode).live.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.require_writable()?;
        let life = self.backend.life;
        self.backend.disk().set_len(life, self.inode, length)
    }
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        self.backend.disk().close(self.inode);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::read_up_to;

    /// A disk with a file of 2048 synced zeros and, over them, 2048 ones that were not synced.
    fn half_written(seed: u64) -> FaultBackend {
        let backend = FaultBackend::new(seed);
        let file = backend.open("file", OpenMode::CreateNew).expect("create");
        file.write_at(0, &[0; 2048]).expect("write");
        file.sync_data().expect("sync");
        backend.sync_dir("").expect("sync");
        file.write_at(0, &[1; 2048]).expect("write");
        backend
    }

    fn sectors_kept(backend: &FaultBackend) -> Vec<bool> {
        let file = backend.open("file", OpenMode::Read).expect("open");
        let bytes = read_up_to(&*file, 0, 2048).expect("read");
        let sectors = bytes.chunks(512).map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a torn sector");
            sector[0] == 1
        });
        sectors.collect()
    }

    #[test]
    fn a_power_cut_takes_what_was_not_synced() {
        for (loss, expected) in [(Loss::Everything, false), (Loss::Nothing, true)] {
            let backend = half_written(7);
            backend.crash(loss);
            assert!(backend.open("file", OpenMode::Read).is_err(), "the power is out");
            assert_eq!(sectors_kept(&backend.restart()), [expected; 4]);
        }
    }

    #[test]
    fn torn_writes_keep_their_start_and_reordered_ones_any_sector() {
        let mut holes = 0;
        for seed in 0..50 {
            for loss in [Loss::Torn, Loss::Reordered] {
                let backend = half_written(seed);
                backend.crash(loss);
                let kept = sectors_kept(&backend.restart());
                let has_hole = kept.windows(2).any(|pair| !pair[0] && pair[1]);
                assert!(!(loss == Loss::Torn && has_hole), "{kept:?}");
                holes += usize::from(has_hole);
            }
        }
        assert!(holes > 10, "reordering leaves holes: {holes}");
    }

    #[test]
    fn names_are_lost_unless_their_folder_was_synced() {
        let backend = FaultBackend::new(1);
        backend.create_dir("dir").expect("create");
        backend.sync_dir("").expect("sync");
        for name in ["dir/kept", "dir/lost"] {
            let file = backend.open(name, OpenMode::CreateNew).expect("create");
            file.sync_data().expect("sync");
            if name == "dir/kept" {
                backend.sync_dir("dir").expect("sync");
            }
        }
        backend.crash(Loss::Everything);
        assert_eq!(backend.restart().list("dir").expect("list"), ["kept"]);
    }

    #[test]
    fn what_a_failed_sync_dropped_stays_visible_until_the_power_goes() {
        let backend = half_written(7);
        let file = backend.open("file", OpenMode::ReadWrite).expect("open");
        backend.fail(FaultKind::Sync, Times::Once, "file");
        assert!(file.sync_data().is_err());
        file.sync_data().expect("the second sync claims success");
        assert_eq!(sectors_kept(&backend), [true; 4]);
        backend.crash(Loss::Nothing);
        assert_eq!(sectors_kept(&backend.restart()), [false; 4]);
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_overwrites_freely() {
        let backend = half_written(7);
        let file = backend.open("file", OpenMode::ReadWrite).expect("open");
        backend.fill_after(10);
        file.write_at(0, &[2; 2048]).expect("no growth");
        let error = file.write_at(2040, &[3; 30]).expect_err("full");
        assert!(crate::storage::is_full(&error));
        assert_eq!(file.len().expect("length"), 2058);
        backend.free_space();
        file.write_at(2040, &[3; 30]).expect("space again");
    }

    #[test]
    fn the_power_goes_out_at_the_chosen_operation() {
        let backend = half_written(7);
        let before = backend.operations();
        backend.crash_at(before + 2);
        let file = backend.open("file", OpenMode::ReadWrite).expect("open");
        file.write_at(0, &[1]).expect("one more");
        assert!(file.sync_data().is_err());
        assert!(backend.is_crashed() && file.len().is_err());
        let _ = backend.restart();
        assert!(file.len().is_err(), "a handle of the life before");
    }
}
