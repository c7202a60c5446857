//! The report as one HTML page that needs nothing else: no network, no other file.
//!
//! A summary, a filter, each scenario with its failures and the sequence diagram of its timeline (every message is
//! decoded on click), and a matrix of what the references require against the runs that were made.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use miniz_oxide::deflate::compress_to_vec_zlib;

use super::printable;
use super::sequence::{Row, rows, svg};
use crate::runner::result::{Failure, RunResult, ScenarioResult, Verdict};

const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");

/// A run under the name that its column has in the matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// What was put to the test.
    pub name: String,
    /// What came of it.
    pub run: RunResult,
}

/// A text in which nothing is markup.
pub(crate) fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '"' => result.push_str("&quot;"),
            '\'' => result.push_str("&#39;"),
            char => result.push(char),
        }
    }
    result
}

fn shown(text: &str) -> String {
    escaped(&printable(text))
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "good",
        Verdict::Fail | Verdict::Error | Verdict::UnexpectedPass => "wrong",
        Verdict::Skipped | Verdict::ExpectedFailure => "other",
    }
}

/// The page.
pub fn render(runs: &[Named]) -> String {
    let names: Vec<String> = runs.iter().map(|named| shown(&named.name)).collect();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n<title>esimlab: {}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        names.join(", ")
    );
    summary(&mut page, runs);
    filter(&mut page, runs);
    page.push_str("<section id=\"scenarios\" aria-label=\"Scenarios\">\n");
    for (index, named) in runs.iter().enumerate() {
        if runs.len() > 1 {
            let _ = writeln!(page, "<h2>{}</h2>", shown(&named.name));
        }
        // What needs a look comes first.
        let (wrong, good): (Vec<_>, Vec<_>) =
            named.run.scenarios.iter().partition(|scenario| !scenario.verdict.is_good());
        for scenario in wrong.into_iter().chain(good) {
            case(&mut page, index, named, scenario);
        }
    }
    page.push_str("</section>\n");
    matrix(&mut page, runs);
    let _ = write!(page, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

fn summary(page: &mut String, runs: &[Named]) {
    page.push_str("<h1>esimlab</h1>\n");
    for named in runs {
        let run = &named.run;
        let all = run.scenarios.len();
        let _ = writeln!(
            page,
            "<p><b>{}</b>: {all} scenario{} in {:.2} s, LPA {}, seed <code>{}</code></p>",
            shown(&named.name),
            if all == 1 { "" } else { "s" },
            run.duration.as_secs_f64(),
            shown(&run.info.name()),
            run.info.seed
        );
        page.push_str("<ul class=\"counts\">");
        for verdict in Verdict::ALL {
            match run.count(verdict) {
                0 => {}
                count => {
                    let _ = write!(page, "<li class=\"{}\"><b>{count}</b> {}</li>", class(verdict), verdict.words());
                }
            }
        }
        page.push_str("</ul>\n<div class=\"bar\" aria-hidden=\"true\">");
        for kind in ["good", "wrong", "other"] {
            let count = run.scenarios.iter().filter(|scenario| class(scenario.verdict) == kind).count();
            if count > 0 {
                let share = count as f64 * 100.0 / all.max(1) as f64;
                let _ = write!(page, "<span class=\"{kind}\" style=\"width:{share:.2}%\"></span>");
            }
        }
        page.push_str("</div>\n");
    }
    page.push_str("<p class=\"soft\"><a href=\"#matrix\">What the references require</a></p>\n");
}

fn filter(page: &mut String, runs: &[Named]) {
    page.push_str(
        "<div class=\"filter\" role=\"search\"><input type=\"search\" id=\"text\" aria-label=\"Filter\" \
         placeholder=\"Filter by id, title, reference\">\n",
    );
    for verdict in Verdict::ALL {
        let count: usize = runs.iter().map(|named| named.run.count(verdict)).sum();
        if count > 0 {
            let _ = writeln!(
                page,
                "<label><input type=\"checkbox\" data-verdict=\"{0}\" checked> {0}</label>",
                verdict.word()
            );
        }
    }
    page.push_str("<span id=\"count\" class=\"soft\" role=\"status\"></span></div>\n");
}

/// The id of a case in the page.
fn anchor(run: usize, id: &str) -> String {
    let id: String = id
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || matches!(char, '/' | '-' | '_' | '.') { char } else { '_' })
        .collect();
    format!("case-{run}-{id}")
}

fn case(page: &mut String, index: usize, named: &Named, scenario: &ScenarioResult) {
    let text = format!(
        "{} {} {} {}",
        scenario.id,
        scenario.title,
        scenario.refs.join(" "),
        scenario.reason.as_deref().unwrap_or_default()
    );
    let _ = writeln!(
        page,
        "<details class=\"case\" id=\"{}\" data-verdict=\"{word}\" data-text=\"{}\">\n\
         <summary><span class=\"verdict {}\">{word}</span><span><span class=\"mono id\">{}</span>{}</span>\
         <span class=\"seconds\">{:.3} s</span></summary>\n<div class=\"body\">",
        anchor(index, &scenario.id),
        shown(&text.to_lowercase()),
        class(scenario.verdict),
        shown(&scenario.id),
        shown(&scenario.title),
        scenario.duration.as_secs_f64(),
        word = scenario.verdict.word(),
    );
    if let Some(reason) = &scenario.reason {
        let _ = writeln!(page, "<p>{}</p>", shown(reason));
    }
    if !scenario.not_looked_at.is_empty() {
        let _ = writeln!(page, "<p>Not looked at: {}</p>", shown(&scenario.not_looked_at.join(", ")));
    }
    if !scenario.refs.is_empty() {
        let refs: Vec<String> = scenario.refs.iter().map(|reference| shown(reference)).collect();
        let _ = writeln!(page, "<p class=\"soft\">{}</p>", refs.join("<br>"));
    }
    let path = scenario.path.display().to_string();
    scenario.failures.iter().for_each(|failure| failed(page, &path, failure));
    if !scenario.steps.is_empty() {
        page.push_str("<h3>Steps</h3>\n<ol class=\"steps\">\n");
        for step in &scenario.steps {
            let mark = if step.passed { ("good", "as expected") } else { ("wrong", "not as expected") };
            let _ = writeln!(
                page,
                "<li><code>{}</code> <span class=\"soft\">{:.1} ms,</span> <span class=\"verdict {}\">{}</span></li>",
                shown(&step.text),
                step.duration.as_secs_f64() * 1e3,
                mark.0,
                mark.1
            );
        }
        page.push_str("</ol>\n");
    }
    if !scenario.timeline.is_empty() {
        let rows = rows(&scenario.timeline);
        let _ = writeln!(
            page,
            "<h3>Timeline</h3>\n<p class=\"soft\">{} events in {} rows; times in ms. A click on a row, or Enter, shows the \
             message; the arrow keys go from row to row.</p>\n<div class=\"scroll diagram\" tabindex=\"0\" \
             role=\"region\" aria-label=\"Timeline of {id}\"><noscript>The timeline is drawn by a script, which this \
             browser does not run.</noscript></div>\n<pre class=\"message\" aria-live=\"polite\" hidden></pre>\n\
             <script type=\"text/plain\">{}</script>",
            scenario.timeline.len(),
            rows.len(),
            packed(&rows, &scenario.id),
            id = shown(&scenario.id),
        );
    }
    let _ = writeln!(
        page,
        "<p class=\"soft\">Again: <code>{}</code> · <a href=\"#{}\">link to this case</a></p>\n</div>\n</details>",
        shown(&named.run.info.again(&scenario.path)),
        anchor(index, &scenario.id)
    );
}

/// The diagram of a timeline and what stands behind its rows, compressed (zlib) and in base64: a page with some hundreds
/// of scenarios is a quarter as large, and a browser builds a diagram only when its scenario is opened.
fn packed(rows: &[Row], id: &str) -> String {
    let details: Vec<&str> = rows.iter().map(|row| row.detail.as_str()).collect();
    let text = serde_json::json!({ "svg": svg(rows, &format!("Timeline of {id}")), "details": details }).to_string();
    BASE64.encode(compress_to_vec_zlib(text.as_bytes(), 6))
}

fn failed(page: &mut String, path: &str, failure: &Failure) {
    let column = |lines: &[String], others: &[String]| {
        if lines.is_empty() {
            return "<span class=\"soft\">(nothing)</span>".to_owned();
        }
        let line = |(index, line): (usize, &String)| match others.get(index) {
            Some(other) if other == line => shown(line),
            _ => format!("<span class=\"differs\">{}</span>", shown(line)),
        };
        lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    };
    let _ = writeln!(
        page,
        "<div class=\"failure\"><p><b>{}</b> <span class=\"soft\">{}:{}</span></p>\n<div class=\"sides\">\
         <div><span class=\"soft\">expected</span><pre>{}</pre></div>\
         <div><span class=\"soft\">seen</span><pre>{}</pre></div></div></div>",
        shown(&failure.what),
        shown(path),
        failure.line,
        column(&failure.expected, &failure.seen),
        column(&failure.seen, &failure.expected)
    );
}

/// A reference in two: the document, and the place in it.
fn requirement(reference: &str) -> (&str, &str) {
    let place = [", ", " §", " table ", ": "].iter().filter_map(|sign| reference.find(sign)).min();
    match place {
        Some(at) => (&reference[..at], reference[at..].trim_start_matches([',', ':', ' '])),
        None => (reference, ""),
    }
}

fn matrix(page: &mut String, runs: &[Named]) {
    type Cells<'a> = Vec<Vec<&'a ScenarioResult>>;
    let mut documents: BTreeMap<&str, BTreeMap<&str, Cells<'_>>> = BTreeMap::new();
    for (column, named) in runs.iter().enumerate() {
        for scenario in &named.run.scenarios {
            for reference in &scenario.refs {
                let (document, place) = requirement(reference);
                let cells = documents.entry(document).or_default().entry(place).or_default();
                cells.resize(runs.len(), Vec::new());
                cells[column].push(scenario);
            }
        }
    }
    page.push_str(
        "<h2 id=\"matrix\">What the references require</h2>\n<p class=\"soft\">Each place of a document that a scenario \
         refers to, and what came of its scenarios.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Conformance matrix\">\n<table>\n<thead><tr><th scope=\"col\">Requirement</th>",
    );
    for named in runs {
        let _ = write!(page, "<th scope=\"col\">{}</th>", shown(&named.name));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for (document, places) in &documents {
        let _ = writeln!(
            page,
            "<tr><th class=\"document\" colspan=\"{}\" scope=\"colgroup\">{}</th></tr>",
            runs.len() + 1,
            shown(document)
        );
        for (place, cells) in places {
            let _ = write!(
                page,
                "<tr><td class=\"item\">{}</td>",
                if place.is_empty() { "all".into() } else { shown(place) }
            );
            for (column, cell) in cells.iter().enumerate() {
                let links: Vec<String> = cell
                    .iter()
                    .map(|scenario| {
                        // What was not looked at is no part of what a pass says.
                        let part = if scenario.not_looked_at.is_empty() { "" } else { " in part" };
                        format!(
                            "<a class=\"{}\" href=\"#{}\" title=\"{}\">{}{part}</a>",
                            class(scenario.verdict),
                            anchor(column, &scenario.id),
                            shown(&scenario.id),
                            scenario.verdict.word()
                        )
                    })
                    .collect();
                let text =
                    if links.is_empty() { "<span class=\"soft\">not looked at</span>".into() } else { links.join(" ") };
                let _ = write!(page, "<td>{text}</td>");
            }
            page.push_str("</tr>\n");
        }
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::run;

    fn named(name: &str) -> Named {
        Named { name: name.to_owned(), run: run() }
    }

    #[test]
    fn a_page_has_every_scenario_and_needs_nothing_else() {
        let page = render(&[named("lpad")]);
        for scenario in run().scenarios {
            assert!(page.contains(&format!("id=\"case-0-{}\"", scenario.id)), "{}", scenario.id);
        }
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    }

    #[test]
    fn what_was_seen_cannot_become_part_of_the_page() {
        let mut named = named("<i>");
        named.run.scenarios[0].title = "</title><script>alert(1)</script>".to_owned();
        named.run.scenarios[2].timeline.push(crate::timeline::Event {
            at: std::time::Duration::ZERO,
            role: crate::timeline::Role::Lab,
            kind: crate::timeline::Kind::Process { text: "</script><script>alert(2)".to_owned() },
        });
        let page = render(&[named]);
        assert!(!page.contains("<script>alert"));
        assert!(!page.contains("<i>"));
        // The program itself, and the packed timeline of the one scenario that has one.
        assert_eq!(page.matches("</script>").count(), 2);
    }

    #[test]
    fn a_timeline_is_unpacked_to_its_diagram_and_messages() {
        let page = render(&[named("lpad")]);
        let (_, rest) = page.split_once("<script type=\"text/plain\">").unwrap();
        let (packed, _) = rest.split_once("</script>").unwrap();
        let bytes = miniz_oxide::inflate::decompress_to_vec_zlib(&BASE64.decode(packed).unwrap()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let svg = json["svg"].as_str().unwrap();
        let details = json["details"].as_array().unwrap();
        assert!(svg.starts_with("<svg class=\"seq head\"") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("class=\"row").count(), details.len());
        assert_eq!(details[0], "port 0\n> AT\n");
    }

    #[test]
    fn requirements_are_sorted_by_document() {
        for (reference, parts) in [
            ("SGP.22 v2.5 §5.6.3: 8.2.6/3.8", ("SGP.22 v2.5", "§5.6.3: 8.2.6/3.8")),
            (
                "eSIM LPA Application Note 1.1, chapter 4, Server 2",
                ("eSIM LPA Application Note 1.1", "chapter 4, Server 2"),
            ),
            ("RFC 5639", ("RFC 5639", "")),
        ] {
            assert_eq!(requirement(reference), parts);
        }
    }

    #[test]
    fn the_matrix_has_a_column_for_each_run() {
        let mut second = named("second");
        second.run.scenarios.truncate(1);
        second.run.scenarios[0].refs = vec!["Another, chapter 1".to_owned()];
        let mut page = String::new();
        matrix(&mut page, &[named("first"), second]);
        assert!(page.contains("<th scope=\"col\">first</th><th scope=\"col\">second</th>"));
        assert_eq!(page.matches("not looked at").count(), 2);
    }
}
