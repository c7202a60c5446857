//! Short messages (TS 27.005): the stores, and a service centre that sends every message back to where it came from.
//!
//! A message that is submitted comes back as one from the number it was sent to, at once. So software that sends and
//! receives is tested without a second party. [`deliver`](crate::Modem::deliver_message) brings in others.

pub(crate) mod pdu;

use crate::card::CardError;
use crate::sim::{ADF, Files};

/// EF_SMS (TS 31.102 §4.2.25).
const EF_SMS: [u16; 2] = [ADF, 0x6F3C];

/// `<stat>` of TS 27.005 §3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Unread = 0,
    Read = 1,
    Unsent = 2,
    Sent = 3,
}

impl Status {
    pub(crate) const ALL: [Status; 4] = [Status::Unread, Status::Read, Status::Unsent, Status::Sent];

    /// How text mode writes it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Status::Unread => "REC UNREAD",
            Status::Read => "REC READ",
            Status::Unsent => "STO UNSENT",
            Status::Sent => "STO SENT",
        }
    }

    pub(crate) fn from_number(number: u32) -> Option<Status> {
        Status::ALL.into_iter().find(|status| *status as u32 == number)
    }

    pub(crate) fn from_text(text: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.text() == text)
    }

    /// The status byte of a record on the card (TS 31.102 §4.2.25); `None` for a free one.
    fn from_card(byte: u8) -> Option<Status> {
        match byte & 7 {
            1 => Some(Status::Read),
            3 => Some(Status::Unread),
            5 => Some(Status::Sent),
            7 => Some(Status::Unsent),
            _ => None,
        }
    }

    fn to_card(self) -> u8 {
        match self {
            Status::Read => 1,
            Status::Unread => 3,
            Status::Sent => 5,
            Status::Unsent => 7,
        }
    }

    /// Whether a message of this status was received.
    pub(crate) fn is_received(self) -> bool {
        matches!(self, Status::Unread | Status::Read)
    }
}

/// A message in a store: the address of the service centre and the TPDU, as they are on the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) status: Status,
    pub(crate) pdu: Vec<u8>,
}

/// A store (TS 27.005 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `ME`: in the modem. `MT` is the same here.
    Equipment,
    /// `SM`: EF_SMS.
    Card,
    /// `SR`: status reports.
    Reports,
}

impl Place {
    pub(crate) fn parse(name: &[u8]) -> Option<Place> {
        match name.to_ascii_uppercase().as_slice() {
            b"ME" | b"MT" => Some(Place::Equipment),
            b"SM" => Some(Place::Card),
            b"SR" => Some(Place::Reports),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Place::Equipment => "ME",
            Place::Card => "SM",
            Place::Reports => "SR",
        }
    }
}

/// How many messages the modem holds.
pub(crate) const CAPACITY: usize = 255;

/// The parameters of text mode (`+CSMP`, TS 27.005 §3.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextParameters {
    pub(crate) first_octet: u8,
    pub(crate) validity: u8,
    pub(crate) protocol: u8,
    pub(crate) coding: u8,
}

/// Everything of the message service that the modem keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageService {
    equipment: Vec<Option<Stored>>,
    reports: Vec<Option<Stored>>,
    /// `+CMGF`: text mode.
    pub(crate) text_mode: bool,
    /// `+CPMS`: to read and delete, to write and send, to receive.
    pub(crate) places: [Place; 3],
    /// `+CNMI`: mode, mt, bm, ds, bfr.
    pub(crate) indications: [u8; 5],
    /// `+CSMP`
    pub(crate) parameters: TextParameters,
    /// `+CSDH`
    pub(crate) details: bool,
    /// `+CSMS`
    pub(crate) service: u8,
    /// `+CMMS`
    pub(crate) more: u8,
    /// `+CSCA` when the card has no EF_SMSP.
    pub(crate) centre: String,
    /// The reference of the next message.
    reference: u8,
    /// Messages that were routed to the host, and that it has not acknowledged yet.
    unacknowledged: u32,
}

impl Default for MessageService {
    fn default() -> Self {
        MessageService {
            equipment: Vec::new(),
            reports: Vec::new(),
            text_mode: false,
            places: [Place::Equipment; 3],
            indications: [2, 1, 0, 0, 0],
            // TS 27.005 §3.3.4: SMS-SUBMIT with a relative validity period of a day.
            parameters: TextParameters { first_octet: 17, validity: 167, protocol: 0, coding: 0 },
            details: false,
            service: 0,
            more: 0,
            centre: "+15550000".to_owned(),
            reference: 0,
            unacknowledged: 0,
        }
    }
}

/// Why a store did not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreError {
    NoSuchMessage,
    Full,
    Card(CardError),
}

impl From<CardError> for StoreError {
    fn from(error: CardError) -> Self {
        StoreError::Card(error)
    }
}

impl MessageService {
    /// What a restart leaves: the messages, where they go, and how they are told.
    pub(crate) fn restart(&mut self) {
        *self = MessageService {
            equipment: std::mem::take(&mut self.equipment),
            reports: std::mem::take(&mut self.reports),
            places: self.places,
            indications: self.indications,
            centre: std::mem::take(&mut self.centre),
            reference: self.reference,
            ..MessageService::default()
        };
    }

    /// What `AT&F` brings back: all settings. The messages stay.
    pub(crate) fn restore_factory_settings(&mut self) {
        let MessageService { places, indications, .. } = MessageService::default();
        self.restart();
        (self.places, self.indications) = (places, indications);
    }

    /// The reference of the next message.
    pub(crate) fn reference(&self) -> u8 {
        self.reference
    }

    /// The messages in a store of the modem, with their index.
    pub(crate) fn kept(&self, place: Place) -> impl Iterator<Item = (usize, &Stored)> {
        let slots = match place {
            Place::Reports => &self.reports,
            Place::Equipment | Place::Card => &self.equipment,
        };
        slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    /// Puts these messages into the stores of the modem, in the place of those that are there.
    pub(crate) fn restore(&mut self, reference: u8, messages: Vec<(Place, usize, Stored)>) {
        self.reference = reference;
        self.equipment.clear();
        self.reports.clear();
        for (place, index, stored) in messages {
            let slots = self.slots(place);
            if slots.len() <= index {
                slots.resize(index + 1, None);
            }
            if let Some(slot) = slots.get_mut(index) {
                *slot = Some(stored);
            }
        }
    }

    /// A message was routed to the host; with `+CSMS=1` it is to be acknowledged.
    pub(crate) fn expect_acknowledgement(&mut self) {
        if self.service == 1 {
            self.unacknowledged = self.unacknowledged.saturating_add(1);
        }
    }

    /// The host acknowledges a message. False when there is none that it could mean.
    pub(crate) fn acknowledge(&mut self) -> bool {
        let is_expected = self.unacknowledged > 0;
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        is_expected
    }

    /// Counts a message that is submitted.
    pub(crate) fn next_reference(&mut self) -> u8 {
        let reference = self.reference;
        self.reference = reference.wrapping_add(1);
        reference
    }

    fn slots(&mut self, place: Place) -> &mut Vec<Option<Stored>> {
        match place {
            Place::Reports => &mut self.reports,
            Place::Equipment | Place::Card => &mut self.equipment,
        }
    }

    /// How many messages there are, and how many there can be. A card without EF_SMS holds none.
    pub(crate) fn count(&mut self, place: Place, files: &mut Files<'_>) -> Result<(usize, usize), StoreError> {
        match place {
            Place::Card => match files.read_records(&EF_SMS, 1, u8::MAX) {
                Ok(records) => {
                    let used = records.iter().filter(|(_, record)| card_record(record).is_some()).count();
                    Ok((used, records.len()))
                }
                Err(CardError::Status(0x6A82)) => Ok((0, 0)),
                Err(error) => Err(error.into()),
            },
            _ => Ok((self.slots(place).iter().flatten().count(), CAPACITY)),
        }
    }

    /// The messages of a store with their index. On the card the first has index 1, in the modem 0.
    pub(crate) fn list(&mut self, place: Place, files: &mut Files<'_>) -> Result<Vec<(usize, Stored)>, StoreError> {
        match place {
            Place::Card => match files.read_records(&EF_SMS, 1, u8::MAX) {
                Ok(records) => Ok(records
                    .iter()
                    .filter_map(|(number, record)| Some((usize::from(*number), card_record(record)?)))
                    .collect()),
                Err(CardError::Status(0x6A82)) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            },
            _ => Ok(self
                .slots(place)
                .iter()
                .enumerate()
                .filter_map(|(index, slot)| Some((index, slot.clone()?)))
                .collect()),
        }
    }

    pub(crate) fn read(&mut self, place: Place, index: usize, files: &mut Files<'_>) -> Result<Stored, StoreError> {
        match place {
            Place::Card => {
                let number = u8::try_from(index).map_err(|_| StoreError::NoSuchMessage)?;
                let records = files.read_records(&EF_SMS, number, number)?;
                records.first().and_then(|(_, record)| card_record(record)).ok_or(StoreError::NoSuchMessage)
            }
            _ => self.slots(place).get(index).cloned().flatten().ok_or(StoreError::NoSuchMessage),
        }
    }

    /// Puts a message into a free place and gives its index.
    pub(crate) fn add(&mut self, place: Place, message: Stored, files: &mut Files<'_>) -> Result<usize, StoreError> {
        match place {
            Place::Card => {
                let records = files.read_records(&EF_SMS, 1, u8::MAX).map_err(|error| match error {
                    CardError::Status(0x6A82) => StoreError::Full,
                    other => StoreError::Card(other),
                })?;
                let free = records.iter().find(|(_, record)| card_record(record).is_none()).ok_or(StoreError::Full)?;
                files.write_record(&EF_SMS, free.0, &to_card_record(&message, free.1.len()))?;
                Ok(usize::from(free.0))
            }
            _ => {
                let slots = self.slots(place);
                let index = slots.iter().position(Option::is_none).unwrap_or(slots.len());
                match slots.get_mut(index) {
                    Some(slot) => *slot = Some(message),
                    None if index < CAPACITY => slots.push(Some(message)),
                    None => return Err(StoreError::Full),
                }
                Ok(index)
            }
        }
    }

    /// Gives a message another status.
    pub(crate) fn mark(
        &mut self,
        place: Place,
        index: usize,
        status: Status,
        files: &mut Files<'_>,
    ) -> Result<(), StoreError> {
        match place {
            Place::Card => {
                let message = Stored { status, ..self.read(place, index, files)? };
                let number = u8::try_from(index).map_err(|_| StoreError::NoSuchMessage)?;
                let (length, _) = files.records(&EF_SMS)?;
                Ok(files.write_record(&EF_SMS, number, &to_card_record(&message, usize::from(length)))?)
            }
            _ => match self.slots(place).get_mut(index) {
                Some(Some(message)) => {
                    message.status = status;
                    Ok(())
                }
                _ => Err(StoreError::NoSuchMessage),
            },
        }
    }

    /// Takes a message out. A place that is free already is no mistake.
    pub(crate) fn delete(&mut self, place: Place, index: usize, files: &mut Files<'_>) -> Result<(), StoreError> {
        match place {
            Place::Card => {
                let (length, count) = files.records(&EF_SMS)?;
                match u8::try_from(index) {
                    Ok(number @ 1..) if number <= count => {
                        let mut free = vec![0xFF; usize::from(length)];
                        if let Some(status) = free.first_mut() {
                            *status = 0;
                        }
                        Ok(files.write_record(&EF_SMS, number, &free)?)
                    }
                    _ => Err(StoreError::NoSuchMessage),
                }
            }
            _ if index < CAPACITY => {
                if let Some(slot) = self.slots(place).get_mut(index) {
                    *slot = None;
                }
                Ok(())
            }
            _ => Err(StoreError::NoSuchMessage),
        }
    }
}

/// A record of EF_SMS; `None` when it is free.
fn card_record(record: &[u8]) -> Option<Stored> {
    let (first, rest) = record.split_first()?;
    let status = Status::from_card(*first)?;
    // The record does not tell the length of the TPDU: what follows is filled up with FF.
    let length = pdu::length(rest, status.is_received()).unwrap_or(rest.len());
    Some(Stored { status, pdu: rest.get(..length)?.to_vec() })
}

fn to_card_record(message: &Stored, length: usize) -> Vec<u8> {
    let mut record = vec![message.status.to_card()];
    record.extend_from_slice(&message.pdu);
    record.resize(length, 0xFF);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Uicc;
    use crate::event::Tap;

    #[test]
    fn the_store_of_the_modem() {
        let mut uicc = Uicc::new(None);
        let mut tap = Tap::default();
        let mut files = Files { uicc: &mut uicc, tap: &mut tap, usim: None };
        let mut service = MessageService::default();
        let place = Place::Equipment;
        let message = Stored { status: Status::Unread, pdu: vec![0, 1, 2] };
        for index in 0..CAPACITY {
            assert_eq!(service.add(place, message.clone(), &mut files), Ok(index));
        }
        assert_eq!(service.add(place, message.clone(), &mut files), Err(StoreError::Full));
        service.delete(place, 7, &mut files).unwrap();
        service.delete(place, 7, &mut files).unwrap();
        assert_eq!(service.delete(place, CAPACITY, &mut files), Err(StoreError::NoSuchMessage));
        assert_eq!(service.read(place, 7, &mut files), Err(StoreError::NoSuchMessage));
        assert_eq!(service.count(place, &mut files), Ok((CAPACITY - 1, CAPACITY)));
        assert_eq!(service.add(place, message.clone(), &mut files), Ok(7));
        service.mark(place, 7, Status::Read, &mut files).unwrap();
        assert_eq!(service.read(place, 7, &mut files).unwrap().status, Status::Read);
        service.restart();
        assert_eq!(service.list(place, &mut files).unwrap().len(), CAPACITY);
    }

    #[test]
    fn records_of_the_card() {
        let message =
            Stored { status: Status::Unsent, pdu: vec![0x00, 0x01, 0x00, 0x03, 0x81, 0x21, 0xF3, 0, 0, 1, 0x41] };
        let record = to_card_record(&message, 176);
        assert_eq!(record.len(), 176);
        assert_eq!(card_record(&record), Some(message));
        assert_eq!(card_record(&[0, 0xFF]), None);
        assert_eq!(card_record(&[]), None);
    }
}
