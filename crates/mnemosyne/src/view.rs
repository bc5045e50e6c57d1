//! Looks at the work of a data directory: through the node that runs for it, or, when none does, through what is on
//! disk. Looking starts nothing and writes nothing.

use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use mnemosyne_control::Handle;
use mnemosyne_node::Viewer;

use crate::access::connect;
use crate::failure::{Exit, Failure};
use crate::output::{say, shown};
use crate::settings::Surroundings;

/// How long to wait for a node that is starting or ending.
const TURNOVER_MAX: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// For commands that can look at what is left of a damaged data directory.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Salvage {
    /// Read what is left of a damaged data directory, and say what is missing
    #[arg(long)]
    salvage: bool,
}

impl Salvage {
    /// Whether the user asked for it.
    pub(crate) fn is_asked(&self) -> bool {
        self.salvage
    }
}

/// Something that answers questions.
pub(crate) struct View {
    /// Who answers.
    pub(crate) handle: Handle,
    /// Whether that is a running node.
    pub(crate) live: bool,
}

impl View {
    /// Asks the running node, or reads the disk.
    pub(crate) async fn open(around: &Surroundings) -> Result<Self, Failure> {
        Self::open_or(around, &Salvage::default()).await
    }

    /// The same, also when the disk is damaged and that was asked for.
    pub(crate) async fn open_or(around: &Surroundings, salvage: &Salvage) -> Result<Self, Failure> {
        if !around.data_dir.is_dir() {
            return Err(Failure::no_data_dir(&around.data_dir));
        }
        let deadline = Instant::now() + TURNOVER_MAX;
        loop {
            let refused = match connect(around).await {
                Ok(Some(handle)) => return Ok(Self { handle, live: true }),
                Ok(None) => None,
                // Somebody else's node, or what is left of one: whoever may read the files needs no more.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(error),
                Err(error) => return Err(Failure::not_reached(&around.data_dir, &error)),
            };
            match read(around, salvage.salvage).await {
                Ok(viewer) => return Ok(Self { handle: viewer.into_handle(), live: false }),
                Err(failure) if !failure.locked => return Err(failure),
                Err(failure) => {
                    if let Some(error) = refused {
                        return Err(Failure::not_reached(&around.data_dir, &error));
                    }
                    // Another process holds the directory but does not answer: it starts or ends.
                    if Instant::now() >= deadline {
                        return Err(failure);
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// The same in a folder that may never have been used; none there.
    pub(crate) async fn if_there(around: &Surroundings) -> Result<Option<Self>, Failure> {
        if around.data_dir.is_dir() { Self::open(around).await.map(Some) } else { Ok(None) }
    }

    /// For whoever follows a node that has gone: waits for the end of that node, and looks on.
    pub(crate) async fn of_next(around: &Surroundings) -> Result<Self, Failure> {
        loop {
            match Self::open(around).await {
                // However long it takes it to end.
                Err(failure) if failure.locked => {}
                opened => return opened,
            }
        }
    }

    /// Asks the node if one has come up meanwhile.
    pub(crate) async fn look_for_node(&mut self, around: &Surroundings) {
        // Whatever keeps it from answering, the next look may succeed.
        if !self.live
            && let Ok(Some(handle)) = connect(around).await
        {
            *self = Self { handle, live: true };
        }
    }
}

/// Reads what is on disk, or what is left of it.
async fn read(around: &Surroundings, salvage: bool) -> Result<Viewer, Failure> {
    let path = around.data_dir.clone();
    let read = tokio::task::spawn_blocking(move || match salvage {
        true => Viewer::salvage(&path),
        false => Viewer::open(&path).map(|viewer| (viewer, Vec::new())),
    });
    let read = read.await.map_err(|error| Failure::unavailable(error.to_string()))?;
    let (viewer, missing) = read.map_err(|error| {
        let failure = Failure::from(error);
        let place = format!(" (in {})", around.data_dir.display());
        if failure.exit == Exit::Damaged {
            Failure { message: failure.message + &place, ..failure }
        } else {
            failure
        }
    })?;
    missing.iter().for_each(|text| say(shown(text)));
    Ok(viewer)
}
