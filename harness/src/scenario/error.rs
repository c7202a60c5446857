//! Mistakes in scenario files: each with its place, what to write instead, and the list of what is allowed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode};

/// One mistake in a file, or one thing in it that is likely to be none that was meant.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// What stands under the caret.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// Where it is, in bytes.
    pub span: Range<usize>,
    /// True when the file can be run all the same.
    pub is_warning: bool,
}

impl Mistake {
    /// A mistake without help.
    pub fn new(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Mistake { message: message.into(), label: label.into(), help: None, span, is_warning: false }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Makes it a warning.
    pub fn warning(mut self) -> Self {
        self.is_warning = true;
        self
    }
}

/// The mistakes of one file, in the order of their places.
#[derive(Debug, Clone)]
pub struct Mistakes {
    /// The name of the file.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
    /// What is wrong with it.
    pub list: Vec<Mistake>,
}

impl Mistakes {
    /// True when the file cannot be run.
    pub fn are_fatal(&self) -> bool {
        self.list.iter().any(|mistake| !mistake.is_warning)
    }

    /// All of them with the lines of the file they are in, for a terminal of this width.
    pub fn render(&self, colour: bool, width: usize) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let source = NamedSource::new(&self.file, Arc::clone(&self.text));
        let mut text = String::new();
        for mistake in &self.list {
            let report = Report { mistake, source: &source };
            // Writing to a String fails only when a Display does; the message alone is better than nothing then.
            if handler.render_report(&mut text, &report).is_err() {
                text.push_str(&mistake.message);
            }
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.iter().filter(|mistake| !mistake.is_warning).count();
        write!(f, "{}: {count} {}", self.file, if count == 1 { "mistake" } else { "mistakes" })
    }
}

impl std::error::Error for Mistakes {}

/// A mistake with its file, as the printer wants it.
#[derive(Debug)]
struct Report<'a> {
    mistake: &'a Mistake,
    source: &'a NamedSource<Arc<str>>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(if self.mistake.is_warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Range { start, end } = self.mistake.span;
        let label = LabeledSpan::new(Some(self.mistake.label.clone()), start, end.saturating_sub(start));
        Some(Box::new(std::iter::once(label)))
    }
}

/// Quoted, with commas between: `a`, `b`, `c`.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// From this many letters on the beginning of a word stands for it.
const LONG_ENOUGH: usize = 3;

/// The known word that is nearest to the one given, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let candidate = |word: &'a str| {
        let lower = word.to_lowercase();
        let edits = edits(&given, &lower);
        // The beginning of a longer word is meant to be that word, however much is missing: RM500 is RM500Q-GL.
        let begins = given.chars().count() >= LONG_ENOUGH && lower.starts_with(&given);
        (begins || edits <= word.chars().count().max(3) / 3).then_some((!begins, edits, word))
    };
    known.into_iter().filter_map(candidate).min_by_key(|(other, edits, _)| (*other, *edits)).map(|(_, _, word)| word)
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour (the restricted
/// Damerau-Levenshtein distance) to come from one word to the other.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_in_the_textbook() {
        for (a, b, count) in
            [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ("form", "from", 1)]
        {
            assert_eq!(edits(a, b), count, "{a} {b}");
            assert_eq!(edits(b, a), count, "{b} {a}");
        }
    }

    #[test]
    fn a_word_is_suggested_only_when_it_is_near() {
        let known = ["matching_id", "profile", "state"];
        assert_eq!(nearest("matchingid", known), Some("matching_id"));
        assert_eq!(nearest("Profil", known), Some("profile"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("match", known), Some("matching_id"));
        assert_eq!(nearest("RM500", ["RG500Q", "RM500Q-GL", "RM502Q-AE"]), Some("RM500Q-GL"));
        assert_eq!(nearest("RM", ["RG500Q", "RM500Q-GL"]), None);
        assert_eq!(nearest("", known), None);
    }
}
