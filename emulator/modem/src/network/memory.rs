//! What the modem keeps of the network on the card: where it is, whether it may be there, and who will not have it
//! (TS 31.102 §5.2.5, TS 24.008 §4.1.2.2, TS 24.301 annex C).
//!
//! ```text
//! registration, refusal ─▶ Place ─▶ EF_LOCI, EF_PSLOCI, EF_EPSLOCI, EF_5GS3GPPLOCI
//! refusal with #11      ─▶ add_forbidden ─▶ EF_FPLMN ─▶ forbidden ─▶ automatic selection
//! ```

use super::Technology;
use super::authentication::CardAnswer;
use super::cause::MobilityCause;
use super::plmn::{plmn_bytes, plmn_digits};
use crate::sim::ADF;

/// A file of the USIM that is the modem's to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CardFile {
    /// EF_FPLMN (TS 31.102 §4.2.16).
    Forbidden,
    /// EF_LOCI (TS 31.102 §4.2.17).
    Location,
    /// EF_PSLOCI (TS 31.102 §4.2.23).
    PacketLocation,
    /// EF_EPSLOCI (TS 31.102 §4.2.91).
    EvolvedLocation,
    /// EF_5GS3GPPLOCI (TS 31.102 §4.4.11.2).
    FifthLocation,
}

impl CardFile {
    /// From the application on.
    pub(crate) fn path(self) -> &'static [u16] {
        match self {
            CardFile::Forbidden => &[ADF, 0x6F7B],
            CardFile::Location => &[ADF, 0x6F7E],
            CardFile::PacketLocation => &[ADF, 0x6F73],
            CardFile::EvolvedLocation => &[ADF, 0x6FE3],
            CardFile::FifthLocation => &[ADF, 0x5FC0, 0x4F01],
        }
    }
}

/// The card, as the network's procedures need it.
pub(crate) trait CardSide {
    /// AUTHENTICATE with RAND and AUTN.
    fn authenticate(&mut self, rand: &[u8; 16], autn: &[u8; 16]) -> CardAnswer;

    /// The content of a file; `None` when the card has no such file.
    fn read(&mut self, file: CardFile) -> Option<Vec<u8>>;

    /// Writes a whole file. A card that has none keeps nothing.
    fn write(&mut self, file: CardFile, content: &[u8]);
}

/// Where the modem is registered, or why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Registered.
    Here {
        plmn: [u8; 3],
        area: u16,
        technology: Technology,
        /// TMSI, P-TMSI and the like.
        identity: u32,
    },
    /// Refused: what was known is deleted (TS 24.301 §5.5.1.2.5, TS 24.008 §4.4.4.7).
    Refused { cause: MobilityCause, technology: Technology },
}

/// The update status (TS 31.102 §4.2.17): where the number is that of a whole network, and where it is of an area.
fn status(cause: MobilityCause) -> u8 {
    const NOT_UPDATED: u8 = 1;
    const PLMN_NOT_ALLOWED: u8 = 2;
    const AREA_NOT_ALLOWED: u8 = 3;
    match cause {
        MobilityCause::NetworkFailure => NOT_UPDATED,
        MobilityCause::RoamingNotAllowed | MobilityCause::NoSuitableCells => AREA_NOT_ALLOWED,
        _ => PLMN_NOT_ALLOWED,
    }
}

/// TS 24.008 §10.5.1.3, TS 24.301 §9.9.3.32: the area that stands for none.
const DELETED: [u8; 2] = [0xFF, 0xFE];

impl Place {
    /// The files that tell it.
    pub(crate) fn files(&self) -> Vec<(CardFile, Vec<u8>)> {
        let (technology, plmn, area, identity, status, evolved_status) = match self {
            Place::Here { plmn, area, technology, identity } => {
                (*technology, *plmn, area.to_be_bytes(), identity.to_be_bytes(), 0, 0)
            }
            // TS 24.301 §5.1.3.3, TS 31.102 §4.2.91: EU3 is "roaming not allowed", whatever the reason.
            Place::Refused { cause, technology } => {
                (*technology, [0xFF; 3], DELETED, [0xFF; 4], status(*cause), status(*cause).min(2))
            }
        };
        let area_identity = [&plmn[..], &area].concat();
        // TMSI, location area, TMSI time (not used any more), status.
        let location = || [&identity[..], &area_identity, &[0xFF, status]].concat();
        // P-TMSI, its signature, routing area, status.
        let packet =
            || [&identity[..], &[0xFF; 3], &area_identity, &[if status == 0 { 0x01 } else { 0xFF }, status]].concat();
        let is_known = matches!(self, Place::Here { .. });
        // GUTI as TS 24.301 §9.9.3.12 has it from its second octet on, last visited tracking area, status.
        let evolved = || {
            let temporary = match is_known {
                true => [&[0x0B, 0xF6][..], &plmn, &MME, &identity].concat(),
                false => vec![0xFF; 12],
            };
            [&temporary[..], &area_identity, &[evolved_status]].concat()
        };
        // 5G-GUTI as TS 24.501 §9.11.3.4 has it from its second octet on, last visited tracking area, status.
        let fifth = || {
            let (temporary, area) = match is_known {
                true => ([&[0x00, 0x0B, 0xF2][..], &plmn, &AMF, &identity].concat(), [&[0][..], &area].concat()),
                false => (vec![0xFF; 13], vec![0xFF, 0xFF, 0xFE]),
            };
            [&temporary[..], &plmn, &area, &[evolved_status]].concat()
        };
        match technology {
            Technology::Gsm | Technology::Umts => {
                vec![(CardFile::Location, location()), (CardFile::PacketLocation, packet())]
            }
            // A combined attach (TS 24.301 §5.5.1.3) is one in the circuit-switched domain as well.
            Technology::Lte | Technology::LteM => {
                vec![(CardFile::EvolvedLocation, evolved()), (CardFile::Location, location())]
            }
            Technology::NbIot => vec![(CardFile::EvolvedLocation, evolved())],
            Technology::Nr => vec![(CardFile::FifthLocation, fifth())],
        }
    }
}

/// Group and code of the MME (TS 23.003 §2.8.1).
const MME: [u8; 3] = [0x80, 0x01, 0x01];

/// Region, set and pointer of the AMF (TS 23.003 §2.10.1).
const AMF: [u8; 3] = [0x01, 0x00, 0x41];

/// The PLMNs of EF_FPLMN, wherever they stand in it.
pub(crate) fn forbidden(content: &[u8]) -> Vec<String> {
    content.as_chunks::<3>().0.iter().filter_map(|bytes| plmn_digits(*bytes)).collect()
}

/// EF_FPLMN with one more PLMN: in a free place, and where there is none behind the others, the first of which is lost
/// (TS 31.102 §4.2.16). `None` when it is in it already, or the file is too short for any.
pub(crate) fn add_forbidden(content: &[u8], plmn: &str) -> Option<Vec<u8>> {
    let bytes = plmn_bytes(plmn.as_bytes())?;
    let mut places = content.as_chunks::<3>().0.to_vec();
    if places.contains(&bytes) {
        return None;
    }
    match places.iter_mut().find(|place| plmn_digits(**place).is_none()) {
        Some(free) => *free = bytes,
        None => {
            *places.first_mut()? = bytes;
            places.rotate_left(1);
        }
    }
    Some(with_rest(places, content))
}

/// EF_FPLMN without a PLMN (TS 23.122 §3.1); `None` when it is not in it.
pub(crate) fn remove_forbidden(content: &[u8], plmn: &str) -> Option<Vec<u8>> {
    let bytes = plmn_bytes(plmn.as_bytes())?;
    let mut places = content.as_chunks::<3>().0.to_vec();
    places.contains(&bytes).then(|| {
        places.iter_mut().filter(|place| **place == bytes).for_each(|place| *place = [0xFF; 3]);
        with_rest(places, content)
    })
}

/// The places, and what of the file is too short for one.
fn with_rest(places: Vec<[u8; 3]>, content: &[u8]) -> Vec<u8> {
    [places.as_flattened(), content.as_chunks::<3>().1].concat()
}

/// No card.
#[cfg(test)]
pub(crate) struct NoCard;

#[cfg(test)]
impl CardSide for NoCard {
    fn authenticate(&mut self, _: &[u8; 16], _: &[u8; 16]) -> CardAnswer {
        CardAnswer::Nothing
    }

    fn read(&mut self, _: CardFile) -> Option<Vec<u8>> {
        None
    }

    fn write(&mut self, _: CardFile, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use rsp::ids::{from_hex, to_hex};

    use super::*;

    fn told(place: &Place) -> Vec<(CardFile, String)> {
        place.files().into_iter().map(|(file, content)| (file, to_hex(&content))).collect()
    }

    /// The lengths are those of TS 31.102: 11, 14, 18 and 20 bytes.
    #[test]
    fn where_the_modem_is() {
        let here =
            |technology| Place::Here { plmn: [0x62, 0xF2, 0x10], area: 0x1A2D, technology, identity: 0xC123_4567 };
        let location = (CardFile::Location, "C123456762F2101A2DFF00".to_owned());
        assert_eq!(
            told(&here(Technology::Gsm)),
            [location.clone(), (CardFile::PacketLocation, "C1234567FFFFFF62F2101A2D0100".to_owned())]
        );
        let evolved = (CardFile::EvolvedLocation, "0BF662F210800101C123456762F2101A2D00".to_owned());
        assert_eq!(told(&here(Technology::Lte)), [evolved.clone(), location]);
        assert_eq!(told(&here(Technology::NbIot)), [evolved]);
        let fifth = "000BF262F210010041C123456762F210001A2D00";
        assert_eq!(told(&here(Technology::Nr)), [(CardFile::FifthLocation, fifth.to_owned())]);
    }

    #[test]
    fn what_a_refusal_deletes() {
        let refused = |cause, technology| told(&Place::Refused { cause, technology });
        let deleted = |status: &str| format!("FFFFFFFFFFFFFFFFFEFF{status}");
        for (cause, status, evolved) in [
            (MobilityCause::IllegalUe, "02", "02"),
            (MobilityCause::PlmnNotAllowed, "02", "02"),
            (MobilityCause::RoamingNotAllowed, "03", "02"),
            (MobilityCause::NetworkFailure, "01", "01"),
        ] {
            assert_eq!(
                refused(cause, Technology::Lte),
                [
                    (CardFile::EvolvedLocation, format!("{}FFFFFFFFFE{evolved}", "FF".repeat(12))),
                    (CardFile::Location, deleted(status))
                ]
            );
            assert_eq!(
                refused(cause, Technology::Umts),
                [
                    (CardFile::Location, deleted(status)),
                    (CardFile::PacketLocation, format!("{}FFFFFFFFFEFF{status}", "FF".repeat(7)))
                ]
            );
        }
        let fifth = format!("{}FFFFFFFFFFFE02", "FF".repeat(13));
        assert_eq!(refused(MobilityCause::IllegalUe, Technology::Nr), [(CardFile::FifthLocation, fifth)]);
    }

    /// TS 31.102 §4.2.16.
    #[test]
    fn the_list_of_those_who_will_not_have_it() {
        let hex = |text: &str| from_hex(text).unwrap();
        assert_eq!(forbidden(&hex("FFFFFF62F210FFFFFF130014FF")), ["26201", "310410"]);
        let added = |content: &str, plmn| add_forbidden(&hex(content), plmn).map(|content| to_hex(&content));
        assert_eq!(added("FFFFFF62F210FFFFFF", "26202").as_deref(), Some("62F22062F210FFFFFF"));
        assert_eq!(added("62F21062F22062F230", "310410").as_deref(), Some("62F22062F230130014"));
        assert_eq!(added("62F21062F220", "26201"), None);
        assert_eq!(added("FFFF", "26201"), None);
        assert_eq!(added("62F210FFFF", "26202").as_deref(), Some("62F220FFFF"));
        let removed = |content: &str, plmn| remove_forbidden(&hex(content), plmn).map(|content| to_hex(&content));
        assert_eq!(removed("62F21062F22062F210FF", "26201").as_deref(), Some("FFFFFF62F220FFFFFFFF"));
        assert_eq!(removed("62F210", "26202"), None);
    }
}
