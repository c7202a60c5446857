//! What the card says about itself: EUICCInfo1, EUICCInfo2, EID, addresses, rules authorisation table
//! (SGP.22 §5.7.3, §5.7.4, §5.7.8, §5.7.20, §5.7.22).

use rsp::cert::Certificate;
use rsp::es10::config::{self, ConfiguredAddresses, SetDefaultDpAddressResult, TAG_SET_DEFAULT_DP_ADDRESS};
use rsp::es10::info::{CertificationData, EuiccInfo1, EuiccInfo2, ExtCardResource, encode_get_eid_response};
use rsp::es10::profiles::encode_result;
use rsp::tlv::Tlv;

use crate::apdu::Sw;
use crate::{CardEvent, Euicc};

fn key_ids<'a>(cis: impl Iterator<Item = &'a Certificate>) -> Vec<Vec<u8>> {
    cis.filter_map(Certificate::subject_key_id).map(<[u8]>::to_vec).collect()
}

impl Euicc {
    fn ci_pkids_for_verification(&self) -> Vec<Vec<u8>> {
        key_ids(self.config.trusted_cis())
    }

    fn ci_pkids_for_signing(&self) -> Vec<Vec<u8>> {
        key_ids(self.config.credentials.iter().map(|credentials| &credentials.ci))
    }

    pub(super) fn euicc_info1(&self) -> Vec<u8> {
        EuiccInfo1 {
            svn: self.config.svn,
            ci_pkids_for_verification: self.ci_pkids_for_verification(),
            ci_pkids_for_signing: self.ci_pkids_for_signing(),
        }
        .encode()
    }

    pub(super) fn euicc_info2(&self) -> Vec<u8> {
        let config = &self.config;
        EuiccInfo2 {
            profile_version: config.profile_version,
            svn: config.svn,
            firmware_version: config.firmware,
            ext_card_resource: ExtCardResource {
                applications: u32::try_from(self.store.profiles().len()).unwrap_or(u32::MAX),
                free_non_volatile: self.free_memory(),
                free_volatile: config.ram,
            }
            .encode(),
            uicc_capability: config.uicc_capability,
            ts102241_version: config.ts102241,
            globalplatform_version: config.global_platform,
            rsp_capability: config.rsp_capability,
            ci_pkids_for_verification: self.ci_pkids_for_verification(),
            ci_pkids_for_signing: self.ci_pkids_for_signing(),
            category: config.category,
            forbidden_ppr: Some(config.forbidden_pprs),
            pp_version: config.pp_version,
            sas_accreditation_number: config.sas_number.clone(),
            certification_data: config.certification.as_ref().map(|(label, url)| CertificationData {
                platform_label: label.clone(),
                discovery_base_url: url.clone(),
            }),
        }
        .encode()
    }

    pub(super) fn get_eid(&self, command: Tlv<'_>) -> Result<Vec<u8>, Sw> {
        // SGP.22 v2.5 §5.7.20: the tag list has the one tag 5A.
        let wanted = command.reader().optional(0x5C).map_err(|_| Sw::WRONG_DATA)?;
        if wanted.is_none_or(|tags| tags.value() != [0x5A]) {
            return Err(Sw::WRONG_DATA);
        }
        Ok(encode_get_eid_response(&self.config.eid))
    }

    pub(super) fn get_configured_addresses(&self) -> Vec<u8> {
        ConfiguredAddresses {
            default_dp: self.store.default_smdp().map(str::to_owned),
            root_ds: self.config.root_smds.clone(),
        }
        .encode()
    }

    pub(super) fn set_default_dp_address(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        let address = config::parse_set_default_dp_address_request(data).map_err(|_| Sw::WRONG_DATA)?;
        let address = Some(address).filter(|address| !address.is_empty());
        self.store.set_default_smdp(address.clone());
        self.events.push(CardEvent::DefaultSmdpSet(address));
        Ok(encode_result(TAG_SET_DEFAULT_DP_ADDRESS, SetDefaultDpAddressResult::Ok.code()))
    }

    pub(super) fn get_rat(&self) -> Vec<u8> {
        config::encode_rat(&self.config.rat)
    }
}
