//! An installed profile: what its metadata says, its state, and its package.

use std::fmt;

use rsp::es10::download::StoreMetadata;
use rsp::es10::profiles::{ProfileClass, ProfileId, ProfileInfo, ProfileState};
use rsp::tlv::Tag;
use rsp::{Aid, Iccid, Oid};
use zeroize::Zeroizing;

use crate::config::ppr;
use crate::package::{Demands, Interpreter, Package, PackageError};
use crate::uicc::OverlayError;

/// A profile in its ISD-P. `Debug` prints neither package nor keys.
#[derive(Clone)]
pub(crate) struct Profile {
    /// The AID of the ISD-P.
    pub(crate) aid: Aid,
    pub(crate) metadata: StoreMetadata,
    pub(crate) enabled: bool,
    pub(crate) nickname: Option<String>,
    /// The SM-DP+ that may manage it further (ConfigureISDP, `dpProprietaryData`).
    pub(crate) dp_oid: Option<Oid>,
    /// Whether it left the factory with the card.
    pub(crate) preinstalled: bool,
    /// Which of the card's credentials sign its notifications.
    pub(crate) credentials: usize,
    /// The unprotected profile package, and what has become of it. It holds the keys of the subscription.
    pub(crate) package: Package,
}

/// What an ISD-P takes beside the package itself.
const OVERHEAD: usize = 512;

/// How much memory a profile with this much data takes.
pub(crate) fn memory_needed(package: usize, metadata: &StoreMetadata) -> u32 {
    let icon = metadata.icon.as_ref().map_or(0, Vec::len);
    u32::try_from(package.saturating_add(icon).saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
}

impl Profile {
    /// Reads metadata and package without a card to hold their demands against.
    pub(crate) fn of_package(metadata: &[u8], package: &[u8]) -> Result<Self, PackageError> {
        let metadata = StoreMetadata::parse(metadata)
            .map_err(|error| PackageError { problem: format!("the metadata cannot be read: {error}") })?;
        let interpreter = Interpreter::lenient(metadata.clone(), package.len());
        Profile::interpreted(metadata, package, interpreter)
    }

    /// The same again for a profile that the card has installed once: what was passed over then is passed over now.
    pub(crate) fn again(metadata: &[u8], package: &[u8], demands: Demands) -> Result<Self, PackageError> {
        let metadata = StoreMetadata::parse(metadata)
            .map_err(|error| PackageError { problem: format!("the metadata cannot be read: {error}") })?;
        let interpreter = Interpreter::new(metadata.clone(), demands, package.len());
        Profile::interpreted(metadata, package, interpreter)
    }

    fn interpreted(
        metadata: StoreMetadata,
        package: &[u8],
        mut interpreter: Interpreter,
    ) -> Result<Self, PackageError> {
        let package = interpreter.feed(package).and_then(|()| interpreter.finish())?;
        Ok(Profile {
            aid: Aid::isd_p(FIRST_ISD_P),
            metadata,
            enabled: false,
            nickname: None,
            dp_oid: None,
            preinstalled: false,
            credentials: 0,
            package,
        })
    }

    pub(crate) fn iccid(&self) -> Iccid {
        self.metadata.iccid
    }

    pub(crate) fn is(&self, id: &ProfileId) -> bool {
        match id {
            ProfileId::IsdpAid(aid) => self.aid == *aid,
            ProfileId::Iccid(iccid) => self.iccid() == *iccid,
        }
    }

    pub(crate) fn class(&self) -> ProfileClass {
        self.metadata.profile_class
    }

    pub(crate) fn has_rule(&self, rule: u8) -> bool {
        self.metadata.profile_policy_rules.is_some_and(|rules| rules.has(rule))
    }

    /// PPR1 (SGP.22 v2.5 §2.9.1).
    pub(crate) fn must_stay_enabled(&self) -> bool {
        self.has_rule(ppr::PPR1)
    }

    /// PPR2 (SGP.22 v2.5 §2.9.1).
    pub(crate) fn must_not_be_deleted(&self) -> bool {
        self.has_rule(ppr::PPR2)
    }

    pub(crate) fn memory(&self) -> u32 {
        memory_needed(self.package.memory(), &self.metadata)
    }

    /// What has changed in its files, PINs and sequence numbers since the installation. With the package it is the
    /// whole profile: see [`Profile::restore`].
    pub(crate) fn overlay(&self) -> Zeroizing<Vec<u8>> {
        self.package.files.overlay()
    }

    /// Puts the changes back on the profile that the same package has made.
    pub(crate) fn restore(&mut self, overlay: &[u8]) -> Result<(), OverlayError> {
        self.package.files.restore(overlay)
    }

    /// What GetProfilesInfo tells of it: the elements in `tags`.
    pub(crate) fn info(&self, tags: &[Tag]) -> ProfileInfo {
        let wants = |tag| tags.contains(&Tag(tag));
        let metadata = &self.metadata;
        ProfileInfo {
            iccid: wants(0x5A).then(|| self.iccid()),
            isdp_aid: wants(0x4F).then(|| self.aid.clone()),
            state: wants(0x9F70).then_some(if self.enabled { ProfileState::Enabled } else { ProfileState::Disabled }),
            nickname: self.nickname.clone().filter(|_| wants(0x90)),
            service_provider_name: wants(0x91).then(|| metadata.service_provider_name.clone()),
            profile_name: wants(0x92).then(|| metadata.profile_name.clone()),
            icon_type: metadata.icon_type.filter(|_| wants(0x93)),
            icon: metadata.icon.as_ref().filter(|_| wants(0x94)).cloned(),
            profile_class: wants(0x95).then(|| self.class()),
            notification_configuration: Some(&metadata.notification_configuration)
                .filter(|list| wants(0xB6) && !list.is_empty())
                .cloned(),
            profile_owner: metadata.profile_owner.as_ref().filter(|_| wants(0xB7)).cloned(),
            dp_oid: self.dp_oid.clone().filter(|_| wants(0xB8)),
            profile_policy_rules: metadata.profile_policy_rules.filter(|_| wants(0x99)),
        }
    }
}

/// The first number of an ISD-P (SGP.22 §2.4.4: numbers from 0010 are for profiles).
pub(crate) const FIRST_ISD_P: u16 = 0x10;

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({}, {}, {} bytes)", self.iccid(), self.aid, self.package.len())
    }
}
