//! One attempt of the fake agent, for a story to be told about.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mnemosyne_agents::process::stat::ProcessStat;
use mnemosyne_agents::{
    Ending, Exit, ExitRecord, LaunchSpec, LeaderStatus, OutputReader, ShimIdentity, Stream, find_cookie,
    launch, sweep_cookie, wait_exit,
};
use rustix::process::{Pid, Signal};

/// After so long a condition is taken never to come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An attempt folder and a working folder, both temporary, and a spec.
pub(crate) struct Attempt {
    _root: tempfile::TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) spec: LaunchSpec,
}

impl Attempt {
    /// An attempt of the fake agent with this script.
    pub(crate) fn of(steps: &[&str]) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let root = tempfile::tempdir().expect("a temporary folder");
        let (dir, work) = (root.path().join("attempt"), root.path().join("work"));
        std::fs::create_dir(&dir).expect("created");
        std::fs::create_dir(&work).expect("created");
        let cookie = format!("story-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let argv = std::iter::once(fake_agent()).chain(steps.iter().map(|step| (*step).to_owned())).collect();
        let mut spec = LaunchSpec::new(argv, work.clone(), cookie);
        spec.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        Self { _root: root, dir, work, spec }
    }

    /// Starts the shim.
    pub(crate) fn launch(&self) -> ShimIdentity {
        launch(&shim_exe(), &self.dir, &self.spec).expect("launched").identity
    }

    /// Starts the shim and waits for the end of the attempt, which must have a record.
    pub(crate) fn run(&self) -> ExitRecord {
        let identity = self.launch();
        self.record(&identity)
    }

    /// Waits for the end of the attempt, which must have a record and leave nothing behind.
    pub(crate) fn record(&self, identity: &ShimIdentity) -> ExitRecord {
        let record = match self.wait(identity) {
            Exit::Finished(record) => record,
            other => {
                panic!("{other:?}; the shim said {:?}", std::fs::read_to_string(self.dir.join("shim.log")))
            }
        };
        self.assert_empty();
        record
    }

    /// Waits for the end of the attempt.
    pub(crate) fn wait(&self, identity: &ShimIdentity) -> Exit {
        block_on(async {
            tokio::time::timeout(PATIENCE, wait_exit(&self.dir, identity, &self.spec.cookie)).await
        })
        .expect("the attempt ends in time")
        .expect("it can be waited for")
    }

    /// Nothing that carries the cookie lives.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(find_cookie(&self.spec.cookie).expect("looked"), Vec::<u32>::new());
    }

    /// What is kept of a stream, as text.
    pub(crate) fn text(&self, stream: Stream) -> String {
        let output = OutputReader::new(&self.dir, stream).read_bounded(1 << 24).expect("read");
        String::from_utf8_lossy(&output.to_bytes()).into_owned()
    }

    /// Waits until a file of the working folder is there with a whole line in it, and returns its lines.
    pub(crate) fn lines_of(&self, name: &str) -> Vec<String> {
        let path = self.work.join(name);
        wait_until(name, || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
        std::fs::read_to_string(&path).expect("readable").lines().map(str::to_owned).collect()
    }

    /// Waits until the agent has written its process id into the file.
    pub(crate) fn pid_in(&self, name: &str) -> ProcessStat {
        let pid = self.lines_of(name)[0].parse().expect("a process id");
        ProcessStat::read(pid).expect("read").expect("it lives")
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Whatever a failed test left behind must not disturb the others.
        let _ = sweep_cookie(&self.spec.cookie);
    }
}

/// Exit code of an attempt that ended by itself.
pub(crate) fn code(record: &ExitRecord) -> i32 {
    match record.ending {
        Ending::ByItself { status: LeaderStatus::Exited(code) } => code,
        ref other => panic!("{other:?}"),
    }
}

/// Whether this very process is gone, or only waits to be reaped.
pub(crate) fn is_gone(process: &ProcessStat) -> bool {
    match ProcessStat::read(process.pid).expect("read") {
        Some(now) => now.start_ticks != process.start_ticks || now.is_dead(),
        None => true,
    }
}

/// Sends a signal to the shim, and to nobody else.
pub(crate) fn signal_shim(identity: &ShimIdentity, signal: Signal) {
    let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("the shim lives");
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up_at = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < give_up_at, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// The stand-alone shim.
pub(crate) fn shim_exe() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mnemosyne-shim"))
}

fn fake_agent() -> String {
    let path = shim_exe().parent().unwrap_or(Path::new("/")).join("fake-agent");
    assert!(path.exists(), "{} is missing: build it with `cargo build -p fake-agent`", path.display());
    path.to_str().expect("a path that is text").to_owned()
}
