//! What every storage backend must do, as one suite. A backend passes it in its own tests:
//!
//! ```
//! use mnemosyne_persistence::storage::{MemoryBackend, conformance};
//! conformance::run(&|| Box::new(MemoryBackend::new()));
//! ```

use std::io::ErrorKind;

use super::{OpenMode, StorageBackend, read_up_to};

/// Runs the whole suite; `fresh` makes an empty backend for each part.
///
/// # Panics
/// When the backend does something else than [`StorageBackend`] promises.
pub fn run(fresh: &dyn Fn() -> Box<dyn StorageBackend>) {
    for part in [
        files_are_opened_as_asked,
        bytes_are_read_where_they_were_written,
        lengths_are_cut_and_grown_with_zeros,
        folders_list_their_names,
        a_rename_replaces,
        a_removed_file_stays_open,
        paths_never_escape,
        two_handles_see_one_file,
        handles_cross_threads,
    ] {
        part(&*fresh());
    }
}

fn files_are_opened_as_asked(backend: &dyn StorageBackend) {
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        let error = backend.open("file", mode).expect_err("there is no file");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let file = backend.open("file", OpenMode::CreateNew).expect("create");
    assert!(file.is_empty().expect("length"));
    let error = backend.open("file", OpenMode::CreateNew).expect_err("there is one now");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    file.write_at(0, b"kept").expect("write");
    let again = backend.open("file", OpenMode::Create).expect("open");
    assert_eq!(again.len().expect("length"), 4);
    let reader = backend.open("file", OpenMode::Read).expect("open");
    assert!(reader.write_at(0, b"x").is_err(), "read only");
    let error = backend.open("no/file", OpenMode::Create).expect_err("there is no folder");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    backend.create_dir("dir").expect("create");
    assert!(backend.open("dir", OpenMode::Read).is_err(), "a folder is no file");
}

fn bytes_are_read_where_they_were_written(backend: &dyn StorageBackend) {
    let file = backend.open("file", OpenMode::Create).expect("create");
    file.write_at(5, b"hello").expect("write");
    assert_eq!(read_up_to(&*file, 0, 100).expect("read"), b"\0\0\0\0\0hello");
    file.write_at(7, b"LL").expect("write");
    file.write_at(9, b"O!").expect("write");
    assert_eq!(read_up_to(&*file, 5, 6).expect("read"), b"heLLO!");
    assert_eq!(read_up_to(&*file, 9, 100).expect("read"), b"O!");
    assert_eq!(read_up_to(&*file, 11, 1).expect("read"), b"");
    assert_eq!(read_up_to(&*file, 1 << 40, 1).expect("read"), b"");
    file.write_at(0, b"").expect("an empty write");
    let large = vec![0xC3; 3 << 20];
    file.write_at(1, &large).expect("write");
    file.sync_data().expect("sync");
    assert!(read_up_to(&*file, 1, large.len()).expect("read") == large);
}

fn lengths_are_cut_and_grown_with_zeros(backend: &dyn StorageBackend) {
    let file = backend.open("file", OpenMode::Create).expect("create");
    file.write_at(0, b"12345678").expect("write");
    file.set_len(3).expect("cut");
    file.set_len(6).expect("grow");
    assert_eq!(file.len().expect("length"), 6);
    assert_eq!(read_up_to(&*file, 0, 10).expect("read"), b"123\0\0\0");
}

fn folders_list_their_names(backend: &dyn StorageBackend) {
    assert_eq!(backend.list("").expect("list"), Vec::<String>::new());
    backend.create_dir("dir").expect("create");
    backend.create_dir("dir").expect("it may exist");
    backend.create_dir("dir/inner").expect("create");
    assert!(backend.create_dir("no/inner").is_err());
    for path in ["dir/b", "dir/a", "dir/inner/c", "dir.x"] {
        backend.open(path, OpenMode::CreateNew).expect("create");
    }
    assert!(backend.create_dir("dir/a").is_err(), "a file is no folder");
    backend.sync_dir("dir").expect("sync");
    backend.sync_dir("").expect("sync");
    assert_eq!(backend.list("").expect("list"), ["dir", "dir.x"]);
    assert_eq!(backend.list("dir").expect("list"), ["a", "b", "inner"]);
    assert_eq!(backend.list("dir/inner").expect("list"), ["c"]);
    for missing in ["no", "dir/no"] {
        let error = backend.list(missing).expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(backend.sync_dir(missing).is_err());
    }
}

fn a_rename_replaces(backend: &dyn StorageBackend) {
    backend.create_dir("dir").expect("create");
    for (path, content) in [("new", b"new"), ("dir/old", b"old")] {
        let file = backend.open(path, OpenMode::CreateNew).expect("create");
        file.write_at(0, content).expect("write");
    }
    backend.rename("new", "dir/old").expect("rename");
    assert_eq!(backend.list("").expect("list"), ["dir"]);
    let file = backend.open("dir/old", OpenMode::Read).expect("open");
    assert_eq!(read_up_to(&*file, 0, 9).expect("read"), b"new");
    let error = backend.rename("new", "x").expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(backend.rename("dir/old", "no/x").is_err());
}

fn a_removed_file_stays_open(backend: &dyn StorageBackend) {
    let file = backend.open("file", OpenMode::CreateNew).expect("create");
    file.write_at(0, b"here").expect("write");
    backend.remove("file").expect("remove");
    assert_eq!(read_up_to(&*file, 0, 9).expect("read"), b"here");
    assert_eq!(backend.remove("file").expect_err("gone").kind(), ErrorKind::NotFound);
    let fresh = backend.open("file", OpenMode::CreateNew).expect("create");
    assert!(fresh.is_empty().expect("length"));
}

fn paths_never_escape(backend: &dyn StorageBackend) {
    backend.create_dir("dir").expect("create");
    for path in ["../x", "/x", "dir/../../x", "", ".", "dir//x", "a\0b", "dir/"] {
        let kind = |result: std::io::Result<()>| result.expect_err(path).kind();
        let opened = backend.open(path, OpenMode::Create).map(drop);
        assert_eq!(kind(opened), ErrorKind::InvalidInput, "{path:?}");
        assert_eq!(kind(backend.create_dir(path)), ErrorKind::InvalidInput);
        assert_eq!(kind(backend.remove(path)), ErrorKind::InvalidInput);
        assert_eq!(kind(backend.rename(path, "y")), ErrorKind::InvalidInput);
        assert_eq!(kind(backend.rename("y", path)), ErrorKind::InvalidInput);
        if !path.is_empty() {
            assert_eq!(kind(backend.list(path).map(drop)), ErrorKind::InvalidInput);
            assert_eq!(kind(backend.sync_dir(path)), ErrorKind::InvalidInput);
        }
    }
}

fn two_handles_see_one_file(backend: &dyn StorageBackend) {
    let writer = backend.open("file", OpenMode::CreateNew).expect("create");
    let reader = backend.open("file", OpenMode::Read).expect("open");
    writer.write_at(0, b"seen at once").expect("write");
    assert_eq!(read_up_to(&*reader, 0, 99).expect("read"), b"seen at once");
    backend.rename("file", "moved").expect("rename");
    writer.write_at(0, b"S").expect("write");
    assert_eq!(read_up_to(&*reader, 0, 4).expect("read"), b"Seen");
}

fn handles_cross_threads(backend: &dyn StorageBackend) {
    let file = backend.open("file", OpenMode::CreateNew).expect("create");
    std::thread::scope(|scope| {
        for part in 0..4_u8 {
            let file = &*file;
            scope.spawn(move || {
                file.write_at(u64::from(part) * 1000, &[part; 1000]).expect("write");
                file.sync_data().expect("sync");
            });
        }
    });
    let bytes = read_up_to(&*file, 0, 5000).expect("read");
    assert_eq!(bytes.len(), 4000);
    for (position, byte) in bytes.iter().enumerate() {
        assert_eq!(usize::from(*byte), position / 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{FaultBackend, FileBackend, MemoryBackend};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_memory_backend_conforms() {
        run(&|| Box::new(MemoryBackend::new()));
    }

    #[test]
    fn the_fault_backend_conforms_while_nothing_fails() {
        run(&|| Box::new(FaultBackend::new(1)));
    }

    #[test]
    fn the_file_backend_conforms() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let count = AtomicU32::new(0);
        run(&|| {
            let name = count.fetch_add(1, Ordering::Relaxed).to_string();
            Box::new(file_backend(&folder.path().join(name)))
        });
    }

    #[test]
    fn the_file_backend_follows_no_symbolic_link() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let outside = folder.path().join("outside");
        std::fs::create_dir(&outside).expect("create");
        std::fs::write(outside.join("secret"), "s").expect("write");
        let root = folder.path().join("root");
        let backend = file_backend(&root);
        std::os::unix::fs::symlink(&outside, root.join("dir")).expect("link");
        std::os::unix::fs::symlink(outside.join("secret"), root.join("file")).expect("link");
        for path in ["dir/secret", "file"] {
            assert!(backend.open(path, OpenMode::Read).is_err(), "{path}");
            assert!(backend.open(path, OpenMode::Create).is_err(), "{path}");
        }
        assert!(backend.list("dir").is_err());
        assert!(backend.remove("dir/secret").is_err());
    }

    fn file_backend(path: &PathBuf) -> FileBackend {
        std::fs::create_dir(path).expect("create");
        FileBackend::open(path).expect("open")
    }
}
