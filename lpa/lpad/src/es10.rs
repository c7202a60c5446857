//! The functions of ES10a, ES10b and ES10c (SGP.22 v2.5 §5.7), named as in the specification, over an [`ApduLink`].
//!
//! A request goes to the card as a chain of STORE DATA commands, its response comes back by GET RESPONSE. Responses
//! that the card has signed are returned as they came, to be forwarded.

use rsp::cert::RevocationList;
use rsp::es10::auth::{self, AuthenticateErrorCode, AuthenticateServerResponse};
use rsp::es10::config::{self, ConfiguredAddresses, SetDefaultDpAddressResult};
use rsp::es10::crl::{self, LoadCrlResponse};
use rsp::es10::download::{
    self, CANCEL_SESSION_INVALID_TRANSACTION_ID, CancelSessionRequest, CancelSessionResponse, DownloadErrorCode,
    PrepareDownloadResponse,
};
use rsp::es10::info;
use rsp::es10::notification::{self, NotificationMetadata, NotificationSearch, RemoveNotificationResult};
use rsp::es10::profiles::{
    self, AuthorisationRule, DeleteResult, DisableResult, EnableResult, GetProfilesInfoRequest, ProfileId, ProfileInfo,
    ProfileSearch, SetNicknameResult, SwitchRequest,
};
use rsp::tlv::{self, Tag, Tlv, TlvError};
use rsp::{Eid, Iccid, bpp};

use crate::failure::{EuiccFailure, Failure, Step};
use crate::link::{ApduLink, LinkError};

/// What a card function can end in, when not in success.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The card was not reached.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The card answered with a status word of failure.
    #[error("the eUICC answered {function} with status {status_word:04X}{}", status_text(*.status_word))]
    Status {
        /// The function.
        function: &'static str,
        /// The status word.
        status_word: u16,
    },
    /// The card refused, by the result code of the function.
    #[error("the eUICC answered {function} with {name} ({code})")]
    Refused {
        /// The function.
        function: &'static str,
        /// The code.
        code: u32,
        /// Its name in the specification.
        name: &'static str,
    },
    /// The response cannot be understood.
    #[error("cannot understand the eUICC's response to {function}: {source}")]
    Malformed {
        /// The function.
        function: &'static str,
        /// What is wrong with it.
        source: TlvError,
    },
    /// The request does not fit into one chain of STORE DATA commands.
    #[error("the request {function} of {length} bytes is longer than STORE DATA can carry")]
    TooLong {
        /// The function.
        function: &'static str,
        /// The length of the request.
        length: usize,
    },
}

/// A few status words in words (ISO 7816-4 §5.6, GlobalPlatform 2.3 §11.1.3).
fn status_text(status_word: u16) -> &'static str {
    match status_word {
        0x6581 => ", memory failure",
        0x6700 => ", wrong length",
        0x6881 => ", the logical channel is closed",
        0x6982 => ", security status not satisfied",
        0x6985 => ", conditions of use not satisfied",
        0x6A80 => ", incorrect data",
        0x6A82 => ", application not found",
        0x6A84 => ", not enough memory",
        0x6A88 => ", referenced data not found",
        0x6D00 | 0x6E00 => ", unknown command",
        0x9300 => ", busy with the SIM toolkit",
        _ => "",
    }
}

impl CardError {
    /// The failure of a step that this error ended.
    pub fn at(self, step: Step) -> Box<Failure> {
        let message = self.to_string();
        let (function, reason, status_word) = match self {
            CardError::Link(error) => return Failure::of_link(step, &error),
            CardError::Status { function, status_word } => (function, None, Some(status_word)),
            CardError::Refused { function, code, .. } => (function, Some(code), None),
            CardError::Malformed { .. } | CardError::TooLong { .. } => return Failure::new(step, message),
        };
        let mut failure = Failure::new(step, message);
        failure.euicc = Some(EuiccFailure { function, command: None, reason, status_word });
        failure.hint = hint(function, reason, status_word).map(str::to_owned);
        failure
    }

    /// Whether the card may still be talked to: after a silence or a hang-up it may not.
    pub fn card_is_there(&self) -> bool {
        !matches!(
            self,
            CardError::Link(
                LinkError::Gone
                    | LinkError::Silent
                    | LinkError::Timeout { .. }
                    | LinkError::Restarted { .. }
                    | LinkError::Io(_)
                    | LinkError::Open { .. }
            )
        )
    }
}

fn hint(function: &str, reason: Option<u32>, status_word: Option<u16>) -> Option<&'static str> {
    match (function, reason, status_word) {
        ("AuthenticateServer", Some(1 | 7), _) => Some(
            "the card and the server belong to different certificate issuers, or the server's certificate has expired; \
             ask the provider of the profile",
        ),
        ("AuthenticateServer" | "PrepareDownload", Some(2), _) => {
            Some("the server's signature is wrong: try again; if it stays so, ask the provider of the profile")
        }
        ("PrepareDownload", Some(1), _) => Some(
            "the server's certificate for profile binding is not the card's liking; ask the provider of the profile",
        ),
        ("EnableProfile" | "DisableProfile" | "eUICCMemoryReset", Some(5), _) => {
            Some("the card waits for the modem; restart the modem (AT+CFUN=1,1) and try again")
        }
        ("EnableProfile", Some(2), _) => Some("the profile is enabled already"),
        ("DisableProfile", Some(2), _) => Some("the profile is not enabled"),
        ("DeleteProfile", Some(2), _) => Some("the profile is enabled; disable it first (--disable)"),
        ("EnableProfile" | "DisableProfile" | "DeleteProfile", Some(3), _) => {
            Some("a policy rule of a profile forbids it; the operator can lift the rule")
        }
        ("EnableProfile" | "DisableProfile", Some(127), _) => Some("try again with --no-refresh"),
        (_, _, Some(0x6601)) => Some("the link loses data; try smaller pieces (--segment 60)"),
        (_, _, Some(0x6A80)) => Some("try smaller pieces (--segment 60)"),
        (_, _, Some(0x6985 | 0x6881 | 0x6A82 | 0x6A88)) => {
            Some("the card may be waiting for a restart after a profile switch; restart the modem and try again")
        }
        (_, _, Some(0x6A84)) => Some("delete a profile that is no longer needed"),
        _ => None,
    }
}

/// Whether a function only asks, so that it may be performed twice.
fn is_query(function: &str) -> bool {
    ["Get", "List", "Retrieve"].iter().any(|verb| function.starts_with(verb))
}

/// A response may not come in more parts than this: the largest is a list of profiles.
const MOST_PARTS: usize = 1024;

/// A card, through a link.
#[derive(Debug)]
pub struct Card<L> {
    link: L,
    segment: usize,
    /// Commands end in an Le, because their responses get lost without one.
    with_le: bool,
}

impl<L: ApduLink> Card<L> {
    /// A card to which data go in pieces of `segment` bytes at most (1 to 255).
    pub fn new(link: L, segment: u8) -> Self {
        Card { link, segment: usize::from(segment.max(1)), with_le: false }
    }

    /// The link, when the card is not needed any more.
    pub fn into_link(self) -> L {
        self.link
    }

    /// The link.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Sends a request by STORE DATA and returns the response data (SGP.22 v2.5 §5.7.2).
    pub fn store_data(&mut self, function: &'static str, request: &[u8]) -> Result<Vec<u8>, CardError> {
        // P2 counts the blocks in one byte: a long request takes larger ones.
        let segment = self.segment.max(request.len().div_ceil(255)).min(255);
        let blocks = request.len().div_ceil(segment).max(1);
        if blocks > 256 {
            return Err(CardError::TooLong { function, length: request.len() });
        }
        let mut command = Vec::with_capacity(segment + 6);
        for (index, block) in request.chunks(segment).enumerate() {
            let last = index + 1 == blocks;
            // GlobalPlatform 2.3 §11.11: INS E2; P1 bit 8 marks the last block, 0x11 is BER-TLV data with a response.
            command.clear();
            command.extend_from_slice(&[0x80, 0xE2, if last { 0x91 } else { 0x11 }, index as u8, block.len() as u8]);
            command.extend_from_slice(block);
            if last && self.with_le {
                command.push(0x00);
            }
            let data = self.exchange(function, &mut command)?;
            // A card that has seen an error may answer before the last block.
            if last || !data.is_empty() {
                return Ok(data);
            }
        }
        Ok(Vec::new())
    }

    /// Sends one command and collects its response (ISO 7816-4 §5.3.4).
    fn exchange(&mut self, function: &'static str, command: &mut Vec<u8>) -> Result<Vec<u8>, CardError> {
        let mut data = Vec::new();
        let mut corrected = false;
        let mut parts = 0;
        loop {
            parts += 1;
            let response = self.link.transmit(command)?;
            let (part, [sw1, sw2]) = response
                .split_last_chunk::<2>()
                .ok_or(CardError::Malformed { function, source: TlvError::Truncated { offset: 0, needed: 2 } })?;
            data.extend_from_slice(part);
            match sw1 {
                // 91xx: a proactive command waits for the modem.
                0x90 | 0x91 => return Ok(data),
                0x61 if parts <= MOST_PARTS => *command = vec![0x80, 0xC0, 0x00, 0x00, *sw2],
                0x6C if !corrected => {
                    // Wrong Le: the same command again with the right one.
                    corrected = true;
                    let length_byte = command.get(4).copied().map_or(5, |length| 5 + usize::from(length));
                    let is_case_2 = command.len() == 5;
                    command.truncate(if is_case_2 { 4 } else { length_byte });
                    command.push(*sw2);
                    continue;
                }
                _ => {
                    let status_word = u16::from_be_bytes([*sw1, *sw2]);
                    return Err(CardError::Status { function, status_word });
                }
            }
            corrected = false;
        }
    }

    /// Sends a request whose response must have the tag of the request.
    fn call(&mut self, function: &'static str, request: &[u8]) -> Result<Vec<u8>, CardError> {
        let mut response = self.store_data(function, request)?;
        // What carries the commands may fetch a response only where an Le asks for it, and answer a bare 9000 otherwise
        // (cards behind MBIM). It shows at a function that changes nothing: every operation begins with one.
        if response.is_empty() && !self.with_le && is_query(function) {
            self.with_le = true;
            response = self.store_data(function, request)?;
        }
        let malformed = |source| CardError::Malformed { function, source };
        let (request, _) = Tlv::parse(request).map_err(malformed)?;
        Tlv::parse_as(request.tag(), &response).map_err(malformed)?;
        Ok(response)
    }

    /// ES10c.GetEID (§5.7.20).
    pub fn get_eid(&mut self) -> Result<Eid, CardError> {
        let function = "GetEID";
        let response = self.call(function, &info::encode_get_eid_request())?;
        info::parse_get_eid_response(&response).map_err(|source| CardError::Malformed { function, source })
    }

    /// ES10b.GetEUICCChallenge (§5.7.7).
    pub fn get_euicc_challenge(&mut self) -> Result<[u8; 16], CardError> {
        let function = "GetEUICCChallenge";
        let response = self.call(function, &tlv::encode(auth::TAG_GET_EUICC_CHALLENGE, &[]))?;
        auth::parse_euicc_challenge(&response).map_err(|source| CardError::Malformed { function, source })
    }

    /// ES10b.GetEUICCInfo (§5.7.8), the first information, as it came.
    pub fn get_euicc_info1(&mut self) -> Result<Vec<u8>, CardError> {
        self.call("GetEUICCInfo", &tlv::encode(info::TAG_GET_EUICC_INFO1, &[]))
    }

    /// ES10b.GetEUICCInfo (§5.7.8), the second information, as it came.
    pub fn get_euicc_info2(&mut self) -> Result<Vec<u8>, CardError> {
        self.call("GetEUICCInfo", &tlv::encode(info::TAG_GET_EUICC_INFO2, &[]))
    }

    /// ES10a.GetEuiccConfiguredAddresses (§5.7.3).
    pub fn get_euicc_configured_addresses(&mut self) -> Result<ConfiguredAddresses, CardError> {
        let function = "GetEuiccConfiguredAddresses";
        let response = self.call(function, &tlv::encode(config::TAG_CONFIGURED_ADDRESSES, &[]))?;
        ConfiguredAddresses::parse(&response).map_err(|source| CardError::Malformed { function, source })
    }

    /// ES10a.SetDefaultDpAddress (§5.7.4); an empty address removes it.
    pub fn set_default_dp_address(&mut self, address: &str) -> Result<(), CardError> {
        let request = config::encode_set_default_dp_address_request(address);
        self.result("SetDefaultDpAddress", config::TAG_SET_DEFAULT_DP_ADDRESS, &request, |code| {
            SetDefaultDpAddressResult::from_code(code).name()
        })
    }

    /// ES10b.AuthenticateServer (§5.7.13): the signed response as it came.
    pub fn authenticate_server(&mut self, request: &[u8]) -> Result<Vec<u8>, CardError> {
        let function = "AuthenticateServer";
        let response = self.call(function, request)?;
        // The signed content is the server's to judge; here it only matters which choice it is.
        match AuthenticateServerResponse::parse(&response) {
            Ok(AuthenticateServerResponse::Error { code, .. }) => Err(refused_authentication(code)),
            Ok(AuthenticateServerResponse::Ok(_)) => Ok(response),
            Err(_) if first_tag(&response) == Some(Tag(0xA0)) => Ok(response),
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }

    /// ES10b.PrepareDownload (§5.7.5): the signed response as it came.
    pub fn prepare_download(&mut self, request: &[u8]) -> Result<Vec<u8>, CardError> {
        let function = "PrepareDownload";
        let response = self.call(function, request)?;
        match PrepareDownloadResponse::parse(&response) {
            Ok(PrepareDownloadResponse::Error { code, .. }) => Err(refused_download(code)),
            Ok(PrepareDownloadResponse::Ok { .. }) => Ok(response),
            Err(_) if first_tag(&response) == Some(Tag(0xA0)) => Ok(response),
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }

    /// ES10b.LoadBoundProfilePackage (§5.7.6): the ProfileInstallationResult as it came. `progress` is told how many
    /// bytes of the package have been sent.
    pub fn load_bound_profile_package(
        &mut self,
        package: &[u8],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<u8>, CardError> {
        let function = "LoadBoundProfilePackage";
        let malformed = |source| CardError::Malformed { function, source };
        let mut sent = 0;
        for command in bpp::load_commands(package).map_err(malformed)? {
            let response = self.store_data(function, command)?;
            sent += command.len();
            progress(sent);
            // SGP.22 v2.5 §5.7.6: the first response with data is the result, wherever it comes; some cards send it
            // in the middle, and do not take what is left.
            if !response.is_empty() {
                Tlv::parse_as(download::TAG_PROFILE_INSTALLATION_RESULT, &response).map_err(malformed)?;
                return Ok(response);
            }
        }
        Err(malformed(TlvError::Missing { expected: Tag(download::TAG_PROFILE_INSTALLATION_RESULT) }))
    }

    /// ES10b.CancelSession (§5.7.14): the signed response as it came.
    pub fn cancel_session(&mut self, request: &CancelSessionRequest) -> Result<Vec<u8>, CardError> {
        let function = "CancelSession";
        let response = self.call(function, &request.encode())?;
        match CancelSessionResponse::parse(&response) {
            Ok(CancelSessionResponse::Ok { .. }) => Ok(response),
            Ok(CancelSessionResponse::Error(code)) => {
                let name = match code {
                    CANCEL_SESSION_INVALID_TRANSACTION_ID => "invalidTransactionId",
                    127 => "undefinedError",
                    _ => "unknown",
                };
                Err(CardError::Refused { function, code, name })
            }
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }

    /// ES10b.ListNotification (§5.7.9).
    pub fn list_notification(&mut self) -> Result<Vec<NotificationMetadata>, CardError> {
        let function = "ListNotification";
        let response = self.call(function, &notification::encode_list_request(None))?;
        match notification::parse_list_response(&response) {
            Ok(Ok(list)) => Ok(list),
            Ok(Err(code)) => Err(CardError::Refused { function, code, name: list_error(code) }),
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }

    /// ES10b.RetrieveNotificationsList (§5.7.10): the notification with this number as it came, when it is there.
    pub fn retrieve_notification(&mut self, sequence_number: u32) -> Result<Option<Vec<u8>>, CardError> {
        let function = "RetrieveNotificationsList";
        let request = notification::encode_retrieve_request(NotificationSearch::SequenceNumber(sequence_number));
        let response = self.call(function, &request)?;
        let malformed = |source| CardError::Malformed { function, source };
        let mut choice = Tlv::parse_exact(&response).map_err(malformed)?.reader();
        if let Some(list) = choice.optional(0xA0).map_err(malformed)? {
            return Ok(list.reader().next_tlv().map_err(malformed)?.map(|notification| notification.raw().to_vec()));
        }
        let code = choice.require(0x81).and_then(|code| code.as_u32()).map_err(malformed)?;
        // 1 noResultAvailable, of earlier versions.
        if code == 1 { Ok(None) } else { Err(CardError::Refused { function, code, name: list_error(code) }) }
    }

    /// ES10b.RemoveNotificationFromList (§5.7.11). A notification that is not there is removed.
    pub fn remove_notification_from_list(&mut self, sequence_number: u32) -> Result<(), CardError> {
        let function = "RemoveNotificationFromList";
        let response = self.call(function, &notification::encode_remove_request(sequence_number))?;
        match notification::parse_remove_response(&response) {
            Ok(RemoveNotificationResult::Ok | RemoveNotificationResult::NothingToDelete) => Ok(()),
            Ok(result) => Err(CardError::Refused { function, code: result.code(), name: result.name() }),
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }

    /// ES10b.GetRAT (§5.7.22).
    pub fn get_rat(&mut self) -> Result<Vec<AuthorisationRule>, CardError> {
        let function = "GetRAT";
        let response = self.call(function, &tlv::encode(config::TAG_GET_RAT, &[]))?;
        config::parse_rat(&response).map_err(|source| CardError::Malformed { function, source })
    }

    /// ES10c.GetProfilesInfo (§5.7.15): all profiles, without their icons.
    pub fn get_profiles_info(&mut self) -> Result<Vec<ProfileInfo>, CardError> {
        let function = "GetProfilesInfo";
        let tags = [0x5A, 0x4F, 0x9F70, 0x90, 0x91, 0x92, 0x95].map(Tag).to_vec();
        let request = GetProfilesInfoRequest { search: ProfileSearch::All, tags: Some(tags) };
        let response = self.call(function, &request.encode())?;
        match profiles::parse_profiles_info_response(&response) {
            Ok(Ok(list)) => Ok(list),
            Ok(Err(code)) => {
                let name = if code == 1 { "incorrectInputValues" } else { list_error(code) };
                Err(CardError::Refused { function, code, name })
            }
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }

    /// ES10c.EnableProfile (§5.7.16).
    pub fn enable_profile(&mut self, profile: ProfileId, refresh: bool) -> Result<(), CardError> {
        let tag = profiles::TAG_ENABLE_PROFILE;
        let request = SwitchRequest { profile, refresh }.encode(tag);
        self.result("EnableProfile", tag, &request, |code| EnableResult::from_code(code).name())
    }

    /// ES10c.DisableProfile (§5.7.17).
    pub fn disable_profile(&mut self, profile: ProfileId, refresh: bool) -> Result<(), CardError> {
        let tag = profiles::TAG_DISABLE_PROFILE;
        let request = SwitchRequest { profile, refresh }.encode(tag);
        self.result("DisableProfile", tag, &request, |code| DisableResult::from_code(code).name())
    }

    /// ES10c.DeleteProfile (§5.7.18).
    pub fn delete_profile(&mut self, profile: &ProfileId) -> Result<(), CardError> {
        let request = profiles::encode_delete_request(profile);
        self.result("DeleteProfile", profiles::TAG_DELETE_PROFILE, &request, |code| {
            DeleteResult::from_code(code).name()
        })
    }

    /// ES10b.LoadCRL (§5.7.12) of a `CertificateList`; gives the numbers of its parts that the card does not have yet.
    pub fn load_crl(&mut self, list: &RevocationList) -> Result<Vec<u32>, CardError> {
        let function = "LoadCRL";
        let malformed = |source| CardError::Malformed { function, source };
        let request = crl::encode_load_crl_request(list.der()).map_err(malformed)?;
        match LoadCrlResponse::parse(&self.call(function, &request)?) {
            Ok(LoadCrlResponse::Ok { missing_parts }) => Ok(missing_parts),
            Ok(LoadCrlResponse::Error(code)) => {
                Err(CardError::Refused { function, code: code.code(), name: code.name() })
            }
            Err(source) => Err(malformed(source)),
        }
    }

    /// ES10c.SetNickname (§5.7.21); an empty nickname removes it.
    pub fn set_nickname(&mut self, iccid: &Iccid, nickname: &str) -> Result<(), CardError> {
        let request = profiles::encode_set_nickname_request(iccid, nickname);
        self.result("SetNickname", profiles::TAG_SET_NICKNAME, &request, |code| {
            SetNicknameResult::from_code(code).name()
        })
    }

    /// A function whose response is one result code.
    fn result(
        &mut self,
        function: &'static str,
        tag: u32,
        request: &[u8],
        name: impl Fn(u32) -> &'static str,
    ) -> Result<(), CardError> {
        let response = self.call(function, request)?;
        match profiles::parse_result(tag, &response) {
            Ok(0) => Ok(()),
            Ok(code) => Err(CardError::Refused { function, code, name: name(code) }),
            Err(source) => Err(CardError::Malformed { function, source }),
        }
    }
}

fn list_error(code: u32) -> &'static str {
    if code == 127 { "undefinedError" } else { "unknown" }
}

fn refused_authentication(code: AuthenticateErrorCode) -> CardError {
    CardError::Refused { function: "AuthenticateServer", code: code.code(), name: code.name() }
}

fn refused_download(code: DownloadErrorCode) -> CardError {
    CardError::Refused { function: "PrepareDownload", code: code.code(), name: code.name() }
}

/// The tag of the first element inside the response.
fn first_tag(response: &[u8]) -> Option<Tag> {
    Some(Tlv::parse_exact(response).ok()?.reader().next_tlv().ok()??.tag())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsp::ids::{from_hex, to_hex};
    use std::collections::VecDeque;

    /// A link that answers as scripted: `(command, response)` in hexadecimal.
    #[derive(Debug, Default)]
    pub(crate) struct Trace(VecDeque<(String, String)>);

    impl Trace {
        pub(crate) fn new(lines: &[(&str, &str)]) -> Self {
            Trace(lines.iter().map(|(command, response)| ((*command).to_owned(), (*response).to_owned())).collect())
        }
    }

    impl ApduLink for Trace {
        fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, LinkError> {
            let (command, response) = self.0.pop_front().expect("the trace goes on");
            assert_eq!(to_hex(apdu), command);
            Ok(from_hex(response).unwrap())
        }

        fn reopen(&mut self) -> Result<(), LinkError> {
            Ok(())
        }
    }

    #[test]
    fn answers_of_a_real_card() {
        // From the traces `omnikey-info.log`, `omnikey-profiles.log` and `omnikey-enable.log`.
        let mut card = Card::new(
            Trace::new(&[
                ("80E2910006BF3E035C015A", "6115"),
                ("80C0000015", "BF3E125A10890490321234512345123456789012359000"),
                ("80E291000DBF2D0A5C085A4F9F7090919295", "6105"),
                ("80C0000005", "BF2D02A0009000"),
                ("80E2910014BF3111A00C5A0A98001032547698103214810100", "6106"),
                ("80C0000006", "BF31038001009000"),
            ]),
            120,
        );
        assert_eq!(card.get_eid().unwrap().to_string(), "89049032123451234512345678901235");
        assert_eq!(card.get_profiles_info().unwrap(), []);
        let profile = ProfileId::Iccid(Iccid::parse("89000123456789012341").unwrap());
        card.enable_profile(profile, false).unwrap();
    }

    #[test]
    fn other_forms_of_answers() {
        let mut card = Card::new(
            Trace::new(&[
                // Data at once; wrong Le; more than one GET RESPONSE; a proactive command waiting.
                ("80E2910003BF2E00", "BF2E128010000102030405060708090A0B0C0D0E0F9000"),
                ("80E2910003BF2E00", "6C15"),
                ("80E2910003BF2E0015", "BF2E128010000102030405060708090A0B0C0D0E0F910B"),
                ("80E2910003BF2E00", "610A"),
                ("80C000000A", "BF2E1280100001020304610B"),
                ("80C000000B", "6C0B"),
                ("80C000000B", "05060708090A0B0C0D0E0F9000"),
            ]),
            120,
        );
        let challenge: [u8; 16] = std::array::from_fn(|index| index as u8);
        for _ in 0..3 {
            assert_eq!(card.get_euicc_challenge().unwrap(), challenge);
        }
    }

    #[test]
    fn long_requests_go_in_blocks() {
        let mut card = Card::new(
            Trace::new(&[("80E2110002AABB", "9000"), ("80E2110102CCDD", "9000"), ("80E2910201EE", "9000")]),
            2,
        );
        assert_eq!(card.store_data("X", &[0xAA, 0xBB, 0xCC, 0xDD, 0xEE]).unwrap(), b"");
        // An early result ends the chain.
        let mut card = Card::new(Trace::new(&[("80E2110001AA", "6103"), ("80C0000003", "BF37009000")]), 1);
        assert_eq!(card.store_data("X", &[0xAA, 0xBB]).unwrap(), [0xBF, 0x37, 0x00]);
        let error = Card::new(Trace::default(), 1).store_data("X", &[0; 256 * 255 + 1]).unwrap_err();
        assert!(matches!(error, CardError::TooLong { .. }));
    }

    #[test]
    fn errors_in_words() {
        let cases = [
            ("6A88", "the eUICC answered DeleteProfile with status 6A88, referenced data not found"),
            ("BF33038001029000", "the eUICC answered DeleteProfile with profileNotInDisabledState (2)"),
            ("BF33009000", "cannot understand the eUICC's response to DeleteProfile: missing element 80"),
            (
                "9000",
                "cannot understand the eUICC's response to DeleteProfile: truncated TLV at byte 0: 1 more bytes announced than are there",
            ),
        ];
        for (response, message) in cases {
            let mut card = Card::new(Trace::new(&[("80E291000FBF330C5A0A98001032547698103214", response)]), 120);
            let profile = ProfileId::Iccid(Iccid::parse("89000123456789012341").unwrap());
            assert_eq!(card.delete_profile(&profile).unwrap_err().to_string(), message);
        }
        let refused = CardError::Refused { function: "DeleteProfile", code: 2, name: "profileNotInDisabledState" };
        let failure = refused.at(Step::DeleteProfile);
        assert_eq!(failure.euicc.as_ref().unwrap().reason, Some(2));
        assert!(failure.hint.as_ref().unwrap().contains("--disable"));
        let failure = CardError::Status { function: "EnableProfile", status_word: 0x6985 }.at(Step::EnableProfile);
        assert_eq!(failure.euicc.as_ref().unwrap().status_word, Some(0x6985));
    }

    /// Answers every command with the same bytes.
    struct Always(Vec<u8>);

    impl ApduLink for Always {
        fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, LinkError> {
            Ok(self.0.clone())
        }

        fn reopen(&mut self) -> Result<(), LinkError> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn no_answer_of_a_card_panics_or_hangs(
            tag in prop::sample::select(vec![0xBF2Eu32, 0xBF20, 0xBF3C, 0xBF2D, 0xBF28, 0xBF2B, 0xBF30, 0xBF33, 0xBF38, 0xBF21, 0xBF41, 0xBF43, 0xBF3E]),
            content in proptest::collection::vec(any::<u8>(), 0..40),
            status in prop::sample::select(vec![[0x90u8, 0x00], [0x61, 0x10], [0x6C, 0x05], [0x6A, 0x82]]),
            cut in 0usize..3,
        ) {
            let mut bytes = rsp::tlv::encode(tag, &content);
            bytes.extend_from_slice(&status);
            bytes.truncate(bytes.len() - cut);
            let mut card = Card::new(Always(bytes), 120);
            let profile = ProfileId::Iccid(Iccid::parse("89000123456789012341").unwrap());
            let _ = (card.get_eid(), card.get_euicc_challenge(), card.get_euicc_info1());
            let _ = (card.get_euicc_configured_addresses(), card.get_profiles_info(), card.list_notification());
            let _ = (card.retrieve_notification(1), card.remove_notification_from_list(1), card.get_rat());
            let _ = (card.delete_profile(&profile), card.authenticate_server(&[0xBF, 0x38, 0]));
            let _ = card.prepare_download(&[0xBF, 0x21, 0]);
        }
    }
}
