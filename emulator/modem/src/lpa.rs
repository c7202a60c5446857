//! The LPA of the modem itself: what AT+QESIM needs of ES10 (SGP.22 §5.7).
//!
//! Each operation opens a logical channel to the ISD-R, runs one function or two, and closes the channel again, so
//! that a host's LPA finds the card as it left it. Requests go out in STORE DATA segments, answers are fetched by
//! GET RESPONSE; both are the card slot's business ([`Uicc::exchange`]).

use rsp::es10::config::{
    ConfiguredAddresses, TAG_CONFIGURED_ADDRESSES, TAG_SET_DEFAULT_DP_ADDRESS, encode_set_default_dp_address_request,
};
use rsp::es10::info;
use rsp::es10::profiles::{
    GetProfilesInfoRequest, ProfileId, ProfileInfo, ProfileSearch, SwitchRequest, TAG_DELETE_PROFILE,
    TAG_DISABLE_PROFILE, TAG_ENABLE_PROFILE, TAG_SET_NICKNAME, encode_delete_request, encode_set_nickname_request,
    parse_profiles_info_response, parse_result,
};
use rsp::tlv::{Tag, encode};
use rsp::{Eid, Iccid};

use crate::card::{CardError, Uicc};
use crate::event::Tap;

/// Data bytes of one STORE DATA (GlobalPlatform Card Specification §11.11: Lc is one byte).
const SEGMENT: usize = 255;

/// The LPA at work on the card.
pub(crate) struct Lpa<'a> {
    pub(crate) uicc: &'a mut Uicc,
    pub(crate) tap: &'a mut Tap,
}

impl Lpa<'_> {
    /// The EID.
    pub(crate) fn eid(&mut self) -> Result<Eid, CardError> {
        let answer = self.function(&info::encode_get_eid_request())?;
        info::parse_get_eid_response(&answer).map_err(|_| CardError::Malformed)
    }

    /// The profiles, in the order of the card: the first is profile 1.
    pub(crate) fn profiles(&mut self) -> Result<Vec<ProfileInfo>, CardError> {
        // The icon is not asked for: it is by far the largest part, and no command shows it.
        let tags = [0x5A, 0x9F70, 0x90, 0x91, 0x92, 0x95].map(Tag);
        let request = GetProfilesInfoRequest { search: ProfileSearch::All, tags: Some(tags.to_vec()) };
        let answer = self.function(&request.encode())?;
        match parse_profiles_info_response(&answer) {
            Ok(Ok(profiles)) => Ok(profiles),
            Ok(Err(_)) => Err(CardError::Refused),
            Err(_) => Err(CardError::Malformed),
        }
    }

    /// Enables a profile, which disables the one that was enabled.
    pub(crate) fn enable(&mut self, iccid: &Iccid) -> Result<(), CardError> {
        self.switch(TAG_ENABLE_PROFILE, iccid)
    }

    /// Disables a profile.
    pub(crate) fn disable(&mut self, iccid: &Iccid) -> Result<(), CardError> {
        self.switch(TAG_DISABLE_PROFILE, iccid)
    }

    fn switch(&mut self, tag: u32, iccid: &Iccid) -> Result<(), CardError> {
        // SGP.22 v2.5 §5.7.16: with the refresh flag the card wants to be reset, which the modem does afterwards.
        let request = SwitchRequest { profile: ProfileId::Iccid(*iccid), refresh: true };
        self.change(tag, &request.encode(tag))
    }

    /// Deletes a profile. The notification stays on the card, for an LPA that can send it.
    pub(crate) fn delete(&mut self, iccid: &Iccid) -> Result<(), CardError> {
        self.change(TAG_DELETE_PROFILE, &encode_delete_request(&ProfileId::Iccid(*iccid)))
    }

    /// Gives a profile a nickname; an empty one takes it away.
    pub(crate) fn set_nickname(&mut self, iccid: &Iccid, nickname: &str) -> Result<(), CardError> {
        self.change(TAG_SET_NICKNAME, &encode_set_nickname_request(iccid, nickname))
    }

    /// The address of the default SM-DP+; empty when there is none.
    pub(crate) fn default_address(&mut self) -> Result<String, CardError> {
        let answer = self.function(&encode(TAG_CONFIGURED_ADDRESSES, &[]))?;
        let addresses = ConfiguredAddresses::parse(&answer).map_err(|_| CardError::Malformed)?;
        Ok(addresses.default_dp.unwrap_or_default())
    }

    /// Sets the address of the default SM-DP+.
    pub(crate) fn set_default_address(&mut self, address: &str) -> Result<(), CardError> {
        self.change(TAG_SET_DEFAULT_DP_ADDRESS, &encode_set_default_dp_address_request(address))
    }

    /// A function whose answer is one result code.
    fn change(&mut self, tag: u32, request: &[u8]) -> Result<(), CardError> {
        let answer = self.function(request)?;
        match parse_result(tag, &answer) {
            Ok(0) => Ok(()),
            Ok(_) => Err(CardError::Refused),
            Err(_) => Err(CardError::Malformed),
        }
    }

    fn function(&mut self, request: &[u8]) -> Result<Vec<u8>, CardError> {
        self.uicc.on_channel(Some(&rsp::ISD_R_AID), self.tap, |uicc, channel, tap| {
            let segments = request.chunks(SEGMENT);
            let last = segments.len().saturating_sub(1);
            let mut data = Vec::new();
            for (number, segment) in segments.enumerate() {
                // SGP.22 v2.5 §5.7.2: P1 is 91 for the last block and 11 for the others, P2 counts them from 0.
                let p1 = if number == last { 0x91 } else { 0x11 };
                let p2 = u8::try_from(number).map_err(|_| CardError::Malformed)?;
                let mut apdu = vec![0x80, 0xE2, p1, p2, segment.len() as u8];
                apdu.extend_from_slice(segment);
                let answer = uicc.exchange(channel, &apdu, tap)?;
                if !answer.is_success() {
                    return Err(CardError::Status(answer.status));
                }
                data = answer.data;
            }
            Ok(data)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use crate::testing::{Script, Sketch};
    use rsp::es10::profiles::ProfileState;

    fn with<T>(card: Box<dyn Card>, work: impl FnOnce(&mut Lpa<'_>) -> T) -> T {
        let mut uicc = Uicc::new(Some(card));
        let mut tap = Tap::default();
        uicc.power_up(&mut tap);
        work(&mut Lpa { uicc: &mut uicc, tap: &mut tap })
    }

    /// The answers are those of a real test eUICC (recorded SELECT and EnableProfile).
    #[test]
    fn exchanges_with_the_card() {
        let fci = "6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE00582030202009000";
        let script = Script::new(&[
            ("0070000001", "019000"),
            ("01A4040010A0000005591010FFFFFFFF8900000100", "6121"),
            ("01C0000021", fci),
            ("81E2910014BF3111A00C5A0A98001032547698103214 8101FF", "6106"),
            ("01C0000006", "BF31038001009000"),
            ("0070800100", "9000"),
            ("0070000001", "019000"),
            ("01A4040010A0000005591010FFFFFFFF8900000100", "9000"),
            ("81E2910014BF3211A00C5A0A98001032547698103214 8101FF", "BF32038001029000"),
            ("0070800100", "9000"),
            ("0070000001", "019000"),
            ("01A4040010A0000005591010FFFFFFFF8900000100", "9000"),
            ("81E291000FBF330C5A0A98001032547698103214", "6985"),
            ("0070800100", "9000"),
        ]);
        let iccid = Iccid::parse("89000123456789012341").unwrap();
        with(script.card(), |lpa| {
            assert_eq!(lpa.enable(&iccid), Ok(()));
            assert_eq!(lpa.disable(&iccid), Err(CardError::Refused));
            assert_eq!(lpa.delete(&iccid), Err(CardError::Status(0x6985)));
        });
        assert!(script.is_done());
    }

    #[test]
    fn long_requests_are_segmented() {
        let address = "a".repeat(255);
        let mut request = vec![0xBF, 0x3F, 0x82, 0x01, 0x02, 0x80, 0x81, 0xFF];
        request.extend_from_slice(address.as_bytes());
        let hex = rsp::ids::to_hex(&request);
        let (first, second) = (format!("81E21100FF{}", &hex[..510]), format!("81E2910108{}", &hex[510..]));
        let script = Script::new(&[
            ("0070000001", "019000"),
            ("01A4040010A0000005591010FFFFFFFF8900000100", "9000"),
            (&first, "9000"),
            (&second, "BF3F038001009000"),
            ("0070800100", "9000"),
        ]);
        with(script.card(), |lpa| assert_eq!(lpa.set_default_address(&address), Ok(())));
        assert!(script.is_done());
    }

    #[test]
    fn profiles_of_a_card() {
        let sketch = Sketch::of_the_note();
        let profiles = with(sketch.card(), |lpa| lpa.profiles()).unwrap();
        assert_eq!(profiles.len(), 4);
        assert_eq!(profiles[0].iccid.map(|iccid| iccid.padded()).as_deref(), Some("8988247000111763810F"));
        assert_eq!(profiles[3].state, Some(ProfileState::Enabled));
        assert_eq!(sketch.open_channels(), 0);
    }

    #[test]
    fn no_answer_panics() {
        for answer in [
            "",
            "BF",
            "BF3E00",
            "BF3E035A0189",
            "BF2D02A000",
            "BF2D04A002E300",
            "BF2D03810101",
            "BF2D05A0035A0100",
            "FF",
        ] {
            let response = format!("{answer}9000");
            for _ in 0..2 {
                let open = [("0070000001", "019000"), ("01A4040010A0000005591010FFFFFFFF8900000100", "9000")];
                let close = ("0070800100", "9000");
                let eid = Script::new(&[open[0], open[1], ("81E2910006BF3E035C015A", &response), close]);
                let list = Script::new(&[open[0], open[1], ("81E291000CBF2D095C075A9F7090919295", &response), close]);
                let _ = with(eid.card(), |lpa| lpa.eid());
                let _ = with(list.card(), |lpa| lpa.profiles());
            }
        }
    }
}
