//! A scripted endpoint of a model provider: `fake-agent endpoint --script FILE|JSON --port 0`.
//!
//! It speaks OpenAI chat completions, OpenAI responses and Anthropic messages,
//! each in one body and as server-sent events, over plain sockets with one
//! thread a connection. What it says, how slowly, and when it refuses, hangs or
//! breaks off stands in a [`Script`]. What it was asked it tells at `GET /log`.
//! It is no model and no server for anything but tests.

mod http;
mod log;
pub mod script;
mod serve;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

pub use log::{End, Log, Seen};
use script::Script;

/// Connections at a time; further ones are closed at once.
const CONNECTIONS_MAX: usize = 1_024;
/// A limit that is only reached when something is wrong, also on a slow and noisy machine.
const GENEROUS: Duration = Duration::from_secs(60);

/// A running endpoint; it ends, with all its connections, when it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Shared {
    script: Script,
    state: Mutex<State>,
    /// Told whenever the log has changed.
    changed: Condvar,
}

/// What changes.
#[derive(Default)]
struct State {
    log: Log,
    /// How often each reply of the script was given.
    given: Vec<u32>,
    /// Sockets of the connections, to close them.
    open: Vec<(u64, TcpStream)>,
    closing: bool,
}

impl Endpoint {
    /// Starts an endpoint on a free port of this machine.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(script: Script) -> io::Result<Self> {
        Self::start_at(0, script)
    }

    /// Starts an endpoint on a port of this machine; 0 stands for a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start_at(port: u16, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let state = State { given: vec![0; script.replies.len()], ..State::default() };
        let shared = Arc::new(Shared { script, state: Mutex::new(state), changed: Condvar::new() });
        let served = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&listener, &served));
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a client of the OpenAI interfaces calls the base address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.address())
    }

    /// What it has been asked so far.
    #[must_use]
    pub fn log(&self) -> Log {
        self.shared.state().log.clone()
    }

    /// Waits until the log is as it should be, and returns it.
    ///
    /// # Panics
    /// When that takes a minute.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Log) -> bool) -> Log {
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, GENEROUS, |state| !is_so(&state.log));
        let (state, timeout) = waited.expect("nothing panics while it holds this lock");
        assert!(!timeout.timed_out(), "waited in vain for {what}: {:?}", state.log);
        state.log.clone()
    }

    /// Serves until the process is ended.
    pub fn serve_for_ever(mut self) {
        if let Some(accepting) = self.accepting.take() {
            // It only ends when it is closed, which nobody can do any more.
            let _ = accepting.join();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.closing = true;
            for (_, socket) in &state.open {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (number, socket) in (0_u64..).zip(listener.incoming()) {
        threads.retain(|thread| !thread.is_finished());
        {
            let mut state = shared.state();
            if state.closing {
                break;
            }
            let Ok(socket) = socket.as_ref() else { continue };
            let Ok(known) = socket.try_clone() else { continue };
            if state.open.len() >= CONNECTIONS_MAX {
                continue;
            }
            state.open.push((number, known));
        }
        let Ok(socket) = socket else { continue };
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || {
            serve::connection(&shared, &socket);
            shared.state().open.retain(|(open, _)| *open != number);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Runs an endpoint as its arguments say: `--script FILE|JSON`, `--port N`.
/// Tells its address to `print` first, and ends with the process.
///
/// # Errors
/// The text says which argument is wrong, or why there is no endpoint.
pub fn run(arguments: &[String], print: impl FnOnce(&str) -> io::Result<()>) -> Result<(), String> {
    let (mut script, mut port) = (Script::default(), 0);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} lacks its value"))?;
        match argument.as_str() {
            "--script" => script = Script::read(value)?,
            "--port" => port = value.parse().map_err(|_| format!("{value:?} is not a port"))?,
            _ => return Err(format!("{argument:?} is not known: --script FILE|JSON, --port N")),
        }
    }
    let endpoint = Endpoint::start_at(port, script).map_err(|error| format!("port {port}: {error}"))?;
    print(&format!("{}\n", endpoint.address())).map_err(|error| error.to_string())?;
    endpoint.serve_for_ever();
    Ok(())
}
