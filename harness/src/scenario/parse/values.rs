//! Single values: each is of its type and in its range, or told as a mistake.

use std::ops::RangeInclusive;
use std::time::Duration;

use rsp::es10::download::ErrorReason;
use rsp::ids::{Eid, Iccid};

use super::Reader;
use super::fields::{Value, suggestion};
use crate::scenario::ast::*;
use crate::scenario::error::{Mistake, listed, nearest};

impl Reader<'_> {
    pub(super) fn string<'t>(&mut self, value: Value<'t, '_>) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, "a text", "put it in quotes");
        }
        text
    }

    /// A text that is not empty; it may have several lines.
    pub(super) fn text(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.string(value)?.trim();
        if text.is_empty() {
            self.mistake(Mistake::new(value.span(), "this text is empty", "say something, or leave the key out"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A text of one line that is not empty.
    pub(super) fn line_of_text(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.text(value)?;
        if text.contains('\n') {
            self.mistake(Mistake::new(value.span(), "this text has more than one line", "one line is wanted"));
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, value: Value<'_, '_>) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(value, "`true` or `false`", "write it without quotes");
        }
        boolean
    }

    pub(super) fn integer(&mut self, value: Value<'_, '_>, range: RangeInclusive<i64>) -> Option<i64> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(value, "a whole number", "write it without quotes");
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let wanted = match (*range.start(), *range.end()) {
                (start, i64::MAX) => format!("{start} or more"),
                (start, end) => format!("from {start} to {end}"),
            };
            self.mistake(Mistake::new(value.span(), "this number is out of range", format!("{wanted} is wanted")));
        }
        number
    }

    pub(super) fn count(&mut self, value: Value<'_, '_>) -> Option<u32> {
        self.integer(value, 1..=1_000_000).and_then(|count| u32::try_from(count).ok())
    }

    pub(super) fn http_status(&mut self, value: Value<'_, '_>) -> Option<u16> {
        self.integer(value, 200..=599).and_then(|status| u16::try_from(status).ok())
    }

    pub(super) fn duration(&mut self, value: Value<'_, '_>) -> Option<Duration> {
        const FORM: &str = "write a number and its unit: `\"300ms\"`, `\"10s\"`, `\"2min\"`";
        if !value.get_ref().is_str() {
            self.wrong_type(value, "a time", FORM);
            return None;
        }
        let text = self.string(value)?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number = text[..digits].parse::<u32>().ok().map(u64::from);
        let duration = match (number, text[digits..].trim_start()) {
            (Some(number), "ms") => Some(Duration::from_millis(number)),
            (Some(number), "s") => Some(Duration::from_secs(number)),
            (Some(number), "min") => Some(Duration::from_secs(number * 60)),
            _ => None,
        };
        if duration.is_none_or(|duration| duration.is_zero()) {
            self.mistake(Mistake::new(value.span(), format!("{text:?} is no time"), "a time is wanted").help(FORM));
            return None;
        }
        duration
    }

    pub(super) fn eid(&mut self, value: Value<'_, '_>) -> Option<Eid> {
        let text = self.string(value)?;
        match Eid::parse(text) {
            Ok(eid) => Some(eid),
            Err(error) => {
                let mut mistake = Mistake::new(value.span(), error.to_string(), "no EID");
                if let Some(eid) = text.get(..30).and_then(|digits| Eid::with_check_digits(digits).ok()) {
                    mistake = mistake.help(format!("with its check digits it would be {eid}"));
                }
                self.mistake(mistake);
                None
            }
        }
    }

    pub(super) fn status_code(&mut self, value: Value<'_, '_>) -> Option<StatusCode> {
        let text = self.string(value)?;
        let is_code =
            |code: &str| code.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        match text.split_once('/') {
            Some((subject, reason)) if is_code(subject) && is_code(reason) => {
                Some(StatusCode { subject: subject.to_owned(), reason: reason.to_owned() })
            }
            _ => {
                let message = format!("{text:?} is no status of ES9+");
                self.mistake(
                    Mistake::new(value.span(), message, "two codes are wanted")
                        .help("write subject code and reason code with a slash between: `\"8.2.6/3.8\"`"),
                );
                None
            }
        }
    }

    pub(super) fn euicc_reason(&mut self, value: Value<'_, '_>) -> Option<ErrorReason> {
        if value.get_ref().is_integer() {
            return self.integer(value, 1..=127).and_then(|code| u32::try_from(code).ok()).map(ErrorReason::from_code);
        }
        if !value.get_ref().is_str() {
            self.wrong_type(value, "a reason", "write its name or its number of SGP.22 §2.5.6");
            return None;
        }
        let text = self.string(value)?;
        let reason = error_reasons().find(|reason| reason.name() == text);
        if reason.is_none() {
            let names: Vec<&str> = error_reasons().map(ErrorReason::name).collect();
            let mistake = Mistake::new(value.span(), format!("the card has no reason {text:?}"), "no such reason");
            self.mistake(mistake.help(suggestion(text, &names, "the reasons of SGP.22 §2.5.6 are")));
        }
        reason
    }

    pub(super) fn word<W: Word>(&mut self, value: Value<'_, '_>, what: &str) -> Option<W> {
        let words: Vec<&str> = W::ALL.iter().map(|(word, _)| *word).collect();
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(value, &format!("a {what}"), &format!("one of {}", listed(words)));
            return None;
        };
        let word = W::from_word(text);
        if word.is_none() {
            let mistake = Mistake::new(value.span(), format!("{text:?} is no {what}"), format!("no {what}"));
            self.mistake(mistake.help(suggestion(text, &words, "allowed are")));
        }
        word
    }

    pub(super) fn template(&mut self, value: Value<'_, '_>) -> Option<Template> {
        let text = self.string(value)?;
        let forms = || listed(Variable::FORMS);
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(TemplateError::NotClosed) => {
                self.mistake(
                    Mistake::new(value.span(), "a variable is not closed", "`${` without `}`")
                        .help(format!("the variables are {}", forms())),
                );
                return None;
            }
            Err(TemplateError::Unknown(name)) => {
                self.unknown_variable(value, &name);
                return None;
            }
        };
        let profiles: Vec<String> = template.variables().filter_map(Variable::profile).map(str::to_owned).collect();
        let unknown = template.variables().find_map(|variable| match variable {
            Variable::Captured(name) if !self.captured.contains(name) => Some(name.clone()),
            _ => None,
        });
        if let Some(name) = unknown {
            self.unknown_variable(value, &name);
            return None;
        }
        let known = self.vocabulary.profiles.clone();
        profiles.iter().all(|profile| self.known_name(value, "profile", profile, &known)).then_some(template)
    }

    fn unknown_variable(&mut self, value: Value<'_, '_>, name: &str) {
        let mistake = Mistake::new(value.span(), format!("there is no variable `${{{name}}}`"), "unknown");
        let known = ["smdp", "eid"].into_iter().chain(self.captured.iter().map(String::as_str));
        let near = nearest(name, known).map(|near| format!("did you mean `${{{near}}}`? ")).unwrap_or_default();
        let captured = match self.captured.is_empty() {
            true => "; an earlier step can capture more, by a pattern with `(?<name>...)`".to_owned(),
            false => format!("; captured are {}", listed(self.captured.iter().map(String::as_str))),
        };
        self.mistake(mistake.help(format!("{near}the variables are {}{captured}", listed(Variable::FORMS))));
    }

    pub(super) fn profile_name(&mut self, value: Value<'_, '_>) -> Option<String> {
        let name = self.line_of_text(value)?;
        self.known_name(value, "profile", &name, &self.vocabulary.profiles.clone()).then_some(name)
    }

    pub(super) fn profile_ref(&mut self, value: Value<'_, '_>) -> Option<ProfileRef> {
        if value.get_ref().is_integer() {
            return self.integer(value, 1..=255).and_then(|number| u8::try_from(number).ok()).map(ProfileRef::Number);
        }
        if !value.get_ref().is_str() {
            self.wrong_type(value, "a profile", "give its number in the list, its ICCID, or its name");
            return None;
        }
        let text = self.line_of_text(value)?;
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'F') {
            return match Iccid::parse(&text) {
                Ok(iccid) => Some(ProfileRef::Iccid(iccid)),
                Err(error) => {
                    self.mistake(
                        Mistake::new(value.span(), error.to_string(), "no ICCID")
                            .help("a number in the list is written without quotes"),
                    );
                    None
                }
            };
        }
        self.profile_name(value).map(ProfileRef::Name)
    }

    pub(super) fn known_name(&mut self, value: Value<'_, '_>, what: &str, name: &str, known: &[String]) -> bool {
        let is_known = known.iter().any(|known| known == name);
        if !is_known {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let mistake = Mistake::new(value.span(), format!("there is no {what} {name:?}"), format!("no {what}"));
            self.mistake(mistake.help(suggestion(name, &known, "built in are")));
        }
        is_known
    }

    pub(super) fn pattern(&mut self, value: Value<'_, '_>) -> Option<Pattern> {
        let text = self.line_of_text(value)?;
        match Pattern::parse(&text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let message = format!("this is no regular expression: {error}");
                self.mistake(Mistake::new(value.span(), message, "cannot be read").help(
                    "`+`, `?`, `(`, `[`, `.` and `*` are signs of the pattern: put a backslash before those that are meant \
                     as they stand, and write it in single quotes",
                ));
                None
            }
        }
    }

    /// Bytes in hexadecimal digits, with or without spaces; variables may stand in them.
    pub(super) fn hexadecimal(&mut self, value: Value<'_, '_>) -> Option<Template> {
        let template = self.template(value)?;
        let filled: String = template.fill(|_| String::new()).split_whitespace().collect();
        if rsp::ids::from_hex(&filled).is_none() {
            self.mistake(
                Mistake::new(value.span(), "these are no bytes", "hexadecimal digits are wanted, two for a byte")
                    .help("write them with or without spaces: `\"80 CA 00 5A 00\"`"),
            );
            return None;
        }
        Some(template)
    }

    /// Seconds since 1970 of a date and time, which has to say that it is one of UTC.
    pub(super) fn time_of_day(&mut self, value: Value<'_, '_>) -> Option<i64> {
        const FORM: &str = "write date and time of UTC, without quotes: `2026-01-31T12:00:00Z`";
        let toml::de::DeValue::Datetime(time) = value.get_ref() else {
            self.wrong_type(value, "a date and time", FORM);
            return None;
        };
        match (time.date, time.time, time.offset) {
            (Some(date), Some(time), Some(toml::value::Offset::Z)) => {
                let days = days_since_1970(date.year.into(), date.month.into(), date.day.into());
                let seconds = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60;
                Some(days * 86_400 + seconds + i64::from(time.second.unwrap_or(0)))
            }
            _ => {
                self.mistake(
                    Mistake::new(value.span(), "a date and a time of UTC are wanted here", "not both").help(FORM),
                );
                None
            }
        }
    }

    /// The path of a file, relative to the scenario. `read` looks into it; its error says what is wrong.
    pub(super) fn file(
        &mut self,
        value: Value<'_, '_>,
        what: &str,
        read: impl FnOnce(&std::path::Path) -> Result<(), String>,
    ) -> Option<String> {
        let name = self.line_of_text(value)?;
        let Some(folder) = &self.folder else { return Some(name) };
        let path = folder.join(&name);
        if !path.exists() {
            let message = format!("there is no {what} {}", path.display());
            self.mistake(
                Mistake::new(value.span(), message, "not there").help("the path begins at the folder of the scenario"),
            );
            return None;
        }
        match read(&path) {
            Ok(()) => Some(name),
            Err(error) => {
                self.mistake(Mistake::new(value.span(), format!("this is no {what}: {error}"), "cannot be used"));
                None
            }
        }
    }
}

/// Days of the proleptic Gregorian calendar; the year begins in March, so that the day of February 29 is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::days_since_1970;

    #[test]
    fn days_are_counted_as_date_does() {
        // date -u -d 2026-11-25 +%s, and so on, divided by 86400.
        for (date, days) in
            [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((2000, 3, 1), 11_017), ((2026, 11, 25), 20_782)]
        {
            assert_eq!(days_since_1970(date.0, date.1, date.2), days);
        }
    }
}
