//! What has to outlive the server: orders, their packages and deliveries, as records of a store.
//!
//! A server that is told to [`Smdp::keep_changes`] notes what has changed; [`Smdp::drain_changes`] gives it as records,
//! to be written all or none. [`Smdp::restore`] reads them back. The records hold the keys of profiles: a store is as
//! secret as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rsp::crypto::{Curve, PublicKey, sha256};
use rsp::ids::{from_hex, to_hex};
use rsp::{Eid, Iccid, TransactionId, Version};
use serde::{Deserialize, Serialize};

use super::{Delivery, Smdp};
use crate::binding::{Bound, Protected};
use crate::order::{Order, OrderEvent, OrderId, OrderSpec, OrderState};
use crate::profile::Profile;

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Profiles, by the hash of their record.
    Profiles,
    /// Orders, by their number.
    Orders,
    /// Packages under keys of their own, by the number of their order.
    Protected,
    /// Packages bound to a card, by the number of their order.
    Bound,
    /// Packages that were handed out, by their session.
    Deliveries,
}

impl Table {
    /// All of them, in the order in which they are to be restored.
    pub const ALL: [Table; 5] = [Table::Profiles, Table::Orders, Table::Protected, Table::Bound, Table::Deliveries];

    /// Its name in a store.
    pub fn name(self) -> &'static str {
        match self {
            Table::Profiles => "profiles",
            Table::Orders => "orders",
            Table::Protected => "protected-packages",
            Table::Bound => "bound-packages",
            Table::Deliveries => "deliveries",
        }
    }
}

/// A record that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub table: Table,
    /// Its key.
    pub key: Vec<u8>,
    /// The record; `None` when there is none any more.
    pub value: Option<Vec<u8>>,
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record {key} of {table} cannot be read: {reason}", table = table.name())]
pub struct RestoreError {
    /// Its kind.
    pub table: Table,
    /// Its key, hexadecimal.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What has changed since it was last drained.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Orders, and whether their packages have changed too.
    orders: BTreeMap<OrderId, bool>,
    deliveries: BTreeSet<Vec<u8>>,
    /// The profile of each order, which never changes.
    profiles: HashMap<OrderId, [u8; 32]>,
    /// The profiles that the store has.
    written: HashSet<[u8; 32]>,
    new_profiles: Vec<Change>,
}

impl Changes {
    pub(super) fn order(&mut self, id: OrderId, packages: bool) {
        *self.orders.entry(id).or_default() |= packages;
    }

    pub(super) fn delivery(&mut self, transaction_id: &TransactionId) {
        self.deliveries.insert(transaction_id.as_bytes().to_vec());
    }

    /// The key of a profile's record, which is written once.
    fn profile(&mut self, order: &Order) -> [u8; 32] {
        if let Some(key) = self.profiles.get(&order.id()) {
            return *key;
        }
        let record = order.profile().record();
        let key = sha256(&[&record]);
        self.profiles.insert(order.id(), key);
        if self.written.insert(key) {
            self.new_profiles.push(Change { table: Table::Profiles, key: key.to_vec(), value: Some(record) });
        }
        key
    }
}

#[derive(Serialize, Deserialize)]
struct OrderRecord {
    profile: String,
    state: OrderState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matching_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmation_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replace_session_keys: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requires: Vec<(u32, [u8; 3])>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    smds: Option<String>,
    attempts: u32,
    wrong_codes: u32,
    events: Vec<OrderEvent>,
}

impl OrderRecord {
    fn of(order: &Order, profile: [u8; 32]) -> Self {
        let spec = &order.spec;
        OrderRecord {
            profile: to_hex(&profile),
            state: order.state,
            matching_id: spec.matching_id.clone(),
            eid: spec.eid.map(|eid| eid.to_string()),
            confirmation_code: spec.confirmation_code.clone(),
            replace_session_keys: spec.replace_session_keys,
            expires: spec.expires,
            max_attempts: spec.max_attempts,
            owner: spec.owner.clone(),
            profile_type: spec.profile_type.clone(),
            requires: spec.requires.iter().map(|(tag, version)| (*tag, version.0)).collect(),
            smds: spec.smds.clone(),
            attempts: order.attempts,
            wrong_codes: order.wrong_codes,
            events: order.events.clone(),
        }
    }

    fn into_order(self, id: OrderId, profile: Profile) -> Result<Order, String> {
        let eid = self.eid.map(|text| Eid::parse(&text)).transpose().map_err(|error| error.to_string())?;
        let spec = OrderSpec {
            matching_id: self.matching_id,
            eid,
            profile,
            confirmation_code: self.confirmation_code,
            state: self.state,
            replace_session_keys: self.replace_session_keys,
            expires: self.expires,
            max_attempts: self.max_attempts,
            owner: self.owner,
            profile_type: self.profile_type,
            requires: self.requires.into_iter().map(|(tag, version)| (tag, Version(version))).collect(),
            smds: self.smds,
        };
        Ok(Order {
            attempts: self.attempts,
            wrong_codes: self.wrong_codes,
            events: self.events,
            ..Order::new(id, spec)
        })
    }
}

#[derive(Serialize, Deserialize)]
struct DeliveryRecord {
    order: usize,
    brainpool: bool,
    key: String,
    iccid: String,
    answered: bool,
}

impl DeliveryRecord {
    fn of(delivery: &Delivery) -> Self {
        DeliveryRecord {
            order: delivery.order.0,
            brainpool: delivery.key.curve() == Curve::BrainpoolP256r1,
            key: to_hex(&delivery.key.point()),
            iccid: delivery.iccid.to_string(),
            answered: delivery.answered,
        }
    }

    fn into_delivery(self) -> Result<Delivery, String> {
        let curve = if self.brainpool { Curve::BrainpoolP256r1 } else { Curve::P256 };
        let point = from_hex(&self.key).ok_or("its key is no hexadecimal number")?;
        Ok(Delivery {
            order: OrderId(self.order),
            key: PublicKey::from_point(curve, &point).map_err(|error| error.to_string())?,
            iccid: Iccid::parse(&self.iccid).map_err(|error| error.to_string())?,
            answered: self.answered,
        })
    }
}

fn order_key(id: OrderId) -> Vec<u8> {
    (id.0 as u64).to_be_bytes().to_vec()
}

fn order_of_key(key: &[u8]) -> Result<OrderId, String> {
    let bytes: [u8; 8] = key.try_into().map_err(|_| "its key is no number")?;
    usize::try_from(u64::from_be_bytes(bytes)).map(OrderId).map_err(|error| error.to_string())
}

impl Smdp {
    /// Notes what changes from now on, and all that is there already.
    pub fn keep_changes(&mut self) {
        let mut changes = Changes::default();
        for order in self.orders.all() {
            changes.order(order.id(), true);
        }
        for transaction_id in self.deliveries.keys() {
            changes.delivery(transaction_id);
        }
        self.changes = Some(changes);
    }

    /// The records that have changed since it was last asked, to be written all or none.
    pub fn drain_changes(&mut self) -> Vec<Change> {
        let Some(changes) = &mut self.changes else { return Vec::new() };
        let mut records = Vec::new();
        for (id, packages) in std::mem::take(&mut changes.orders) {
            let Some(order) = self.orders.get(id) else { continue };
            let record = OrderRecord::of(order, changes.profile(order));
            // Of plain values: there is nothing that JSON does not have.
            let value = serde_json::to_vec(&record).ok();
            records.push(Change { table: Table::Orders, key: order_key(id), value });
            if packages {
                let protected = order.protected.as_ref().map(|protected| protected.record());
                records.push(Change { table: Table::Protected, key: order_key(id), value: protected });
                let bound = order.bound.as_ref().map(|bound| bound.record());
                records.push(Change { table: Table::Bound, key: order_key(id), value: bound });
            }
        }
        for key in std::mem::take(&mut changes.deliveries) {
            let delivery = TransactionId::from_bytes(&key).ok().and_then(|id| self.deliveries.get(&id));
            let value = delivery.and_then(|delivery| serde_json::to_vec(&DeliveryRecord::of(delivery)).ok());
            records.push(Change { table: Table::Deliveries, key, value });
        }
        records.append(&mut changes.new_profiles);
        records
    }

    /// Takes what an earlier server has left, into one that has no orders yet. The records may come in any order.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Change>) -> Result<(), RestoreError> {
        let mut tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
        for record in records {
            if let Some(value) = record.value {
                tables.entry(record.table).or_default().insert(record.key, value);
            }
        }
        let mut profiles = HashMap::new();
        for table in Table::ALL {
            for (key, value) in tables.remove(&table).unwrap_or_default() {
                let unreadable = |reason: String| RestoreError { table, key: to_hex(&key), reason };
                match table {
                    Table::Profiles => {
                        let profile = Profile::from_record(&value).map_err(|error| unreadable(error.to_string()))?;
                        profiles.insert(to_hex(&key), profile);
                    }
                    Table::Orders => {
                        let id = order_of_key(&key).map_err(unreadable)?;
                        let record: OrderRecord =
                            serde_json::from_slice(&value).map_err(|error| unreadable(error.to_string()))?;
                        let profile = profiles
                            .get(&record.profile)
                            .cloned()
                            .ok_or_else(|| unreadable("its profile is not there".to_owned()))?;
                        if id.0 != self.orders.all().len() {
                            return Err(unreadable("the one before it is missing".to_owned()));
                        }
                        self.orders.restore(record.into_order(id, profile).map_err(unreadable)?);
                    }
                    Table::Protected | Table::Bound => {
                        let id = order_of_key(&key).map_err(unreadable)?;
                        let order =
                            self.orders.get_mut(id).ok_or_else(|| unreadable("its order is not there".to_owned()))?;
                        let bad = |error: rsp::tlv::TlvError| unreadable(error.to_string());
                        if table == Table::Protected {
                            order.protected = Some(Arc::new(Protected::from_record(&value).map_err(bad)?));
                        } else {
                            order.bound = Some(Arc::new(Bound::from_record(&value).map_err(bad)?));
                        }
                    }
                    Table::Deliveries => {
                        let transaction_id =
                            TransactionId::from_bytes(&key).map_err(|error| unreadable(error.to_string()))?;
                        let record: DeliveryRecord =
                            serde_json::from_slice(&value).map_err(|error| unreadable(error.to_string()))?;
                        let delivery = record.into_delivery().map_err(unreadable)?;
                        self.remember(transaction_id, delivery);
                    }
                }
            }
        }
        Ok(())
    }
}
