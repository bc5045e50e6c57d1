//! `mnemosyne export`, `import` and `fork`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_control::{Exported, Handle};
use mnemosyne_core::id::RunId;
use mnemosyne_core::image::{RunImage, context_of};
use mnemosyne_core::reply::Imported;
use mnemosyne_core::text::counted;
use mnemosyne_core::work::payload::Payload;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_node::Part;
use mnemosyne_persistence::{BlobId, BundleReader, BundleWriter, PartAt, StoreError};
use serde_json::json as value;

use crate::access::Access;
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, line, say};
use crate::settings::Surroundings;
use crate::view::{Salvage, View};

/// A part of the file: a record of the run.
const RECORD: u8 = 1;
/// A part of the file: a blob.
const BLOB: u8 = 2;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The run
    run: String,
    /// Into this file, or to stdout (-) [default: RUN.mnemosyne]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also when the file is there already
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    salvage: Salvage,
}

impl Export {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let view = View::open_or(&around, &self.salvage).await?;
        let run = ids::run(&view.handle, &self.run).await?;
        let file = self.output.clone().unwrap_or_else(|| PathBuf::from(format!("{run}.mnemosyne")));
        let to_stdout = file.as_os_str() == "-";
        if to_stdout && around.json {
            return Err(Failure::usage("--json has stdout; -o names a file"));
        }
        if !to_stdout && file.exists() && !self.force {
            let message =
                format!("{} is there already; --force writes over it, -o names another", file.display());
            return Err(Failure::usage(message));
        }
        let exported = view.handle.export(run).await?;
        let (blobs, bytes) = match to_stdout {
            true => write_out(&view.handle, &exported).await?,
            false => write(&view.handle, &file, &exported).await?,
        };
        let open = view.handle.run(run).await?;
        let granted = open.count(ItemState::Assigned) + open.count(ItemState::Running);
        if around.json {
            json(&value!({
                "run": run, "file": file, "items": open.items(), "blobs": blobs, "bytes": bytes, "running": granted,
            }));
            return Ok(Exit::Success);
        }
        if !to_stdout {
            line(file.display());
        }
        say(format!(
            "run {run}: {} and {} in {}",
            counted(open.items(), "item"),
            counted(blobs as u64, "blob"),
            counted(bytes, "byte")
        ));
        if granted > 0 {
            say(format!(
                "{} at work here now; where the file is imported it starts again",
                if granted == 1 { "1 item is".to_owned() } else { format!("{granted} items are") }
            ));
        }
        Ok(Exit::Success)
    }
}

/// Writes the file beside its place, durably, and puts it there when it is whole.
async fn write(handle: &Handle, file: &Path, exported: &Exported) -> Result<(usize, u64), Failure> {
    let failed =
        |error: std::io::Error| Failure::unavailable(format!("cannot write {}: {error}", file.display()));
    let name = file.file_name().ok_or_else(|| Failure::usage(format!("{} is no file", file.display())))?;
    let temporary = file.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = async {
        // What agents were told and have answered is nobody else's business.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let out = BufWriter::new(options.open(&temporary).map_err(failed)?);
        let (out, bytes) = put(handle, out, exported, &failed).await?;
        out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
        fs::rename(&temporary, file).map_err(failed)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok((exported.blobs.len(), bytes))
    };
    let written = written.await;
    if written.is_err() {
        // It is our own, and of no use to anybody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes it to stdout.
async fn write_out(handle: &Handle, exported: &Exported) -> Result<(usize, u64), Failure> {
    let failed = |error: std::io::Error| Failure::unavailable(format!("cannot write to stdout: {error}"));
    let (mut out, bytes) = put(handle, BufWriter::new(std::io::stdout()), exported, &failed).await?;
    out.flush().map_err(failed)?;
    Ok((exported.blobs.len(), bytes))
}

/// Writes all parts one after the other.
async fn put<W: Write>(
    handle: &Handle,
    out: W,
    exported: &Exported,
    failed: &impl Fn(std::io::Error) -> Failure,
) -> Result<(W, u64), Failure> {
    let mut writer = BundleWriter::new(out).map_err(failed)?;
    for record in &exported.records {
        writer.put(RECORD, record).map_err(failed)?;
    }
    for blob in &exported.blobs {
        writer.put(BLOB, &handle.blob(*blob).await?).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

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
            let told = carried.hand_over(&access).await?;
            Ok::<_, Failure>((told, access.handle.run(told.run).await?.result.is_some()))
        };
        let answer = answer.await;
        let waits = access.waits_for_next();
        access.close().await?;
        let (told, has_ended) = answer?;
        if around.json {
            json(&imported_json(&told));
            return Ok(Exit::Success);
        }
        line(told.run);
        say(words(&told));
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
            Payload::Blob(blob) => {
                let position = carried.blobs.iter().position(|(id, _)| id.as_bytes() == &blob.hash);
                carried.blob(position.expect("all blobs of the run are in the file"))?
            }
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

/// What is in a file, all of which was found whole. Blobs stay in it until they are handed over.
struct Carried {
    name: String,
    file: BundleReader,
    records: Vec<Box<[u8]>>,
    blobs: Vec<(BlobId, PartAt)>,
}

impl Carried {
    fn read(file: &Path) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let mut carried = Self {
            file: BundleReader::open(file).map_err(|error| unread(&error))?,
            records: Vec::new(),
            blobs: Vec::new(),
            name,
        };
        while let Some((kind, bytes)) = carried.file.next_part().map_err(|error| unread(&error))? {
            match kind {
                RECORD => carried.records.push(bytes.into_boxed_slice()),
                BLOB => carried.blobs.push((BlobId::of(&bytes), carried.file.last_part())),
                kind => {
                    return Err(
                        carried.damaged(format!("has a part of kind {kind}, which this release does not know"))
                    );
                }
            }
        }
        Ok(carried)
    }

    /// The run, all of whose blobs are in the file.
    fn image(&self) -> Result<RunImage, Failure> {
        let image = RunImage::read(self.records.iter().map(|record| &**record));
        let image = image.map_err(|error| self.damaged(error))?;
        let mut missing = image.blobs();
        for (id, _) in &self.blobs {
            missing.remove(id.as_bytes());
        }
        match missing.first() {
            Some(hash) => {
                let id = BlobId::from_bytes(*hash);
                Err(self.damaged(format!("blob {id}, which the run needs, is not in it")))
            }
            None => Ok(image),
        }
    }

    /// Reads a blob. The file may have changed since it was found whole.
    fn blob(&mut self, position: usize) -> Result<Vec<u8>, Failure> {
        let (id, at) = self.blobs[position];
        let bytes = self.file.part(at).map_err(|error| unread(&error))?;
        match BlobId::of(&bytes) == id {
            true => Ok(bytes),
            false => Err(self.damaged("it was changed while it was read")),
        }
    }

    /// Blobs first, one at a time: what is in the log can be read.
    async fn hand_over(mut self, access: &Access) -> Result<Imported, Failure> {
        for position in 0..self.blobs.len() {
            access.handle.put_blob(self.blob(position)?).await?;
        }
        Ok(access.handle.import(self.records).await?)
    }

    fn damaged(&self, why: impl std::fmt::Display) -> Failure {
        Failure { exit: Exit::Damaged, ..Failure::unavailable(format!("{}: {why}", self.name)) }
    }
}

fn unread(error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::Damaged { .. } | StoreError::NewerFormat { .. } => Exit::Damaged,
        _ => Exit::Usage,
    };
    Failure { exit, ..Failure::unavailable(crate::failure::chain(error)) }
}

#[derive(Debug, Args)]
pub(crate) struct Fork {
    /// The run, which may be one that has left the memory
    run: String,
    /// An item that is done anew, by name or number; so is everything that depends on it
    #[arg(long, value_name = "ITEM", required = true)]
    from: Vec<String>,
}

impl Fork {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        let around = Surroundings::resolve(globals)?;
        let access = Access::existing(&around).await?;
        let answer = self.ask(&access.handle).await;
        let waits = access.waits_for_next();
        access.close().await?;
        let told = answer?;
        if around.json {
            json(&value!({ "run": told.run, "items": told.items, "reused": told.taken }));
            return Ok(Exit::Success);
        }
        line(told.run);
        let anew = told.items - told.taken;
        say(format!("{} of {} anew, {} kept", counted(anew, "item"), told.items, told.taken));
        say_when(waits);
        Ok(Exit::Success)
    }

    async fn ask(&self, handle: &Handle) -> Result<Imported, Failure> {
        let run: RunId = ids::run(handle, &self.run).await?;
        let mut from = Vec::new();
        for item in &self.from {
            let item = match item.contains(['.', '/']) {
                true => item.clone(),
                false if item.bytes().all(|byte| byte.is_ascii_digit()) => format!("{run}.{item}"),
                false => format!("{run}/{item}"),
            };
            let item = ids::item(handle, &item).await?;
            if item.run != run {
                return Err(Failure::usage(format!("{item} is no item of run {run}")));
            }
            from.push(item.position);
        }
        Ok(handle.fork(run, from).await?)
    }
}

fn imported_json(told: &Imported) -> serde_json::Value {
    value!({
        "run": told.run, "items": told.items, "existing": told.existing, "taken": told.taken,
        "duplicates": told.duplicates, "left": told.left,
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

fn say_when(waits: bool) {
    if waits {
        say("what is to be done starts with the next node (`mnemosyne up`)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_that_changes_after_the_file_was_found_whole_is_not_handed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.mnemosyne");
        let mut writer = BundleWriter::new(Vec::new()).expect("memory");
        for blob in [b"first", b"other"] {
            writer.put(BLOB, blob).expect("memory");
        }
        let (whole, _) = writer.finish().expect("memory");
        fs::write(&path, &whole).expect("a file");
        let mut carried = Carried::read(&path).expect("it is whole");
        let mut changed = whole.clone();
        let at = whole.windows(5).position(|bytes| bytes == b"other").expect("it is there");
        changed[at] ^= 1;
        fs::write(&path, changed).expect("a file");
        assert_eq!(carried.blob(0).expect("it is the same"), b"first");
        let refused = carried.blob(1).expect_err("it is another one");
        assert_eq!((refused.exit, refused.message.contains("it was changed while")), (Exit::Damaged, true));
        fs::write(&path, &whole[..at + 2]).expect("a file");
        let refused = carried.blob(1).expect_err("it is not all there");
        assert_eq!((refused.exit, refused.message.contains("a part is cut off")), (Exit::Damaged, true));
        fs::write(&path, &whole).expect("a file");
        assert_eq!(carried.blob(1).expect("it is the same again"), b"other");
    }
}
