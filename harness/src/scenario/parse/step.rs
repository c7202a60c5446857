//! What happens, and what must come of it.

use std::time::Duration;

use rsp::activation_code::ActivationCode;
use rsp::es10::download::BppCommandId;
use toml::de::DeValue;

use super::Reader;
use super::fields::{Fields, Value, suggestion};
use crate::scenario::ast::*;
use crate::scenario::error::{Mistake, listed, nearest};
use crate::scenario::transcript::Transcript;
use crate::timeline::Direction;

/// What a step does, each a key; with the keys that go with it, and what to say to one who uses those of another.
const KINDS: [Kind; 12] = [
    Kind {
        key: "at",
        with: &["reply", "port"],
        help: "what must come of an AT command is its `reply`, `within` a time",
    },
    Kind { key: "transcript", with: &[], help: "what the modem must say stands in the transcript, with `<` before it" },
    Kind { key: "dialogue", with: &[], help: "what the modem must say stands in the dialogue, with `<` before it" },
    Kind { key: "urc", with: &[], help: "a URC has to be the one that is named, `within` a time" },
    Kind {
        key: "apdu",
        with: &["sw", "data"],
        help: "what must come of an APDU is its status word `sw` and its `data`",
    },
    Kind {
        key: "lpa",
        with: &[
            "outcome",
            "status",
            "curl",
            "http",
            "euicc",
            "command",
            "sw",
            "profiles",
            "notifications",
            "timeout",
            "segment",
            "csim",
            "accept_rules",
            "isd_r",
            "refresh",
        ],
        help: "what must come of an operation is told by `outcome`, `status`, `curl`, `http`, `euicc`",
    },
    Kind { key: "server", with: &[], help: "what the operator does succeeds, or the lab has failed" },
    Kind { key: "card", with: &[], help: "what comes of it is seen by a `urc`, or by the next command" },
    Kind { key: "modem", with: &[], help: "what comes of it is seen by a `urc`, or by the next command" },
    Kind { key: "network", with: &[], help: "what comes of it is seen by a `urc`, or by the next command" },
    Kind { key: "clock", with: &[], help: "the time goes on by so much, and nothing else happens" },
    Kind { key: "parallel", with: &[], help: "what must come of the steps stands in each of them" },
];

struct Kind {
    key: &'static str,
    with: &'static [&'static str],
    help: &'static str,
}

impl Reader<'_> {
    pub(super) fn step(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Step> {
        let mut fields = self.table(value, "a step")?;
        let line = self.line(&fields.span);
        let within = fields.take("within").and_then(|value| self.within(value, &fields));
        let keys = KINDS.map(|kind| kind.key);
        fields.known.extend(keys);
        self.exactly_one(&fields, &keys);
        let action = match fields.present(&keys)[..] {
            [key] => {
                self.of_other_kinds(&mut fields, key);
                let value = fields.table.get(key)?;
                self.action(key, value, &mut fields, orders)
            }
            _ => {
                // The mistake has been told; the rest is not to be taken for unknown.
                fields.known.extend(KINDS.iter().flat_map(|kind| kind.with));
                None
            }
        };
        self.no_others(fields);
        Some(Step { line, action: action?, within })
    }

    /// How long a step may take: a time, or for an AT command `"documented"`, which is what the documents give its
    /// commands.
    fn within(&mut self, value: Value<'_, '_>, fields: &Fields<'_, '_>) -> Option<Duration> {
        if value.get_ref().as_str() != Some("documented") {
            return self.duration(value);
        }
        let Some(at) = fields.table.get("at") else {
            let key = fields.present(&KINDS.map(|kind| kind.key)).first().copied().unwrap_or("this step");
            self.mistake(
                Mistake::new(value.span(), format!("`documented` does not go with `{key}`"), "goes with `at`")
                    .help("write a number and its unit: `\"300ms\"`, `\"10s\"`, `\"2min\"`"),
            );
            return None;
        };
        at.get_ref().as_str().map(modem::maximum_response_time_of_line)
    }

    /// Tells keys that go with another kind of step.
    fn of_other_kinds(&mut self, fields: &mut Fields<'_, '_>, key: &str) {
        let Some(own) = KINDS.iter().find(|kind| kind.key == key) else { return };
        for other in &KINDS {
            for stray in fields.present(other.with) {
                if own.with.contains(&stray) || fields.known.contains(&stray) {
                    continue;
                }
                fields.known.push(stray);
                let goes: Vec<&str> =
                    KINDS.iter().filter(|kind| kind.with.contains(&stray)).map(|kind| kind.key).collect();
                self.mistake(
                    Mistake::new(
                        fields.key_span(stray),
                        format!("`{stray}` does not go with `{key}`"),
                        format!("goes with {}", listed(goes)),
                    )
                    .help(own.help),
                );
            }
        }
    }

    fn action(
        &mut self,
        key: &str,
        value: Value<'_, '_>,
        fields: &mut Fields<'_, '_>,
        orders: &[Order],
    ) -> Option<StepAction> {
        match key {
            "at" => {
                let command = self.at_command(value);
                let port = self.port(fields);
                let reply = fields.take("reply").map(|value| self.reply(value));
                let reply = match reply {
                    None => None,
                    Some(lines) => Some(lines?),
                };
                Some(StepAction::At { command: command?, port: port?, reply })
            }
            "transcript" => self.transcript_file(value),
            "dialogue" => {
                let text = self.string(value)?.to_owned();
                let transcript = self.transcript(value, &text, None)?;
                Some(StepAction::Transcript { name: None, transcript })
            }
            "urc" => match self.expected_line(value)? {
                ExpectedLine::Any => {
                    self.mistake(
                        Mistake::new(value.span(), "`...` is any number of lines", "which URC?")
                            .help("name the line, or a pattern for it: `{ pattern = '\\+CREG: \\d' }`"),
                    );
                    None
                }
                line => Some(StepAction::Urc(line)),
            },
            "apdu" => {
                let command = self.hexadecimal(value);
                let status = fields.take("sw").map(|value| self.status_word(value));
                let data = fields.take("data").map(|value| self.response_data(value));
                let status = match status {
                    None => None,
                    Some(status) => Some(status?),
                };
                let data = match data {
                    None => None,
                    Some(data) => Some(data?),
                };
                Some(StepAction::Apdu { command: command?, status, data })
            }
            "lpa" => {
                let operation = self.operation(value, orders);
                let settings = self.lpa_settings(fields);
                let expect = self.lpa_expect(fields, operation.as_ref());
                Some(StepAction::Lpa { operation: operation?, settings: settings?, expect: expect? })
            }
            "server" => self.server_action(value, orders).map(StepAction::Server),
            "card" => self.word::<CardAction>(value, "thing that is done with the card").map(StepAction::Card),
            "modem" => self.word::<ModemAction>(value, "thing that happens to the modem").map(StepAction::Modem),
            "network" => self.network_action(value).map(StepAction::Network),
            "clock" => self.duration(value).map(StepAction::Clock),
            _ => self.parallel(value, orders),
        }
    }

    fn port(&mut self, fields: &mut Fields<'_, '_>) -> Option<usize> {
        let Some(value) = fields.take("port") else { return Some(0) };
        self.integer(value, 0..=9).and_then(|port| usize::try_from(port).ok())
    }

    fn parallel(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<StepAction> {
        let steps = self.list(value, |reader, value| reader.step(value, orders))?;
        if steps.len() < 2 {
            self.mistake(
                Mistake::new(value.span(), "`parallel` is a list of two steps or more", "fewer")
                    .help("write `parallel = [{ at = \"AT\", port = 1 }, { lpa = ..., outcome = ... }]`"),
            );
            return None;
        }
        if steps.iter().any(|step| matches!(step.action, StepAction::Parallel(_))) {
            self.mistake(
                Mistake::new(value.span(), "`parallel` stands in `parallel`", "in here")
                    .help("put all steps into one list: they begin together anyway"),
            );
            return None;
        }
        Some(StepAction::Parallel(steps))
    }

    fn server_action(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<ServerAction> {
        if value.get_ref().is_str() {
            return self.word::<Switch>(value, "thing that is done with the server").map(|word| match word {
                Switch::Stop => ServerAction::Stop,
                Switch::Start => ServerAction::Start,
            });
        }
        const DEEDS: [&str; 3] = ["release", "cancel", "expire"];
        let mut fields = self.table(value, "what the server does")?;
        let [release, cancel, expire] = DEEDS.map(|key| fields.take(key));
        self.exactly_one(&fields, &DEEDS);
        let mut order = |value: Value<'_, '_>| {
            let id = self.line_of_text(value)?;
            let ids: Vec<&str> = orders.iter().filter_map(|order| order.matching_id.as_deref()).collect();
            if !ids.contains(&id.as_str()) {
                let message = format!("no order has the matching id {id:?}");
                let mistake = Mistake::new(value.span(), message, "no such order");
                self.mistake(mistake.help(suggestion(&id, &ids, "the orders of this scenario are")));
                return None;
            }
            Some(id)
        };
        let action = if let Some(value) = release {
            order(value).map(ServerAction::Release)
        } else if let Some(value) = cancel {
            order(value).map(ServerAction::Cancel)
        } else {
            expire.and_then(order).map(ServerAction::Expire)
        };
        self.no_others(fields);
        action
    }

    fn transcript_file(&mut self, value: Value<'_, '_>) -> Option<StepAction> {
        let mut text = None;
        let name = self.file(value, "transcript", |path| {
            text = Some(std::fs::read_to_string(path).map_err(|error| error.to_string())?);
            Ok(())
        })?;
        let text = text.unwrap_or_default();
        let transcript = self.transcript(value, &text, Some(&name))?;
        Some(StepAction::Transcript { name: Some(name), transcript })
    }

    /// A dialogue, in which everything that the runner needs is right: patterns, variables, and a command first.
    fn transcript(&mut self, value: Value<'_, '_>, text: &str, name: Option<&str>) -> Option<Transcript> {
        let place = |line: usize| match name {
            Some(name) => format!("line {line} of {name}"),
            None => format!("line {line} of the dialogue"),
        };
        let transcript = match Transcript::parse(name.unwrap_or("the dialogue"), text) {
            Ok(transcript) => transcript,
            Err(mistakes) => {
                for mistake in mistakes.list {
                    let line = text.get(..mistake.span.start).map_or(1, |before| before.matches('\n').count() + 1);
                    let message = format!("{}: {}", place(line), mistake.message);
                    let told = Mistake::new(value.span(), message, mistake.label);
                    self.mistake(told.help(mistake.help.unwrap_or_default()));
                }
                return None;
            }
        };
        if transcript.lines.iter().all(|line| line.direction == Direction::Response) {
            self.mistake(
                Mistake::new(value.span(), "nobody says anything to the modem in this dialogue", "no line with `>`")
                    .help("a dialogue has commands (`> AT`) and what the modem must say to them (`< OK`)"),
            );
            return None;
        }
        let before = self.mistakes.len();
        for line in &transcript.lines {
            let text = line.text();
            let wrong = match line.is_pattern {
                true => match Pattern::parse(&text) {
                    Ok(pattern) => {
                        self.capture(value, &pattern);
                        None
                    }
                    Err(error) => Some(format!("this is no regular expression: {error}")),
                },
                false => match Template::parse(&text) {
                    Ok(template) => template.variables().find_map(|variable| match variable {
                        Variable::Captured(name) if !self.captured.contains(name) => {
                            Some(format!("there is no variable `${{{name}}}`"))
                        }
                        other => {
                            let profile = other.profile().map(str::to_owned)?;
                            let known = self.vocabulary.profiles.contains(&profile);
                            (!known).then(|| format!("there is no profile {profile:?}"))
                        }
                    }),
                    Err(_) => Some("a variable cannot be read".to_owned()),
                },
            };
            if let Some(wrong) = wrong {
                self.mistake(Mistake::new(value.span(), format!("{}: {wrong}", place(line.number)), "in here"));
            }
        }
        (self.mistakes.len() == before).then_some(transcript)
    }

    fn at_command(&mut self, value: Value<'_, '_>) -> Option<Template> {
        let text = self.string(value)?;
        if !text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("AT")) {
            self.mistake(
                Mistake::new(value.span(), "an AT command begins with `AT`", "does not begin so")
                    .help(format!("write `at = 'AT{text}'`")),
            );
            return None;
        }
        if text.contains(['\r', '\n']) {
            self.mistake(
                Mistake::new(value.span(), "an AT command is one line", "has a line end in it")
                    .help("leave the line end out, it is added; each command is a `[[step]]` of its own"),
            );
            return None;
        }
        self.template(value)
    }

    fn reply(&mut self, value: Value<'_, '_>) -> Option<Vec<ExpectedLine>> {
        if value.get_ref().is_str() {
            let text = value.get_ref().as_str().unwrap_or_default();
            self.mistake(
                Mistake::new(value.span(), "`reply` is a list of lines", "a text").help(format!(
                    "write `reply = ['{text}']`; the final result code (`OK`, `ERROR`) is the last line"
                )),
            );
            return None;
        }
        let lines = self.list(value, Reader::expected_line)?;
        match lines.last() {
            None => {
                self.mistake(
                    Mistake::new(value.span(), "`reply` has no line", "empty").help(
                        "the last line is the final result code: `[\"OK\"]`; leave `reply` out to take any answer",
                    ),
                );
                None
            }
            Some(ExpectedLine::Any) => {
                self.mistake(
                    Mistake::new(value.span(), "`reply` ends in `...`", "where does the answer end?")
                        .help("the last line is the final result code: `[\"...\", \"OK\"]`"),
                );
                None
            }
            Some(_) => Some(lines),
        }
    }

    /// A line that is expected: a text, a pattern, or `...`.
    fn expected_line(&mut self, value: Value<'_, '_>) -> Option<ExpectedLine> {
        match value.get_ref() {
            DeValue::String(text) if text == "..." => Some(ExpectedLine::Any),
            DeValue::Table(_) => {
                let mut fields = self.table(value, "a line that is expected")?;
                let pattern = self.required(&mut fields, "pattern", "write `{ pattern = '\\+CSQ: \\d+,\\d+' }`");
                let pattern = pattern.and_then(|value| self.pattern(value).map(|pattern| (value, pattern)));
                self.no_others(fields);
                let (value, pattern) = pattern?;
                self.capture(value, &pattern);
                Some(ExpectedLine::Pattern(pattern))
            }
            _ => self.template(value).map(ExpectedLine::Text),
        }
    }

    /// What a pattern captures can be used from here on.
    fn capture(&mut self, value: Value<'_, '_>, pattern: &Pattern) {
        for name in pattern.names() {
            if Variable::RESERVED.contains(&name) {
                self.mistake(
                    Mistake::new(
                        value.span(),
                        format!("a capture cannot be called `{name}`"),
                        "means something already",
                    )
                    .help("give it another name"),
                );
            } else if !self.captured.iter().any(|known| known == name) {
                self.captured.push(name.to_owned());
            }
        }
    }

    fn status_word(&mut self, value: Value<'_, '_>) -> Option<StatusWord> {
        let text = self.string(value)?;
        let status = StatusWord::parse(text);
        if status.is_none() {
            self.mistake(
                Mistake::new(value.span(), format!("{text:?} is no status word"), "four digits are wanted")
                    .help("write four hexadecimal digits, `x` for one that may be any: `\"9000\"`, `\"63Cx\"`"),
            );
        }
        status
    }

    /// Response data: hexadecimal digits, or a pattern for them.
    fn response_data(&mut self, value: Value<'_, '_>) -> Option<Pattern> {
        if value.get_ref().is_table() {
            let mut fields = self.table(value, "the data that are expected")?;
            let pattern = self.required(&mut fields, "pattern", "write `{ pattern = '5A10(?<eid_of_card>.*)' }`");
            let pattern = pattern.and_then(|value| self.pattern(value));
            self.no_others(fields);
            let pattern = pattern?;
            self.capture(value, &pattern);
            return Some(pattern);
        }
        let template = self.hexadecimal(value)?;
        let digits: String = template.fill(|_| String::new()).split_whitespace().collect();
        if template.variables().next().is_some() {
            self.mistake(Mistake::new(value.span(), "no variable can stand in `data`", "in here"));
            return None;
        }
        Pattern::parse(&digits.to_ascii_uppercase()).ok()
    }

    fn operation(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Operation> {
        const OPERATIONS: [&str; 9] =
            ["download", "enable", "disable", "delete", "nickname", "list", "notifications", "default_address", "info"];
        let mut fields = self.table(value, "an operation of the LPA")?;
        let [download, enable, disable, delete, nickname, list, notifications, default_address, info] =
            OPERATIONS.map(|key| fields.take(key));
        self.exactly_one(&fields, &OPERATIONS);
        let (code, name) = (fields.take("confirmation_code"), fields.take("name"));
        for (key, goes_with) in [("confirmation_code", "download"), ("name", "nickname")] {
            if fields.table.contains_key(key) && !fields.table.contains_key(goes_with) {
                self.mistake(Mistake::new(
                    fields.key_span(key),
                    format!("`{key}` goes with `{goes_with}`"),
                    format!("there is no `{goes_with}`"),
                ));
            }
        }
        let operation = if let Some(value) = download {
            let confirmation_code = code.and_then(|value| self.template(value));
            let activation_code = self.activation_code(value, orders);
            activation_code.map(|activation_code| Operation::Download { activation_code, confirmation_code })
        } else if let Some(value) = enable {
            self.profile_ref(value).map(Operation::Enable)
        } else if let Some(value) = disable {
            self.profile_ref(value).map(Operation::Disable)
        } else if let Some(value) = delete {
            self.profile_ref(value).map(Operation::Delete)
        } else if let Some(value) = nickname {
            let profile = self.profile_ref(value);
            match name {
                None => {
                    self.mistake(
                        Mistake::new(fields.span.clone(), "`name` is missing", "which nickname?")
                            .help("write `lpa = { nickname = 1, name = \"Work\" }`; an empty name takes it away"),
                    );
                    None
                }
                Some(name) => {
                    let name = self.string(name).map(str::to_owned);
                    profile.zip(name).map(|(profile, name)| Operation::Nickname(profile, name))
                }
            }
        } else if let Some(value) = notifications {
            self.word::<NotificationWord>(value, "thing that is done with notifications").map(|word| match word {
                NotificationWord::Send => Operation::SendNotifications,
                NotificationWord::List => Operation::ListNotifications,
                NotificationWord::Remove => Operation::RemoveNotifications,
            })
        } else if let Some(value) = default_address {
            self.template(value).map(Operation::DefaultAddress)
        } else if let Some(value) = info {
            self.only_true(value, "info").then_some(Operation::Info)
        } else {
            list.and_then(|value| self.only_true(value, "list").then_some(Operation::List))
        };
        self.no_others(fields);
        operation
    }

    fn only_true(&mut self, value: Value<'_, '_>, key: &str) -> bool {
        let is_true = self.boolean(value);
        if is_true == Some(false) {
            self.mistake(Mistake::new(value.span(), format!("`{key} = false` does nothing"), "write `true`"));
        }
        is_true == Some(true)
    }

    fn lpa_settings(&mut self, fields: &mut Fields<'_, '_>) -> Option<LpaSettings> {
        let before = self.mistakes.len();
        let timeout = fields.take("timeout").and_then(|value| self.duration(value));
        let segment = fields.take("segment").and_then(|value| self.integer(value, 1..=255));
        let segment = segment.and_then(|segment| u8::try_from(segment).ok());
        let isd_r = fields.take("isd_r").and_then(|value| {
            let text = self.string(value)?;
            if rsp::Aid::parse(text).is_err() {
                self.mistake(
                    Mistake::new(value.span(), format!("{text:?} is no AID"), "no AID")
                        .help("an AID has 5 to 16 bytes in hexadecimal digits: `\"A0000005591010FFFFFFFF8900000100\"`"),
                );
                return None;
            }
            Some(text.to_owned())
        });
        let mut flag = |key| fields.take(key).and_then(|value| self.boolean(value));
        let (csim, accept_rules, refresh) = (flag("csim"), flag("accept_rules"), flag("refresh"));
        let settings = LpaSettings {
            timeout,
            segment,
            csim: csim.unwrap_or(false),
            accept_rules: accept_rules.unwrap_or(false),
            no_refresh: refresh == Some(false),
            isd_r,
            resolve: None,
            requests: false,
        };
        (self.mistakes.len() == before).then_some(settings)
    }

    fn activation_code(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Template> {
        let template = self.template(value)?;
        // Scenarios may hand out a wrong code on purpose: these are warnings.
        let filled = template.fill(|variable| match variable {
            Variable::Smdp => "smdp.example.com:443".to_owned(),
            _ => "0".to_owned(),
        });
        if filled == "UseSMDP" {
            return Some(template);
        }
        match ActivationCode::parse(&filled) {
            Err(error) => self.mistake(
                Mistake::new(
                    value.span(),
                    format!("this is no activation code: {}", error.problem),
                    "an LPA refuses it",
                )
                .help("if that is what is wanted, all is well")
                .warning(),
            ),
            Ok(code) if !code.matching_id.is_empty() => {
                let known = orders.iter().filter_map(|order| order.matching_id.as_deref());
                if known.clone().all(|id| id != code.matching_id.as_str()) {
                    let help = match nearest(code.matching_id.as_str(), known) {
                        Some(near) => format!("did you mean `{near}`? If it is not to be found, all is well"),
                        None => "if it is not to be found, all is well".to_owned(),
                    };
                    let message = format!("no `[[smdp.order]]` has the matching id {:?}", code.matching_id.as_str());
                    self.mistake(Mistake::new(value.span(), message, "the server will refuse it").help(help).warning());
                }
            }
            Ok(_) => {}
        }
        Some(template)
    }

    fn lpa_expect(&mut self, fields: &mut Fields<'_, '_>, operation: Option<&Operation>) -> Option<LpaExpect> {
        const OF_A_FAILURE: [&str; 6] = ["status", "curl", "http", "euicc", "command", "sw"];
        let before = self.mistakes.len();
        let outcome = self
            .required(fields, "outcome", "write `outcome = \"success\"` or `outcome = \"failure\"`")
            .and_then(|value| self.word::<Outcome>(value, "outcome"));
        let status = fields.take("status").and_then(|value| self.status_code(value));
        let curl = fields.take("curl").and_then(|value| self.integer(value, 1..=99)).map(|code| code as u32);
        let http = fields.take("http").and_then(|value| self.http_status(value));
        let euicc = fields.take("euicc").and_then(|value| self.euicc_reason(value));
        let command = fields.take("command").and_then(|value| self.bpp_command(value));
        let sw = fields.take("sw").and_then(|value| self.status_word(value));
        let profiles = fields.take("profiles").and_then(|value| self.list(value, Reader::expected_profile));
        let notifications =
            fields.take("notifications").and_then(|value| self.list(value, Reader::expected_notification));
        for (key, is_there, goes) in [
            ("profiles", profiles.is_some(), matches!(operation, None | Some(Operation::List))),
            ("notifications", notifications.is_some(), matches!(operation, None | Some(Operation::ListNotifications))),
        ] {
            if is_there && !goes {
                let help = match key {
                    "profiles" => "what is on the card is expected by `[expect] euicc.profiles = [...]`",
                    _ => "what waits on the card is expected by `[expect] euicc.notifications = [...]`",
                };
                let message = format!("this operation lists no {key}");
                self.mistake(Mistake::new(fields.key_span(key), message, "not looked at").help(help));
            }
        }
        let expect = LpaExpect { outcome, status, curl, http, euicc, command, sw, profiles, notifications };
        if outcome == Some(Outcome::Success)
            && let [key, ..] = fields.present(&OF_A_FAILURE)[..]
        {
            self.mistake(
                Mistake::new(fields.key_span(key), format!("a success has no `{key}`"), "tells of a failure")
                    .help(format!("take `{key}` away, or write `outcome = \"failure\"`")),
            );
        }
        (self.mistakes.len() == before).then_some(expect)
    }

    fn bpp_command(&mut self, value: Value<'_, '_>) -> Option<BppCommandId> {
        let text = self.string(value)?;
        let command = bpp_commands().find(|command| command.name() == text);
        if command.is_none() {
            let names: Vec<&str> = bpp_commands().map(BppCommandId::name).collect();
            let message = format!("{text:?} is no command of a bound profile package");
            let mistake = Mistake::new(value.span(), message, "no such command");
            self.mistake(mistake.help(suggestion(text, &names, "the commands of SGP.22 §2.5.6 are")));
        }
        command
    }
}

/// What is done with the server as a whole, by its words.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Switch {
    Stop,
    Start,
}

impl Word for Switch {
    const ALL: &'static [(&'static str, Self)] = &[("stop", Switch::Stop), ("start", Switch::Start)];
}

/// What is done with the notifications on the card, by its words.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NotificationWord {
    Send,
    List,
    Remove,
}

impl Word for NotificationWord {
    const ALL: &'static [(&'static str, Self)] =
        &[("send", NotificationWord::Send), ("list", NotificationWord::List), ("remove", NotificationWord::Remove)];
}
