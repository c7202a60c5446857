//! From the text of a scenario file to a [`Scenario`]; strict, and all mistakes at once.
//!
//! The text is read as a TOML tree whose keys and values know their places. Each table is then read key by key
//! through `Fields`, which remembers the keys that were asked for: what is left over is unknown, and what was
//! asked for is the list of what is allowed. No value is taken that is not of its type and in its range.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use rsp::activation_code::ActivationCode;
use rsp::crypto::Curve;
use rsp::es10::download::ErrorReason;
use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileState;
use rsp::ids::{Eid, Iccid, MatchingId};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use smdp::front::Action;
use smdp::{Function, OrderState, StatusError};

use super::ast::*;
use super::error::{Mistake, Mistakes, listed, nearest};

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

/// Reads the text of a scenario. The warnings come with the scenario; mistakes come instead of it.
pub fn parse(file: &str, text: &str, vocabulary: &Vocabulary) -> Result<(Scenario, Mistakes), Mistakes> {
    let mut reader = Reader { mistakes: Vec::new(), vocabulary, text };
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

type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

struct Reader<'v> {
    mistakes: Vec<Mistake>,
    vocabulary: &'v Vocabulary,
    text: &'v str,
}

/// A table that is being read: which keys were asked for, and which of them are there.
struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    span: Range<usize>,
    /// In words, `an order`.
    what: &'static str,
    known: Vec<&'static str>,
}

impl<'t, 'i> Fields<'t, 'i> {
    fn new(table: &'t DeTable<'i>, span: Range<usize>, what: &'static str) -> Self {
        Fields { table, span, what, known: Vec::new() }
    }

    /// The value of a key, if it is there.
    fn take(&mut self, key: &'static str) -> Option<Value<'t, 'i>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The place of a key that is there.
    fn key_span(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// Those of these keys that are there.
    fn present(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.table.contains_key(*key)).collect()
    }
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
        let model = fields.take("modem").and_then(|value| self.modem(value)).unwrap_or_else(|| "RM500Q-GL".to_owned());
        let curve = fields.take("pki").and_then(|value| self.pki(value)).unwrap_or(Curve::P256);
        let card = fields.take("card").and_then(|value| self.card(value)).unwrap_or_default();
        let orders = fields.take("smdp").and_then(|value| self.smdp(value)).unwrap_or_default();
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
            model,
            curve,
            card,
            orders,
            faults,
            steps: steps?,
            expect,
        })
    }

    fn modem(&mut self, value: Value<'_, '_>) -> Option<String> {
        let mut fields = self.table(value, "the modem")?;
        let model = fields.take("model").and_then(|value| {
            let model = self.line_of_text(value)?;
            self.known_name(value, "model", &model, &self.vocabulary.models.clone()).then_some(model)
        });
        self.no_others(fields);
        model
    }

    fn pki(&mut self, value: Value<'_, '_>) -> Option<Curve> {
        let mut fields = self.table(value, "the PKI")?;
        let curve = fields.take("curve").and_then(|value| self.word::<Curve>(value, "curve"));
        self.no_others(fields);
        curve
    }

    fn card(&mut self, value: Value<'_, '_>) -> Option<Card> {
        let mut fields = self.table(value, "the card")?;
        let kind = fields.take("kind").and_then(|value| {
            let kind = self.line_of_text(value)?;
            self.known_name(value, "card", &kind, &self.vocabulary.cards.clone()).then_some(kind)
        });
        let eid = fields.take("eid").and_then(|value| self.eid(value));
        let list = fields.take("profiles");
        let profiles = list.and_then(|value| self.list(value, Reader::installed_profile)).unwrap_or_default();
        if let Some(list) = list
            && profiles.iter().filter(|profile| profile.state == ProfileState::Enabled).count() > 1
        {
            self.mistake(
                Mistake::new(list.span(), "more than one profile is enabled", "two of these are enabled")
                    .help("a card has one enabled profile at most (SGP.22 §2.4.3)"),
            );
        }
        self.no_others(fields);
        Some(Card { kind, eid, profiles })
    }

    fn installed_profile(&mut self, value: Value<'_, '_>) -> Option<InstalledProfile> {
        let mut fields = self.table(value, "a profile on the card")?;
        let profile = self
            .required(&mut fields, "profile", "name one of the built-in profiles")
            .and_then(|value| self.profile_name(value));
        let state = fields
            .take("state")
            .and_then(|value| self.word::<ProfileState>(value, "state"))
            .unwrap_or(ProfileState::Disabled);
        let nickname = fields.take("nickname").and_then(|value| self.line_of_text(value));
        self.no_others(fields);
        Some(InstalledProfile { profile: profile?, state, nickname })
    }

    fn smdp(&mut self, value: Value<'_, '_>) -> Option<Vec<Order>> {
        let mut fields = self.table(value, "the SM-DP+")?;
        let list = fields.take("order");
        let orders: Option<Vec<(Range<usize>, Order)>> = list.and_then(|value| self.list(value, Reader::order));
        self.no_others(fields);
        let orders = orders?;
        for (index, (span, order)) in orders.iter().enumerate() {
            // Several orders may have none: they are told apart by their EIDs.
            if let Some(id) = &order.matching_id
                && orders[..index].iter().any(|(_, earlier)| earlier.matching_id.as_ref() == Some(id))
            {
                let message = format!("the matching id {id:?} is there twice");
                self.mistake(
                    Mistake::new(span.clone(), message, "the second time")
                        .help("each order has a matching id of its own"),
                );
            }
        }
        Some(orders.into_iter().map(|(_, order)| order).collect())
    }

    fn order(&mut self, value: Value<'_, '_>) -> Option<(Range<usize>, Order)> {
        let mut fields = self.table(value, "an order")?;
        let id = fields.take("matching_id");
        let span = id.map_or(fields.span.clone(), Spanned::span);
        let matching_id = id.map(|value| self.matching_id(value));
        let profile = fields.take("profile").map(|value| self.profile_name(value).map(ProfileSource::BuiltIn));
        let package = fields.take("package").map(|value| self.line_of_text(value).map(ProfileSource::Package));
        let profile = match (profile, package) {
            (Some(source), None) | (None, Some(source)) => source,
            (Some(_), Some(_)) => {
                self.mistake(
                    Mistake::new(fields.key_span("package"), "an order has one profile, here are two", "the second")
                        .help("take away `profile` (a built-in one) or `package` (a file)"),
                );
                None
            }
            (None, None) => {
                let names = listed(self.vocabulary.profiles.iter().map(String::as_str));
                self.mistake(
                    Mistake::new(fields.span.clone(), "`profile` is missing", "this order has no profile")
                        .help(format!("built-in profiles are {names}; a file is given with `package = \"path\"`")),
                );
                None
            }
        };
        let state = fields
            .take("state")
            .and_then(|value| self.word::<OrderState>(value, "state"))
            .unwrap_or(OrderState::Released);
        let eid = fields.take("eid").and_then(|value| {
            let template = self.template(value)?;
            if template.variables().next().is_none() {
                self.eid(value)?;
            }
            Some(template)
        });
        let confirmation_code = fields.take("confirmation_code").and_then(|value| self.line_of_text(value));
        let replace_session_keys =
            fields.take("replace_session_keys").and_then(|value| self.boolean(value)).unwrap_or(false);
        if id.is_none() && !fields.table.contains_key("eid") {
            let message = "an order is found by its matching id, or by the EID it is for; here is neither";
            self.mistake(
                Mistake::new(fields.span.clone(), message, "nobody can find this order")
                    .help("give it a `matching_id`, or an `eid` (`\"${eid}\"` is the lab's card)"),
            );
        }
        self.no_others(fields);
        let matching_id = match matching_id {
            None => None,
            Some(id) => Some(id?),
        };
        let order = Order { matching_id, profile: profile?, state, eid, confirmation_code, replace_session_keys };
        Some((span, order))
    }

    /// A matching id: any text that an activation code can carry, with a warning for those that SGP.22 does not allow.
    fn matching_id(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.line_of_text(value)?;
        if text.contains('$') || text.len() > 255 {
            self.mistake(
                Mistake::new(value.span(), format!("{text:?} is no matching id"), "no matching id")
                    .help("it has at most 255 characters, and no `$`: that ends it in an activation code"),
            );
            return None;
        }
        if let Err(error) = MatchingId::parse(&text) {
            self.mistake(
                Mistake::new(value.span(), error.to_string(), "an LPA may refuse it")
                    .help("servers in the field have such matching ids; if that is what is wanted, all is well")
                    .warning(),
            );
        }
        Some(text)
    }

    fn fault(&mut self, value: Value<'_, '_>) -> Option<Fault> {
        const LAYERS: [&str; 5] = ["name", "tcp", "tls", "http", "es9plus"];
        let mut fields = self.table(value, "a fault")?;
        let [name, tcp, tls, http, es9plus] = LAYERS.map(|key| fields.take(key));
        self.exactly_one(&fields, &LAYERS);
        let name = name.map(|value| self.word::<DoesNotResolve>(value, "fault of the name").is_some());
        let tcp = tcp.map(|value| self.word::<TcpFault>(value, "fault of the connection").map(Action::from));
        let tls = tls.map(|value| self.word::<TlsFault>(value, "fault of the handshake").map(Action::from));
        let http = http.map(|value| self.http_status(value).map(http_status_fault));
        let es9plus = es9plus.map(|value| self.es9plus_fault(value));
        let function = fields.take("function").and_then(|value| self.word::<Function>(value, "function"));
        let nth = fields.take("nth").and_then(|value| self.count(value)).unwrap_or(1);
        let count = fields.take("count").and_then(|value| self.count(value));
        let actions: Vec<Option<Action>> = [tcp, tls, http, es9plus].into_iter().flatten().collect();
        let fault = match (name, &actions[..]) {
            (Some(is_known), []) => {
                for key in fields.present(&["nth", "count"]) {
                    let message = format!("`{key}` does not go with `name`");
                    self.mistake(
                        Mistake::new(fields.key_span(key), message, "cannot be counted")
                            .help("leave it out: the name fails to resolve each time"),
                    );
                }
                is_known.then_some(Fault::Unresolvable)
            }
            (None, [action]) => {
                action.clone().map(|action| Fault::Server(smdp::Fault { action, function, order: None, nth, count }))
            }
            _ => None,
        };
        if let [layer @ ("name" | "tcp" | "tls")] = fields.present(&LAYERS)[..]
            && fields.table.contains_key("function")
        {
            self.mistake(
                Mistake::new(
                    fields.key_span("function"),
                    format!("`function` does not go with `{layer}`"),
                    "goes with `http` and `es9plus`",
                )
                .help("leave it out: no function has been called when the connection fails"),
            );
        }
        self.no_others(fields);
        fault
    }

    /// A fault of the messages: one of the words, or a status to be refused with.
    fn es9plus_fault(&mut self, value: Value<'_, '_>) -> Option<Action> {
        match value.get_ref().as_str() {
            Some(text) if text.contains('/') => self.status_code(value).map(|status| {
                Action::Refuse(StatusError::new(status.subject, status.reason, "refused because a fault says so"))
            }),
            _ => self.word::<Es9PlusFault>(value, "fault of ES9+").map(Action::from),
        }
    }

    fn step(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Step> {
        const OF_AT: [&str; 1] = ["reply"];
        const OF_LPA: [&str; 5] = ["outcome", "status", "curl", "http", "euicc"];
        let mut fields = self.table(value, "a step")?;
        let line = self.line(&fields.span);
        let (at, lpa) = (fields.take("at"), fields.take("lpa"));
        let within = fields.take("within").and_then(|value| self.within(value, at));
        self.exactly_one(&fields, &["at", "lpa"]);
        let action = match (at, lpa) {
            (Some(at), None) => {
                let command = self.at_command(at);
                let reply = fields.take("reply").map(|value| self.reply(value));
                for key in fields.present(&OF_LPA) {
                    fields.known.push(key);
                    self.mistake(
                        Mistake::new(fields.key_span(key), format!("`{key}` does not go with `at`"), "goes with `lpa`")
                            .help("what must come of an AT command is its `reply`, `within` a time"),
                    );
                }
                let reply = match reply {
                    None => Some(None),
                    Some(None) => None,
                    Some(Some(lines)) => Some(Some(lines)),
                };
                command.zip(reply).map(|(command, reply)| StepAction::At { command, reply })
            }
            (None, Some(lpa)) => {
                for key in fields.present(&OF_AT) {
                    fields.known.push(key);
                    self.mistake(
                        Mistake::new(fields.key_span(key), format!("`{key}` does not go with `lpa`"), "goes with `at`")
                            .help(format!("what must come of an operation is told by {}", listed(OF_LPA))),
                    );
                }
                let operation = self.operation(lpa, orders);
                let expect = self.lpa_expect(&mut fields);
                operation.zip(expect).map(|(operation, expect)| StepAction::Lpa { operation, expect })
            }
            _ => {
                // The mistake has been told; the rest is not to be taken for unknown.
                fields.known.extend(OF_AT.iter().chain(&OF_LPA));
                None
            }
        };
        self.no_others(fields);
        Some(Step { line, action: action?, within })
    }

    /// How long a step may take: a time, or for an AT command `"documented"`, which is what the documents give its
    /// commands.
    fn within(&mut self, value: Value<'_, '_>, at: Option<Value<'_, '_>>) -> Option<Duration> {
        if value.get_ref().as_str() != Some("documented") {
            return self.duration(value);
        }
        let line = at.and_then(|at| at.get_ref().as_str());
        if at.is_none() {
            self.mistake(
                Mistake::new(value.span(), "`documented` does not go with `lpa`", "goes with `at`")
                    .help("write a number and its unit: `\"300ms\"`, `\"10s\"`, `\"2min\"`"),
            );
        }
        line.map(modem::maximum_response_time_of_line)
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

    fn reply(&mut self, value: Value<'_, '_>) -> Option<Vec<Template>> {
        if value.get_ref().is_str() {
            let text = value.get_ref().as_str().unwrap_or_default();
            self.mistake(
                Mistake::new(value.span(), "`reply` is a list of lines", "a text").help(format!(
                    "write `reply = ['{text}']`; the final result code (`OK`, `ERROR`) is the last line"
                )),
            );
            return None;
        }
        let lines = self.list(value, Reader::template)?;
        if lines.is_empty() {
            self.mistake(
                Mistake::new(value.span(), "`reply` has no line", "empty")
                    .help("the last line is the final result code: `[\"OK\"]`; leave `reply` out to take any answer"),
            );
            return None;
        }
        Some(lines)
    }

    fn operation(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Operation> {
        const OPERATIONS: [&str; 6] = ["download", "enable", "disable", "delete", "nickname", "list"];
        let mut fields = self.table(value, "an operation of the LPA")?;
        let [download, enable, disable, delete, nickname, list] = OPERATIONS.map(|key| fields.take(key));
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
        } else {
            match list.map(|value| (value, self.boolean(value))) {
                Some((_, Some(true))) => Some(Operation::List),
                Some((value, Some(false))) => {
                    self.mistake(Mistake::new(value.span(), "`list = false` does nothing", "write `true`"));
                    None
                }
                _ => None,
            }
        };
        self.no_others(fields);
        operation
    }

    fn activation_code(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Template> {
        let template = self.template(value)?;
        // Scenarios may hand out a wrong code on purpose: these are warnings.
        let filled = template.fill(|variable| match variable {
            Variable::Smdp => "smdp.example.com:443".to_owned(),
            Variable::Eid | Variable::Iccid(_) => "0".to_owned(),
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

    fn lpa_expect(&mut self, fields: &mut Fields<'_, '_>) -> Option<LpaExpect> {
        let before = self.mistakes.len();
        let outcome = self
            .required(fields, "outcome", "write `outcome = \"success\"` or `outcome = \"failure\"`")
            .and_then(|value| self.word::<Outcome>(value, "outcome"));
        let status = fields.take("status").and_then(|value| self.status_code(value));
        let curl = fields.take("curl").and_then(|value| self.integer(value, 1..=99)).map(|code| code as u32);
        let http = fields.take("http").and_then(|value| self.http_status(value));
        let euicc = fields.take("euicc").and_then(|value| self.euicc_reason(value));
        let expect = LpaExpect { outcome, status, curl, http, euicc };
        if outcome == Some(Outcome::Success)
            && let [key, ..] = fields.present(&["status", "curl", "http", "euicc"])[..]
        {
            self.mistake(
                Mistake::new(fields.key_span(key), format!("a success has no `{key}`"), "tells of a failure")
                    .help(format!("take `{key}` away, or write `outcome = \"failure\"`")),
            );
        }
        (self.mistakes.len() == before).then_some(expect)
    }

    fn expect(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Expect> {
        let mut fields = self.table(value, "what is expected")?;
        let mut expect = Expect::default();
        if let Some(value) = fields.take("euicc")
            && let Some(mut fields) = self.table(value, "what is expected of the card")
        {
            expect.profiles =
                self.expected(&mut fields, "profiles", |reader, value| reader.list(value, Reader::expected_profile));
            expect.notifications = self.expected(&mut fields, "notifications", |reader, value| {
                reader.list(value, Reader::expected_notification)
            });
            expect.open_channels = self.expected(&mut fields, "open_channels", |reader, value| {
                reader.integer(value, 0..=19).and_then(|count| usize::try_from(count).ok())
            });
            self.no_others(fields);
        }
        expect.es9plus = self.expected(&mut fields, "es9plus", |reader, value| {
            reader.list(value, |reader, value| reader.word::<Function>(value, "function"))
        });
        expect.orders = self.expected(&mut fields, "orders", |reader, value| reader.order_states(value, orders));
        self.no_others(fields);
        Some(expect)
    }

    /// The value of a key together with the line it stands in.
    fn expected<T>(
        &mut self,
        fields: &mut Fields<'_, '_>,
        key: &'static str,
        read: impl FnOnce(&mut Self, Value<'_, '_>) -> Option<T>,
    ) -> Option<Expected<T>> {
        let value = fields.take(key)?;
        let line = self.line(&fields.key_span(key));
        read(self, value).map(|value| Expected { line, value })
    }

    fn expected_profile(&mut self, value: Value<'_, '_>) -> Option<ExpectedProfile> {
        let mut fields = self.table(value, "a profile that is expected")?;
        let profile = self
            .required(&mut fields, "profile", "name a built-in profile, or give an ICCID")
            .and_then(|value| self.profile_ref(value));
        let state = fields.take("state").and_then(|value| self.word::<ProfileState>(value, "state"));
        let nickname = fields.take("nickname").and_then(|value| self.string(value)).map(str::to_owned);
        self.no_others(fields);
        Some(ExpectedProfile { profile: profile?, state, nickname })
    }

    fn expected_notification(&mut self, value: Value<'_, '_>) -> Option<ExpectedNotification> {
        let mut fields = self.table(value, "a notification that is expected")?;
        let event = self
            .required(&mut fields, "event", "write what it tells of: `event = \"install\"`")
            .and_then(|value| self.word::<NotificationEvent>(value, "event"));
        let profile = fields.take("profile").and_then(|value| self.profile_ref(value));
        self.no_others(fields);
        Some(ExpectedNotification { event: event?, profile })
    }

    fn order_states(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<BTreeMap<String, OrderState>> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, "a table", "write `orders = { \"MATCHING-ID\" = \"installed\" }`");
            return None;
        };
        let ids: Vec<&str> = orders.iter().filter_map(|order| order.matching_id.as_deref()).collect();
        let mut states = BTreeMap::new();
        for (key, value) in table {
            let id: &str = key.get_ref();
            if !ids.contains(&id) {
                let mistake = Mistake::new(key.span(), format!("no order has the matching id {id:?}"), "no such order");
                self.mistake(mistake.help(suggestion(id, &ids, "the orders of this scenario are")));
            }
            if let Some(state) = self.word::<OrderState>(value, "state") {
                states.insert(id.to_owned(), state);
            }
        }
        Some(states)
    }

    // Single values.

    fn string<'t>(&mut self, value: Value<'t, '_>) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, "a text", "put it in quotes");
        }
        text
    }

    /// A text that is not empty; it may have several lines.
    fn text(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.string(value)?.trim();
        if text.is_empty() {
            self.mistake(Mistake::new(value.span(), "this text is empty", "say something, or leave the key out"));
            return None;
        }
        Some(text.to_owned())
    }

    /// A text of one line that is not empty.
    fn line_of_text(&mut self, value: Value<'_, '_>) -> Option<String> {
        let text = self.text(value)?;
        if text.contains('\n') {
            self.mistake(Mistake::new(value.span(), "this text has more than one line", "one line is wanted"));
            return None;
        }
        Some(text)
    }

    fn boolean(&mut self, value: Value<'_, '_>) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(value, "`true` or `false`", "write it without quotes");
        }
        boolean
    }

    fn integer(&mut self, value: Value<'_, '_>, range: RangeInclusive<i64>) -> Option<i64> {
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

    fn count(&mut self, value: Value<'_, '_>) -> Option<u32> {
        self.integer(value, 1..=1_000_000).and_then(|count| u32::try_from(count).ok())
    }

    fn http_status(&mut self, value: Value<'_, '_>) -> Option<u16> {
        self.integer(value, 200..=599).and_then(|status| u16::try_from(status).ok())
    }

    fn duration(&mut self, value: Value<'_, '_>) -> Option<Duration> {
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

    fn eid(&mut self, value: Value<'_, '_>) -> Option<Eid> {
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

    fn status_code(&mut self, value: Value<'_, '_>) -> Option<StatusCode> {
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

    fn euicc_reason(&mut self, value: Value<'_, '_>) -> Option<ErrorReason> {
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

    fn word<W: Word>(&mut self, value: Value<'_, '_>, what: &str) -> Option<W> {
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

    fn template(&mut self, value: Value<'_, '_>) -> Option<Template> {
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
                let mistake = Mistake::new(value.span(), format!("there is no variable `${{{name}}}`"), "unknown");
                let near = nearest(&name, ["smdp", "eid"])
                    .map(|near| format!("did you mean `${{{near}}}`? "))
                    .unwrap_or_default();
                self.mistake(mistake.help(format!("{near}the variables are {}", forms())));
                return None;
            }
        };
        let profiles: Vec<String> = template
            .variables()
            .filter_map(|variable| match variable {
                Variable::Iccid(profile) => Some(profile.clone()),
                Variable::Smdp | Variable::Eid => None,
            })
            .collect();
        let known = self.vocabulary.profiles.clone();
        profiles.iter().all(|profile| self.known_name(value, "profile", profile, &known)).then_some(template)
    }

    fn profile_name(&mut self, value: Value<'_, '_>) -> Option<String> {
        let name = self.line_of_text(value)?;
        self.known_name(value, "profile", &name, &self.vocabulary.profiles.clone()).then_some(name)
    }

    fn profile_ref(&mut self, value: Value<'_, '_>) -> Option<ProfileRef> {
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

    fn known_name(&mut self, value: Value<'_, '_>, what: &str, name: &str, known: &[String]) -> bool {
        let is_known = known.iter().any(|known| known == name);
        if !is_known {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let mistake = Mistake::new(value.span(), format!("there is no {what} {name:?}"), format!("no {what}"));
            self.mistake(mistake.help(suggestion(name, &known, "built in are")));
        }
        is_known
    }

    // Tables and lists.

    fn table<'t, 'i>(&mut self, value: Value<'t, 'i>, what: &'static str) -> Option<Fields<'t, 'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::new(table, value.span(), what)),
            _ => {
                self.wrong_type(value, "a table", &format!("{what} is described by keys and values in `{{` and `}}`"));
                None
            }
        }
    }

    /// All elements of a list, or nothing when one of them cannot be read (but the mistakes of all of them).
    fn list<T>(
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

    fn required<'t, 'i>(
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

    fn exactly_one(&mut self, fields: &Fields<'_, '_>, keys: &[&'static str]) {
        match fields.present(keys)[..] {
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
    fn no_others(&mut self, fields: Fields<'_, '_>) {
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

    fn wrong_type(&mut self, value: Value<'_, '_>, wanted: &str, help: &str) {
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

fn http_status_fault(status: u16) -> Action {
    Action::HttpStatus { status, body: format!("status {status} because a fault says so\n").into() }
}

fn suggestion(given: &str, known: &[&str], introduction: &str) -> String {
    let list = listed(known.iter().copied());
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

#[cfg(test)]
pub(crate) mod tests;
