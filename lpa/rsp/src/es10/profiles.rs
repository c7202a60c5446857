//! Profile management over ES10c: GetProfilesInfo, EnableProfile, DisableProfile, DeleteProfile, SetNickname,
//! eUICCMemoryReset (SGP.22 §5.7.15 to §5.7.21).

use super::download::NotificationConfiguration;
use super::{TAG_SEQUENCE, bad, codes, iccid, text};
use crate::tlv::{NamedBits, Tag, Tlv, TlvError, Writer};
use crate::{Aid, Iccid, Oid};

/// GetProfilesInfo.
pub const TAG_GET_PROFILES_INFO: u32 = 0xBF2D;
/// SetNickname.
pub const TAG_SET_NICKNAME: u32 = 0xBF29;
/// EnableProfile.
pub const TAG_ENABLE_PROFILE: u32 = 0xBF31;
/// DisableProfile.
pub const TAG_DISABLE_PROFILE: u32 = 0xBF32;
/// DeleteProfile.
pub const TAG_DELETE_PROFILE: u32 = 0xBF33;
/// eUICCMemoryReset.
pub const TAG_MEMORY_RESET: u32 = 0xBF34;
/// `ProfileInfo` inside the response to GetProfilesInfo.
pub const TAG_PROFILE_INFO: u32 = 0xE3;

codes! {
    /// `ProfileClass`.
    pub enum ProfileClass {
        Test = 0 "test",
        Provisioning = 1 "provisioning",
        Operational = 2 "operational",
    }
}

codes! {
    /// `ProfileState`.
    pub enum ProfileState {
        Disabled = 0 "disabled",
        Enabled = 1 "enabled",
    }
}

codes! {
    /// Result of EnableProfile (SGP.22 §5.7.16).
    pub enum EnableResult {
        Ok = 0 "ok",
        IccidOrAidNotFound = 1 "iccidOrAidNotFound",
        ProfileNotInDisabledState = 2 "profileNotInDisabledState",
        DisallowedByPolicy = 3 "disallowedByPolicy",
        WrongProfileReenabling = 4 "wrongProfileReenabling",
        CatBusy = 5 "catBusy",
        UndefinedError = 127 "undefinedError",
    }
}

codes! {
    /// Result of DisableProfile (SGP.22 §5.7.17).
    pub enum DisableResult {
        Ok = 0 "ok",
        IccidOrAidNotFound = 1 "iccidOrAidNotFound",
        ProfileNotInEnabledState = 2 "profileNotInEnabledState",
        DisallowedByPolicy = 3 "disallowedByPolicy",
        CatBusy = 5 "catBusy",
        UndefinedError = 127 "undefinedError",
    }
}

codes! {
    /// Result of DeleteProfile (SGP.22 §5.7.18).
    pub enum DeleteResult {
        Ok = 0 "ok",
        IccidOrAidNotFound = 1 "iccidOrAidNotFound",
        ProfileNotInDisabledState = 2 "profileNotInDisabledState",
        DisallowedByPolicy = 3 "disallowedByPolicy",
        UndefinedError = 127 "undefinedError",
    }
}

codes! {
    /// Result of SetNickname (SGP.22 §5.7.21).
    pub enum SetNicknameResult {
        Ok = 0 "ok",
        IccidNotFound = 1 "iccidNotFound",
        UndefinedError = 127 "undefinedError",
    }
}

codes! {
    /// Result of eUICCMemoryReset (SGP.22 §5.7.19).
    pub enum ResetResult {
        Ok = 0 "ok",
        NothingToDelete = 1 "nothingToDelete",
        CatBusy = 5 "catBusy",
        UndefinedError = 127 "undefinedError",
    }
}

/// The operator that owns a profile (`OperatorId`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorId {
    /// MCC and MNC, three bytes in the order of TS 24.008 §10.5.1.13; `EE` stands for any digit pair.
    pub mcc_mnc: [u8; 3],
    /// Group identifier level 1.
    pub gid1: Option<Vec<u8>>,
    /// Group identifier level 2.
    pub gid2: Option<Vec<u8>>,
}

impl OperatorId {
    pub(super) fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        Ok(OperatorId {
            mcc_mnc: fields.require(0x80)?.as_array()?,
            gid1: fields.optional(0x81)?.map(|gid| gid.value().to_vec()),
            gid2: fields.optional(0x82)?.map(|gid| gid.value().to_vec()),
        })
    }

    /// The element `B7`.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(0xB7)
    }

    pub(super) fn encode_as(&self, tag: u32) -> Vec<u8> {
        Writer::new()
            .nested(tag, |w| {
                w.put(0x80, &self.mcc_mnc).put_opt(0x81, self.gid1.as_ref()).put_opt(0x82, self.gid2.as_ref())
            })
            .into_vec()
    }
}

/// A profile, as GetProfilesInfo tells it. What was not asked for is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileInfo {
    /// `5A`.
    pub iccid: Option<Iccid>,
    /// `4F`: the ISD-P.
    pub isdp_aid: Option<Aid>,
    /// `9F70`.
    pub state: Option<ProfileState>,
    /// `90`.
    pub nickname: Option<String>,
    /// `91`.
    pub service_provider_name: Option<String>,
    /// `92`.
    pub profile_name: Option<String>,
    /// `93`.
    pub icon_type: Option<u32>,
    /// `94`.
    pub icon: Option<Vec<u8>>,
    /// `95`.
    pub profile_class: Option<ProfileClass>,
    /// `B6`.
    pub notification_configuration: Option<Vec<NotificationConfiguration>>,
    /// `B7`.
    pub profile_owner: Option<OperatorId>,
    /// `B8`: OID of the SM-DP+ that may update it.
    pub dp_oid: Option<Oid>,
    /// `99`.
    pub profile_policy_rules: Option<NamedBits>,
}

impl ProfileInfo {
    /// Reads the element `E3`.
    pub fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut info = ProfileInfo::default();
        // Cards order these elements differently: each is taken where it stands.
        for field in tlv.reader() {
            let field = field?;
            match field.tag().0 {
                0x5A => info.iccid = Some(iccid(field)?),
                0x4F => {
                    info.isdp_aid = Some(Aid::from_bytes(field.value()).map_err(|error| bad(field.tag(), &error))?);
                }
                0x9F70 => info.state = Some(ProfileState::from_code(field.as_u32()?)),
                0x90 => info.nickname = Some(text(field, 64, "a nickname of at most 64 bytes")?),
                0x91 => info.service_provider_name = Some(text(field, 32, "a name of at most 32 bytes")?),
                0x92 => info.profile_name = Some(text(field, 64, "a name of at most 64 bytes")?),
                0x93 => info.icon_type = Some(field.as_u32()?),
                0x94 => info.icon = Some(field.value().to_vec()),
                0x95 => info.profile_class = Some(ProfileClass::from_code(field.as_u32()?)),
                0xB6 => info.notification_configuration = Some(NotificationConfiguration::parse_list(field)?),
                0xB7 => info.profile_owner = Some(OperatorId::parse(field)?),
                0xB8 => {
                    if let Some(oid) = field.reader().optional(0x80)? {
                        info.dp_oid = Some(Oid::from_der_content(oid.value()).map_err(|error| bad(oid.tag(), &error))?);
                    }
                }
                0x99 => info.profile_policy_rules = Some(field.as_bits()?),
                _ => {}
            }
        }
        Ok(info)
    }

    /// The element `E3` with what is present.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_PROFILE_INFO, |w| {
                let w = w
                    .put_opt(0x5A, self.iccid.map(|iccid| *iccid.as_bytes()))
                    .put_opt(0x4F, self.isdp_aid.as_ref().map(Aid::as_bytes));
                let w = optional_integer(w, 0x9F70, self.state.map(ProfileState::code))
                    .put_opt(0x90, self.nickname.as_ref())
                    .put_opt(0x91, self.service_provider_name.as_ref())
                    .put_opt(0x92, self.profile_name.as_ref());
                let w = optional_integer(w, 0x93, self.icon_type).put_opt(0x94, self.icon.as_ref());
                let w = optional_integer(w, 0x95, self.profile_class.map(ProfileClass::code)).put_opt(
                    0xB6,
                    self.notification_configuration.as_ref().map(|list| NotificationConfiguration::encode_list(list)),
                );
                let w = match &self.profile_owner {
                    Some(owner) => w.raw(&owner.encode()),
                    None => w,
                };
                let w = match &self.dp_oid {
                    Some(oid) => w.nested(0xB8, |w| w.put(0x80, oid.as_der_content())),
                    None => w,
                };
                w.put_opt(0x99, self.profile_policy_rules.map(NamedBits::to_octets))
            })
            .into_vec()
    }
}

fn optional_integer(writer: Writer, tag: u32, value: Option<u32>) -> Writer {
    match value {
        Some(value) => writer.integer(tag, value),
        None => writer,
    }
}

/// Names one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileId {
    /// By `4F`.
    IsdpAid(Aid),
    /// By `5A`.
    Iccid(Iccid),
}

impl ProfileId {
    fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        match tlv.tag().0 {
            0x4F => Aid::from_bytes(tlv.value()).map(ProfileId::IsdpAid).map_err(|error| bad(tlv.tag(), &error)),
            0x5A => Ok(ProfileId::Iccid(iccid(tlv)?)),
            _ => Err(TlvError::Unexpected { expected: Tag(0x5A), found: tlv.tag() }),
        }
    }

    fn write(&self, writer: Writer) -> Writer {
        match self {
            ProfileId::IsdpAid(aid) => writer.put(0x4F, aid.as_bytes()),
            ProfileId::Iccid(iccid) => writer.put(0x5A, iccid.as_bytes()),
        }
    }
}

/// Which profiles GetProfilesInfo is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSearch {
    /// All of them.
    All,
    /// One.
    One(ProfileId),
    /// Those of a class.
    Class(ProfileClass),
}

/// The request GetProfilesInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetProfilesInfoRequest {
    /// Which profiles.
    pub search: ProfileSearch,
    /// Which elements of each; `None` for the default ones.
    pub tags: Option<Vec<Tag>>,
}

impl GetProfilesInfoRequest {
    /// Reads the whole command data.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_GET_PROFILES_INFO, bytes)?.reader();
        let search = match fields.optional(0xA0)? {
            None => ProfileSearch::All,
            Some(criterion) => {
                let criterion = criterion.reader().next_tlv()?.ok_or(TlvError::Missing { expected: Tag(0x5A) })?;
                match criterion.tag().0 {
                    0x95 => ProfileSearch::Class(ProfileClass::from_code(criterion.as_u32()?)),
                    _ => ProfileSearch::One(ProfileId::parse(criterion)?),
                }
            }
        };
        let tags = fields.optional(0x5C)?.map(|list| parse_tag_list(list.value())).transpose()?;
        fields.finish()?;
        Ok(GetProfilesInfoRequest { search, tags })
    }

    /// The whole command data.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_GET_PROFILES_INFO, |w| {
                let w = match &self.search {
                    ProfileSearch::All => w,
                    ProfileSearch::One(id) => w.nested(0xA0, |w| id.write(w)),
                    ProfileSearch::Class(class) => w.nested(0xA0, |w| w.integer(0x95, class.code())),
                };
                w.put_opt(
                    0x5C,
                    self.tags.as_ref().map(|tags| {
                        tags.iter().flat_map(|tag| tag.0.to_be_bytes()[4 - tag.len()..].to_vec()).collect::<Vec<u8>>()
                    }),
                )
            })
            .into_vec()
    }
}

/// Reads a tag list (ISO 7816-4 §8.5.2.3.3): tags one after the other.
fn parse_tag_list(bytes: &[u8]) -> Result<Vec<Tag>, TlvError> {
    let mut tags = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        // A tag followed by a zero length is an element that the TLV reader knows to read.
        let mut length = 1;
        if rest[0] & 0x1F == 0x1F {
            while rest.get(length).is_some_and(|byte| byte & 0x80 != 0) {
                length += 1;
            }
            length += 1;
        }
        if length > 4 || length > rest.len() {
            return Err(TlvError::BadValue { tag: Tag(0x5C), rule: "a list of whole tags" });
        }
        tags.push(Tag(rest[..length].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))));
        rest = &rest[length..];
    }
    Ok(tags)
}

/// The response to GetProfilesInfo, from whole `E3` elements.
pub fn encode_profiles_info_response(profiles: &[ProfileInfo]) -> Vec<u8> {
    let list = profiles.iter().fold(Writer::new(), |w, profile| w.raw(&profile.encode())).into_vec();
    Writer::new().nested(TAG_GET_PROFILES_INFO, |w| w.put(0xA0, &list)).into_vec()
}

/// The response of failure: 1 incorrectInputValues, 127 undefinedError.
pub fn encode_profiles_info_error(code: u32) -> Vec<u8> {
    Writer::new().nested(TAG_GET_PROFILES_INFO, |w| w.integer(0x81, code)).into_vec()
}

/// Reads the response to GetProfilesInfo. The inner error is the card's own.
pub fn parse_profiles_info_response(bytes: &[u8]) -> Result<Result<Vec<ProfileInfo>, u32>, TlvError> {
    let mut choice = Tlv::parse_as(TAG_GET_PROFILES_INFO, bytes)?.reader();
    if let Some(list) = choice.optional(0xA0)? {
        let mut profiles = Vec::new();
        for profile in list.reader() {
            let profile = profile?;
            if profile.tag().0 == TAG_PROFILE_INFO {
                profiles.push(ProfileInfo::parse(profile)?);
            }
        }
        return Ok(Ok(profiles));
    }
    Ok(Err(choice.require(0x81)?.as_u32()?))
}

/// EnableProfile or DisableProfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchRequest {
    /// The profile.
    pub profile: ProfileId,
    /// Whether the card shall send a REFRESH to the device.
    pub refresh: bool,
}

impl SwitchRequest {
    /// Reads the command data with the tag of EnableProfile or DisableProfile.
    pub fn parse(tag: u32, bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(tag, bytes)?.reader();
        let choice = fields.require(0xA0)?;
        let profile = ProfileId::parse(choice.reader().next_tlv()?.ok_or(TlvError::Missing { expected: Tag(0x5A) })?)?;
        // One LPA in the field writes the flag as a universal BOOLEAN.
        let refresh = match fields.optional(0x81)? {
            Some(flag) => flag.as_bool()?,
            None => fields.require(0x01)?.as_bool()?,
        };
        fields.finish()?;
        Ok(SwitchRequest { profile, refresh })
    }

    /// The command data with the tag of EnableProfile or DisableProfile.
    pub fn encode(&self, tag: u32) -> Vec<u8> {
        Writer::new().nested(tag, |w| w.nested(0xA0, |w| self.profile.write(w)).boolean(0x81, self.refresh)).into_vec()
    }
}

/// The request DeleteProfile.
pub fn encode_delete_request(profile: &ProfileId) -> Vec<u8> {
    Writer::new().nested(TAG_DELETE_PROFILE, |w| profile.write(w)).into_vec()
}

/// Reads the request DeleteProfile.
pub fn parse_delete_request(bytes: &[u8]) -> Result<ProfileId, TlvError> {
    let mut fields = Tlv::parse_as(TAG_DELETE_PROFILE, bytes)?.reader();
    let profile = ProfileId::parse(fields.next_tlv()?.ok_or(TlvError::Missing { expected: Tag(0x5A) })?)?;
    fields.finish()?;
    Ok(profile)
}

/// The request SetNickname; an empty nickname removes it.
pub fn encode_set_nickname_request(iccid: &Iccid, nickname: &str) -> Vec<u8> {
    Writer::new().nested(TAG_SET_NICKNAME, |w| w.put(0x5A, iccid.as_bytes()).put(0x90, nickname.as_bytes())).into_vec()
}

/// Reads the request SetNickname.
pub fn parse_set_nickname_request(bytes: &[u8]) -> Result<(Iccid, String), TlvError> {
    let mut fields = Tlv::parse_as(TAG_SET_NICKNAME, bytes)?.reader();
    let profile = iccid(fields.require(0x5A)?)?;
    let nickname = text(fields.require(0x90)?, 64, "a nickname of at most 64 bytes")?;
    fields.finish()?;
    Ok((profile, nickname))
}

/// The request eUICCMemoryReset: bit 0 operational profiles, 1 field-loaded test profiles, 2 default SM-DP+ address.
pub fn encode_memory_reset_request(options: NamedBits) -> Vec<u8> {
    Writer::new().nested(TAG_MEMORY_RESET, |w| w.bits(0x82, options)).into_vec()
}

/// Reads the request eUICCMemoryReset.
pub fn parse_memory_reset_request(bytes: &[u8]) -> Result<NamedBits, TlvError> {
    let mut fields = Tlv::parse_as(TAG_MEMORY_RESET, bytes)?.reader();
    let options = fields.require(0x82)?.as_bits()?;
    fields.finish()?;
    Ok(options)
}

/// A response that is one result number under `80`: EnableProfile, DisableProfile, DeleteProfile, SetNickname,
/// eUICCMemoryReset, SetDefaultDpAddress.
pub fn encode_result(tag: u32, code: u32) -> Vec<u8> {
    Writer::new().nested(tag, |w| w.integer(0x80, code)).into_vec()
}

/// Reads a response that is one result number under `80`.
pub fn parse_result(tag: u32, bytes: &[u8]) -> Result<u32, TlvError> {
    Tlv::parse_as(tag, bytes)?.reader().require(0x80)?.as_u32()
}

/// One rule of the rules authorisation table (`ProfilePolicyAuthorisationRule`, SGP.22 §2.4a.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorisationRule {
    /// The policy rules that it allows.
    pub ppr_ids: NamedBits,
    /// The operators for which it does.
    pub allowed_operators: Vec<OperatorId>,
    /// Whether the end user has to agree.
    pub consent_required: bool,
}

impl AuthorisationRule {
    pub(super) fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let ppr_ids = fields.require(0x80)?.as_bits()?;
        let mut allowed_operators = Vec::new();
        for operator in fields.require(0xA1)?.reader() {
            allowed_operators.push(OperatorId::parse(operator?)?);
        }
        let consent_required = fields.require(0x82)?.as_bits()?.has(0);
        Ok(AuthorisationRule { ppr_ids, allowed_operators, consent_required })
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        let operators = self
            .allowed_operators
            .iter()
            .fold(Writer::new(), |w, operator| w.raw(&operator.encode_as(TAG_SEQUENCE)))
            .into_vec();
        let flags = if self.consent_required { NamedBits::of(&[0]) } else { NamedBits::default() };
        writer.nested(TAG_SEQUENCE, |w| w.bits(0x80, self.ppr_ids).put(0xA1, &operators).bits(0x82, flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::from_hex;

    #[test]
    fn profile_list_of_a_real_card_without_profiles() {
        // The last response in the trace `omnikey-profiles.log`.
        let bytes = from_hex("BF2D02A000").unwrap();
        assert_eq!(parse_profiles_info_response(&bytes), Ok(Ok(Vec::new())));
        assert_eq!(encode_profiles_info_response(&[]), bytes);
    }

    #[test]
    fn profile_info_round_trip() {
        let info = ProfileInfo {
            iccid: Some(Iccid::parse("8988247000111763810").unwrap()),
            isdp_aid: Some(Aid::isd_p(0x10)),
            state: Some(ProfileState::Enabled),
            nickname: Some("Profile1".to_owned()),
            service_provider_name: Some("Transatel".to_owned()),
            profile_name: Some("TSL_0131".to_owned()),
            icon_type: Some(1),
            icon: Some(vec![1, 2, 3]),
            profile_class: Some(ProfileClass::Operational),
            notification_configuration: Some(vec![NotificationConfiguration {
                events: NamedBits::of(&[0, 1, 2, 3]),
                address: "smdp.example.com".to_owned(),
            }]),
            profile_owner: Some(OperatorId { mcc_mnc: [0x42, 0xF6, 0x18], gid1: Some(vec![1]), gid2: None }),
            dp_oid: Some(Oid::parse("2.999.10").unwrap()),
            profile_policy_rules: Some(NamedBits::of(&[1])),
        };
        let bytes = encode_profiles_info_response(std::slice::from_ref(&info));
        assert_eq!(parse_profiles_info_response(&bytes), Ok(Ok(vec![info])));
        assert_eq!(parse_profiles_info_response(&encode_profiles_info_error(1)), Ok(Err(1)));
    }

    #[test]
    fn requests_as_clients_send_them() {
        let all = GetProfilesInfoRequest::parse(&from_hex("BF2D00").unwrap()).unwrap();
        assert_eq!(all, GetProfilesInfoRequest { search: ProfileSearch::All, tags: None });
        let tags = GetProfilesInfoRequest::parse(&from_hex("BF2D0D5C0B5A4F9F7090919293949599").unwrap()).unwrap().tags;
        assert_eq!(tags.unwrap().len(), 10);
        assert!(GetProfilesInfoRequest::parse(&from_hex("BF2D035C019F").unwrap()).is_err());
        let enable = from_hex("BF3111A00C5A0A98001032547698103214810100").unwrap();
        let request = SwitchRequest::parse(TAG_ENABLE_PROFILE, &enable).unwrap();
        assert!(!request.refresh);
        assert_eq!(request.encode(TAG_ENABLE_PROFILE), enable);
        // refreshFlag as a universal BOOLEAN, and an ICCID of nine bytes.
        let odd = from_hex("BF3110A00B5A09980010325476981032010101").unwrap();
        assert!(SwitchRequest::parse(TAG_ENABLE_PROFILE, &odd).unwrap().refresh);
    }

    #[test]
    fn other_requests_round_trip() {
        let iccid = Iccid::parse("89000123456789012341").unwrap();
        for id in [ProfileId::Iccid(iccid), ProfileId::IsdpAid(Aid::isd_p(0x11))] {
            assert_eq!(parse_delete_request(&encode_delete_request(&id)), Ok(id.clone()));
            let request = GetProfilesInfoRequest { search: ProfileSearch::One(id), tags: Some(vec![Tag(0x9F70)]) };
            assert_eq!(GetProfilesInfoRequest::parse(&request.encode()), Ok(request));
        }
        let request = encode_set_nickname_request(&iccid, "Büro");
        assert_eq!(parse_set_nickname_request(&request), Ok((iccid, "Büro".to_owned())));
        assert!(parse_set_nickname_request(&encode_set_nickname_request(&iccid, &"x".repeat(65))).is_err());
        let options = NamedBits::of(&[0, 2]);
        assert_eq!(parse_memory_reset_request(&encode_memory_reset_request(options)), Ok(options));
        assert_eq!(parse_result(TAG_DELETE_PROFILE, &encode_result(TAG_DELETE_PROFILE, 127)), Ok(127));
    }
}
