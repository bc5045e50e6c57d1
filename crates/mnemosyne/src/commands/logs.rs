//! `mnemosyne logs`.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use mnemosyne_agents::escape_control;
use mnemosyne_control::{Handle, OutputQuery, OutputStream};
use mnemosyne_core::id::ItemId;

use crate::cli::Globals;
use crate::failure::{Exit, Failure};
use crate::ids;
use crate::output::{say, write_bytes};
use crate::settings::Surroundings;
use crate::view::View;
use mnemosyne_core::text::counted;

/// Bytes fetched at a time.
const CHUNK: usize = 256 * 1024;
/// Time between two looks while following.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The item (RUN.NUMBER or RUN/NAME)
    item: String,
    /// Go on until the attempt has ended
    #[arg(short, long)]
    follow: bool,
    /// Of this attempt [default: the latest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
    /// As it was written, control characters included; not to a terminal
    #[arg(long)]
    raw: bool,
}

impl Logs {
    pub(crate) async fn run(self, globals: &Globals) -> Result<Exit, Failure> {
        if self.raw && std::io::stdout().is_terminal() {
            return Err(Failure::usage(
                "--raw could let an agent's output take over your terminal; redirect it",
            ));
        }
        let around = Surroundings::resolve(globals)?;
        let mut view = View::open(&around).await?;
        let item = ids::item(&view.handle, &self.item).await?;
        let streams: &[OutputStream] =
            if self.stderr { &[OutputStream::Stderr] } else { &[OutputStream::Stdout, OutputStream::Stderr] };
        let mut places = vec![Place::default(); streams.len()];
        let mut said = false;
        loop {
            let mut ended = true;
            for (stream, place) in streams.iter().zip(&mut places) {
                ended &= self.print(&view.handle, item, *stream, place).await?;
            }
            if ended || !self.follow {
                return Ok(Exit::Success);
            }
            if !view.live && !std::mem::replace(&mut said, true) {
                say("no node is running; whether the attempt has ended is known when one is (`mnemosyne up`)");
            }
            tokio::time::sleep(LOOK_EVERY).await;
            view.look_for_node(&around).await;
        }
    }

    /// Prints what there is of a stream from `place` on; says whether nothing will be added any more.
    async fn print(
        &self,
        handle: &Handle,
        item: ItemId,
        stream: OutputStream,
        place: &mut Place,
    ) -> Result<bool, Failure> {
        loop {
            let query = OutputQuery { item, attempt: self.attempt, stream, offset: place.offset, limit: CHUNK };
            let output = handle.output(query).await?;
            if output.dropped > 0 {
                self.write(&std::mem::take(&mut place.begun));
                say(format!("[{} dropped]", counted(output.dropped, "byte")));
            }
            place.offset = output.next_offset;
            if output.bytes.is_empty() {
                if output.ended || !self.follow {
                    self.write(&std::mem::take(&mut place.begun));
                }
                return Ok(output.ended);
            }
            let mut bytes = std::mem::take(&mut place.begun);
            bytes.extend(output.bytes);
            place.begun = bytes.split_off(whole_characters(&bytes));
            self.write(&bytes);
        }
    }

    fn write(&self, bytes: &[u8]) {
        if self.raw {
            write_bytes(bytes);
        } else {
            write_bytes(escape_control(bytes).as_bytes());
        }
    }
}

/// How far a stream has been printed.
#[derive(Clone, Default)]
struct Place {
    /// What comes next.
    offset: u64,
    /// The bytes before it, when they begin a character whose end is still to come.
    begun: Vec<u8>,
}

/// Length of `bytes` without a UTF-8 character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_character_that_is_cut_off_is_held_back() {
        for (bytes, whole) in [
            (b"".as_slice(), 0),
            (b"abc", 3),
            ("a€".as_bytes(), 4),
            (b"a\xe2\x82", 1),
            (b"a\xe2", 1),
            ("🙂".as_bytes(), 4),
            (b"\xf0\x9f\x99", 0),
            (b"\xff\xfe", 2),
            (b"\x82\x82\x82\x82", 4),
            (b"\xc3", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }
}
