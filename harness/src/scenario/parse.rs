//! From the text of a scenario file to a [`Scenario`]; strict, and all mistakes at once.
//!
//! The text is read as a TOML tree whose keys and values know their places. Each table is then read key by key
//! through `fields::Fields`, which remembers the keys that were asked for: what is left over is unknown, and what was
//! asked for is the list of what is allowed. No value is taken that is not of its type and in its range (`values`).
//! A new table of the language gets a module beside `start`, `fault`, `step` and `expect`.

mod expect;
mod fault;
mod fields;
mod network;
mod start;
mod step;
mod values;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rsp::crypto::Curve;
use toml::Spanned;
use toml::de::DeTable;

use self::fields::Fields;
pub(crate) use self::step::{NotificationWord, Switch};
use super::ast::*;
use super::error::{Mistake, Mistakes};

/// How long a scenario may take when it does not say.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// The names that a scenario may use for what the program has built in.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// The models of the modem.
    pub models: Vec<String>,
    /// The kinds of cards.
    pub cards: Vec<String>,
    /// The profiles.
    pub profiles: Vec<String>,
}

impl Vocabulary {
    /// What this program has built in.
    pub fn of_this_program() -> Self {
        Vocabulary {
            models: modem::Model::names().into_iter().map(str::to_owned).collect(),
            cards: euicc::spec::CardSpec::names().map(str::to_owned).collect(),
            profiles: smdp::profile::built_in().into_keys().collect(),
        }
    }
}

/// Reads the text of a scenario. The warnings come with the scenario; mistakes come instead of it. The files that it
/// names are not looked for.
pub fn parse(file: &str, text: &str, vocabulary: &Vocabulary) -> Result<(Scenario, Mistakes), Mistakes> {
    parse_in(file, text, vocabulary, None)
}

/// The same for a scenario that is in this folder: the files that it names have to be there, and be what they should.
pub fn parse_in(
    file: &str,
    text: &str,
    vocabulary: &Vocabulary,
    folder: Option<&Path>,
) -> Result<(Scenario, Mistakes), Mistakes> {
    let folder = folder.map(Path::to_owned);
    let mut reader = Reader { mistakes: Vec::new(), vocabulary, text, folder, captured: Vec::new() };
    let scenario = match DeTable::parse(text) {
        Ok(root) => reader.scenario(&root),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            reader.mistakes.push(
                Mistake::new(span, format!("this is no TOML: {}", error.message().trim_end()), "here")
                    .help("texts stand in quotes (`'` when they hold `\"` or `\\`), lists in `[` and `]`"),
            );
            None
        }
    };
    let mut list = reader.mistakes;
    list.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
    let mistakes = Mistakes { file: file.to_owned(), text: Arc::from(text), list };
    match scenario {
        Some(scenario) if !mistakes.are_fatal() => Ok((scenario, mistakes)),
        _ => Err(mistakes),
    }
}

struct Reader<'v> {
    mistakes: Vec<Mistake>,
    vocabulary: &'v Vocabulary,
    text: &'v str,
    /// Where the files that it names are.
    folder: Option<PathBuf>,
    /// What the steps so far have captured.
    captured: Vec<String>,
}

impl Reader<'_> {
    fn mistake(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
    }

    // Whole tables.

    fn scenario(&mut self, root: &Spanned<DeTable<'_>>) -> Option<Scenario> {
        let mut fields = Fields::new(root.get_ref(), 0..0, "a scenario");
        match fields.take("format") {
            None => self.mistake(
                Mistake::new(0..0, "`format` is missing", "the file begins without it")
                    .help(format!("write `format = {FORMAT}` in the first line")),
            ),
            Some(value) => {
                if let Some(format) = self.integer(value, 0..=i64::MAX)
                    && format != FORMAT
                {
                    self.mistake(
                        Mistake::new(value.span(), format!("format {format} is not known"), "not known")
                            .help(format!("this program reads format {FORMAT}")),
                    );
                    // What follows is of another form; its mistakes would be none.
                    return None;
                }
            }
        }
        let title = self
            .required(&mut fields, "title", "say in one line what the case is")
            .and_then(|value| self.line_of_text(value));
        let why = fields.take("why").and_then(|value| self.text(value));
        let refs = fields.take("refs").and_then(|value| self.list(value, Reader::line_of_text)).unwrap_or_default();
        let deadline = fields.take("deadline").and_then(|value| self.duration(value)).unwrap_or(DEFAULT_DEADLINE);
        let expected_failure = fields.take("expected_failure").and_then(|value| self.line_of_text(value));
        let skip = fields.take("skip").and_then(|value| self.line_of_text(value));
        let modem = fields.take("modem").and_then(|value| self.modem(value));
        let (model, model_file, ports) =
            modem.map_or((None, None, None), |modem| (modem.model, modem.file, modem.ports));
        let (curve, pki_folder) = fields.take("pki").and_then(|value| self.pki(value)).unwrap_or_default();
        let clock = fields.take("clock").and_then(|value| self.clock(value));
        let card = fields.take("card").and_then(|value| self.card(value)).unwrap_or_default();
        let network = fields.take("network").and_then(|value| self.network(value));
        let (smdp_name, orders) = fields.take("smdp").and_then(|value| self.smdp(value)).unwrap_or_default();
        let faults = fields.take("fault").and_then(|value| self.list(value, Reader::fault)).unwrap_or_default();
        let steps = fields.take("step").and_then(|value| self.list(value, |reader, value| reader.step(value, &orders)));
        if !fields.table.contains_key("step") {
            self.mistake(
                Mistake::new(0..0, "nothing happens: there is no `[[step]]`", "no step in this file")
                    .help("add `[[step]]` with `at = 'AT...'` or `lpa = { download = \"1$${smdp}$TOKEN\" }`"),
            );
        }
        let expect = fields.take("expect").and_then(|value| self.expect(value, &orders)).unwrap_or_default();
        self.no_others(fields);
        Some(Scenario {
            title: title?,
            why,
            refs,
            deadline,
            expected_failure,
            skip,
            model: model.unwrap_or_else(|| crate::lab::DEFAULT_MODEL.to_owned()),
            model_file,
            ports,
            curve: curve.unwrap_or(Curve::P256),
            pki_folder,
            smdp_name,
            clock,
            card,
            network,
            orders,
            faults,
            steps: steps?,
            expect,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
