//! TOML files that a user writes and serde reads: models, cards, networks, servers, LPAs, profiles.
//!
//! serde stops at the first mistake. Here the entry with the mistake is taken out of the text and the rest is read
//! again, until nothing is wrong any more: so all mistakes of a file are told at once, each with a caret at its place,
//! the nearest word that is allowed, and the list of all that are; in the same form as those of scenarios.

use std::ops::Range;
use std::sync::Arc;

use euicc::spec::{CardSpec, SpecError};
use modem::network::NetworkSpec;
use modem::{Model, ModelError};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::scenario::error::{Mistake, Mistakes, listed, nearest};

/// The most mistakes of one file that are looked for.
const MOST: usize = 30;

/// What a reader says is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, in serde's words or the reader's.
    pub message: String,
    /// Where.
    pub place: Place,
}

/// A place in a TOML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// These bytes.
    Span(Range<usize>),
    /// The value of the key at the end of this path; an item of a list is named by its number, counted from 0. What is
    /// not there is told at what is there of the way.
    Path(Vec<String>),
    /// No place of its own.
    Whole,
}

impl Wrong {
    /// Something wrong with the value at a path.
    pub fn at<P: ToString>(path: impl IntoIterator<Item = P>, message: impl Into<String>) -> Self {
        let path = path.into_iter().map(|part| part.to_string()).collect();
        Wrong { message: message.into(), place: Place::Path(path) }
    }

    /// A word at a path that is none of those that are allowed there.
    pub fn word<'a, P: ToString>(
        path: impl IntoIterator<Item = P>,
        given: &str,
        allowed: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        // As serde says it of the variants of an enum.
        Wrong::at(path, format!("unknown variant `{given}`, expected one of {}", listed(allowed)))
    }

    /// Something wrong with these bytes, if it is known which.
    pub fn spanned(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Wrong { message: message.into(), place: span.map_or(Place::Whole, Place::Span) }
    }
}

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        Wrong::spanned(error.span(), error.message())
    }
}

/// Reads the file of a model.
pub fn model(file: &str, text: &str) -> Result<Model, Mistakes> {
    read(file, text, |text| {
        Model::from_toml(text).map_err(|error| match error {
            ModelError::Syntax { message, span, .. } => Wrong::spanned(span, message),
            other => Wrong::spanned(None, other.to_string()),
        })
    })
}

/// Reads the file of a card.
pub fn card(file: &str, text: &str) -> Result<CardSpec, Mistakes> {
    read(file, text, |text| CardSpec::from_toml(text).map_err(Wrong::from))
}

/// Reads the file of a network.
pub fn network(file: &str, text: &str) -> Result<NetworkSpec, Mistakes> {
    read(file, text, |text| {
        NetworkSpec::from_toml(text).map_err(|error| match (error.span, error.operator) {
            (None, Some(operator)) => Wrong::at(["operator".to_owned(), operator.to_string()], error.message),
            (span, _) => Wrong::spanned(span, error.message),
        })
    })
}

impl From<SpecError> for Wrong {
    fn from(error: SpecError) -> Self {
        match error {
            SpecError::Toml { message, span, .. } => Wrong::spanned(span, message),
            other => Wrong::spanned(None, other.to_string()),
        }
    }
}

/// Reads a text that `parse` understands; tells all that is wrong with it.
pub fn read<T>(file: &str, text: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, Mistakes> {
    let first = match parse(text) {
        Ok(read) => return Ok(read),
        Err(wrong) => wrong,
    };
    // What is no TOML at all is told by TOML's own reader, which goes on after a mistake.
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut list: Vec<Mistake> = errors.into_iter().map(|error| mistake(text, &error.into())).collect();
    if list.is_empty() {
        list = all_of(text, first, parse);
    }
    list.sort_by_key(|mistake| mistake.span.start);
    Err(Mistakes { file: file.to_owned(), text: Arc::from(text), list })
}

/// One thing that is wrong with a text that could be read.
pub fn refused(file: &str, text: &str, wrong: &Wrong) -> Mistakes {
    Mistakes { file: file.to_owned(), text: Arc::from(text), list: vec![mistake(text, wrong)] }
}

fn all_of<T>(text: &str, first: Wrong, parse: impl Fn(&str) -> Result<T, Wrong>) -> Vec<Mistake> {
    let mut list: Vec<Mistake> = Vec::new();
    let mut rest = text.to_owned();
    let mut taken_out: Vec<(String, usize)> = Vec::new();
    let mut wrong = first;
    for _ in 0..MOST {
        let mistake = mistake(&rest, &wrong);
        let span = mistake.span.clone();
        let name = missing(&wrong.message);
        let table = table_at(&rest, &span);
        let entry = if name.is_some() || table.is_some() {
            // What a table is said to lack may be what was taken out of it.
            let is_taken_out = |(out, at): &(String, usize)| {
                name.is_none_or(|name| out == name) && table.as_ref().is_none_or(|table| table.contains(at))
            };
            if !taken_out.iter().any(is_taken_out) {
                list.push(mistake);
            }
            table.map(|table| (header_name(&rest[table.clone()]), table))
        } else {
            list.push(mistake);
            if wrong.place == Place::Whole { None } else { entry_at(&rest, &span) }
        };
        let Some((name, entry)) = entry else { break };
        // Nothing is gained by taking the same out again.
        if rest[entry.clone()].trim().is_empty() {
            break;
        }
        taken_out.push((name, entry.start));
        blank(&mut rest, entry);
        match parse(&rest) {
            Ok(_) => break,
            Err(next) => wrong = next,
        }
    }
    list
}

/// The name in "missing field `name`".
fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A mistake of what is wrong.
fn mistake(text: &str, wrong: &Wrong) -> Mistake {
    let span = match &wrong.place {
        Place::Span(span) => span.start.min(text.len())..span.end.min(text.len()),
        Place::Path(path) => span_of(text, path),
        Place::Whole => 0..text.lines().next().map_or(0, str::len),
    };
    let message = wrong.message.trim();
    if let Some(name) = missing(message) {
        // The span is that of the table: its first line says which.
        let end = text.get(span.clone()).and_then(|part| part.find('\n')).map_or(span.end, |at| span.start + at);
        return Mistake::new(span.start..end, format!("`{name}` is missing"), "here");
    }
    let (kind, rest) = match message.split_once(", ") {
        Some((kind, rest)) if kind.starts_with("unknown field") || kind.starts_with("unknown variant") => (kind, rest),
        _ => return Mistake::new(span, message.to_owned(), "here"),
    };
    let given = quoted(kind).first().copied().unwrap_or_default();
    let allowed = quoted(rest);
    let (what, label) = match kind.starts_with("unknown field") {
        true => (format!("there is no key `{given}` here"), "unknown key"),
        false => (format!("{given:?} is not allowed here"), "no such value"),
    };
    let mistake = Mistake::new(span, what, label);
    let list = listed(allowed.iter().copied());
    match (nearest(given, allowed.iter().copied()), allowed.is_empty()) {
        (_, true) => mistake,
        (Some(near), _) => mistake.help(format!("did you mean `{near}`? Allowed are: {list}")),
        (None, _) => mistake.help(format!("allowed are: {list}")),
    }
}

/// Where the value at a path is, or what is there of the way to it.
fn span_of(text: &str, path: &[String]) -> Range<usize> {
    let Ok(table) = DeTable::parse(text) else { return 0..0 };
    let (mut span, mut value) = (0..text.lines().next().map_or(0, str::len), None::<&Spanned<DeValue<'_>>>);
    for part in path {
        let next = match value.map(Spanned::get_ref) {
            None => entry(table.get_ref(), part),
            Some(DeValue::Table(table)) => entry(table, part),
            Some(DeValue::Array(items)) => part.parse().ok().and_then(|index: usize| items.get(index)),
            Some(_) => None,
        };
        let Some(next) = next else { return first_line(text, span) };
        span = next.span();
        value = Some(next);
    }
    first_line(text, span)
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
}

/// A span that does not go over the end of its first line.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let end = text.get(span.clone()).and_then(|part| part.find('\n')).map_or(span.end, |at| span.start + at);
    span.start..end
}

/// The outermost `key = value` around a place, or the table under a header that is the place; with the name of its key.
fn entry_at(text: &str, place: &Range<usize>) -> Option<(String, Range<usize>)> {
    fn search(text: &str, table: &DeTable<'_>, place: &Range<usize>) -> Option<(String, Range<usize>)> {
        for (key, value) in table {
            let (name, entry) = (key.span(), key.span().start..value.span().end.max(key.span().end));
            let is_pair = text.get(name.end..value.span().start).is_some_and(|between| between.contains('='));
            if is_pair && entry.start <= place.start && place.end <= entry.end {
                return Some((key.get_ref().to_string(), entry));
            }
            if !is_pair && name.start <= place.start && place.end <= name.end {
                return Some((key.get_ref().to_string(), under_header(text, name.start)));
            }
            if is_pair {
                continue;
            }
            let inner = match value.get_ref() {
                DeValue::Table(table) => search(text, table, place),
                DeValue::Array(items) => items.iter().find_map(|item| match item.get_ref() {
                    DeValue::Table(table) => search(text, table, place),
                    _ => None,
                }),
                _ => None,
            };
            if inner.is_some() {
                return inner;
            }
        }
        None
    }
    let table = DeTable::parse(text).ok()?;
    search(text, table.get_ref(), place)
}

/// The table whose header is this place as a whole, brackets included.
fn table_at(text: &str, place: &Range<usize>) -> Option<Range<usize>> {
    let line = text[..place.start].rfind('\n').map_or(0, |newline| newline + 1);
    let is_header = text[line..place.start].trim().is_empty() && text[place.start..].starts_with('[');
    is_header.then(|| under_header(text, place.start))
}

/// The last key of the header that a table begins with.
fn header_name(table: &str) -> String {
    let header = table.lines().next().unwrap_or_default();
    let keys = header.split(']').next().unwrap_or_default().trim().trim_start_matches('[');
    keys.rsplit('.').next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

/// From the line of a header to the next one.
fn under_header(text: &str, header: usize) -> Range<usize> {
    let start = text[..header].rfind('\n').map_or(0, |newline| newline + 1);
    let after = text[header..].find('\n').map_or(text.len(), |newline| header + newline + 1);
    let mut end = after;
    for line in text[after..].split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            break;
        }
        end += line.len();
    }
    start..end
}

/// Replaces a part of a text by spaces, so that all other places stay what they are.
fn blank(text: &mut String, part: Range<usize>) {
    let spaces: String =
        text[part.clone()].bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { byte as char } else { ' ' }).collect();
    text.replace_range(part, &spaces);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by tests of what cannot be read")]
    struct Example {
        name: String,
        #[serde(default)]
        size: u8,
        #[serde(default)]
        colour: Colour,
        #[serde(default)]
        part: Vec<Part>,
        #[serde(default)]
        names: BTreeMap<String, Part>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Colour {
        #[default]
        DarkRed,
        Green,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by tests of what cannot be read")]
    struct Part {
        weight: u8,
    }

    fn example(text: &str) -> Result<Example, Wrong> {
        let example: Example = toml::from_str(text)?;
        match example.name.len() {
            0 => Err(Wrong::at(["name"], "a name has at least one letter")),
            _ => Ok(example),
        }
    }

    fn told(text: &str) -> String {
        read("example.toml", text, example).unwrap_err().render(false, 90)
    }

    #[test]
    fn all_mistakes_are_told_with_what_is_allowed() {
        let text = "\
name = ''
sise = 3
size = 300
colour = 'dark-rad'
unheard-of = { a = 1, b = [1,
  2] }

[[part]]
weight = 1

[[part]]
wait = 'é'
weight = 2

[particle]
name = 'x'

[names.one]
weight = 'heavy'
";
        insta::assert_snapshot!(told(text));
    }

    #[test]
    fn what_is_missing_is_told_once() {
        insta::assert_snapshot!(told("size = 1\n[[part]]\nwait = 1\n[[part]]\nweight = 1\n"));
    }

    #[test]
    fn a_table_that_lacks_something_is_not_missing_itself() {
        let text =
            Model::named("RM500Q-GL").map(|_| "name = 'x'\n[identity]\nmanufacturer = 'x'\nmodel = 'x'\n").unwrap();
        let mistakes = model("own.toml", text).unwrap_err();
        let told: Vec<&str> = mistakes.list.iter().map(|mistake| mistake.message.as_str()).collect();
        assert_eq!(told, ["`revision` is missing"]);
    }

    #[test]
    fn what_is_no_toml_is_told_at_all_places() {
        insta::assert_snapshot!(told("name = 'x\nsize = \ncolour = green\n"));
    }

    #[test]
    fn a_model_a_card_and_a_network() {
        let mut told = String::new();
        let mut tell = |mistakes: Option<Mistakes>| told.push_str(&mistakes.unwrap().render(false, 100));
        let text = Model::named("RM500Q-GL").map(|model| model.name).unwrap();
        assert!(model("own.toml", &format!("name = '{text}'")).is_err());
        tell(
            card("card.toml", "colour = 'red'\nkind = 'uicc'\nmemory = -1\neid = '123'\n[[profile]]\nnickname = 'x'\n")
                .err(),
        );
        tell(
            network(
                "network.toml",
                "[[operator]]\nplmn = '26201'\ncoverage = { lte = -91, lpe = 3 }\n[[operator]]\nname = 'x'\n",
            )
            .err(),
        );
        insta::assert_snapshot!(told);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(lines in prop::collection::vec("(\\[\\[?)?(name|size|part|é|a\\.b)\\]?\\]? ?(=)? ?['{\\[]?(x|1|é)?['}\\]]?", 0..8)) {
            let text = lines.join("\n");
            if let Err(mistakes) = read("any.toml", &text, example) {
                prop_assert!(!mistakes.list.is_empty());
                for mistake in &mistakes.list {
                    prop_assert!(text.get(mistake.span.clone()).is_some());
                }
                mistakes.render(false, 80);
            }
        }
    }
}
