//! `mnemosyne import`.

use std::path::PathBuf;

use clap::Args;
use mnemosyne_control::CallError;
use mnemosyne_core::image::context_of;
use mnemosyne_core::reply::Imported;
use mnemosyne_core::text::counted;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_node::Part;
use mnemosyne_persistence::BlobId;
use serde_json::json as value;

use super::carried::Carried;
use super::say_when;
use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::output::{json, line, say};
use crate::settings::Surroundings;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A file that `mnemosyne export` has written
    file: PathBuf,
    /// Folder from which the relative paths of the run's plan start here
    #[arg(long, value_name = "DIR")]
    base_dir: Option<PathBuf>,
}

impl Import {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let mut carried = Carried::read(&self.file)?;
        let missing = self.place(&mut carried)?;
        let access = Access::open(&around, Part::Requests).await?;
        let answer = async {
            let lost = carried.lost();
            let told = carried.hand_over(&access).await?;
            let lost = still_lost(&access, lost).await?;
            Ok::<_, Failure>((told, lost, access.handle.run(told.run).await?.result.is_some()))
        };
        let answer = answer.await;
        let waits = access.waits_for_next();
        access.close().await?;
        let (told, lost, has_ended) = answer?;
        if around.json {
            json(&imported_json(&told, &lost));
            return Ok(Exit::Success);
        }
        line(told.run);
        say(words(&told));
        for id in &lost {
            say(format!(
                "blob {id} was lost before the export; what is in it can be neither shown nor used here"
            ));
        }
        if let Some(missing) = missing.filter(|_| !has_ended) {
            say(format!(
                "its folder {} is not here: what it starts there fails; --base-dir names another",
                missing.display()
            ));
        }
        say_when(waits && !has_ended);
        Ok(Exit::Success)
    }

    /// Lets the run start from the folder that is named; otherwise says which folder is missing here.
    fn place(&self, carried: &mut Carried) -> Result<Option<PathBuf>, Failure> {
        let image = carried.image()?;
        let bytes = match image.context() {
            Payload::Inline(bytes) => bytes.to_vec(),
            Payload::Blob(blob) => match carried.blob_of(BlobId::from_bytes(blob.hash))? {
                Some(bytes) => bytes,
                // It may be whole here, and no folder is known.
                None if self.base_dir.is_none() => return Ok(None),
                None => {
                    let why = "what the run had around it was lost before the export, and with it its folder; leave \
                               --base-dir out";
                    return Err(carried.damaged(why));
                }
            },
        };
        let Some(folder) = &self.base_dir else {
            let folder = PathBuf::from(context_of(&bytes).map_err(|error| carried.damaged(error))?.base_dir);
            return Ok(Some(folder).filter(|folder| !folder.is_dir()));
        };
        let folder = folder
            .canonicalize()
            .map_err(|error| Failure::usage(format!("--base-dir {}: {error}", folder.display())))?;
        let image = image.moved_to(&folder.to_string_lossy(), &bytes);
        let image = image.map_err(|error| carried.damaged(error))?;
        carried.records = image.records().map(Vec::into_boxed_slice).collect();
        Ok(None)
    }
}

/// Which of the blobs that were lost elsewhere are not here either.
async fn still_lost(access: &Access, lost: Vec<BlobId>) -> Result<Vec<String>, Failure> {
    let mut still = Vec::new();
    for id in lost {
        match access.handle.blob(*id.as_bytes()).await {
            Ok(_) => {}
            Err(CallError::Damaged(_) | CallError::Failed(_)) => still.push(id.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(still)
}

fn imported_json(told: &Imported, lost: &[String]) -> serde_json::Value {
    value!({
        "run": told.run, "items": told.items, "existing": told.existing, "taken": told.taken,
        "duplicates": told.duplicates, "left": told.left, "lost": lost,
    })
}

fn words(told: &Imported) -> String {
    if !told.existing {
        return format!("run {} with {} is here now", told.run, counted(told.items, "item"));
    }
    let mut words = format!("run {} was here already: {} taken over", told.run, counted(told.taken, "result"));
    if told.duplicates > 0 {
        words += &format!(", {} recorded here, too, which count", told.duplicates);
    }
    if told.left > 0 {
        words += &format!(
            ", {} that cannot be taken over as things stand (import again later; a run that has left the memory stays as it is, \
             `mnemosyne fork` makes another one of it)",
            told.left
        );
    }
    words
}
