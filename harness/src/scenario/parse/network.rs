//! The mobile network: `[network]`, the steps `network = ...`, and `[expect] network`.

use modem::network::{Change, Connectivity, Dns, NetworkSpec, SubscriptionState, Technology};
use serde::Deserialize;
use toml::de::ValueDeserializer;

use super::Reader;
use super::fields::{Fields, Value, suggestion};
use crate::scenario::ast::*;
use crate::scenario::error::Mistake;

impl Reader<'_> {
    /// A network in the form of a network file, or the name of one (`file`).
    pub(super) fn network(&mut self, value: Value<'_, '_>) -> Option<NetworkSpec> {
        let mut fields = self.table(value, "the mobile network")?;
        if let Some(file) = fields.take("file") {
            self.no_others(fields);
            let mut spec = None;
            self.file(file, "network", |path| {
                let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
                spec = Some(NetworkSpec::from_toml(&text).map_err(|error| error.message)?);
                Ok(())
            })?;
            return Some(spec.unwrap_or_default());
        }
        for key in ["operator", "subscription", "rrc_release"] {
            let _ = fields.take(key);
        }
        self.no_others(fields);
        let known_only = {
            let toml::de::DeValue::Table(table) = value.get_ref() else { return None };
            table.keys().all(|key| {
                let name: &str = key.get_ref();
                ["operator", "subscription", "rrc_release"].contains(&name)
            })
        };
        if !known_only {
            return None;
        }
        let read = NetworkSpec::deserialize(ValueDeserializer::from(value.clone()));
        let checked = read
            .map_err(|error| (error.span(), error.message().to_owned()))
            .and_then(|spec| spec.checked().map_err(|message| (None, message)));
        match checked {
            Ok(spec) => Some(spec),
            Err((span, message)) => {
                self.mistake(Mistake::new(span.unwrap_or(value.span()), message, "in the mobile network"));
                None
            }
        }
    }

    /// `network = { ... }` of a step: one thing that the operator, or the radio, does.
    pub(super) fn network_action(&mut self, value: Value<'_, '_>) -> Option<NetworkAction> {
        let mut fields = self.table(value, "what happens in the mobile network")?;
        fields.known.extend(DEEDS);
        self.exactly_one(&fields, &DEEDS);
        let action = match fields.present(&DEEDS)[..] {
            [key] => fields.table.get(key).and_then(|value| self.network_deed(key, value)),
            _ => None,
        };
        self.no_others(fields);
        action
    }

    fn network_deed(&mut self, key: &str, value: Value<'_, '_>) -> Option<NetworkAction> {
        let change = match key {
            "sim" => Change::State(self.word::<SubscriptionState>(value, "state of the SIM")?),
            "data" => Change::Data(self.boolean(value)?),
            "messages" => Change::Sms(self.boolean(value)?),
            "roaming" => Change::Roaming(self.boolean(value)?),
            "dns" => Change::Dns(self.word::<Dns>(value, "state of DNS")?),
            "apns" => Change::Apns(self.list(value, Reader::line_of_text)?),
            "blacklist" => Change::Blacklist(self.list(value, Reader::plmn)?),
            "technologies" => Change::Technologies(Some(
                self.list(value, |reader, value| reader.word::<Technology>(value, "radio access"))?,
            )),
            "coverage" => self.coverage(value)?,
            "sms" => return self.text_message(value),
            "reset" => {
                self.yes(value)?;
                Change::Reset
            }
            _ => {
                self.yes(value)?;
                return Some(NetworkAction::Wake);
            }
        };
        Some(NetworkAction::Change(change))
    }

    /// A deed that is only written to be done.
    fn yes(&mut self, value: Value<'_, '_>) -> Option<()> {
        if self.boolean(value)? {
            return Some(());
        }
        self.mistake(Mistake::new(value.span(), "`false` does nothing", "nothing happens").help("leave the step out"));
        None
    }

    fn plmn(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.line_of_text(value)?;
        if (5..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text);
        }
        self.mistake(
            Mistake::new(value.span(), format!("{text:?} is no PLMN"), "no PLMN")
                .help("it has the three digits of the MCC and two or three of the MNC: `\"26201\"`"),
        );
        None
    }

    /// `{ operator = "26201", technology = "lte", signal = -90 }`; without a signal there is none.
    fn coverage(&mut self, value: Value<'_, '_>) -> Option<Change> {
        let mut fields = self.table(value, "the coverage")?;
        let operator = self
            .required(&mut fields, "operator", "name its PLMN, or `home`")
            .and_then(|value| self.line_of_text(value));
        let technology = self
            .required(&mut fields, "technology", "name the radio access: `technology = \"lte\"`")
            .and_then(|value| self.word::<Technology>(value, "radio access"));
        let signal = match fields.take("signal") {
            None => Some(None),
            Some(value) => self.integer(value, -140..=-40).and_then(|dbm| i16::try_from(dbm).ok()).map(Some),
        };
        self.no_others(fields);
        Some(Change::Coverage { operator: operator?, technology: technology?, signal: signal? })
    }

    fn text_message(&mut self, value: Value<'_, '_>) -> Option<NetworkAction> {
        let mut fields = self.table(value, "a text message")?;
        let from = self
            .required(&mut fields, "from", "write the number that it comes from")
            .and_then(|value| self.line_of_text(value));
        let text = self
            .required(&mut fields, "text", "write what it says")
            .and_then(|value| self.string(value).map(str::to_owned));
        self.no_others(fields);
        Some(NetworkAction::Sms { from: from?, text: text? })
    }

    /// `[expect] network`.
    pub(super) fn expected_network(&mut self, fields: &mut Fields<'_, '_>) -> ExpectedNetwork {
        let mut expect = ExpectedNetwork::default();
        let Some(value) = fields.take("network") else { return expect };
        let Some(mut fields) = self.table(value, "what is expected of the mobile network") else { return expect };
        expect.state = self
            .expected(&mut fields, "state", |reader, value| reader.word::<Connectivity>(value, "connectivity state"));
        expect.operator =
            self.expected(&mut fields, "operator", |reader, value| reader.string(value).map(str::to_owned));
        expect.technology =
            self.expected(&mut fields, "technology", |reader, value| reader.word::<Technology>(value, "radio access"));
        expect.events = self.expected(&mut fields, "events", |reader, value| reader.list(value, Reader::network_event));
        self.no_others(fields);
        expect
    }

    fn network_event(&mut self, value: Value<'_, '_>) -> Option<NetworkEventWord> {
        let text = self.line_of_text(value)?;
        let all: Vec<(String, NetworkEventWord)> = NetworkEventWord::all().collect();
        if let Some((_, word)) = all.iter().find(|(name, _)| *name == text) {
            return Some(*word);
        }
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let mistake = Mistake::new(value.span(), format!("the operator's log has no event {text:?}"), "no such event");
        self.mistake(mistake.help(suggestion(&text, &names, "the events are")));
        None
    }
}
