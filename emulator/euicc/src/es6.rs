//! ES6 (SGP.22 §5.4): what the operator of the enabled profile may change of its metadata, over SCP80 or SCP81: by
//! a secured short message (see `ota`), or by a call that takes the command that was in it.

use rsp::tlv::{NamedBits, Reader, Tlv, TlvError};

use crate::apdu::Sw;
use crate::config::ppr;
use crate::{CardEvent, Euicc};

/// UpdateMetadata (SGP.22 §5.4.1).
const TAG_UPDATE_METADATA: u32 = 0xBF2A;

/// What UpdateMetadata changes; what is absent stays.
#[derive(Debug, Default)]
struct Update {
    service_provider_name: Option<String>,
    profile_name: Option<String>,
    icon: Option<(u32, Vec<u8>)>,
    profile_policy_rules: Option<NamedBits>,
}

impl Update {
    fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let mut fields: Reader<'_> = Tlv::parse_as(TAG_UPDATE_METADATA, bytes)?.reader();
        let text = |tlv: Tlv<'_>, limit: usize| match tlv.as_str() {
            Ok(text) if text.len() <= limit => Ok(text.to_owned()),
            Ok(_) => Err(TlvError::BadValue { tag: tlv.tag(), rule: "a name that is not too long" }),
            Err(error) => Err(error),
        };
        let service_provider_name = fields.optional(0x91)?.map(|name| text(name, 32)).transpose()?;
        let profile_name = fields.optional(0x92)?.map(|name| text(name, 64)).transpose()?;
        // SGP.22 v2.5 §4.4.2: the icon and its type come together.
        let icon = match (fields.optional(0x93)?, fields.optional(0x94)?) {
            (None, None) => None,
            (Some(kind), Some(icon)) if icon.value().len() <= 1024 => match kind.as_u32()? {
                kind @ 0..=1 => Some((kind, icon.value().to_vec())),
                _ => return Err(TlvError::BadValue { tag: kind.tag(), rule: "0 for JPEG or 1 for PNG" }),
            },
            (Some(odd), _) | (None, Some(odd)) => {
                return Err(TlvError::BadValue {
                    tag: odd.tag(),
                    rule: "an icon of at most 1024 bytes, with its type",
                });
            }
        };
        let profile_policy_rules = match fields.optional(0x99)? {
            None => None,
            Some(rules) => {
                let bits = rules.as_bits()?;
                // SGP.22 v2.5 §5.4.1: this version of the specification only unsets rules.
                if bits.has(ppr::UPDATE_CONTROL) {
                    return Err(TlvError::BadValue { tag: rules.tag(), rule: "pprUpdateControl 0" });
                }
                Some(bits)
            }
        };
        fields.finish()?;
        Ok(Update { service_provider_name, profile_name, icon, profile_policy_rules })
    }
}

impl Euicc {
    /// ES6.UpdateMetadata for the enabled profile; gives the status word for the operator: 9000, 6A80 for a command
    /// that cannot be, 6985 when no profile is enabled, 6581 when the memory fails.
    pub fn update_metadata(&mut self, command: &[u8]) -> u16 {
        let done = self.change_metadata(command).and_then(|()| self.commit());
        match done {
            Ok(()) => Sw::OK.0,
            Err(sw) => sw.0,
        }
    }

    /// The same as part of another command, which keeps it.
    pub(crate) fn change_metadata(&mut self, command: &[u8]) -> Result<(), Sw> {
        let update = Update::parse(command).map_err(|_| Sw::WRONG_DATA)?;
        // The command is addressed to a security domain of the profile, which only an enabled one has.
        let iccid = self.store.enabled().map(|profile| profile.iccid()).ok_or(Sw::CONDITIONS_NOT_SATISFIED)?;
        self.store.change_profile(iccid, |profile| {
            let metadata = &mut profile.metadata;
            if let Some(name) = update.service_provider_name {
                metadata.service_provider_name = name;
            }
            if let Some(name) = update.profile_name {
                metadata.profile_name = name;
            }
            if let Some((kind, icon)) = update.icon {
                (metadata.icon_type, metadata.icon) = (Some(kind), Some(icon));
            }
            if let Some(kept) = update.profile_policy_rules {
                // SGP.22 v2.5 §5.4.1: each rule stays that is set here too.
                let rules = metadata.profile_policy_rules.unwrap_or_default();
                let both = (0..64).filter(|bit| rules.has(*bit) && kept.has(*bit));
                let both = both.fold(NamedBits::default(), NamedBits::with);
                metadata.profile_policy_rules = Some(both).filter(|rules| !rules.is_empty());
            }
        });
        self.events.push(CardEvent::MetadataUpdated(iccid));
        Ok(())
    }
}
