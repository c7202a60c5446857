//! The certificate revocation lists that the card has loaded (SGP.22 v2.5 §4.6, §5.7.12), and what is revoked by them.
//!
//! Of each issuer and issuing distribution point there is one list that is in force, and perhaps the parts of a newer
//! one that is not whole yet. What a part revokes is revoked at once; what the older list revokes stays so until the
//! newer one is whole.

use std::collections::{BTreeMap, BTreeSet};

use rsp::cert::{CrlNumber, RevocationList};
use rsp::es10::crl::LoadCrlErrorCode as Code;
use rsp::tlv::{Reader, Tlv, TlvError, Writer};

type Serials = BTreeSet<Vec<u8>>;

/// Lists that belong together: the key identifier of their issuer, and their issuing distribution point.
type Family = (Vec<u8>, Vec<u8>);

/// A list that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Current {
    number: CrlNumber,
    revoked: Serials,
}

/// A list that comes in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Coming {
    number: CrlNumber,
    /// Of a delta list: what it changes.
    base: Option<CrlNumber>,
    total: u32,
    parts: BTreeMap<u32, Part>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Part {
    revoked: Serials,
    /// Of a delta list: what is good again.
    removed: Serials,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lists {
    current: Option<Current>,
    coming: Option<Coming>,
}

/// All lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RevocationLists {
    lists: BTreeMap<Family, Lists>,
    memory: u32,
}

/// In how many parts a list may come: the numbers of those that are missing have to fit a response.
const MOST_PARTS: u32 = 64;

impl RevocationLists {
    /// Takes a list whose signature has been verified; gives the numbers of its parts that are missing yet. After an
    /// error nothing has changed.
    pub(crate) fn add(&mut self, list: &RevocationList) -> Result<Vec<u32>, Code> {
        let (number, (part, total)) = (list.number(), list.part());
        if total > MOST_PARTS {
            return Err(Code::NotEnoughMemorySpace);
        }
        let family = (list.authority_key_id().to_vec(), list.scope().to_vec());
        let mut lists = self.lists.get(&family).cloned().unwrap_or_default();
        let current = lists.current.as_ref().map(|current| current.number);
        // A list that is there already may come again; it says the same.
        if current == Some(number) {
            return Ok(Vec::new());
        }
        let newest = current.max(lists.coming.as_ref().map(|coming| coming.number));
        if newest > Some(number) {
            return Err(Code::FresherCrlAlreadyLoaded);
        }
        // RFC 5280 §5.2.4: a delta list goes with a list that has at least the number of its base.
        if list.delta_base().is_some_and(|base| current.is_none_or(|current| current < base)) {
            return Err(Code::BaseCrlMissing);
        }
        let mut coming = match lists.coming.take() {
            Some(coming) if coming.number == number => coming,
            _ => Coming { number, base: list.delta_base(), total, parts: BTreeMap::new() },
        };
        // Parts of one list say the same of the whole.
        if (coming.total, coming.base) != (total, list.delta_base()) {
            return Err(Code::InvalidCrlFormat);
        }
        let lines = |removed: bool| {
            list.revoked().iter().filter(move |line| line.removed == removed).map(|line| line.serial.clone()).collect()
        };
        coming.parts.insert(part, Part { revoked: lines(false), removed: lines(true) });
        let missing: Vec<u32> = (1..=total).filter(|part| !coming.parts.contains_key(part)).collect();
        if missing.is_empty() {
            lists.put_in_force(coming);
        } else {
            lists.coming = Some(coming);
        }
        self.lists.insert(family, lists);
        self.memory = u32::try_from(self.encode().len()).unwrap_or(u32::MAX);
        Ok(missing)
    }

    /// The number of the list by which a certificate is revoked.
    pub(crate) fn revoke(&self, issuer: &[u8], serial: &[u8]) -> Option<CrlNumber> {
        let lists = self.lists.iter().filter(|((key, _), _)| key == issuer).map(|(_, lists)| lists);
        lists.into_iter().find_map(|lists| {
            let current = lists.current.iter().find(|current| current.revoked.contains(serial)).map(|c| c.number);
            let is_in = |coming: &&Coming| coming.parts.values().any(|part| part.revoked.contains(serial));
            current.or_else(|| lists.coming.as_ref().filter(is_in).map(|coming| coming.number))
        })
    }

    /// The memory that they take: that of the form in which they are kept.
    pub(crate) fn memory(&self) -> u32 {
        self.memory
    }

    /// In a form of its own that [`RevocationLists::parse`] reads.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let serials = |w: Writer, list: &Serials| list.iter().fold(w, |w, serial| w.put(0x02, serial));
        let mut w = Writer::new();
        for ((issuer, scope), lists) in &self.lists {
            w = w.nested(0x30, |w| {
                let mut w = w.put(0x80, issuer).put(0x81, scope);
                if let Some(current) = &lists.current {
                    w = w.nested(0xA2, |w| {
                        w.put(0x80, &current.number.to_octets()).nested(0xA1, |w| serials(w, &current.revoked))
                    });
                }
                let Some(coming) = &lists.coming else { return w };
                w.nested(0xA3, |w| {
                    let w = w.put(0x80, &coming.number.to_octets()).integer(0x81, coming.total);
                    let w = w.put_opt(0x82, coming.base.map(CrlNumber::to_octets));
                    coming.parts.iter().fold(w, |w, (number, part)| {
                        w.nested(0x30, |w| {
                            let w = w.integer(0x80, *number).nested(0xA1, |w| serials(w, &part.revoked));
                            w.nested(0xA2, |w| serials(w, &part.removed))
                        })
                    })
                })
            });
        }
        w.into_vec()
    }

    /// Reads what [`RevocationLists::encode`] has written.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut all = BTreeMap::new();
        for family in Reader::new(bytes) {
            let mut fields = family?.reader();
            let key = (fields.require(0x80)?.value().to_vec(), fields.require(0x81)?.value().to_vec());
            let current = fields.optional(0xA2)?.map(|current| -> Result<_, TlvError> {
                let mut fields = current.reader();
                let number = number(fields.require(0x80)?)?;
                Ok(Current { number, revoked: serials(fields.require(0xA1)?)? })
            });
            let coming = fields.optional(0xA3)?.map(|coming| -> Result<_, TlvError> {
                let mut fields = coming.reader();
                let (of, total) = (number(fields.require(0x80)?)?, fields.require(0x81)?.as_u32()?);
                let base = fields.optional(0x82)?.map(number).transpose()?;
                let parts = fields.map(|part| {
                    let mut fields = part?.reader();
                    let place = fields.require(0x80)?.as_u32()?;
                    let revoked = serials(fields.require(0xA1)?)?;
                    Ok((place, Part { revoked, removed: serials(fields.require(0xA2)?)? }))
                });
                Ok(Coming { number: of, base, total, parts: parts.collect::<Result<_, TlvError>>()? })
            });
            all.insert(key, Lists { current: current.transpose()?, coming: coming.transpose()? });
        }
        Ok(RevocationLists { lists: all, memory: u32::try_from(bytes.len()).unwrap_or(u32::MAX) })
    }
}

impl Lists {
    fn put_in_force(&mut self, whole: Coming) {
        // A delta list changes the one that is in force, any other takes its place.
        let before = self.current.take().filter(|_| whole.base.is_some());
        let mut revoked = before.map(|current| current.revoked).unwrap_or_default();
        for part in whole.parts.values() {
            revoked.retain(|serial| !part.removed.contains(serial));
        }
        revoked.extend(whole.parts.into_values().flat_map(|part| part.revoked));
        (self.current, self.coming) = (Some(Current { number: whole.number, revoked }), None);
    }
}

fn number(tlv: Tlv<'_>) -> Result<CrlNumber, TlvError> {
    CrlNumber::from_octets(tlv.value())
        .ok_or(TlvError::BadValue { tag: tlv.tag(), rule: "a number as the card writes it" })
}

fn serials(list: Tlv<'_>) -> Result<Serials, TlvError> {
    list.reader().map(|serial| serial.map(|serial| serial.value().to_vec())).collect()
}
