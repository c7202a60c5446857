//! What the card says of itself: EUICCInfo1, EUICCInfo2 (SGP.22 §5.7.8) and the EID (§5.7.20).

use super::text;
use crate::tlv::{NamedBits, Reader, Tlv, TlvError, Writer};
use crate::{Eid, Version};

/// GetEUICCInfo1.
pub const TAG_GET_EUICC_INFO1: u32 = 0xBF20;
/// GetEUICCInfo2.
pub const TAG_GET_EUICC_INFO2: u32 = 0xBF22;
/// GetEID.
pub const TAG_GET_EID: u32 = 0xBF3E;

/// The first information, sent before anybody is authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccInfo1 {
    /// The SGP.22 version that the card supports.
    pub svn: Version,
    /// Key identifiers of the CIs by which the card verifies servers, in order of preference.
    pub ci_pkids_for_verification: Vec<Vec<u8>>,
    /// Key identifiers of the CIs under which the card can sign, in order of preference.
    pub ci_pkids_for_signing: Vec<Vec<u8>>,
}

impl EuiccInfo1 {
    /// Reads the whole response.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_GET_EUICC_INFO1, bytes)?.reader();
        let info = EuiccInfo1 {
            svn: Version(fields.require(0x82)?.as_array()?),
            ci_pkids_for_verification: key_ids(fields.require(0xA9)?)?,
            ci_pkids_for_signing: key_ids(fields.require(0xAA)?)?,
        };
        fields.finish()?;
        Ok(info)
    }

    /// The whole response.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_GET_EUICC_INFO1, |w| {
                w.put(0x82, &self.svn.0)
                    .put(0xA9, &encode_key_ids(&self.ci_pkids_for_verification))
                    .put(0xAA, &encode_key_ids(&self.ci_pkids_for_signing))
            })
            .into_vec()
    }
}

fn key_ids(tlv: Tlv<'_>) -> Result<Vec<Vec<u8>>, TlvError> {
    let mut ids = Vec::new();
    for id in tlv.reader() {
        let id = id?;
        if id.tag().0 == 0x04 {
            ids.push(id.value().to_vec());
        }
    }
    Ok(ids)
}

fn encode_key_ids(ids: &[Vec<u8>]) -> Vec<u8> {
    ids.iter().fold(Writer::new(), |w, id| w.put(0x04, id)).into_vec()
}

/// Free resources of the card (`extCardResource`, ETSI TS 102 226 §8.2.1.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtCardResource {
    /// Installed applications.
    pub applications: u32,
    /// Free non-volatile memory in bytes.
    pub free_non_volatile: u32,
    /// Free volatile memory in bytes.
    pub free_volatile: u32,
}

impl ExtCardResource {
    /// Reads the content of `extCardResource`.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Reader::new(bytes);
        Ok(ExtCardResource {
            applications: plain_number(fields.require(0x81)?)?,
            free_non_volatile: plain_number(fields.require(0x82)?)?,
            free_volatile: plain_number(fields.require(0x83)?)?,
        })
    }

    /// The content of `extCardResource`.
    pub fn encode(self) -> Vec<u8> {
        // Free memory is written in four bytes, as the traces of real cards have it.
        Writer::new()
            .put(0x81, &[self.applications.min(255) as u8])
            .put(0x82, &self.free_non_volatile.to_be_bytes())
            .put(0x83, &self.free_volatile.to_be_bytes())
            .into_vec()
    }
}

/// An unsigned number in 1 to 4 plain bytes, without the sign bit of an INTEGER.
fn plain_number(tlv: Tlv<'_>) -> Result<u32, TlvError> {
    match tlv.value() {
        bytes @ ([_] | [_, _] | [_, _, _] | [_, _, _, _]) => {
            Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
        }
        _ => Err(TlvError::BadValue { tag: tlv.tag(), rule: "a number of 1 to 4 bytes" }),
    }
}

/// `certificationDataObject`: the platform's certification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificationData {
    /// The platform label of GlobalPlatform DLOA.
    pub platform_label: String,
    /// Where the DLOA registrar is found.
    pub discovery_base_url: String,
}

/// The second information, signed by the card in `euiccSigned1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccInfo2 {
    /// SAIP version of the profile packages it takes.
    pub profile_version: Version,
    /// SGP.22 version.
    pub svn: Version,
    /// The card's firmware.
    pub firmware_version: Version,
    /// Free resources, as the card wrote them: see [`ExtCardResource::parse`].
    pub ext_card_resource: Vec<u8>,
    /// Named bits `UICCCapability`.
    pub uicc_capability: NamedBits,
    /// Java Card API (TS 102 241) version.
    pub ts102241_version: Option<Version>,
    /// GlobalPlatform version.
    pub globalplatform_version: Option<Version>,
    /// Named bits `RspCapability`.
    pub rsp_capability: NamedBits,
    /// As in [`EuiccInfo1`].
    pub ci_pkids_for_verification: Vec<Vec<u8>>,
    /// As in [`EuiccInfo1`].
    pub ci_pkids_for_signing: Vec<Vec<u8>>,
    /// 0 other, 1 basic, 2 medium, 3 contactless.
    pub category: Option<u32>,
    /// Policy rules (PPR) that the card never accepts.
    pub forbidden_ppr: Option<NamedBits>,
    /// Version of the protection profile.
    pub pp_version: Version,
    /// SAS accreditation number of the manufacturer.
    pub sas_accreditation_number: String,
    /// Certification of the platform.
    pub certification_data: Option<CertificationData>,
}

impl EuiccInfo2 {
    /// Reads the whole response.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        EuiccInfo2::parse_tlv(Tlv::parse_as(TAG_GET_EUICC_INFO2, bytes)?)
    }

    pub(super) fn parse_tlv(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let info = EuiccInfo2 {
            profile_version: Version(fields.require(0x81)?.as_array()?),
            svn: Version(fields.require(0x82)?.as_array()?),
            firmware_version: Version(fields.require(0x83)?.as_array()?),
            ext_card_resource: fields.require(0x84)?.value().to_vec(),
            uicc_capability: fields.require(0x85)?.as_bits()?,
            ts102241_version: fields.optional(0x86)?.map(|v| v.as_array().map(Version)).transpose()?,
            globalplatform_version: fields.optional(0x87)?.map(|v| v.as_array().map(Version)).transpose()?,
            rsp_capability: fields.require(0x88)?.as_bits()?,
            ci_pkids_for_verification: key_ids(fields.require(0xA9)?)?,
            ci_pkids_for_signing: key_ids(fields.require(0xAA)?)?,
            category: fields.optional(0x8B)?.map(|v| v.as_u32()).transpose()?,
            forbidden_ppr: fields.optional(0x99)?.map(|v| v.as_bits()).transpose()?,
            pp_version: Version(fields.require(0x04)?.as_array()?),
            sas_accreditation_number: text(fields.require(0x0C)?, 64, "a SAS number of at most 64 bytes")?,
            certification_data: match fields.optional(0xAC)? {
                None => None,
                Some(data) => {
                    let mut fields = data.reader();
                    Some(CertificationData {
                        platform_label: text(fields.require(0x80)?, 255, "a label of at most 255 bytes")?,
                        discovery_base_url: text(fields.require(0x81)?, 255, "a URL of at most 255 bytes")?,
                    })
                }
            },
        };
        fields.finish()?;
        Ok(info)
    }

    /// The whole response.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_GET_EUICC_INFO2, |w| {
                let w = w
                    .put(0x81, &self.profile_version.0)
                    .put(0x82, &self.svn.0)
                    .put(0x83, &self.firmware_version.0)
                    .put(0x84, &self.ext_card_resource)
                    .bits(0x85, self.uicc_capability)
                    .put_opt(0x86, self.ts102241_version.map(|v| v.0))
                    .put_opt(0x87, self.globalplatform_version.map(|v| v.0))
                    .bits(0x88, self.rsp_capability)
                    .put(0xA9, &encode_key_ids(&self.ci_pkids_for_verification))
                    .put(0xAA, &encode_key_ids(&self.ci_pkids_for_signing));
                let w = match self.category {
                    Some(category) => w.integer(0x8B, category),
                    None => w,
                };
                let w = w
                    .put_opt(0x99, self.forbidden_ppr.map(NamedBits::to_octets))
                    .put(0x04, &self.pp_version.0)
                    .put(0x0C, self.sas_accreditation_number.as_bytes());
                match &self.certification_data {
                    Some(data) => w.nested(0xAC, |w| {
                        w.put(0x80, data.platform_label.as_bytes()).put(0x81, data.discovery_base_url.as_bytes())
                    }),
                    None => w,
                }
            })
            .into_vec()
    }
}

/// The request of the EID.
pub fn encode_get_eid_request() -> Vec<u8> {
    Writer::new().nested(TAG_GET_EID, |w| w.put(0x5C, &[0x5A])).into_vec()
}

/// The response with the EID.
pub fn encode_get_eid_response(eid: &Eid) -> Vec<u8> {
    Writer::new().nested(TAG_GET_EID, |w| w.put(0x5A, eid.as_bytes())).into_vec()
}

/// Reads the response with the EID.
pub fn parse_get_eid_response(bytes: &[u8]) -> Result<Eid, TlvError> {
    let eid = Tlv::parse_as(TAG_GET_EID, bytes)?.reader().require(0x5A)?;
    Eid::from_bytes(eid.value()).map_err(|error| super::bad(eid.tag(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::from_hex;

    /// EUICCInfo2 of the real test card in the trace `omnikey-info.log`.
    const REAL_CARD: &str = "BF2281F8810302010082030202008303040400840F81010082040007EA328304000016E08504067F36C08603090200870302030088020490A92C0414C0BC70BA36929D43B467FF57570530E57AB8FCD80414F54172BDF98A95D65CBEB88A38A1C11D800A85C3AA2C0414C0BC70BA36929D43B467FF57570530E57AB8FCD80414F54172BDF98A95D65CBEB88A38A1C11D800A85C39902078004030000010C1347264441636372656469746174696F6E4E6272AC48801F312E322E3834302E313233343536372F6D79506C6174666F726D4C6162656C812568747470733A2F2F6D79636F6D70616E792E636F6D2F6D79444C4F41526567697374726172";

    #[test]
    fn information_of_a_real_card() {
        let bytes = from_hex(REAL_CARD).unwrap();
        let info = EuiccInfo2::parse(&bytes).unwrap();
        assert_eq!(info.svn, Version::new(2, 2, 0));
        let resources = ExtCardResource::parse(&info.ext_card_resource).unwrap();
        assert_eq!(resources.free_non_volatile, 0x0007_EA32);
        assert_eq!(resources.encode(), info.ext_card_resource);
        assert_eq!(info.ci_pkids_for_signing.len(), 2);
        assert_eq!(info.forbidden_ppr, Some(NamedBits::of(&[0])));
        assert_eq!(info.sas_accreditation_number, "G&DAccreditationNbr");
        assert_eq!(info.encode(), bytes);
    }

    #[test]
    fn first_information_round_trip() {
        let info = EuiccInfo1 {
            svn: Version::new(2, 5, 0),
            ci_pkids_for_verification: vec![vec![1; 20], vec![2; 20]],
            ci_pkids_for_signing: vec![vec![1; 20]],
        };
        assert_eq!(EuiccInfo1::parse(&info.encode()), Ok(info));
        if let Some(bytes) = crate::es10::tests::session_file("euicc-info1.der") {
            assert_eq!(EuiccInfo1::parse(&bytes).unwrap().encode(), bytes);
        }
    }

    #[test]
    fn eid_of_a_real_card() {
        let bytes = from_hex("BF3E125A1089049032123451234512345678901235").unwrap();
        let eid = parse_get_eid_response(&bytes).unwrap();
        assert_eq!(eid.to_string(), "89049032123451234512345678901235");
        assert_eq!(encode_get_eid_response(&eid), bytes);
        assert_eq!(encode_get_eid_request(), from_hex("BF3E035C015A").unwrap());
    }
}
