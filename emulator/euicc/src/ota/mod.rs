//! Remote management over the air: what the operator of the enabled profile sends in secured short messages (TS 31.115,
//! TS 102 226).
//!
//! ```text
//! ENVELOPE (SMS-PP download) → sms: parts put together → command packet (rsp::ota): keys, check, counter
//!   → script: commands → files of the profile (remote file management), or the operator's security domain:
//!                        INSTALL [for personalisation] and STORE DATA, which is ES6 (SGP.22 §5.4)
//!   → response packet: in the answer to the ENVELOPE, or in a short message that the terminal is asked to send
//! ```
//!
//! Keys, toolkit application references and the security that is wanted at least come with the profile's security
//! domains and remote file management elements.

mod script;
mod sms;

use rsp::ota::{CommandPacket, CounterMode, KeySet, LAST_COUNTER, Opened, ResponseStatus, ResponseWanted};

use self::script::{Done, Script};
use self::sms::{Message, Parts};
use crate::apdu::{Class, Command, Response, Sw};
use crate::uicc::{Answer, RemoteTarget, Selection, Verified, View, ins as uicc_ins};
use crate::{CardEvent, Euicc};

/// The AID by which the operator's domain names the ISD-P that the profile is in (SGP.02 annex H, SGP.22 §5.4.1).
const OWN_ISD_P: [u8; 16] =
    [0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x0F, 0x00];

/// The longest user data of a short message (TS 23.040 §9.2.3.16).
const LONGEST_USER_DATA: usize = 140;

/// What the card remembers of messages between commands; a reset forgets it.
#[derive(Debug, Default)]
pub(crate) struct Ota {
    parts: Parts,
}

/// What has become of a packet.
struct Outcome {
    status: ResponseStatus,
    counter: u64,
    /// What is told of its commands.
    data: Vec<u8>,
    /// The status word of the last of them.
    last: Option<u16>,
    keys: Option<KeySet>,
}

impl Outcome {
    fn failed(status: ResponseStatus, keys: Option<KeySet>) -> Self {
        Outcome { status, counter: 0, data: Vec::new(), last: None, keys }
    }
}

impl Euicc {
    /// A short message for the card (TS 31.111 §7.1.1). Gives the response data of the ENVELOPE, which may be empty.
    pub(crate) fn short_message(&mut self, envelope: &[u8]) -> Vec<u8> {
        let Some(message) = Message::parse(envelope) else { return Vec::new() };
        let sender = message.sender.clone();
        let Some(bytes) = self.ota.parts.add(message) else { return Vec::new() };
        // A packet whose lengths contradict each other has no header that could be answered.
        let Some(packet) = CommandPacket::parse(&bytes) else { return Vec::new() };
        let outcome = self.take_packet(&packet);
        self.events.push(CardEvent::RemoteCommand { tar: packet.tar, status: outcome.status, last: outcome.last });
        let wanted = match packet.spi.response() {
            ResponseWanted::No => false,
            ResponseWanted::Yes => true,
            ResponseWanted::OnError => outcome.status != ResponseStatus::Ok,
        };
        if !wanted {
            return Vec::new();
        }
        let Outcome { status, counter, data, keys, .. } = outcome;
        let mut response = packet.respond(status, counter, &data, keys.as_ref());
        if response.len() > LONGEST_USER_DATA {
            // What does not fit is left out: the number of commands and the last status word always do.
            let short = data.get(..3).unwrap_or_default();
            response = packet.respond(status, counter, short, keys.as_ref());
        }
        if !packet.spi.response_by_submit() {
            return response;
        }
        if self.toolkit.sends_short_messages() && !self.toolkit.is_busy() {
            self.toolkit.announce(sms::send(&sender, &response));
        }
        Vec::new()
    }

    fn take_packet(&mut self, packet: &CommandPacket<'_>) -> Outcome {
        use ResponseStatus as Status;
        let Some(profile) = self.store.enabled_mut() else { return Outcome::failed(Status::TarUnknown, None) };
        let files = &mut profile.package.files;
        let Some((target, domain)) = files.image().remote_target(packet.tar) else {
            return Outcome::failed(Status::TarUnknown, None);
        };
        let [kic, kid] = packet.key_versions();
        let keys = files.image().domain_keys(domain, kic, kid);
        // TS 102 225 §5.1.1, TS 102 226 §8.2.1.3.2.6: whom it is for wants so much security at least.
        if !packet.spi.reaches(target.minimum_security()) {
            return Outcome::failed(Status::SecurityTooLow, keys);
        }
        let Opened { counter, data } = match packet.open(keys.as_ref()) {
            Ok(opened) => opened,
            Err(status) => return Outcome::failed(status, keys),
        };
        let failed = |status| Outcome { counter, ..Outcome::failed(status, keys.clone()) };
        let mode = packet.spi.counter();
        let version = kid.or(kic).unwrap_or(0);
        let before = files.counter(domain, version);
        // TS 102 225 §5.1.4: a counter is used once.
        match mode {
            CounterMode::None | CounterMode::Unchecked => {}
            _ if before >= LAST_COUNTER => return failed(Status::CounterBlocked),
            _ if counter <= before => return failed(Status::CounterLow),
            CounterMode::Next if counter > before + 1 => return failed(Status::CounterHigh),
            CounterMode::Higher | CounterMode::Next => files.set_counter(domain, version, counter),
        }
        let script = Script::parse(&data);
        let done = match target {
            RemoteTarget::Domain { .. } => self.manage_domain(&script),
            RemoteTarget::Files { application, has_access, .. } => {
                let selection = application.map(Selection::of_application).unwrap_or_default();
                self.manage_files(&script, selection, has_access)
            }
        };
        let data = script.format.response(&done, script.is_whole);
        Outcome { status: Status::Ok, counter, data, last: done.last().map(|done| done.sw.0), keys }
    }

    /// Remote file management (TS 102 226 §6): commands on the files, with a selection of their own.
    fn manage_files(&mut self, script: &Script<'_>, mut selection: Selection, has_access: bool) -> Vec<Done> {
        let free_memory = self.free_memory();
        let mut verified = Verified::default();
        let Some(profile) = self.store.enabled_mut() else { return Vec::new() };
        let files = &mut profile.package.files;
        let view = View::of(files, (&mut selection, &mut verified), &mut self.random, free_memory);
        let Some(view) = view else { return Vec::new() };
        let mut view = if has_access { view.with_access_to_all() } else { view };
        let (mut pending, mut ending) = (Vec::new(), Sw::OK);
        run(script, |command| {
            let fetched = std::mem::take(&mut pending);
            let (data, sw) = match (command.ins, command.class) {
                (GET_RESPONSE, _) if !fetched.is_empty() => {
                    let wanted = command.le.unwrap_or(256).min(fetched.len());
                    return Done { data: fetched[..wanted].to_vec(), sw: ending };
                }
                (SELECT, Class::Interindustry) => match view.find(command.p1, command.data) {
                    Ok(file) => view.select(file),
                    Err(sw) => (Vec::new(), sw),
                },
                // What is for a terminal is not for an operator.
                (uicc_ins::AUTHENTICATE | uicc_ins::GET_IDENTITY, _) => (Vec::new(), Sw::INS_NOT_SUPPORTED),
                (ins, class) if crate::uicc::is_interindustry(ins) == Some(class == Class::Interindustry) => {
                    match view.execute(command) {
                        Answer::Now(Response { data, sw }) => return Done { data, sw },
                        Answer::Offer(data) => (data, Sw::OK),
                        Answer::OfferWith(data, sw) => (data, sw),
                    }
                }
                _ => (Vec::new(), Sw::INS_NOT_SUPPORTED),
            };
            // ISO 7816-4 §11.2.2: 0C asks for nothing.
            let wants_none = command.ins == SELECT && command.p2 & 0x0C == 0x0C;
            if data.is_empty() || wants_none {
                return Done { data: Vec::new(), sw };
            }
            if command.le.is_some() {
                return Done { data, sw };
            }
            (pending, ending) = (data, sw);
            Done { data: Vec::new(), sw: Sw::more(pending.len()) }
        })
    }

    /// Commands to the operator's security domain. It knows those by which ES6 reaches the ISD-P of the profile.
    fn manage_domain(&mut self, script: &Script<'_>) -> Vec<Done> {
        let (mut personalises, mut blocks) = (false, Vec::new());
        run(script, |command| {
            const INSTALL: u8 = 0xE6;
            const FOR_PERSONALISATION: u8 = 0x20;
            const STORE_DATA: u8 = 0xE2;
            const LAST_BLOCK: u8 = 0x80;
            let (data, sw) = match (command.class, command.ins) {
                (Class::Proprietary, INSTALL) if command.p1 == FOR_PERSONALISATION => {
                    // GlobalPlatform Card Specification 2.3.1 §11.5.2.3.6: two empty fields, the AID, three empty ones.
                    personalises = personalised(command.data) == Some(&OWN_ISD_P);
                    blocks.clear();
                    if personalises { (vec![0x00], Sw::OK) } else { (Vec::new(), Sw::DATA_NOT_FOUND) }
                }
                (Class::Proprietary, STORE_DATA) if personalises => {
                    blocks.extend_from_slice(command.data);
                    let sw = if command.p1 & LAST_BLOCK == 0 {
                        Ok(())
                    } else {
                        self.change_metadata(&std::mem::take(&mut blocks))
                    };
                    (Vec::new(), sw.err().unwrap_or(Sw::OK))
                }
                (Class::Proprietary, STORE_DATA) => (Vec::new(), Sw::CONDITIONS_NOT_SATISFIED),
                _ => (Vec::new(), Sw::INS_NOT_SUPPORTED),
            };
            Done { data: if command.le.is_some() { data } else { Vec::new() }, sw }
        })
    }
}

const SELECT: u8 = 0xA4;
const GET_RESPONSE: u8 = 0xC0;

/// Carries out a script until one of its commands fails (TS 102 226 §5.1, §5.2).
fn run(script: &Script<'_>, mut act: impl FnMut(&Command<'_>) -> Done) -> Vec<Done> {
    let mut all = Vec::new();
    for bytes in &script.commands {
        let done = match Command::parse(bytes) {
            Ok(command) => act(&command),
            Err(sw) => Done { data: Vec::new(), sw },
        };
        let goes_on = matches!(done.sw.0 >> 8, 0x90 | 0x61 | 0x62 | 0x63);
        all.push(done);
        if !goes_on {
            break;
        }
    }
    all
}

/// The AID in INSTALL [for personalisation].
fn personalised(data: &[u8]) -> Option<&[u8]> {
    let (length, rest) = data.strip_prefix(&[0, 0])?.split_first()?;
    let (aid, rest) = rest.split_at_checked(usize::from(*length))?;
    (rest == [0, 0, 0]).then_some(aid)
}
