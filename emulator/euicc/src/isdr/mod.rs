//! The ISD-R: a whole command comes in (STORE DATA blocks put together), the response goes out (SGP.22 §5.7).
//!
//! Each function is a method of [`Euicc`] in the module of its subject: information and addresses, authentication,
//! download, profiles, notifications. A command that cannot be decoded, or whose tag is none of
//! these functions, is answered by a status word; everything else has a result code of its own.

mod auth;
mod crl;
mod download;
mod info;
mod notifications;
mod profiles;

use rsp::es10::TAG_SIGNATURE;
use rsp::es10::auth::{TAG_AUTHENTICATE_SERVER, TAG_GET_EUICC_CHALLENGE};
use rsp::es10::config::{TAG_CONFIGURED_ADDRESSES, TAG_GET_RAT, TAG_SET_DEFAULT_DP_ADDRESS};
use rsp::es10::crl::TAG_LOAD_CRL;
use rsp::es10::download::{TAG_CANCEL_SESSION, TAG_PREPARE_DOWNLOAD};
use rsp::es10::info::{TAG_GET_EID, TAG_GET_EUICC_INFO1, TAG_GET_EUICC_INFO2};
use rsp::es10::notification::{
    TAG_LIST_NOTIFICATION, TAG_REMOVE_NOTIFICATION_FROM_LIST, TAG_RETRIEVE_NOTIFICATIONS_LIST,
};
use rsp::es10::profiles::{
    TAG_DELETE_PROFILE, TAG_DISABLE_PROFILE, TAG_ENABLE_PROFILE, TAG_GET_PROFILES_INFO, TAG_MEMORY_RESET,
    TAG_SET_NICKNAME, encode_result,
};
use rsp::tlv::{Tlv, encode};

use crate::Euicc;
use crate::apdu::Sw;
use crate::loader;

/// LpaeActivation (SGP.22 v2.5 §5.7.1, §5.10).
const TAG_LPAE_ACTIVATION: u32 = 0xBF42;

/// SGP.22 v2.5 §5.10: notSupported. The card has no LPA of its own.
fn lpae_activation() -> Vec<u8> {
    const NOT_SUPPORTED: u32 = 1;
    encode_result(TAG_LPAE_ACTIVATION, NOT_SUPPORTED)
}

impl Euicc {
    /// Carries out one command of ES10 and gives its response data.
    pub(crate) fn execute(&mut self, data: &[u8], now: i64) -> Result<Vec<u8>, Sw> {
        if self.config.quirks.locked_until_reset && self.store.marked().is_some() {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        if loader::belongs_to_package(data) {
            return self.load_bound_profile_package(data);
        }
        // GlobalPlatform Card Specification 2.3.1 §11.11.3.2: 6A80 for data that cannot be read, 6A88 for an object
        // that is not known. While a package comes in, both are pieces of it that have gone wrong.
        let loading = self.session.is_loading();
        let command = match Tlv::parse_exact(data) {
            Ok(command) => command,
            Err(_) if loading => return self.load_bound_profile_package(data),
            Err(_) => return Err(Sw::WRONG_DATA),
        };
        match command.tag().0 {
            TAG_GET_EUICC_INFO1 => Ok(self.euicc_info1()),
            TAG_GET_EUICC_INFO2 => Ok(self.euicc_info2()),
            TAG_GET_EID => self.get_eid(command),
            TAG_CONFIGURED_ADDRESSES => Ok(self.get_configured_addresses()),
            TAG_SET_DEFAULT_DP_ADDRESS => self.set_default_dp_address(data),
            TAG_GET_RAT => Ok(self.get_rat()),
            TAG_GET_EUICC_CHALLENGE => self.get_euicc_challenge(),
            TAG_AUTHENTICATE_SERVER => self.authenticate_server(data, now),
            TAG_PREPARE_DOWNLOAD => self.prepare_download(data, now),
            TAG_CANCEL_SESSION => self.cancel_session(data),
            TAG_LIST_NOTIFICATION => self.list_notification(data),
            TAG_RETRIEVE_NOTIFICATIONS_LIST => self.retrieve_notifications_list(data),
            TAG_REMOVE_NOTIFICATION_FROM_LIST => self.remove_notification_from_list(data),
            TAG_GET_PROFILES_INFO => Ok(self.get_profiles_info(data)),
            TAG_ENABLE_PROFILE => self.enable_profile(data),
            TAG_DISABLE_PROFILE => self.disable_profile(data),
            TAG_DELETE_PROFILE => self.delete_profile(data),
            TAG_SET_NICKNAME => self.set_nickname(data),
            TAG_MEMORY_RESET => self.euicc_memory_reset(data),
            TAG_LPAE_ACTIVATION => Ok(lpae_activation()),
            TAG_LOAD_CRL => self.load_crl(data),
            _ if loading => self.load_bound_profile_package(data),
            _ => Err(Sw::DATA_NOT_FOUND),
        }
    }

    /// A signature by the card's key in these credentials.
    fn sign(&self, credentials: usize, parts: &[&[u8]]) -> Result<[u8; 64], Sw> {
        let credentials = self.config.credentials.get(credentials).ok_or(Sw::TECHNICAL_PROBLEM)?;
        credentials.key.sign(parts).map_err(|_| Sw::TECHNICAL_PROBLEM)
    }
}

/// The element that carries another signature inside what is signed: `5F37 40 …`.
fn signature_element(signature: &[u8]) -> Vec<u8> {
    encode(TAG_SIGNATURE, signature)
}
