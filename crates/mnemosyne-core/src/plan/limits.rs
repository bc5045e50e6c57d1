//! Bounds on plans. A refusal names the bound, the value and the object.

/// Items of one plan, instances of `foreach` included.
pub const ITEMS_MAX: usize = 1_000_000;
/// Dependencies of one item, instances counted one by one.
pub const NEEDS_PER_ITEM_MAX: usize = 100_000;
/// Dependencies of one plan, instances counted one by one.
pub const NEEDS_MAX: usize = 10_000_000;
/// Bytes of the name of an item, a plan, a namespace or a variable.
pub const NAME_BYTES_MAX: usize = 200;
/// Bytes of one prompt, argument or value of a variable.
pub const TEXT_BYTES_MAX: usize = 8 << 20;
/// Bytes of a text after `${{ … }}` in it has been replaced.
pub const EXPANDED_BYTES_MAX: usize = 16 << 20;
/// Bytes that all commands, prompts and environments of a run may have together.
pub const RUN_BYTES_MAX: usize = 128 << 20;
/// Bytes of an idempotency key.
pub const KEY_BYTES_MAX: usize = 300;
/// Bytes of a path.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Instances of one `foreach`.
pub const FOREACH_MAX: usize = 100_000;
/// Arguments of one command.
pub const ARGV_MAX: usize = 10_000;
/// Environment variables of a plan or an item.
pub const ENV_MAX: usize = 1_000;
/// Variables of a plan.
pub const VARS_MAX: usize = 1_000;
/// Agents that one item may name.
pub const AGENTS_PER_ITEM_MAX: usize = 32;
/// Capabilities that one item may require or prefer.
pub const CAPABILITIES_MAX: usize = 64;
/// Checks of a review, paths of an item.
pub const LIST_MAX: usize = 1_000;
/// Attempts of one item.
pub const ATTEMPTS_MAX: i64 = 1_000;
/// Factor between two waits before a retry.
pub const BACKOFF_MAX: f64 = 1_000.0;
/// Instances that may run at the same time by `max_parallel`.
pub const PARALLEL_MAX: i64 = 1_000_000;
/// Different policies, demands or groups in one run.
pub const TABLE_MAX: usize = 10_000;
/// Bytes of an item's text that is short enough to name an instance of `foreach`.
pub const INSTANCE_WORD_BYTES_MAX: usize = 40;
/// Steps back from a reader of outputs before the search starts from the item that is read.
pub const OUTPUT_LOOK_STEPS: usize = 1_000;
/// Steps along dependencies that the check of `items.NAME.outputs` takes in all.
pub const OUTPUT_SEARCH_STEPS_MAX: usize = 100_000_000;
/// Items whose failure is followed through the graph to find what can never run.
pub const FAILURE_ROOTS_MAX: usize = 64;
/// Items of a cycle that a message names, each with its line.
pub const CYCLE_SHOWN_MAX: usize = 100;
/// Steps of a path within `${{ … }}`.
pub const PATH_STEPS_MAX: usize = 32;
/// Instances of an item that are looked at after one of them could not be made.
pub const INSTANCES_REFUSED_MAX: usize = 16;
