//! `review` and `gate: human`: what must be approved before an item has succeeded.

use crate::plan::check::Choice;
use crate::plan::compile::{Compiler, encode, keep};
use crate::plan::model::{self, Item, Placed, Work};
use crate::plan::settings::Settings;
use crate::role::AgentRole;
use crate::text::{Finding, name};
use crate::time::Span;
use crate::work::payload::Payload;
use crate::work::spec::{Demand, Policy, Retry, Review, Reviewer};
use crate::work::task::{Action, Gate, ReviewSpec, TaskSpec, Workspace};

/// Rounds of changes before a person is asked, where a plan says nothing.
const MAX_ROUNDS: u16 = 3;
/// Attempts of a reviewer before a person is asked: what fails then is the reviewer, not the result.
const REVIEWER_ATTEMPTS: u16 = 3;
/// Time that one attempt of a reviewer has, its checks included.
const REVIEWER_TIME: Span = Span::from_secs(2 * 3_600);

/// An error that has been reported.
pub(crate) struct Reported;

impl Compiler<'_> {
    /// The row of what must be approved of an item; none when nothing must.
    pub(crate) fn review(
        &mut self,
        item: &Item,
        work: &Placed<Work>,
        settings: Settings<'_>,
    ) -> Result<Option<u16>, Reported> {
        let is_gate = work.value == Work::HumanGate;
        let ends_phase = work.value == Work::PhaseGate;
        let (at, asked) = match settings.pick(|shared| shared.review.as_ref()) {
            Some(review) => (review.at, review.value.clone()),
            None if is_gate || ends_phase => (work.at, model::Review::default()),
            None => return Ok(None),
        };
        let reviewer = if is_gate { None } else { self.reviewer(item, &asked)? };
        let human = asked.human || is_gate;
        if reviewer.is_none() && !human {
            self.findings.push(
                Finding::error("plan/review", format!("nobody and nothing reviews {}", name(&item.name.text)))
                    .at(at)
                    .help("give `checks`, name an agent with `by`, define one with role = \"reviewer\", or set `human: true`"),
            );
            return Err(Reported);
        }
        let review = Review {
            reviewer,
            human,
            max_rounds: asked.max_rounds.unwrap_or(MAX_ROUNDS),
            wait: asked.wait,
            accept_on_timeout: asked.accept_on_timeout,
        };
        let row = self.reviews.position(review, at);
        keep(row, &mut self.findings).map(Some).ok_or(Reported)
    }

    /// Who judges each round, and by what.
    fn reviewer(&mut self, item: &Item, asked: &model::Review) -> Result<Option<Reviewer>, Reported> {
        let at = item.name.at;
        let mut demand = Demand { role: AgentRole::Reviewer, ..Demand::default() };
        if let Some(by) = &asked.by {
            // Any agent may be asked for its opinion; it then takes a slot for reviews.
            let mut choice = Choice::new(&item.name.text, None, self.options.offers);
            choice.add(by, asked.by_at, &mut self.findings);
            choice.settle(&mut demand, &mut self.findings);
            demand.role = AgentRole::Reviewer;
        } else if let Some(offers) = self.options.offers {
            let reviewers = offers.runnable().filter(|offer| offer.role == AgentRole::Reviewer);
            demand.agents.extend(reviewers.take(1).map(|offer| Box::from(offer.name.as_str())));
        }
        if demand.agents.is_empty() && asked.checks.is_empty() {
            return if asked.by.is_some() { Err(Reported) } else { Ok(None) };
        }
        let has_agent = !demand.agents.is_empty();
        let gates = asked.gates.clone().unwrap_or_else(|| Gate::ALL.to_vec());
        let texts = |texts: &[Box<str>]| texts.iter().map(|text| String::from(&**text)).collect();
        let spec = ReviewSpec {
            checks: texts(&asked.checks),
            gates: if has_agent { gates } else { Vec::new() },
            requirements: texts(&asked.requirements),
        };
        let task = TaskSpec {
            action: Action::Review(spec),
            env: std::collections::BTreeMap::new(),
            workdir: None,
            workspace: Workspace::None,
            each: None,
            outputs_schema: None,
        };
        let policy = Policy {
            retry: Retry { max_attempts: REVIEWER_ATTEMPTS, ..Retry::default() },
            timeouts: crate::work::spec::Timeouts { run: Some(REVIEWER_TIME), ..Default::default() },
            // Its failure is no failure of the run: the item that it reviews waits for a person then.
            soft_fail: true,
            ..Policy::default()
        };
        let policy = keep(self.policies.position(policy, at), &mut self.findings).ok_or(Reported)?;
        let demand = keep(self.demands.position(demand, at), &mut self.findings).ok_or(Reported)?;
        Ok(Some(Reviewer { demand, policy, task: Payload::Inline(encode(&task)) }))
    }
}
