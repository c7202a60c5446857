//! Tables and lists: which keys there are, which of them were asked for, and what is said about the others.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Reader;
use crate::scenario::error::{Mistake, listed, nearest};

/// A value with its place.
pub(super) type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

/// A table that is being read: which keys were asked for, and which of them are there.
pub(super) struct Fields<'t, 'i> {
    pub(super) table: &'t DeTable<'i>,
    pub(super) span: Range<usize>,
    /// In words, `an order`.
    pub(super) what: &'static str,
    pub(super) known: Vec<&'static str>,
}

impl<'t, 'i> Fields<'t, 'i> {
    pub(super) fn new(table: &'t DeTable<'i>, span: Range<usize>, what: &'static str) -> Self {
        Fields { table, span, what, known: Vec::new() }
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'t, 'i>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The place of a key that is there.
    pub(super) fn key_span(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Those of these keys that are there.
    pub(super) fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.table.contains_key(*key)).collect()
    }
}

impl Reader<'_> {
    // Tables and lists.

    pub(super) fn table<'t, 'i>(&mut self, value: Value<'t, 'i>, what: &'static str) -> Option<Fields<'t, 'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::new(table, value.span(), what)),
            _ => {
                self.wrong_type(value, "a table", &format!("{what} is described by keys and values in `{{` and `}}`"));
                None
            }
        }
    }

    /// All elements of a list, or nothing when one of them cannot be read (but the mistakes of all of them).
    pub(super) fn list<T>(
        &mut self,
        value: Value<'_, '_>,
        mut read: impl FnMut(&mut Self, Value<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(array) = value.get_ref() else {
            let help = if value.get_ref().is_table() {
                "write its header in double brackets: `[[...]]`"
            } else {
                "put it in `[` and `]`"
            };
            self.wrong_type(value, "a list", help);
            return None;
        };
        let elements: Vec<Option<T>> = array.iter().map(|element| read(self, element)).collect();
        elements.into_iter().collect()
    }

    pub(super) fn required<'t, 'i>(
        &mut self,
        fields: &mut Fields<'t, 'i>,
        key: &'static str,
        help: &str,
    ) -> Option<Value<'t, 'i>> {
        let value = fields.take(key);
        // A key that is nearly this one is told as unknown, with this one as the suggestion; once is enough.
        if value.is_none() && !fields.table.keys().any(|given| nearest(given.get_ref(), [key]).is_some()) {
            let label = format!("{} without `{key}`", fields.what);
            self.mistake(Mistake::new(fields.span.clone(), format!("`{key}` is missing"), label).help(help));
        }
        value
    }

    pub(super) fn exactly_one(&mut self, fields: &Fields<'_, '_>, keys: &[&'static str]) {
        let mut present = fields.present(keys);
        // In the order of the file: it is the second one that is too much.
        present.sort_by_key(|key| fields.key_span(key).start);
        match present[..] {
            [_] => {}
            [] => {
                let unknown: Vec<&str> = fields.table.keys().map(|key| key.get_ref().as_ref()).collect();
                if unknown.iter().any(|given| nearest(given, keys.iter().copied()).is_some_and(|near| near != *given)) {
                    // Told as an unknown key, with a suggestion.
                    return;
                }
                self.mistake(Mistake::new(
                    fields.span.clone(),
                    format!("{} has one of {}; here is none", fields.what, listed(keys.iter().copied())),
                    "none of them is here",
                ));
            }
            [first, second, ..] => self.mistake(
                Mistake::new(
                    fields.key_span(second),
                    format!("{} has one of {}; here are two", fields.what, listed(keys.iter().copied())),
                    format!("there is `{first}` already"),
                )
                .help("make two of it, in the order in which they shall be"),
            ),
        }
    }

    /// Tells the keys that nobody asked for.
    pub(super) fn no_others(&mut self, fields: Fields<'_, '_>) {
        for key in fields.table.keys() {
            let name: &str = key.get_ref();
            if !fields.known.contains(&name) {
                self.mistake(
                    Mistake::new(key.span(), format!("{} has no key `{name}`", fields.what), "unknown key")
                        .help(suggestion(name, &fields.known, "allowed are")),
                );
            }
        }
    }

    pub(super) fn wrong_type(&mut self, value: Value<'_, '_>, wanted: &str, help: &str) {
        let given = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "a truth value",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.mistake(
            Mistake::new(value.span(), format!("{wanted} is wanted here"), format!("this is {given}")).help(help),
        );
    }
}

pub(super) fn suggestion(given: &str, known: &[&str], introduction: &str) -> String {
    let mut once: Vec<&str> = Vec::new();
    once.extend(known.iter().copied().filter(|word| !word.is_empty()));
    let mut seen = std::collections::BTreeSet::new();
    once.retain(|word| seen.insert(*word));
    let list = listed(once);
    match nearest(given, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {}: {list}", capitalised(introduction)),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("{introduction}: {list}"),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
