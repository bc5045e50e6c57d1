//! The data folder: refused in every case of doubt, and then unchanged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mnemosyne_persistence::{DataDir, DataDirError, OpenMode, StorageBackend};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// Names, contents and modification times: all that "nothing was changed" means.
fn state(path: &Path) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let entries = fs::read_dir(path).expect("list");
    let mut state: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("list");
            let content = fs::read(entry.path()).unwrap_or_default();
            let modified = entry.metadata().expect("there").modified().expect("known");
            (entry.file_name().display().to_string(), content, modified)
        })
        .collect();
    state.sort();
    state
}

#[test]
fn a_new_folder_is_made_for_its_owner_only_and_opened_again() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("deep/data");
    let data = DataDir::open(&path).expect("made");
    assert_eq!((mode(&path), data.path(), data.exposed_mode()), (0o700, &*path, None));
    assert_eq!(fs::read_to_string(path.join("FORMAT")).expect("there"), "mnemosyne-data 4\n");
    assert_eq!(mode(&path.join("FORMAT")), 0o600);
    let backend = data.backend();
    backend.open("file", OpenMode::CreateNew).expect("create");
    drop(data);
    let data = DataDir::open(&path).expect("opened again");
    assert_eq!(data.backend().list("").expect("list"), ["FORMAT", "file", "lock"]);
}

#[test]
fn a_second_node_is_refused_and_told_who_is_there() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("data");
    let data = DataDir::open(&path).expect("made");
    let before = state(&path);
    for refused in [DataDir::open(&path).map(drop), DataDir::open_to_read(&path).map(drop)] {
        let error = refused.expect_err("in use");
        let holder = format!("process {}", std::process::id());
        assert!(error.to_string().ends_with(&holder), "{error}");
        assert!(matches!(error, DataDirError::Locked { .. }));
    }
    assert_eq!(state(&path), before);
    drop(data);
    let one = DataDir::open_to_read(&path).expect("readers share");
    let two = DataDir::open_to_read(&path).expect("readers share");
    let error = DataDir::open(&path).expect_err("a node does not share");
    assert!(error.to_string().contains("another process"), "{error}");
    drop((one, two));
    DataDir::open(&path).expect("free again");
}

#[test]
fn a_newer_format_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path();
    fs::write(path.join("FORMAT"), "mnemosyne-data 5\n").expect("write");
    let before = state(path);
    for refused in [DataDir::open(path).map(drop), DataDir::open_to_read(path).map(drop)] {
        let error = refused.expect_err("newer");
        assert!(matches!(error, DataDirError::NewerFormat { found: 5, supported: 4, .. }), "{error}");
    }
    assert_eq!(state(path), before);
}

#[test]
fn an_earlier_format_is_kept_until_everything_was_understood() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path();
    let format = || fs::read_to_string(path.join("FORMAT")).expect("there");
    fs::write(path.join("FORMAT"), "mnemosyne-data 3\n").expect("write");
    DataDir::open_to_read(path).expect("who only looks changes nothing");
    assert_eq!(format(), "mnemosyne-data 3\n");
    let data = DataDir::open(path).expect("it can be read");
    assert_eq!(format(), "mnemosyne-data 3\n");
    data.upgrade().expect("there is room");
    assert_eq!(format(), "mnemosyne-data 4\n");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    for (name, content) in [("notes.txt", "hello"), ("FORMAT", "text/plain"), ("FORMAT", "mnemosyne-data 0")] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::write(folder.path().join(name), content).expect("write");
        let before = state(folder.path());
        let error = DataDir::open(folder.path()).expect_err("foreign");
        assert!(matches!(error, DataDirError::NotADataDir { .. }), "{error}");
        assert_eq!(state(folder.path()), before);
    }
    let file = tempfile::NamedTempFile::new().expect("a file for the test");
    assert!(DataDir::open(file.path()).is_err());
}

#[test]
fn a_folder_that_has_lost_its_format_is_told_how_to_get_it_back() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let format = folder.path().join("FORMAT");
    drop(DataDir::open(folder.path()).expect("new"));
    fs::create_dir(folder.path().join("log")).expect("made");
    let whole = fs::read_to_string(&format).expect("there");
    fs::write(&format, "").expect("emptied");
    let emptied = DataDir::open(folder.path()).expect_err("it does not say what it is").to_string();
    fs::remove_file(&format).expect("removed");
    let removed = DataDir::open(folder.path()).expect_err("it does not say what it is").to_string();
    for error in [emptied, removed] {
        let way_out = format!("echo '{}' > '{}'", whole.trim_end(), format.display());
        assert!(error.ends_with(&way_out), "{error}");
    }
    assert!(!format.exists());
    fs::write(&format, whole).expect("written");
    DataDir::open(folder.path()).expect("as it was");
}

#[test]
fn an_interrupted_first_start_is_completed() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    fs::write(folder.path().join("lock"), "").expect("write");
    fs::write(folder.path().join("FORMAT.tmp"), "mnemo").expect("write");
    DataDir::open(folder.path()).expect("completed");
    assert!(!folder.path().join("FORMAT.tmp").exists());
}

#[test]
fn a_folder_of_another_user_may_be_read_and_nothing_else() {
    // The root folder belongs to root; whoever runs the tests as root gives a folder away instead.
    let folder = tempfile::tempdir().expect("a folder for the test");
    let given_away = folder.path().join("data");
    fs::create_dir(&given_away).expect("create");
    let path = match std::os::unix::fs::chown(&given_away, Some(12_345), None) {
        Ok(()) => given_away.as_path(),
        Err(_) => Path::new("/"),
    };
    let error = DataDir::open(path).expect_err("foreign");
    assert!(matches!(error, DataDirError::Foreign { .. }), "{error}");
    if path == given_away {
        fs::write(path.join("FORMAT"), "mnemosyne-data 4\n").expect("write");
        let before = state(path);
        DataDir::open_to_read(path).expect("whoever may read it may look");
        assert_eq!(state(path), before);
    }
}

#[test]
fn readers_create_nothing() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let missing = folder.path().join("data");
    for path in [folder.path(), missing.as_path()] {
        let error = DataDir::open_to_read(path).expect_err("missing");
        assert!(matches!(error, DataDirError::Missing { .. }), "{error}");
    }
    assert!(state(folder.path()).is_empty());
}

#[test]
fn an_open_door_is_told() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("data");
    drop(DataDir::open(&path).expect("made"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    let data = DataDir::open(&path).expect("opened");
    assert_eq!(data.exposed_mode(), Some(0o755));
}

#[test]
fn of_many_who_come_first_at_once_one_makes_the_folder_and_the_others_find_it_in_use() {
    for _ in 0..1_000 {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("data");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    match DataDir::open(&path) {
                        Ok(_) | Err(DataDirError::Locked { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                });
            }
        });
    }
}
