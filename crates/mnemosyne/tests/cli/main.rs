//! Stories of the binary, told with real processes: a node that is killed is
//! killed by SIGKILL, an agent that hangs is a program that hangs.

#[path = "../support/mod.rs"]
mod support;

mod acp;
mod agents;
mod approval;
mod away;
mod bad_input;
mod cancelling;
mod carrying;
mod continuing;
mod damage;
mod dialects;
mod doctor;
mod endpoints;
mod everything_killed;
mod failing_disk;
mod findings;
mod formats;
mod full_disk;
mod gone;
mod history;
mod json;
mod json_errors;
mod large;
mod main_job;
mod node_killed;
mod odd_ends;
mod output;
mod pools;
mod prompts;
mod protocol;
mod reading;
mod readme;
mod restarts;
mod scheduling;
mod sessions;
mod signals;
mod snapshots;
mod streams;
mod terminal;
mod timing;
mod verdicts;
mod wording;
mod worktrees;
