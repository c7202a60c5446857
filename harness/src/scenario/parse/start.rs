//! What is there at the start: modem, certificates, card, server.

use std::ops::Range;

use rsp::crypto::Curve;
use rsp::es10::profiles::ProfileState;
use rsp::ids::MatchingId;
use smdp::OrderState;
use smdp::profile::PolicyRule;
use toml::Spanned;

use super::Reader;
use super::fields::{Fields, Value};
use crate::scenario::ast::*;
use crate::scenario::error::{Mistake, listed};

/// The modem at the start.
pub(super) struct ModemStart {
    pub(super) model: Option<String>,
    pub(super) file: Option<String>,
    pub(super) ports: Option<usize>,
}

impl Reader<'_> {
    pub(super) fn modem(&mut self, value: Value<'_, '_>) -> Option<ModemStart> {
        let mut fields = self.table(value, "the modem")?;
        let model = fields.take("model").and_then(|value| {
            let model = self.line_of_text(value)?;
            self.known_name(value, "model", &model, &self.vocabulary.models.clone()).then_some(model)
        });
        let file = fields.take("file").and_then(|value| {
            self.file(value, "model", |path| {
                let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
                modem::Model::from_toml(&text).map(drop).map_err(|error| error.to_string())
            })
        });
        self.not_both(&fields, "model", "file", "a modem is of one model");
        let ports = fields.take("ports").and_then(|value| self.integer(value, 1..=4));
        self.no_others(fields);
        Some(ModemStart { model, file, ports: ports.and_then(|ports| usize::try_from(ports).ok()) })
    }

    fn not_both(&mut self, fields: &Fields<'_, '_>, first: &str, second: &str, rule: &str) {
        if fields.table.contains_key(first) && fields.table.contains_key(second) {
            self.mistake(
                Mistake::new(fields.key_span(second), format!("{rule}, here are two"), "the second")
                    .help(format!("take away `{first}` (a built-in one) or `{second}`")),
            );
        }
    }

    pub(super) fn pki(&mut self, value: Value<'_, '_>) -> Option<(Option<Curve>, Option<String>)> {
        let mut fields = self.table(value, "the PKI")?;
        let curve = fields.take("curve").and_then(|value| self.word::<Curve>(value, "curve"));
        let folder = fields.take("folder").and_then(|value| {
            self.file(value, "folder of certificates", |path| {
                pki::Pki::load(path, crate::lab::system_time()).map(drop).map_err(|error| error.to_string())
            })
        });
        self.no_others(fields);
        Some((curve, folder))
    }

    pub(super) fn clock(&mut self, value: Value<'_, '_>) -> Option<i64> {
        let mut fields = self.table(value, "the clock")?;
        let now = self.required(&mut fields, "now", "write the time at the start: `now = 2026-01-31T12:00:00Z`");
        let now = now.and_then(|value| self.time_of_day(value));
        self.no_others(fields);
        now
    }

    pub(super) fn card(&mut self, value: Value<'_, '_>) -> Option<Card> {
        let mut fields = self.table(value, "the card")?;
        let kind = fields.take("kind").and_then(|value| {
            let kind = self.line_of_text(value)?;
            self.known_name(value, "card", &kind, &self.vocabulary.cards.clone()).then_some(kind)
        });
        let file = fields.take("file").and_then(|value| {
            self.file(value, "card", |path| {
                let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
                euicc::spec::CardSpec::from_toml(&text).map(drop).map_err(|error| error.to_string())
            })
        });
        self.not_both(&fields, "kind", "file", "a card is of one kind");
        let present = fields.take("present").and_then(|value| self.boolean(value)).unwrap_or(true);
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
        let free_memory = fields.take("free_memory").and_then(|value| self.integer(value, 0..=i64::from(u32::MAX)));
        let free_memory = free_memory.and_then(|bytes| u32::try_from(bytes).ok());
        let default_smdp = fields.take("default_smdp").and_then(|value| self.template(value));
        let forbidden_rules = self.rules(&mut fields, "forbidden_rules");
        let ci =
            fields.take("ci").and_then(|value| self.list(value, |reader, value| reader.word::<Curve>(value, "curve")));
        let certificate = fields
            .take("certificate")
            .and_then(|value| self.word::<CardCertificate>(value, "certificate of a card"))
            .unwrap_or_default();
        self.no_others(fields);
        Some(Card {
            kind,
            file,
            present,
            eid,
            profiles,
            free_memory,
            default_smdp,
            forbidden_rules,
            ci: ci.unwrap_or_default(),
            certificate,
        })
    }

    /// Profile policy rules.
    fn rules(&mut self, fields: &mut Fields<'_, '_>, key: &'static str) -> Vec<PolicyRule> {
        let list = fields.take(key).and_then(|value| {
            self.list(value, |reader, value| reader.word::<PolicyRule>(value, "profile policy rule"))
        });
        list.unwrap_or_default()
    }

    pub(super) fn installed_profile(&mut self, value: Value<'_, '_>) -> Option<InstalledProfile> {
        let mut fields = self.table(value, "a profile on the card")?;
        let profile = self
            .required(&mut fields, "profile", "name one of the built-in profiles")
            .and_then(|value| self.profile_name(value));
        let state = fields
            .take("state")
            .and_then(|value| self.word::<ProfileState>(value, "state"))
            .unwrap_or(ProfileState::Disabled);
        let nickname = fields.take("nickname").and_then(|value| self.line_of_text(value));
        let rules = self.rules(&mut fields, "rules");
        self.no_others(fields);
        Some(InstalledProfile { profile: profile?, rules, state, nickname })
    }

    pub(super) fn smdp(&mut self, value: Value<'_, '_>) -> Option<(Option<String>, Vec<Order>)> {
        let mut fields = self.table(value, "the SM-DP+")?;
        let name = fields.take("name").and_then(|value| self.host_name(value));
        let list = fields.take("order");
        let orders: Option<Vec<(Range<usize>, Order)>> = list.and_then(|value| self.list(value, Reader::order));
        self.no_others(fields);
        let orders = if list.is_none() { Vec::new() } else { orders? };
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
        Some((name, orders.into_iter().map(|(_, order)| order).collect()))
    }

    /// The name of a host, without a port.
    fn host_name(&mut self, value: Value<'_, '_>) -> Option<String> {
        let name = self.line_of_text(value)?;
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            self.mistake(
                Mistake::new(value.span(), format!("{name:?} is no name of a host"), "no host name")
                    .help("letters, digits, `-` and `.`, without a port: `\"smdp.example.com\"` (RFC 1123 §2.1)"),
            );
            return None;
        }
        Some(name)
    }

    pub(super) fn order(&mut self, value: Value<'_, '_>) -> Option<(Range<usize>, Order)> {
        let mut fields = self.table(value, "an order")?;
        let id = fields.take("matching_id");
        let span = id.map_or(fields.span.clone(), Spanned::span);
        let matching_id = id.map(|value| self.matching_id(value));
        let profile = fields.take("profile").map(|value| self.profile_name(value).map(ProfileSource::BuiltIn));
        let package = fields.take("package").map(|value| {
            let read = |path: &std::path::Path| {
                let package = std::fs::read(path).map_err(|error| error.to_string())?;
                let profile = smdp::Profile::from_package(&package, &smdp::profile::PackageNames::default());
                profile.map(drop).map_err(|error| error.to_string())
            };
            self.file(value, "profile package", read).map(ProfileSource::Package)
        });
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
        let rules = self.rules(&mut fields, "rules");
        if !rules.is_empty() && fields.table.contains_key("package") {
            self.mistake(
                Mistake::new(fields.key_span("rules"), "`rules` goes with `profile`", "not with `package`")
                    .help("the metadata of a package from a file have no policy rules"),
            );
        }
        let expires = fields.take("expires").and_then(|value| self.duration(value));
        let attempts = fields.take("attempts").and_then(|value| self.count(value));
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
        let order = Order {
            matching_id,
            profile: profile?,
            state,
            eid,
            confirmation_code,
            replace_session_keys,
            rules,
            expires,
            attempts,
        };
        Some((span, order))
    }

    /// A matching id: any text that an activation code can carry, with a warning for those that SGP.22 does not allow.
    pub(super) fn matching_id(&mut self, value: Value<'_, '_>) -> Option<String> {
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
}
