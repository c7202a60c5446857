//! Addresses and rules that the card keeps: GetEuiccConfiguredAddresses and SetDefaultDpAddress (SGP.22 §5.7.3,
//! §5.7.4), GetRAT (§5.7.22).

use super::profiles::AuthorisationRule;
use super::{codes, text};
use crate::tlv::{Tlv, TlvError, Writer};

/// GetEuiccConfiguredAddresses.
pub const TAG_CONFIGURED_ADDRESSES: u32 = 0xBF3C;
/// SetDefaultDpAddress.
pub const TAG_SET_DEFAULT_DP_ADDRESS: u32 = 0xBF3F;
/// GetRAT.
pub const TAG_GET_RAT: u32 = 0xBF43;

/// The servers that the card knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfiguredAddresses {
    /// The default SM-DP+.
    pub default_dp: Option<String>,
    /// The root SM-DS.
    pub root_ds: String,
}

impl ConfiguredAddresses {
    /// Reads the whole response.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_CONFIGURED_ADDRESSES, bytes)?.reader();
        let addresses = ConfiguredAddresses {
            default_dp: fields.optional(0x80)?.map(|v| text(v, 255, "an address of at most 255 bytes")).transpose()?,
            root_ds: text(fields.require(0x81)?, 255, "an address of at most 255 bytes")?,
        };
        fields.finish()?;
        Ok(addresses)
    }

    /// The whole response.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_CONFIGURED_ADDRESSES, |w| {
                w.put_opt(0x80, self.default_dp.as_ref()).put(0x81, self.root_ds.as_bytes())
            })
            .into_vec()
    }
}

codes! {
    /// Result of SetDefaultDpAddress.
    pub enum SetDefaultDpAddressResult {
        Ok = 0 "ok",
        UndefinedError = 127 "undefinedError",
    }
}

/// The request SetDefaultDpAddress; an empty address removes it.
pub fn encode_set_default_dp_address_request(address: &str) -> Vec<u8> {
    Writer::new().nested(TAG_SET_DEFAULT_DP_ADDRESS, |w| w.put(0x80, address.as_bytes())).into_vec()
}

/// Reads the request SetDefaultDpAddress.
pub fn parse_set_default_dp_address_request(bytes: &[u8]) -> Result<String, TlvError> {
    let mut fields = Tlv::parse_as(TAG_SET_DEFAULT_DP_ADDRESS, bytes)?.reader();
    let address = text(fields.require(0x80)?, 255, "an address of at most 255 bytes")?;
    fields.finish()?;
    Ok(address)
}

/// The response to GetRAT.
pub fn encode_rat(rules: &[AuthorisationRule]) -> Vec<u8> {
    let list = rules.iter().fold(Writer::new(), |w, rule| rule.write(w)).into_vec();
    Writer::new().nested(TAG_GET_RAT, |w| w.put(0xA0, &list)).into_vec()
}

/// Reads the response to GetRAT.
pub fn parse_rat(bytes: &[u8]) -> Result<Vec<AuthorisationRule>, TlvError> {
    let list = Tlv::parse_as(TAG_GET_RAT, bytes)?.reader().require(0xA0)?;
    list.reader().map(|rule| AuthorisationRule::parse(rule?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::es10::profiles::OperatorId;
    use crate::tlv::NamedBits;

    #[test]
    fn addresses_round_trip() {
        let addresses = ConfiguredAddresses {
            default_dp: Some("smdp.example.com".to_owned()),
            root_ds: "ds.example.com".to_owned(),
        };
        assert_eq!(ConfiguredAddresses::parse(&addresses.encode()), Ok(addresses));
        let none = ConfiguredAddresses { default_dp: None, root_ds: String::new() };
        assert_eq!(none.encode(), [0xBF, 0x3C, 0x02, 0x81, 0x00]);
        assert_eq!(parse_set_default_dp_address_request(&encode_set_default_dp_address_request("a.b")).unwrap(), "a.b");
        assert!(
            parse_set_default_dp_address_request(&encode_set_default_dp_address_request(&"a".repeat(256))).is_err()
        );
    }

    #[test]
    fn rules_round_trip() {
        let rules = vec![AuthorisationRule {
            ppr_ids: NamedBits::of(&[1, 2]),
            allowed_operators: vec![OperatorId { mcc_mnc: [0xEE, 0xEE, 0xEE], gid1: None, gid2: None }],
            consent_required: true,
        }];
        assert_eq!(parse_rat(&encode_rat(&rules)), Ok(rules));
        assert_eq!(encode_rat(&[]), [0xBF, 0x43, 0x02, 0xA0, 0x00]);
    }
}
