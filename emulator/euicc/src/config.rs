//! What a card is before anything happens to it: identity, keys, capabilities, memory, policy, and the profiles it
//! leaves the factory with.

use std::fmt;

use rsp::cert::Certificate;
use rsp::crypto::PrivateKey;
use rsp::es10::profiles::{AuthorisationRule, OperatorId};
use rsp::tlv::NamedBits;
use rsp::{Aid, Eid, Iccid, Version};

use crate::applet::MultiImsi;
use crate::package::PackageError;
use crate::profile::Profile;
pub use crate::toolkit::RefreshMode;

/// One set of keys and certificates under one certificate issuer (CI).
#[derive(Clone)]
pub struct Credentials {
    /// The CI's certificate, trusted to sign servers.
    pub ci: Certificate,
    /// The certificate of the manufacturer (EUM), signed by the CI.
    pub eum: Certificate,
    /// The card's own certificate, signed by the EUM.
    pub euicc: Certificate,
    /// The key of the card's certificate.
    pub key: PrivateKey,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.key.curve())
    }
}

/// The bits of a set of profile policy rules (SGP.22 §2.4a.1.1, `PprIds`).
pub mod ppr {
    /// Controls how ES6 may change the rules.
    pub const UPDATE_CONTROL: u8 = 0;
    /// PPR1: the profile must not be disabled.
    pub const PPR1: u8 = 1;
    /// PPR2: the profile must not be deleted.
    pub const PPR2: u8 = 2;
}

/// A profile that the card leaves the factory with.
#[derive(Debug, Clone)]
pub struct PreinstalledProfile {
    pub(crate) profile: Profile,
}

impl PreinstalledProfile {
    /// From metadata (StoreMetadata, `BF25`) and an unprotected profile package, read as in a download. Policy rules
    /// and capabilities are not held against it: the manufacturer has made it for this card.
    pub fn new(metadata: &[u8], package: &[u8], enabled: bool) -> Result<Self, PackageError> {
        let mut profile = Profile::of_package(metadata, package)?;
        profile.enabled = enabled;
        profile.preinstalled = true;
        Ok(PreinstalledProfile { profile })
    }

    /// The same with a nickname.
    #[must_use]
    pub fn nicknamed(mut self, nickname: Option<String>) -> Self {
        self.profile.nickname = nickname;
        self
    }

    /// Puts back what the terminal and the network have changed on it: the bytes that
    /// [`Euicc::profile_changes`](crate::Euicc::profile_changes) has given for the profile of the same package.
    pub fn with_changes(mut self, changes: &[u8]) -> Result<Self, PackageError> {
        self.profile.restore(changes).map_err(|error| PackageError { problem: error.to_string() })?;
        Ok(self)
    }
}

/// How a card wants to be asked to enable and disable profiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SwitchForm {
    /// As the specification has it.
    #[default]
    Any,
    /// Only without refreshFlag (5ber).
    WithoutRefresh,
    /// Only by AID and with refreshFlag (EastcomPeace).
    AidAndRefresh,
}

/// What some cards do that others do not. All of it is off by default. The numbers are those of the reports from the
/// field that the switches come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The ISD-R is not found until TERMINAL CAPABILITY has told of eUICC functions (14).
    pub hidden_until_terminal_capability: bool,
    /// A STORE DATA without Le is answered by a bare 9000; its response is lost (17).
    pub no_data_without_le: bool,
    /// The form that EnableProfile and DisableProfile need to have; another one is answered by undefinedError (18).
    pub switch_form: SwitchForm,
    /// Blocks of STORE DATA with more bytes are answered by 6601 (20).
    pub longest_block: Option<u8>,
    /// While a REFRESH is outstanding the ISD-R answers 6985 to everything until the reset (22).
    pub locked_until_reset: bool,
    /// The first switch with refreshFlag finds a proactive session under way and is answered by catBusy, and so is
    /// every other one until the card is reset (23).
    pub busy_until_reset: bool,
    /// With no profile enabled EF_ICCID is there all the same, with this number (40). Without it the card has then no
    /// file but the MF (32).
    pub default_iccid: Option<Iccid>,
}

/// What a card is like. Make one with [`CardConfig::new`] and change what should differ.
#[derive(Debug, Clone)]
pub struct CardConfig {
    /// The EID.
    pub eid: Eid,
    /// Keys and certificates, most preferred first.
    pub credentials: Vec<Credentials>,
    /// CIs that servers may be signed under although the card has no key of its own there.
    pub trusted: Vec<Certificate>,
    /// The specification version (SGP.22) the card complies with, `svn`.
    pub svn: Version,
    /// The version of the profile package specification (SAIP) it interprets.
    pub profile_version: Version,
    /// The firmware version.
    pub firmware: Version,
    /// The version of TS 102 241, when it has a Java Card runtime.
    pub ts102241: Option<Version>,
    /// The GlobalPlatform version.
    pub global_platform: Option<Version>,
    /// The version of the protection profile it is evaluated against.
    pub pp_version: Version,
    /// Capabilities of the UICC (bits of `UICCCapability`).
    pub uicc_capability: NamedBits,
    /// Capabilities of remote provisioning (bits of `RspCapability`).
    pub rsp_capability: NamedBits,
    /// `euiccCategory`: 0 other, 1 basic, 2 medium, 3 contactless.
    pub category: Option<u32>,
    /// `forbiddenProfilePolicyRules`, as bits of [`ppr`].
    pub forbidden_pprs: NamedBits,
    /// The rules authorisation table.
    pub rat: Vec<AuthorisationRule>,
    /// The accreditation number of the production site.
    pub sas_number: String,
    /// Platform label and discovery URL of the certification data object.
    pub certification: Option<(String, String)>,
    /// The default SM-DP+ address at first.
    pub default_smdp: Option<String>,
    /// The root SM-DS address.
    pub root_smds: String,
    /// Whether it is an eUICC. One that is none has no ISD-R; its enabled profile is the card's one and only.
    pub is_euicc: bool,
    /// How the card asks for a refresh after a switch.
    pub refresh_mode: RefreshMode,
    /// The multi-IMSI applet of the enabled profile, when it has one.
    pub multi_imsi: Option<MultiImsi>,
    /// What it does that other cards do not.
    pub quirks: Quirks,
    /// The AID of the ISD-R.
    pub isdr_aid: Aid,
    /// Non-volatile memory for profiles, in bytes.
    pub memory: u32,
    /// Free volatile memory, in bytes, as it is reported.
    pub ram: u32,
    /// The profiles it leaves the factory with. At most one is enabled; of several, the first.
    pub preinstalled: Vec<PreinstalledProfile>,
}

/// Bits of `UICCCapability` (SGP.22 §5.7.8, SAIP).
pub(crate) mod uicc_capability {
    pub(crate) const CONTACTLESS: u8 = 0;
    pub(crate) const USIM: u8 = 1;
    pub(crate) const ISIM: u8 = 2;
    pub(crate) const CSIM: u8 = 3;
    pub(crate) const MILENAGE: u8 = 4;
    pub(crate) const CAVE: u8 = 5;
    pub(crate) const TUAK_128: u8 = 6;
    pub(crate) const TUAK_256: u8 = 7;
    pub(crate) const USIM_TEST_ALGORITHM: u8 = 8;
    pub(crate) const GBA_USIM: u8 = 10;
    pub(crate) const GBA_ISIM: u8 = 11;
    pub(crate) const MBMS: u8 = 12;
    pub(crate) const EAP: u8 = 13;
    pub(crate) const JAVA_CARD: u8 = 14;
    pub(crate) const MULTOS: u8 = 15;
    pub(crate) const MULTIPLE_USIM: u8 = 16;
    pub(crate) const MULTIPLE_ISIM: u8 = 17;
    pub(crate) const MULTIPLE_CSIM: u8 = 18;
    pub(crate) const BER_TLV: u8 = 19;
    pub(crate) const DF_LINK: u8 = 20;
    pub(crate) const CAT_TP: u8 = 21;
    pub(crate) const GET_IDENTITY: u8 = 22;
    pub(crate) const X25519: u8 = 23;
    pub(crate) const P256: u8 = 24;
    pub(crate) const SUCI_CALCULATOR_API: u8 = 25;
}

/// Bits of `RspCapability` (SGP.22 §5.7.8).
pub(crate) mod rsp_capability {
    pub(crate) const ADDITIONAL_PROFILE: u8 = 0;
    pub(crate) const CRL: u8 = 1;
    pub(crate) const TEST_PROFILE: u8 = 3;
    pub(crate) const DEVICE_INFO_EXTENSIBILITY: u8 = 4;
}

impl CardConfig {
    /// A consumer eUICC of SGP.22 v2.5 as they are sold: no profile, 512 KiB for profiles, any profile policy rule
    /// allowed when the user consents.
    pub fn new(eid: Eid, credentials: Vec<Credentials>) -> Self {
        use uicc_capability as uicc;
        CardConfig {
            eid,
            credentials,
            trusted: Vec::new(),
            svn: Version::new(2, 5, 0),
            profile_version: Version::new(2, 3, 1),
            firmware: Version::new(1, 0, 0),
            ts102241: Some(Version::new(9, 3, 2)),
            global_platform: Some(Version::new(2, 3, 0)),
            pp_version: Version::new(1, 0, 0),
            uicc_capability: NamedBits::of(&[
                uicc::USIM,
                uicc::ISIM,
                uicc::CSIM,
                uicc::MILENAGE,
                uicc::TUAK_128,
                uicc::TUAK_256,
                uicc::USIM_TEST_ALGORITHM,
                uicc::JAVA_CARD,
                uicc::MULTIPLE_USIM,
                uicc::MULTIPLE_ISIM,
                uicc::BER_TLV,
                uicc::DF_LINK,
                uicc::GET_IDENTITY,
                uicc::X25519,
                uicc::P256,
            ]),
            rsp_capability: NamedBits::of(&[
                rsp_capability::ADDITIONAL_PROFILE,
                rsp_capability::TEST_PROFILE,
                rsp_capability::DEVICE_INFO_EXTENSIBILITY,
            ]),
            category: None,
            forbidden_pprs: NamedBits::default(),
            // SGP.22 v2.5 §2.9.2.2: all profile policy rules allowed, the user's consent required.
            rat: vec![AuthorisationRule {
                ppr_ids: NamedBits::of(&[ppr::PPR1, ppr::PPR2]),
                allowed_operators: vec![OperatorId {
                    mcc_mnc: [0xEE; 3],
                    gid1: Some(Vec::new()),
                    gid2: Some(Vec::new()),
                }],
                consent_required: true,
            }],
            sas_number: "LAB-UP-0000".to_owned(),
            certification: None,
            default_smdp: None,
            root_smds: "lpa.ds.gsma.com".to_owned(),
            is_euicc: true,
            refresh_mode: RefreshMode::default(),
            multi_imsi: None,
            quirks: Quirks::default(),
            isdr_aid: Aid::isd_r(),
            memory: 512 * 1024,
            ram: 16 * 1024,
            preinstalled: Vec::new(),
        }
    }

    /// Every CI that servers may be signed under, most preferred first.
    pub(crate) fn trusted_cis(&self) -> impl Iterator<Item = &Certificate> {
        self.credentials.iter().map(|credentials| &credentials.ci).chain(&self.trusted)
    }
}
