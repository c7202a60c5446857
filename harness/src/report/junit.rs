//! JUnit XML, as Jenkins, GitLab and their like read it: a suite per topic, a case per scenario.
//!
//! JUnit has no word for a failure that is expected: it is reported as skipped, with the reason; an unexpected pass
//! is a failure.

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::html::Named;
use super::{plain_failure, printable};
use crate::runner::result::{ScenarioResult, Verdict};
use crate::scenario::load::topic;

/// How many lines of the timeline a failure carries with it.
const TIMELINE_LINES: usize = 200;

/// The report as XML text. With several runs the names of the suites begin with theirs.
pub fn render(runs: &[Named]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("esimlab");
    report.set_time(runs.iter().map(|named| named.run.duration).sum());
    for Named { name: of_run, run } in runs {
        let mut topics: Vec<&str> = run.scenarios.iter().map(|scenario| topic(&scenario.id)).collect();
        topics.sort_unstable();
        topics.dedup();
        for name in topics {
            let shown = if name.is_empty() { "scenarios" } else { name };
            let mut suite = TestSuite::new(match runs.len() {
                1 => shown.to_owned(),
                _ => format!("{}: {shown}", printable(of_run)),
            });
            suite.add_property(Property::new("seed", run.info.seed.to_string()));
            suite.add_property(Property::new("lpa", run.info.lpa.as_str()));
            let of_topic = run.scenarios.iter().filter(|scenario| topic(&scenario.id) == name);
            let cases: Vec<TestCase> = of_topic.map(case).collect();
            suite.set_time(cases.iter().filter_map(|case| case.time).sum());
            suite.add_test_cases(cases);
            report.add_test_suite(suite);
        }
    }
    report.to_string()
}

fn case(scenario: &ScenarioResult) -> TestCase {
    let reason = scenario.reason.as_deref().map(printable).unwrap_or_default();
    let mut status = match scenario.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail | Verdict::UnexpectedPass => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Skipped | Verdict::ExpectedFailure => TestCaseStatus::skipped(),
    };
    match scenario.verdict {
        Verdict::Pass => {}
        Verdict::Fail => {
            if let Some(first) = scenario.failures.first() {
                status.set_message(printable(&first.what));
            }
            status.set_type("failure");
        }
        Verdict::UnexpectedPass => {
            status.set_message(format!("it passed, but is known to fail: {reason}"));
            status.set_type("unexpected pass");
        }
        Verdict::Error => {
            status.set_message(reason);
            status.set_type("lab");
        }
        Verdict::Skipped => {
            status.set_message(reason);
        }
        Verdict::ExpectedFailure => {
            status.set_message(format!("it is known to fail: {reason}"));
        }
    }
    if !scenario.failures.is_empty() {
        let path = scenario.path.display().to_string();
        let text: String = scenario.failures.iter().map(|failure| plain_failure(&path, failure)).collect();
        status.set_description(text);
    }
    let mut case = TestCase::new(scenario.id.as_str(), status);
    case.set_classname(if topic(&scenario.id).is_empty() { "scenarios" } else { topic(&scenario.id) });
    case.set_time(scenario.duration);
    case.add_property(Property::new("title", printable(&scenario.title)));
    for reference in &scenario.refs {
        case.add_property(Property::new("reference", printable(reference)));
    }
    if matches!(scenario.verdict, Verdict::Fail | Verdict::Error) && !scenario.timeline.is_empty() {
        let first = scenario.timeline.len().saturating_sub(TIMELINE_LINES);
        let lines = scenario.timeline[first..].iter().map(|event| printable(&event.to_string()) + "\n");
        case.set_system_out(lines.collect::<String>());
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::run;

    #[test]
    fn a_run_as_junit() {
        insta::assert_snapshot!(render(&[Named { name: "lpad".to_owned(), run: run() }]).unwrap());
    }
}
