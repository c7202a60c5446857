//! What must be seen afterwards.

use std::collections::BTreeMap;

use rsp::es10::notification::NotificationEvent;
use rsp::es10::profiles::ProfileState;
use smdp::{Function, OrderState};
use toml::de::DeValue;

use super::Reader;
use super::fields::{Fields, Value, suggestion};
use crate::scenario::ast::*;
use crate::scenario::error::Mistake;

impl Reader<'_> {
    pub(super) fn expect(&mut self, value: Value<'_, '_>, orders: &[Order]) -> Option<Expect> {
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
            expect.default_smdp = self.expected(&mut fields, "default_smdp", |reader, value| reader.template(value));
            self.no_others(fields);
        }
        expect.es9plus = self.expected(&mut fields, "es9plus", |reader, value| {
            reader.list(value, |reader, value| reader.word::<Function>(value, "function"))
        });
        expect.orders = self.expected(&mut fields, "orders", |reader, value| reader.order_states(value, orders));
        expect.network = self.expected_network(&mut fields);
        expect.open_sessions = self.expected(&mut fields, "open_sessions", |reader, value| {
            reader.integer(value, 0..=1000).and_then(|count| usize::try_from(count).ok())
        });
        expect.faults = self.expected(&mut fields, "faults", |reader, value| {
            reader.integer(value, 0..=1_000_000).and_then(|count| usize::try_from(count).ok())
        });
        expect.within = self.expected(&mut fields, "within", |reader, value| reader.duration(value));
        self.no_others(fields);
        Some(expect)
    }

    /// The value of a key together with the line it stands in.
    pub(super) fn expected<T>(
        &mut self,
        fields: &mut Fields<'_, '_>,
        key: &'static str,
        read: impl FnOnce(&mut Self, Value<'_, '_>) -> Option<T>,
    ) -> Option<Expected<T>> {
        let value = fields.take(key)?;
        let line = self.line(&fields.key_span(key));
        read(self, value).map(|value| Expected { line, value })
    }

    pub(super) fn expected_profile(&mut self, value: Value<'_, '_>) -> Option<ExpectedProfile> {
        let mut fields = self.table(value, "a profile that is expected")?;
        let profile = self
            .required(&mut fields, "profile", "name a built-in profile, or give an ICCID")
            .and_then(|value| self.profile_ref(value));
        let state = fields.take("state").and_then(|value| self.word::<ProfileState>(value, "state"));
        let nickname = fields.take("nickname").and_then(|value| self.string(value)).map(str::to_owned);
        self.no_others(fields);
        Some(ExpectedProfile { profile: profile?, state, nickname })
    }

    pub(super) fn expected_notification(&mut self, value: Value<'_, '_>) -> Option<ExpectedNotification> {
        let mut fields = self.table(value, "a notification that is expected")?;
        let event = self
            .required(&mut fields, "event", "write what it tells of: `event = \"install\"`")
            .and_then(|value| self.word::<NotificationEvent>(value, "event"));
        let profile = fields.take("profile").and_then(|value| self.profile_ref(value));
        self.no_others(fields);
        Some(ExpectedNotification { event: event?, profile })
    }

    pub(super) fn order_states(
        &mut self,
        value: Value<'_, '_>,
        orders: &[Order],
    ) -> Option<BTreeMap<String, OrderState>> {
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
}
