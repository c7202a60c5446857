//! The messages of ES10 and ES8+: none panics, and what is read and written can be read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsp::es10::auth::{AuthenticateServerRequest, AuthenticateServerResponse, CtxParams1, ServerSigned1};
use rsp::cert::RevocationList;
use rsp::es10::config::{self, ConfiguredAddresses};
use rsp::es10::crl::{self, LoadCrlResponse};
use rsp::es10::download::{
    CancelSessionRequest, CancelSessionResponse, InitialiseSecureChannel, PrepareDownloadRequest,
    PrepareDownloadResponse, ProfileInstallationResult, SmdpSigned2, StoreMetadata,
};
use rsp::es10::info::{self, EuiccInfo1, EuiccInfo2};
use rsp::es10::notification::{self, PendingNotification};
use rsp::es10::profiles::{self, GetProfilesInfoRequest, SwitchRequest};
use rsp::tlv::Tlv;

/// Reads, writes and reads again.
macro_rules! round_trip {
    ($data:expr, $parse:expr, $encode:expr) => {
        if let Ok(value) = $parse($data) {
            let written: Vec<u8> = $encode(&value);
            assert_eq!($parse(&written).as_ref(), Ok(&value));
        }
    };
}

fuzz_target!(|data: &[u8]| {
    round_trip!(data, CancelSessionRequest::parse, |value: &CancelSessionRequest| value.encode());
    round_trip!(data, GetProfilesInfoRequest::parse, |value: &GetProfilesInfoRequest| value.encode());
    round_trip!(data, ConfiguredAddresses::parse, |value: &ConfiguredAddresses| value.encode());
    round_trip!(data, EuiccInfo1::parse, |value: &EuiccInfo1| value.encode());
    round_trip!(data, profiles::parse_delete_request, profiles::encode_delete_request);
    round_trip!(data, config::parse_rat, |value: &Vec<_>| config::encode_rat(value));
    round_trip!(data, LoadCrlResponse::parse, |value: &LoadCrlResponse| value.encode());
    if let Ok(list) = crl::parse_load_crl_request(data) {
        let _ = RevocationList::parse(&list);
        assert_eq!(crl::parse_load_crl_request(&crl::encode_load_crl_request(&list).unwrap()), Ok(list));
    }
    for tag in [profiles::TAG_ENABLE_PROFILE, profiles::TAG_DISABLE_PROFILE] {
        round_trip!(data, |bytes| SwitchRequest::parse(tag, bytes), |value: &SwitchRequest| value.encode(tag));
    }
    if let Ok(metadata) = StoreMetadata::parse(data) {
        // The card keeps what it has understood.
        assert_eq!(StoreMetadata::parse(&metadata.encode()).as_ref(), Ok(&metadata));
    }
    if let Ok(request) = AuthenticateServerRequest::parse(data) {
        let own = data.as_ptr_range();
        assert!(own.contains(&request.server_signed1.raw.as_ptr()) && own.contains(&request.ctx_params1.raw.as_ptr()));
    }
    if let Ok(command) = InitialiseSecureChannel::parse(data) {
        let _ = command.signed_bytes(&[4; 65]);
    }
    let _ = (
        AuthenticateServerResponse::parse(data).is_ok(),
        ServerSigned1::receive(data).is_ok(),
        SmdpSigned2::receive(data).is_ok(),
        PrepareDownloadRequest::parse(data).is_ok(),
        PrepareDownloadResponse::parse(data).is_ok(),
        ProfileInstallationResult::parse(data).is_ok(),
        CancelSessionResponse::parse(data).is_ok(),
        EuiccInfo2::parse(data).is_ok(),
        PendingNotification::parse(data).is_ok(),
    );
    let _ = (
        profiles::parse_set_nickname_request(data),
        profiles::parse_memory_reset_request(data),
        profiles::parse_profiles_info_response(data).is_ok(),
        notification::parse_list_request(data),
        notification::parse_list_response(data).is_ok(),
        notification::parse_retrieve_response(data).is_ok(),
        config::parse_set_default_dp_address_request(data),
        info::parse_get_eid_response(data),
        Tlv::parse_exact(data).map(|tlv| CtxParams1::parse(tlv).is_ok()),
    );
    let _ = rsp::bpp::load_commands(data).map(|commands| assert_eq!(commands.concat(), data));
    let _ = rsp::bpp::BoundProfilePackage::parse(data).is_ok();
    let _ = rsp::saip::EuiccResponse::parse(data);
});
