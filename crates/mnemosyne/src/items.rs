//! Lists of items, fetched page by page.

use mnemosyne_control::{CallError, Handle};
use mnemosyne_core::id::RunId;
use mnemosyne_core::view::{ItemFilter, ItemView};
use mnemosyne_core::work::state::ItemState;

/// Items of one answer.
const PAGE: usize = 50_000;

/// Items of a run, or of all runs, in some states, or in any; at most so many.
pub(crate) async fn list(
    handle: &Handle,
    run: Option<RunId>,
    states: &[ItemState],
    limit: usize,
) -> Result<Vec<ItemView>, CallError> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = PAGE.min(limit - items.len());
        let filter = ItemFilter { run, states: states.to_vec(), after, limit: page };
        let found = handle.items(filter).await?;
        let more = found.len() == page && page > 0;
        items.extend(found);
        after = items.last().map(|item| item.id);
        if !more || items.len() >= limit {
            return Ok(items);
        }
    }
}
