//! The whole disk: files, names, and the accidents that are due.

use std::collections::BTreeMap;
use std::{fmt, io};

use super::inode::Inode;
use super::random::Random;
use super::{FaultKind, Loss, Times};
use crate::storage::OpenMode;
use crate::storage::path::split;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

type Names = BTreeMap<String, Node>;

/// A fault that waits for its moment.
#[derive(Debug, Clone)]
struct Planned {
    kind: FaultKind,
    times: Times,
    path_part: String,
}

/// Is shown the disk before each operation that changes something.
pub(super) struct Witness(pub(super) Box<dyn FnMut(Disk) + Send>);

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

/// The whole disk, behind the lock of the backend.
#[derive(Debug)]
pub(super) struct Disk {
    random: Random,
    /// Which start of the machine is current; everything opened earlier is dead.
    pub(super) life: u64,
    pub(super) crashed: bool,
    pub(super) operations: u64,
    pub(super) crash_at: Option<u64>,
    pub(super) capacity: Option<u64>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    live: Names,
    durable: Names,
    /// Changes of names that are not durable, in order: the name, and what it stands for.
    unsynced: Vec<(String, Option<Node>)>,
    planned: Vec<Planned>,
    pub(super) witness: Option<Witness>,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            life: 0,
            crashed: false,
            operations: 0,
            crash_at: None,
            capacity: None,
            inodes: BTreeMap::new(),
            next_inode: 1,
            live: Names::new(),
            durable: Names::new(),
            unsynced: Vec::new(),
            planned: Vec::new(),
            witness: None,
        }
    }

    /// Another disk with the same content, durable and not, whose accidents are decided by `seed`. Nothing is planned
    /// on it, and nobody watches it.
    pub(super) fn copy(&self, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            life: self.life,
            crashed: self.crashed,
            operations: self.operations,
            crash_at: None,
            capacity: self.capacity,
            inodes: self.inodes.clone(),
            next_inode: self.next_inode,
            live: self.live.clone(),
            durable: self.durable.clone(),
            unsynced: self.unsynced.clone(),
            planned: Vec::new(),
            witness: None,
        }
    }

    pub(super) fn require_power(&self, life: u64) -> io::Result<()> {
        if self.crashed || self.life != life {
            return Err(power_is_out());
        }
        Ok(())
    }

    /// Counts a changing operation. Says whether the power goes out in the middle of it.
    fn begin(&mut self, life: u64) -> io::Result<bool> {
        self.require_power(life)?;
        if let Some(mut witness) = self.witness.take() {
            (witness.0)(self.copy(self.operations));
            self.witness = Some(witness);
        }
        self.operations += 1;
        self.crashed = self.crash_at.is_some_and(|at| self.operations >= at);
        Ok(self.crashed)
    }

    pub(super) fn open(&mut self, life: u64, path: &str, mode: OpenMode) -> io::Result<u64> {
        self.require_power(life)?;
        let inode = match (self.live.get(path), mode) {
            (Some(Node::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Some(Node::File(inode)), _) => *inode,
            (None, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                self.require_dir(split(path).0)?;
                let dies = self.begin(life)?;
                let inode = self.next_inode;
                self.next_inode += 1;
                self.inodes.insert(inode, Inode::default());
                self.rename_to(path, Some(Node::File(inode)));
                end(dies)?;
                inode
            }
        };
        self.inode(inode).handles += 1;
        Ok(inode)
    }

    pub(super) fn close(&mut self, inode: u64) {
        let inode = self.inode(inode);
        inode.handles = inode.handles.saturating_sub(1);
    }

    pub(super) fn list(&self, life: u64, dir: &str) -> io::Result<Vec<String>> {
        self.require_power(life)?;
        self.require_dir(dir)?;
        let names = self.live.keys().map(|path| split(path));
        Ok(names.filter(|(parent, _)| *parent == dir).map(|(_, name)| name.to_owned()).collect())
    }

    pub(super) fn create_dir(&mut self, life: u64, dir: &str) -> io::Result<()> {
        self.require_power(life)?;
        self.require_dir(split(dir).0)?;
        match self.live.get(dir) {
            Some(Node::Dir) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => {}
        }
        let dies = self.begin(life)?;
        self.rename_to(dir, Some(Node::Dir));
        end(dies)
    }

    pub(super) fn remove(&mut self, life: u64, path: &str) -> io::Result<()> {
        self.require_power(life)?;
        self.require_file(path)?;
        let dies = self.begin(life)?;
        self.rename_to(path, None);
        self.forget_unreachable();
        end(dies)
    }

    pub(super) fn rename(&mut self, life: u64, from: &str, to: &str) -> io::Result<()> {
        self.require_power(life)?;
        let inode = self.require_file(from)?;
        self.require_dir(split(to).0)?;
        if self.live.get(to) == Some(&Node::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let dies = self.begin(life)?;
        self.rename_to(to, Some(Node::File(inode)));
        self.rename_to(from, None);
        self.forget_unreachable();
        end(dies)
    }

    pub(super) fn sync_dir(&mut self, life: u64, dir: &str) -> io::Result<()> {
        self.require_power(life)?;
        self.require_dir(dir)?;
        let dies = self.begin(life)?;
        end(dies)?;
        let fails = self.strikes(FaultKind::Sync, dir);
        let (synced, rest) =
            std::mem::take(&mut self.unsynced).into_iter().partition(|(path, _)| split(path).0 == dir);
        self.unsynced = rest;
        if fails {
            return Err(io::Error::other("injected failure of a sync"));
        }
        let synced: Vec<(String, Option<Node>)> = synced;
        for (path, node) in synced {
            set(&mut self.durable, &path, node);
        }
        self.forget_unreachable();
        Ok(())
    }

    pub(super) fn write(&mut self, life: u64, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let dies = self.begin(life)?;
        if dies {
            // A process can die with its write half done.
            let kept = self.random.up_to(bytes.len());
            self.inode(inode).write(offset, &bytes[..kept])?;
            return Err(power_is_out());
        }
        let path = self.path_of(inode);
        if self.strikes(FaultKind::Write, &path) {
            return Err(io::Error::other("injected failure of a write"));
        }
        if self.strikes(FaultKind::ShortWrite, &path) {
            self.inode(inode).write(offset, &bytes[..bytes.len() / 2])?;
            return Err(io::Error::other("injected short write"));
        }
        let room = self.room_for(inode, offset, bytes.len());
        self.inode(inode).write(offset, &bytes[..room])?;
        if room < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, life: u64, inode: u64, length: u64) -> io::Result<()> {
        let dies = self.begin(life)?;
        self.inode(inode).set_len(length)?;
        end(dies)
    }

    pub(super) fn sync(&mut self, life: u64, inode: u64) -> io::Result<()> {
        let dies = self.begin(life)?;
        end(dies)?;
        let path = self.path_of(inode);
        if self.strikes(FaultKind::Sync, &path) {
            self.inode(inode).fail_to_sync();
            return Err(io::Error::other("injected failure of a sync"));
        }
        self.inode(inode).sync();
        Ok(())
    }

    pub(super) fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("files with a name or a handle are kept")
    }

    /// The file of a path, for damage.
    pub(super) fn find(&mut self, path: &str) -> io::Result<&mut Inode> {
        let inode = self.require_file(path)?;
        Ok(self.inode(inode))
    }

    pub(super) fn plan(&mut self, kind: FaultKind, times: Times, path_part: &str) {
        self.planned.push(Planned { kind, times, path_part: path_part.to_owned() });
    }

    pub(super) fn forget_plans(&mut self) {
        self.planned.clear();
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.live.values().filter_map(|node| match node {
            Node::File(inode) => self.inodes.get(inode),
            Node::Dir => None,
        });
        files.map(|inode| inode.live.len() as u64).sum()
    }

    /// Decides what the medium has, for files and for names.
    pub(super) fn lose(&mut self, loss: Loss) {
        let Self { inodes, random, unsynced, durable, .. } = self;
        for inode in inodes.values_mut() {
            inode.lose(loss, random);
        }
        let changes = std::mem::take(unsynced);
        let kept: Vec<_> = match loss {
            Loss::Nothing => changes,
            Loss::Everything => Vec::new(),
            Loss::Torn => {
                let kept = random.up_to(changes.len());
                changes.into_iter().take(kept).collect()
            }
            Loss::Reordered => changes.into_iter().filter(|_| random.coin()).collect(),
        };
        for (path, node) in kept {
            set(durable, &path, node);
        }
        // What lies in a folder that was lost is lost too; parents sort before their children.
        let mut reachable = Names::new();
        for (path, node) in std::mem::take(durable) {
            let parent = split(&path).0;
            if parent.is_empty() || reachable.get(parent) == Some(&Node::Dir) {
                reachable.insert(path, node);
            }
        }
        *durable = reachable;
        self.live.clone_from(&self.durable);
    }

    fn rename_to(&mut self, path: &str, node: Option<Node>) {
        set(&mut self.live, path, node);
        self.unsynced.push((path.to_owned(), node));
    }

    /// Whether a planned fault happens now.
    fn strikes(&mut self, kind: FaultKind, path: &str) -> bool {
        let hit =
            self.planned.iter().position(|planned| planned.kind == kind && path.contains(&planned.path_part));
        if let Some(position) = hit
            && self.planned[position].times == Times::Once
        {
            self.planned.remove(position);
        }
        hit.is_some()
    }

    /// The name of a file as it is now; none for a removed one.
    fn path_of(&self, inode: u64) -> String {
        if self.planned.is_empty() {
            return String::new();
        }
        let mut names = self.live.iter();
        let name = names.find(|(_, node)| **node == Node::File(inode));
        name.map_or_else(String::new, |(path, _)| path.clone())
    }

    /// How much of a write fits the disk. Only growth needs space.
    fn room_for(&mut self, inode: u64, offset: u64, length: usize) -> usize {
        let Some(capacity) = self.capacity else {
            return length;
        };
        let free = capacity.saturating_sub(self.used());
        let end_max = self.inode(inode).live.len() as u64 + free;
        let room = usize::try_from(end_max.saturating_sub(offset)).unwrap_or(length);
        room.min(length)
    }

    fn require_dir(&self, dir: &str) -> io::Result<()> {
        match self.live.get(dir) {
            _ if dir.is_empty() => Ok(()),
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn require_file(&self, path: &str) -> io::Result<u64> {
        match self.live.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Frees files that no name, now or after a crash, and no handle leads to.
    fn forget_unreachable(&mut self) {
        let unsynced = self.unsynced.iter().filter_map(|(_, node)| *node);
        let named = self.live.values().chain(self.durable.values()).copied();
        let reachable: std::collections::BTreeSet<u64> = named
            .chain(unsynced)
            .filter_map(|node| match node {
                Node::File(inode) => Some(inode),
                Node::Dir => None,
            })
            .collect();
        self.inodes.retain(|number, inode| inode.handles > 0 || reachable.contains(number));
    }
}

fn set(names: &mut Names, path: &str, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_owned(), node),
        None => names.remove(path),
    };
}

fn end(dies: bool) -> io::Result<()> {
    if dies {
        return Err(power_is_out());
    }
    Ok(())
}

fn power_is_out() -> io::Error {
    io::Error::other("the power is out")
}
