//! TAP 14 (testanything.org): a line per scenario, with a YAML block where there is more to tell.

use std::fmt::Write as _;

use super::html::Named;
use crate::runner::result::{Place, ScenarioResult, Verdict};

/// The report as text. With several runs the names of the tests begin with theirs.
pub fn render(runs: &[Named]) -> String {
    let count: usize = runs.iter().map(|named| named.run.scenarios.len()).sum();
    let mut text = format!("TAP version 14\n1..{count}\n");
    let mut number = 0;
    for Named { name, run } in runs {
        let prefix = if runs.len() == 1 { String::new() } else { format!("{name}: ") };
        let _ = writeln!(text, "# {}seed {}", escaped(&prefix), run.info.seed);
        if run.info.place != Place::default() {
            let _ = writeln!(text, "# {}", escaped(&run.info.name()));
        }
        for scenario in &run.scenarios {
            number += 1;
            line(&mut text, number, &prefix, scenario);
        }
    }
    text
}

fn line(text: &mut String, number: usize, prefix: &str, scenario: &ScenarioResult) {
    // TAP 14: a TODO test that is `ok` is an unexpected pass; one that is `not ok` does not fail the run. For us an
    // unexpected pass fails it, so that it is told as a failure.
    let ok = matches!(scenario.verdict, Verdict::Pass | Verdict::Skipped);
    let reason = escaped(scenario.reason.as_deref().unwrap_or_default());
    let directive = match scenario.verdict {
        Verdict::Skipped => format!(" # SKIP {reason}"),
        Verdict::ExpectedFailure => format!(" # TODO {reason}"),
        _ => String::new(),
    };
    let name = format!("{prefix}{}: {}", scenario.id, scenario.title);
    let _ = writeln!(text, "{} {number} - {}{directive}", if ok { "ok" } else { "not ok" }, escaped(&name));
    if !scenario.not_looked_at.is_empty() {
        let _ = writeln!(text, "# not looked at: {}", escaped(&scenario.not_looked_at.join(", ")));
    }
    if ok {
        return;
    }
    let message = match scenario.verdict {
        Verdict::UnexpectedPass => {
            format!("it passed, but is known to fail: {}", scenario.reason.as_deref().unwrap_or_default())
        }
        Verdict::Error => scenario.reason.clone().unwrap_or_default(),
        _ => scenario.failures.first().map(|failure| failure.what.clone()).unwrap_or_default(),
    };
    let _ = writeln!(text, "  ---\n  message: {}", yaml(&message));
    let severity = if scenario.verdict == Verdict::ExpectedFailure { "todo" } else { "fail" };
    let _ = writeln!(text, "  severity: {severity}\n  duration_ms: {}", scenario.duration.as_millis());
    if !scenario.failures.is_empty() {
        let _ = writeln!(text, "  failures:");
    }
    for failure in &scenario.failures {
        let at = format!("{}:{}", scenario.path.display(), failure.line);
        let _ = writeln!(text, "    - at: {}\n      what: {}", yaml(&at), yaml(&failure.what));
        for (key, lines) in [("wanted", &failure.expected), ("found", &failure.seen)] {
            let list: Vec<String> = lines.iter().map(|line| yaml(line)).collect();
            let _ = writeln!(text, "      {key}: [{}]", list.join(", "));
        }
    }
    text.push_str("  ...\n");
}

/// A description: `#` begins a directive and `\` escapes it; a line end would end the line.
fn escaped(text: &str) -> String {
    let mut result = String::new();
    for char in text.chars() {
        match char {
            '#' | '\\' => result.extend(['\\', char]),
            char if char.is_control() => result.push(' '),
            char => result.push(char),
        }
    }
    result
}

/// A YAML scalar in double quotes, which JSON's strings are.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::{run, scenario};

    #[test]
    fn a_run_as_tap() {
        insta::assert_snapshot!(render(&[Named { name: "lpad".to_owned(), run: run() }]));
    }

    #[test]
    fn a_title_cannot_be_taken_for_a_directive() {
        let mut case = scenario("a", Verdict::Pass, None);
        case.title = "not # SKIP\nok 7".to_owned();
        let mut text = String::new();
        line(&mut text, 1, "", &case);
        assert_eq!(text, "ok 1 - a: not \\# SKIP ok 7\n");
    }
    #[test]
    fn prove_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.tap");
        // Perl's harness reads version 13, which differs in nothing that is used here.
        let text = render(&[Named { name: "lpad".to_owned(), run: run() }]).replace("version 14", "version 13");
        std::fs::write(&path, text).unwrap();
        let output = match std::process::Command::new("prove").args(["-v", "--exec", "cat"]).arg(&path).output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: prove cannot be run: {error}"),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        // Of one scenario of each verdict three fail the run; the one that is known to fail and the skipped one do not.
        for part in ["Failed 3/6 subtests", "Result: FAIL"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("Parse errors"), "{text}");
    }
}
