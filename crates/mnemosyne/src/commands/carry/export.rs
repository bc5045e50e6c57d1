//! `mnemosyne export`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use mnemosyne_control::{CallError, Exported, Handle};
use mnemosyne_core::text::counted;
use mnemosyne_core::work::state::ItemState;
use mnemosyne_persistence::{BlobId, BundleWriter};
use serde_json::json as value;

use super::{BLOB, LOST, RECORD};
use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{json, line, say, shown};
use crate::settings::Surroundings;
use crate::view::{Salvage, View};

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
        let source = Source {
            handle: &view.handle,
            exported: view.handle.export(run).await?,
            salvage: self.salvage.is_asked(),
        };
        let written = match to_stdout {
            true => source.write_out().await?,
            false => source.write(&file).await?,
        };
        let (blobs, bytes) = (source.exported.blobs.len() - written.lost.len(), written.bytes);
        let open = view.handle.run(run).await?;
        let granted = open.count(ItemState::Assigned) + open.count(ItemState::Running);
        written.lost.iter().for_each(|(_, why)| say(shown(&format!("{why}; it is left out"))));
        if around.json {
            let lost: Vec<String> = written.lost.iter().map(|(id, _)| id.to_string()).collect();
            json(&value!({
                "run": run, "file": file, "items": open.items(), "blobs": blobs, "bytes": bytes, "running": granted,
                "lost": lost,
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

/// What is written, and whoever has it.
struct Source<'a> {
    handle: &'a Handle,
    exported: Exported,
    /// Go on without blobs that are damaged or cannot be read.
    salvage: bool,
}

/// What was written.
struct Written<W> {
    out: W,
    bytes: u64,
    /// Blobs that are not in it, and why.
    lost: Vec<(BlobId, String)>,
}

impl<W> Written<W> {
    /// The same, when the output was brought to its end.
    fn ended<V>(self, end: impl FnOnce(W) -> Result<V, Failure>) -> Result<Written<V>, Failure> {
        Ok(Written { out: end(self.out)?, bytes: self.bytes, lost: self.lost })
    }
}

impl Source<'_> {
    /// Writes the file beside its place, durably, and puts it there when it is whole.
    async fn write(&self, file: &Path) -> Result<Written<()>, Failure> {
        let failed =
            |error: std::io::Error| Failure::unavailable(format!("cannot write {}: {error}", file.display()));
        let name = file.file_name().ok_or_else(|| Failure::usage(format!("{} is no file", file.display())))?;
        let temporary = file.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        let written = async {
            // What agents were told and have answered is nobody else's business.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let out = BufWriter::new(options.open(&temporary).map_err(failed)?);
            let written = self.put(out, &failed).await?.ended(|out| {
                let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
                file.sync_all().map_err(failed)
            })?;
            fs::rename(&temporary, file).map_err(failed)?;
            let folder =
                file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
            Ok(written)
        };
        let written = written.await;
        if written.is_err() {
            // It is our own, and of no use to anybody.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Writes it to stdout.
    async fn write_out(&self) -> Result<Written<()>, Failure> {
        let failed = |error: std::io::Error| Failure::unavailable(format!("cannot write to stdout: {error}"));
        self.put(BufWriter::new(std::io::stdout()), &failed).await?.ended(|mut out| out.flush().map_err(failed))
    }

    /// Writes all parts one after the other.
    async fn put<W: Write>(
        &self,
        out: W,
        failed: &impl Fn(std::io::Error) -> Failure,
    ) -> Result<Written<W>, Failure> {
        let mut writer = BundleWriter::new(out).map_err(failed)?;
        for record in &self.exported.records {
            writer.put(RECORD, record).map_err(failed)?;
        }
        let mut lost = Vec::new();
        for hash in &self.exported.blobs {
            match self.handle.blob(*hash).await {
                Ok(bytes) => writer.put(BLOB, &bytes).map_err(failed)?,
                Err(CallError::Damaged(why) | CallError::Failed(why)) if self.salvage => {
                    writer.put(LOST, hash).map_err(failed)?;
                    lost.push((BlobId::from_bytes(*hash), why));
                }
                Err(CallError::Damaged(why)) => {
                    return Err(Failure::damaged(format!("{why}; --salvage leaves it out")));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let (out, bytes) = writer.finish().map_err(failed)?;
        Ok(Written { out, bytes, lost })
    }
}
