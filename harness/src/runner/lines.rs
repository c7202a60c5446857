//! Comparing the lines of an answer with those that are expected.

use crate::scenario::ast::Pattern;

/// A line that is expected, with its variables filled in.
#[derive(Debug, Clone)]
pub enum Wanted<'a> {
    /// This line.
    Text(String),
    /// A line that this pattern is the whole of.
    Pattern(&'a Pattern),
    /// Any lines, also none.
    Any,
}

impl Wanted<'_> {
    /// How it is told.
    pub fn told(&self) -> String {
        match self {
            Wanted::Text(text) => text.clone(),
            Wanted::Pattern(pattern) => pattern.to_string(),
            Wanted::Any => "...".to_owned(),
        }
    }

    /// What a line captures when it is the one that is wanted.
    pub fn matches(&self, line: &str) -> Option<Vec<(String, String)>> {
        match self {
            Wanted::Text(text) => (text == line).then(Vec::new),
            Wanted::Pattern(pattern) => pattern.captures(line),
            Wanted::Any => Some(Vec::new()),
        }
    }
}

/// What the lines of an answer capture; `None` when they are not as expected.
pub fn compare(wanted: &[Wanted<'_>], seen: &[String]) -> Option<Vec<(String, String)>> {
    match (wanted.split_first(), seen.split_first()) {
        (None, None) => Some(Vec::new()),
        (None, Some(_)) => None,
        // As few lines as possible.
        (Some((Wanted::Any, rest)), None) => compare(rest, seen),
        (Some((Wanted::Any, rest)), Some((_, later))) => compare(rest, seen).or_else(|| compare(wanted, later)),
        (Some(_), None) => None,
        (Some((line, rest)), Some((first, later))) => {
            let mut captured = line.matches(first)?;
            captured.extend(compare(rest, later)?);
            Some(captured)
        }
    }
}

/// What was expected, as lines, where it is told beside what was seen: a line that is as expected is told as it was
/// seen, so that only those that differ stand out.
pub fn told(wanted: &[Wanted<'_>], seen: &[String]) -> Vec<String> {
    let line = |(index, wanted): (usize, &Wanted<'_>)| match (wanted, seen.get(index)) {
        (Wanted::Pattern(_), Some(seen)) if wanted.matches(seen).is_some() => seen.clone(),
        _ => wanted.told(),
    };
    wanted.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_are_texts_patterns_or_any() {
        let pattern = Pattern::parse(r"\+CSQ: (?<rssi>\d+),\d+").unwrap();
        let text = |text: &str| Wanted::Text(text.to_owned());
        let wanted = [Wanted::Any, Wanted::Pattern(&pattern), text("OK")];
        let captured = compare(&wanted, &seen(&["+X: 1", "+Y", "+CSQ: 20,99", "OK"])).unwrap();
        assert_eq!(captured, [("rssi".to_owned(), "20".to_owned())]);
        assert!(compare(&wanted, &seen(&["+CSQ: 20,99", "OK"])).is_some());
        assert!(compare(&wanted, &seen(&["+CSQ: 20,99", "+X", "OK"])).is_none());
        assert!(compare(&wanted, &seen(&["OK"])).is_none() && compare(&wanted, &[]).is_none());
        assert!(compare(&[text("OK")], &seen(&["OK", "OK"])).is_none());
        assert!(compare(&[], &[]).is_some());
        assert_eq!(told(&wanted[1..], &seen(&["+CSQ: 1,2", "ERROR"])), ["+CSQ: 1,2", "OK"]);
        assert_eq!(told(&wanted[1..], &seen(&["ERROR"]))[0], r"/\+CSQ: (?<rssi>\d+),\d+/");
    }
}
