//! What a review found: the results of its checks and the opinion of the agent,
//! in the form in which they are kept, shown, and told to the next attempt.

use mnemosyne_core::work::attempt::Fault;
use mnemosyne_core::work::review::ReviewVerdict;
use mnemosyne_core::work::task::{Gate, ReviewSpec};
use serde::{Deserialize, Serialize};

use crate::review::opinion;

/// Issues that are kept of one review.
const ISSUES_MAX: usize = 100;
/// Bytes of one text that is kept of an opinion.
const TEXT_BYTES_MAX: usize = 4_000;
/// Bytes of an opinion that is read.
pub(super) const OPINION_BYTES_MAX: usize = 1 << 20;

/// Everything that a review found.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// The number of the round, from 1.
    round: u16,
    /// The agent that was asked.
    reviewer: Option<String>,
    /// What was executed.
    pub(super) checks: Vec<Check>,
    /// In what that which is judged is not what the attempt left. Then nobody but a human can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changed: Option<String>,
    /// What the agent says; nothing when it was not asked.
    #[serde(flatten)]
    opinion: Option<Opinion>,
}

/// A check and how it ended.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// The shell line.
    run: String,
    passed: bool,
    /// How it failed, with what it said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What an agent that reviews is asked to answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opinion {
    verdict: ReviewVerdict,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    gates: Vec<GateFinding>,
    #[serde(default)]
    requirements: Vec<RequirementFinding>,
    /// What has to change.
    #[serde(default)]
    issues: Vec<String>,
}

/// Whether something holds, and what shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Passed,
    Failed,
    NotAssessed,
}

#[derive(Debug, Serialize, Deserialize)]
struct GateFinding {
    gate: Gate,
    status: Status,
    #[serde(default)]
    evidence: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct RequirementFinding {
    requirement: String,
    status: Status,
    #[serde(default)]
    evidence: String,
}

impl Check {
    pub(super) fn passed(run: &str) -> Self {
        Self { run: run.to_owned(), passed: true, error: None }
    }

    pub(super) fn failed(run: &str, fault: Fault, message: &str) -> Self {
        let error = if message.is_empty() { fault.to_string() } else { format!("{fault}: {message}") };
        Self { run: run.to_owned(), passed: false, error: Some(error) }
    }
}

impl Findings {
    pub(super) fn new(round: u16, reviewer: Option<&str>) -> Self {
        Self { round, reviewer: reviewer.map(str::to_owned), checks: Vec::new(), changed: None, opinion: None }
    }

    pub(super) fn all_checks_passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// Reads what the agent answered.
    pub(super) fn take_opinion(&mut self, answer: &str, spec: &ReviewSpec) -> Result<(), String> {
        let mut opinion: Opinion = opinion::read(answer)?;
        opinion.cut();
        if let Some(missing) =
            spec.gates.iter().find(|gate| !opinion.gates.iter().any(|found| found.gate == **gate))
        {
            return Err(format!("the reviewer says nothing about the gate {}", missing.as_str()));
        }
        if opinion.requirements.len() < spec.requirements.len() {
            return Err(format!(
                "the reviewer gave {} of {} requirements a status",
                opinion.requirements.len(),
                spec.requirements.len()
            ));
        }
        self.opinion = Some(opinion);
        Ok(())
    }

    /// What follows. Approval needs everything to hold: words that approve what is marked as failed do not.
    pub(super) fn verdict(&self) -> ReviewVerdict {
        if self.changed.is_some() {
            return ReviewVerdict::Abstain;
        }
        if !self.all_checks_passed() {
            return ReviewVerdict::Changes;
        }
        let Some(opinion) = &self.opinion else { return ReviewVerdict::Approve };
        match opinion.verdict {
            ReviewVerdict::Approve if opinion.first_failure().is_some() => ReviewVerdict::Changes,
            verdict => verdict,
        }
    }

    /// The verdict's reason in a line.
    pub(super) fn summary(&self) -> String {
        if let Some(changed) = &self.changed {
            let verdict = self.opinion.as_ref().map(|opinion| opinion.verdict.as_str());
            return match verdict {
                Some(verdict) => format!("{changed}; the verdict was {verdict:?}"),
                None => changed.clone(),
            };
        }
        if let Some(failed) = self.checks.iter().find(|check| !check.passed) {
            let error = failed.error.as_deref().unwrap_or_default();
            return format!("the check `{}` failed: {error}", failed.run);
        }
        let Some(opinion) = &self.opinion else {
            return format!("{} passed", mnemosyne_core::text::counted(self.checks.len() as u64, "check"));
        };
        match (opinion.first_failure(), opinion.summary.trim()) {
            (Some(failure), _) if opinion.verdict == ReviewVerdict::Approve => failure,
            (_, "") => {
                opinion.issues.first().cloned().unwrap_or_else(|| "the reviewer gave no reason".to_owned())
            }
            (_, summary) => summary.to_owned(),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with text keys is always written")
    }
}

impl Opinion {
    /// The first gate or requirement that does not hold.
    fn first_failure(&self) -> Option<String> {
        let gate = self.gates.iter().find(|found| found.status == Status::Failed);
        if let Some(found) = gate {
            return Some(format!("the gate {} failed: {}", found.gate.as_str(), found.evidence));
        }
        let requirement = self.requirements.iter().find(|found| found.status != Status::Passed);
        requirement.map(|found| format!("not met: {}: {}", found.requirement, found.evidence))
    }

    /// Cuts what would be too long to keep.
    fn cut(&mut self) {
        self.issues.truncate(ISSUES_MAX);
        self.requirements.truncate(ISSUES_MAX * 10);
        self.gates.truncate(Gate::ALL.len());
        let texts = self.issues.iter_mut().chain(std::iter::once(&mut self.summary));
        let evidence = self.gates.iter_mut().map(|found| &mut found.evidence);
        let requirements =
            self.requirements.iter_mut().flat_map(|found| [&mut found.requirement, &mut found.evidence]);
        for text in texts.chain(evidence).chain(requirements) {
            if text.len() > TEXT_BYTES_MAX {
                let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                text.truncate(end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(gates: &[Gate], requirements: &[&str]) -> ReviewSpec {
        ReviewSpec {
            checks: Vec::new(),
            gates: gates.to_vec(),
            requirements: requirements.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn opinion(answer: &str, spec: &ReviewSpec) -> Result<(ReviewVerdict, String), String> {
        let mut findings = Findings::new(1, Some("critic"));
        findings.take_opinion(answer, spec)?;
        Ok((findings.verdict(), findings.summary()))
    }

    #[test]
    fn a_failed_check_needs_no_opinion() {
        let mut findings = Findings::new(1, None);
        findings.checks.push(Check::passed("true"));
        assert_eq!(findings.verdict(), ReviewVerdict::Approve);
        findings.checks.push(Check::failed("make test", Fault::ExitCode(2), "1 failed"));
        assert_eq!(findings.verdict(), ReviewVerdict::Changes);
        assert_eq!(findings.summary(), "the check `make test` failed: exit code 2: 1 failed");
    }

    #[test]
    fn the_last_object_with_a_verdict_counts_wherever_it_stands() {
        let answer =
            "I looked at {this}.\n```json\n{\"verdict\":\"changes\",\"summary\":\"no tests\"}\n```\nBye.";
        assert_eq!(opinion(answer, &spec(&[], &[])), Ok((ReviewVerdict::Changes, "no tests".to_owned())));
        assert!(opinion("all fine, approve", &spec(&[], &[])).is_err(), "prose is no verdict");
        assert!(opinion("{\"verdict\":\"maybe\"}", &spec(&[], &[])).is_err());
    }

    #[test]
    fn approval_of_what_is_marked_as_failed_is_none() {
        let answer = r#"{"verdict":"approve","gates":[{"gate":"tests","status":"failed","evidence":"none"}]}"#;
        let (verdict, summary) = opinion(answer, &spec(&[Gate::Tests], &[])).expect("it is read");
        assert_eq!(verdict, ReviewVerdict::Changes);
        assert!(summary.contains("tests"), "{summary}");
    }

    #[test]
    fn every_gate_and_requirement_needs_an_answer() {
        let answer = r#"{"verdict":"approve","gates":[{"gate":"tests","status":"passed"}]}"#;
        assert!(opinion(answer, &spec(&[Gate::Tests, Gate::Intent], &[])).is_err());
        assert!(opinion(answer, &spec(&[Gate::Tests], &["is fast"])).is_err());
        assert!(opinion(answer, &spec(&[Gate::Tests], &[])).is_ok());
    }
}
