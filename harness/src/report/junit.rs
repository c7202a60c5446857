//! JUnit XML, as Jenkins, GitLab and their like read it: a suite per topic, a case per scenario.
//!
//! JUnit has no word for a failure that is expected: it is reported as skipped, with the reason; an unexpected pass
//! is a failure.
//!
//! There is no one schema. What is written here is what all readers take: no properties at a case (the strict schema of
//! Jenkins' xUnit plugin, junit-10.xsd, refuses them), so that title and references stand first in its output, and no
//! count of skipped cases at the root.

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
            for (name, value) in [("modem", &run.info.place.modem), ("server", &run.info.place.server)] {
                suite.add_properties(value.iter().map(|value| Property::new(name, printable(value))));
            }
            let of_topic = run.scenarios.iter().filter(|scenario| topic(&scenario.id) == name);
            let cases: Vec<TestCase> = of_topic.map(case).collect();
            suite.set_time(cases.iter().filter_map(|case| case.time).sum());
            suite.add_test_cases(cases);
            report.add_test_suite(suite);
        }
    }
    Ok(without_skipped_at_the_root(&report.to_string()?))
}

/// Takes the attribute `skipped` from the root element, which junit-10.xsd does not know there.
fn without_skipped_at_the_root(text: &str) -> String {
    let Some(root) = text.find("<testsuites ") else { return text.to_owned() };
    let end = text[root..].find('>').map_or(text.len(), |length| root + length);
    let head = &text[root..end];
    let Some(at) = head.find(" skipped=\"") else { return text.to_owned() };
    let value = at + " skipped=\"".len();
    let Some(length) = head[value..].find('"') else { return text.to_owned() };
    [&text[..root + at], &text[root + value + length + 1..]].concat()
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
    let mut output = format!("{}\n", printable(&scenario.title));
    for reference in &scenario.refs {
        output.push_str(&format!("reference: {}\n", printable(reference)));
    }
    for what in &scenario.not_looked_at {
        output.push_str(&format!("not looked at: {}\n", printable(what)));
    }
    if matches!(scenario.verdict, Verdict::Fail | Verdict::Error) && !scenario.timeline.is_empty() {
        let first = scenario.timeline.len().saturating_sub(TIMELINE_LINES);
        output.push_str(&format!(
            "\nthe last {} of {} events:\n",
            scenario.timeline.len() - first,
            scenario.timeline.len()
        ));
        output.extend(scenario.timeline[first..].iter().map(|event| printable(&event.to_string()) + "\n"));
    }
    case.set_system_out(output);
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
    /// The elements and attributes of junit-10.xsd, the schema of Jenkins' xUnit plugin, and what it requires of each;
    /// GitLab reads a part of them.
    #[test]
    fn the_report_has_nothing_that_a_strict_reader_refuses() {
        let program = r#"
import re, sys, xml.etree.ElementTree as tree
allowed = {
    "testsuites": ("testsuite", "name time tests failures errors", ""),
    "testsuite": ("testsuite properties testcase system-out system-err",
                  "name tests failures errors group time skipped timestamp hostname id package file log url",
                  "name tests failures errors"),
    "properties": ("property", "", ""),
    "property": ("", "name value", "name value"),
    "testcase": ("skipped error failure system-out system-err", "name time classname group", "name"),
    "failure": ("", "type message", ""), "error": ("", "type message", ""), "skipped": ("", "type message", ""),
    "system-out": ("", "", ""), "system-err": ("", "", ""),
}
def check(element):
    children, attributes, required = (words.split() for words in allowed[element.tag])
    assert set(element.attrib) <= set(attributes), (element.tag, element.attrib)
    assert set(required) <= set(element.attrib), (element.tag, element.attrib)
    assert re.fullmatch(r"[0-9]*(\.[0-9]*)?", element.get("time", "")), element.attrib
    for child in element:
        assert child.tag in children, (element.tag, child.tag)
        check(child)
root = tree.fromstring(sys.stdin.buffer.read())
assert root.tag == "testsuites"
check(root)
cases = root.findall(".//testcase")
count = lambda tag: sum(case.find(tag) is not None for case in cases)
assert [int(root.get(name)) for name in ("tests", "failures", "errors")] == [len(cases), count("failure"), count("error")]
"#;
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut python = Command::new("python3");
        let started = python.args(["-c", program]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut python = match started {
            Ok(python) => python,
            Err(error) => return eprintln!("skipped: python3 cannot be run: {error}"),
        };
        let text = render(&[Named { name: "lpad".to_owned(), run: run() }]).unwrap();
        python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
