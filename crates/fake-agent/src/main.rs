//! A scripted agent for tests: every argument is a step, done one after the other.
//!
//! `fake-agent stdout:hello sleep:50ms exit:3` is a program and not a mock: it
//! has a pid, pipes, children and signals like a real agent, and misbehaves
//! exactly as it is told. `--help` lists the steps. `fake-agent endpoint` is
//! no agent but a scripted endpoint that agents can ask.

mod acp;
mod dialect;
mod perform;
mod step;

use std::process::ExitCode;

use perform::Agent;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        return perform::print(&step::help()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let Some((_, options)) = arguments.split_first().filter(|(first, _)| *first == "endpoint") {
        return match fake_agent::endpoint::run(options, perform::print) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                perform::complain(&format!("fake-agent endpoint: {error}"));
                ExitCode::from(2)
            }
        };
    }
    // All of them are read before the first is done: a typing error in a test must not half run.
    let steps = step::parse_script(&arguments);
    let done =
        steps.and_then(|steps| Agent::new(&arguments).perform(&steps).map_err(|error| error.to_string()));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            perform::complain(&format!("fake-agent: {error}"));
            ExitCode::from(2)
        }
    }
}
