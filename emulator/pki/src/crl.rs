//! Certificate revocation lists of the test PKI (SGP.22 v2.5 §4.6, RFC 5280 §5).

use rsp::cert::{CrlNumber, encode_time, oid};
use rsp::tlv::Writer;

use crate::spec::{BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, signature_to_der};
use crate::{Identity, PkiError};

/// A revocation list that is to be made. Fields may be changed to break a rule.
#[derive(Debug, Clone)]
pub struct CrlSpec {
    /// Its number; each issue has a higher one.
    pub number: CrlNumber,
    /// The serial numbers of the certificates that are revoked, content octets of the INTEGER.
    pub revoked: Vec<Vec<u8>>,
    /// Of a delta list: the number of the list that it changes, and the serial numbers that are good again.
    pub delta: Option<(CrlNumber, Vec<Vec<u8>>)>,
    /// Which part it is, from 1, and of how many, when it is one.
    pub part: Option<(u32, u32)>,
    /// When it was issued, Unix seconds. The next one is due 30 days later.
    pub this_update: i64,
}

impl CrlSpec {
    /// A whole list.
    pub fn new(number: u32, revoked: Vec<Vec<u8>>, now: i64) -> Self {
        CrlSpec { number: number.into(), revoked, delta: None, part: None, this_update: now }
    }

    /// Makes the list, signed by `issuer`, whether it may sign or not; gives its DER.
    pub fn issue(&self, issuer: &Identity) -> Result<Vec<u8>, PkiError> {
        const ENUMERATED: u32 = 0x0A;
        const MONTH: i64 = 30 * 86_400;
        const REMOVE_FROM_CRL: u8 = 8;
        let algorithm = Writer::new().nested(SEQUENCE, |w| w.put(OBJECT_IDENTIFIER, oid::ECDSA_WITH_SHA256)).into_vec();
        let date = encode_time(self.this_update);
        let (base, good_again) = self.delta.clone().unzip();
        let lines = |mut w: Writer| {
            for serial in &self.revoked {
                w = w.nested(SEQUENCE, |w| w.put(INTEGER, serial).raw(&date));
            }
            let reason = Writer::new().put(ENUMERATED, &[REMOVE_FROM_CRL]).into_vec();
            for serial in good_again.iter().flatten() {
                w = w.nested(SEQUENCE, |w| {
                    w.put(INTEGER, serial)
                        .raw(&date)
                        .nested(SEQUENCE, |w| extension(w, oid::REASON_CODE, false, &reason))
                });
            }
            w
        };
        let integer = |octets: &[u8]| Writer::new().put(INTEGER, octets).into_vec();
        let small = |number: u32| Writer::new().integer(INTEGER, number).into_vec();
        let extensions = |w: Writer| {
            let key = issuer.certificate.subject_key_id().unwrap_or_default();
            let key = Writer::new().nested(SEQUENCE, |w| w.put(0x80, key)).into_vec();
            let mut w = extension(w, oid::AUTHORITY_KEY_IDENTIFIER, false, &key);
            w = extension(w, oid::CRL_NUMBER, false, &integer(&self.number.to_octets()));
            if let Some(base) = base {
                w = extension(w, oid::DELTA_CRL_INDICATOR, true, &integer(&base.to_octets()));
            }
            if let Some((part, total)) = self.part {
                w = extension(w, oid::TOTAL_PARTIAL_CRL, false, &small(total));
                w = extension(w, oid::PARTIAL_CRL, false, &small(part));
            }
            w
        };
        let tbs = Writer::new()
            .nested(SEQUENCE, |w| {
                let w = w.integer(INTEGER, 1).raw(&algorithm).raw(issuer.certificate.subject());
                let w = w.raw(&date).raw(&encode_time(self.this_update.saturating_add(MONTH)));
                // RFC 5280 §5.1.2.6: without a line there is no list of them.
                let w = match self.revoked.is_empty() && self.delta.is_none() {
                    true => w,
                    false => w.nested(SEQUENCE, lines),
                };
                w.nested(0xA0, |w| w.nested(SEQUENCE, extensions))
            })
            .into_vec();
        let signature = signature_to_der(&issuer.key.sign(&[&tbs])?);
        Ok(Writer::new()
            .nested(SEQUENCE, |w| w.raw(&tbs).raw(&algorithm).put(BIT_STRING, &[&[0], &signature[..]].concat()))
            .into_vec())
    }
}

fn extension(w: Writer, kind: &[u8], critical: bool, value: &[u8]) -> Writer {
    w.nested(SEQUENCE, |w| {
        let w = w.put(OBJECT_IDENTIFIER, kind);
        let w = if critical { w.boolean(0x01, true) } else { w };
        w.put(OCTET_STRING, value)
    })
}
