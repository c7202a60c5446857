//! The card as a whole: commands come in on logical channels and go to the file system or to the ISD-R.

use rsp::crypto::Random;
use rsp::es10::profiles::{ProfileClass, ProfileState};
use rsp::tlv::{Reader, Writer};
use rsp::{Aid, Eid, Iccid};
use zeroize::Zeroizing;

use crate::apdu::{Class, Command, Response, Sw};
use crate::applet::{self, AppletState};
use crate::channels::{Application, Chain, Channels};
use crate::config::CardConfig;
use crate::event::{CardEvent, EventLog};
use crate::files;
use crate::nvram::{Nvram, NvramError};
use crate::ota::Ota;
use crate::session::Session;
use crate::store::Store;
use crate::toolkit::{Refreshed, Toolkit};
use crate::uicc::{self, Answer, FileRef, View};

/// Answer to reset (ISO 7816-3 §8, TS 102 221 §6.3): T=0 and T=1; the first TB after T=15 says that the UICC is an
/// eUICC (bits 8 and 2, TS 102 221 table 6.7); SELECT by AID, 20 logical channels; "ESIMLAB" as pre-issuing data.
const ATR: [u8; 26] = [
    0x3B, 0x9F, 0x96, 0x80, 0xB1, 0xFE, 0x45, 0x3F, 0xC7, 0x82, 0x80, 0x31, 0xE0, 0x73, 0xFE, 0x21, 0x1F, 0x67, b'E',
    b'S', b'I', b'M', b'L', b'A', b'B', 0x00,
];

/// Where the global interface byte of the eUICC stands in it, and that of a UICC that is none (TS 102 221 table 6.7).
const ATR_GLOBAL: usize = 9;
const ATR_UICC: u8 = 0x80;

/// The instructions that the card knows beside those of [`uicc::ins`].
mod ins {
    pub(super) const TERMINAL_PROFILE: u8 = 0x10;
    pub(super) const FETCH: u8 = 0x12;
    pub(super) const TERMINAL_RESPONSE: u8 = 0x14;
    pub(super) const MANAGE_CHANNEL: u8 = 0x70;
    pub(super) const SELECT: u8 = 0xA4;
    pub(super) const TERMINAL_CAPABILITY: u8 = 0xAA;
    pub(super) const GET_RESPONSE: u8 = 0xC0;
    pub(super) const ENVELOPE: u8 = 0xC2;
    pub(super) const GET_DATA: u8 = 0xCA;
    pub(super) const STORE_DATA: u8 = 0xE2;
    pub(super) const STATUS: u8 = 0xF2;
}

/// P1 of STORE DATA (SGP.22 v2.5 §5.7.2): more blocks follow, or this is the last.
const MORE_BLOCKS: u8 = 0x11;
const LAST_BLOCK: u8 = 0x91;

/// A software eUICC. See the [crate documentation](crate).
#[derive(Debug)]
pub struct Euicc {
    pub(crate) config: CardConfig,
    pub(crate) random: Generator,
    pub(crate) store: Store,
    pub(crate) session: Session,
    pub(crate) events: EventLog,
    pub(crate) toolkit: Toolkit,
    /// Whether a proactive session of somebody else is under way; see [`crate::config::Quirks::busy_until_reset`].
    pub(crate) busy: Busy,
    channels: Channels,
    pub(crate) ota: Ota,
    /// What the multi-IMSI applet knows.
    applet: AppletState,
    /// The store has failed: what is in memory is ahead of what is kept.
    failed: bool,
}

/// A proactive session that is not the card's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    No,
    /// There is one, and nobody has run into it yet.
    Unseen,
    /// Somebody has: the next reset ends it.
    Met,
}

/// The source of random bytes. `Debug` says nothing about it.
pub(crate) struct Generator(Box<dyn Random>);

impl Random for Generator {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Generator")
    }
}

/// A profile on the card, for whoever looks at it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileSummary {
    /// The ICCID.
    pub iccid: Iccid,
    /// The AID of its ISD-P.
    pub aid: Aid,
    /// Enabled or disabled.
    pub state: ProfileState,
    /// The nickname that the user has given it.
    pub nickname: Option<String>,
    /// The service provider.
    pub service_provider_name: String,
    /// The profile's own name.
    pub profile_name: String,
    /// Test, provisioning or operational.
    pub class: ProfileClass,
}

/// A notification that waits on the card, for whoever looks at it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationSummary {
    /// What it is about.
    pub metadata: rsp::es10::notification::NotificationMetadata,
    /// The signed element, as the card hands it out.
    pub signed: Vec<u8>,
}

impl Euicc {
    /// A card as it leaves the factory, which keeps nothing. It takes commands at once; [`Euicc::reset`] is what power
    /// brings.
    pub fn new(config: CardConfig, random: Box<dyn Random>) -> Self {
        let store = Store::made(Nvram::memory(), &config);
        Euicc::of(config, random, store)
    }

    /// The card whose data are in `nvram`; a new one, as it leaves the factory, when there are none.
    pub fn open(config: CardConfig, random: Box<dyn Random>, nvram: Nvram) -> Result<Self, NvramError> {
        let store = Store::open(nvram, &config)?;
        Ok(Euicc::of(config, random, store))
    }

    fn of(mut config: CardConfig, random: Box<dyn Random>, store: Store) -> Self {
        // They are in the store now; what is deleted there is to be nowhere.
        config.preinstalled = Vec::new();
        Euicc {
            busy: if config.quirks.busy_until_reset { Busy::Unseen } else { Busy::No },
            config,
            random: Generator(random),
            store,
            session: Session::None,
            events: EventLog::default(),
            toolkit: Toolkit::default(),
            channels: Channels::new(),
            ota: Ota::default(),
            applet: AppletState::default(),
            failed: false,
        }
    }

    /// Resets the card: everything volatile is gone, an installation that was under way has failed. Gives the answer
    /// to reset.
    pub fn reset(&mut self) -> Vec<u8> {
        // A result that cannot be signed is lost, as with a card that has lost its key: nothing can be told of it.
        let _ = self.interrupt_installation();
        self.session = Session::None;
        self.channels = Channels::new();
        self.ota = Ota::default();
        self.toolkit = Toolkit::default();
        self.applet = AppletState::default();
        if self.busy == Busy::Met {
            self.busy = Busy::No;
        }
        self.events.push(CardEvent::Reset);
        // SGP.22 v2.5 §3.2.1: the reset is what a switch with refreshFlag has waited for.
        let _ = self.finish_switch();
        // What cannot be kept now is told by the commands that follow.
        let _ = self.commit();
        uicc::wipe_stack();
        let mut atr = ATR;
        if !self.config.is_euicc {
            atr[ATR_GLOBAL] = ATR_UICC;
        }
        // ISO 7816-3 §8.2.5: TCK makes the exclusive-or from T0 on zero.
        atr[ATR.len() - 1] = atr[1..ATR.len() - 1].iter().fold(0, |sum, byte| sum ^ byte);
        atr.to_vec()
    }

    /// Takes one command APDU and gives the response APDU. `now` is the time in Unix seconds, for the dates in
    /// certificates.
    pub fn transmit(&mut self, apdu: &[u8], now: i64) -> Vec<u8> {
        let response = self.answer(apdu, now);
        if may_have_used_keys(apdu) {
            uicc::wipe_stack();
        }
        response
    }

    fn answer(&mut self, apdu: &[u8], now: i64) -> Vec<u8> {
        if self.failed {
            return Response::from(Sw::MEMORY_PROBLEM).into_bytes();
        }
        let mut response = match Command::parse(apdu) {
            Ok(command) => self.dispatch(&command, now),
            Err(sw) => sw.into(),
        };
        // What the host is told is kept already: one transaction for everything that a command has changed.
        if let Err(sw) = self.commit() {
            return Response::from(sw).into_bytes();
        }
        if let (Sw::OK, Some(announcement)) = (response.sw, self.toolkit.announcement()) {
            response.sw = announcement;
        }
        response.into_bytes()
    }

    /// Writes what has changed. A card whose memory fails is of no use until it is opened anew.
    pub(crate) fn commit(&mut self) -> Result<(), Sw> {
        if self.failed {
            return Err(Sw::MEMORY_PROBLEM);
        }
        match self.store.commit(&self.config) {
            Ok(()) => {
                self.events.confirm();
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                self.events.deny();
                self.events.push(CardEvent::StoreFailed(error.to_string()));
                Err(Sw::MEMORY_PROBLEM)
            }
        }
    }

    /// The EID.
    pub fn eid(&self) -> &Eid {
        &self.config.eid
    }

    /// What the card is like. The profiles that it left the factory with are not in it any more: they are on the card.
    pub fn config(&self) -> &CardConfig {
        &self.config
    }

    /// The profiles on the card, in the order of their installation.
    pub fn profiles(&self) -> Vec<ProfileSummary> {
        self.store
            .profiles()
            .iter()
            .map(|profile| ProfileSummary {
                iccid: profile.iccid(),
                aid: profile.aid.clone(),
                state: if profile.enabled { ProfileState::Enabled } else { ProfileState::Disabled },
                nickname: profile.nickname.clone(),
                service_provider_name: profile.metadata.service_provider_name.clone(),
                profile_name: profile.metadata.profile_name.clone(),
                class: profile.class(),
            })
            .collect()
    }

    /// What has changed in the files, PINs and sequence numbers of a profile since its installation, in a form that
    /// [`PreinstalledProfile::with_changes`](crate::PreinstalledProfile::with_changes) reads. It holds PINs and may
    /// hold keys.
    pub fn profile_changes(&self, iccid: Iccid) -> Option<Zeroizing<Vec<u8>>> {
        self.store.by_iccid(iccid).map(|profile| profile.overlay())
    }

    /// The notifications that wait for delivery, oldest first.
    pub fn notifications(&self) -> Vec<NotificationSummary> {
        let notifications = self.store.notifications().iter();
        notifications.map(|n| NotificationSummary { metadata: n.metadata.clone(), signed: n.signed.clone() }).collect()
    }

    /// What has happened since the last call.
    pub fn drain_events(&mut self) -> Vec<CardEvent> {
        self.events.drain()
    }

    /// Free memory for profiles, in bytes.
    pub fn free_memory(&self) -> u32 {
        self.config.memory.saturating_sub(self.store.memory())
    }

    /// Makes so many bytes free for profiles, beside those that are on the card.
    pub fn set_free_memory(&mut self, bytes: u32) {
        self.config.memory = self.store.memory().saturating_add(bytes);
    }

    /// The logical channels that are open, the basic one included.
    pub fn open_channels(&self) -> Vec<u8> {
        self.channels.open_numbers()
    }

    /// The default SM-DP+ address.
    pub fn default_smdp(&self) -> Option<&str> {
        self.store.default_smdp()
    }

    fn dispatch(&mut self, command: &Command<'_>, now: i64) -> Response {
        self.channels.settle(self.store.enabled().map(|profile| profile.iccid()));
        let Some(channel) = self.channels.get(command.channel) else {
            return Sw::CHANNEL_NOT_SUPPORTED.into();
        };
        // ISO 7816-4 §11.7.1: a response is fetched by the command that follows, or it is lost. The same holds for
        // the blocks of a command (GlobalPlatform Card Specification 2.3.1 §11.11.2).
        if command.ins != ins::GET_RESPONSE {
            channel.pending.clear();
        }
        if command.ins != ins::STORE_DATA {
            channel.chain = None;
        }
        let interindustry = command.class == Class::Interindustry;
        match command.ins {
            // LPAs fetch with either class.
            ins::GET_RESPONSE => self.get_response(command),
            ins::SELECT if interindustry => self.select(command).into(),
            ins::MANAGE_CHANNEL if interindustry => self.manage_channel(command),
            code if uicc::is_interindustry(code) == Some(interindustry) => self.uicc_command(command),
            ins::STORE_DATA if !interindustry => self.store_data(command, now).into(),
            ins::STATUS if !interindustry => self.status(command),
            ins::TERMINAL_CAPABILITY if !interindustry => self.terminal_capability(command).into(),
            ins::TERMINAL_PROFILE if !interindustry => {
                self.toolkit.terminal_profile(command.data);
                self.start_applet();
                Sw::OK.into()
            }
            ins::ENVELOPE if !interindustry => self.envelope(command).into(),
            ins::FETCH if !interindustry => match self.toolkit.fetch(command.le) {
                Ok(data) => Response { data, sw: Sw::OK },
                Err(sw) => sw.into(),
            },
            ins::TERMINAL_RESPONSE if !interindustry => self.terminal_response(command.data).into(),
            ins::GET_DATA if !interindustry => Sw::DATA_NOT_FOUND.into(),
            ins if is_known(ins) => Sw::CLA_NOT_SUPPORTED.into(),
            _ => Sw::INS_NOT_SUPPORTED.into(),
        }
    }

    /// GET RESPONSE (TS 102 221 §7.3.1.1.5): up to Le bytes of what is waiting, and how many are left.
    fn get_response(&mut self, command: &Command<'_>) -> Response {
        if (command.p1, command.p2) != (0, 0) {
            return Sw::WRONG_P1_P2.into();
        }
        let Some(channel) = self.channels.get(command.channel) else {
            return Sw::CHANNEL_NOT_SUPPORTED.into();
        };
        let available = channel.pending.len();
        if available == 0 {
            return Sw::CONDITIONS_NOT_SATISFIED.into();
        }
        let expected = command.le.unwrap_or(256);
        if expected > available {
            return Sw::exact_length(available).into();
        }
        let rest = channel.pending.split_off(expected);
        let data = std::mem::replace(&mut channel.pending, rest);
        let left = channel.pending.len();
        let ending = channel.ending.unwrap_or(Sw::OK);
        Response { data, sw: if left == 0 { ending } else { Sw::more(left) } }
    }

    /// SELECT (TS 102 221 §11.1.1).
    fn select(&mut self, command: &Command<'_>) -> Sw {
        const TERMINATION: u8 = 0x40;
        // ISO 7816-4 §11.2.2: what comes back: 00 file control information, 04 file control parameters, 0C nothing.
        let with_data = match command.p2 & !(TERMINATION | 0x03) {
            0x00 | 0x04 => true,
            0x0C => false,
            _ => return Sw::WRONG_P1_P2,
        };
        let by_name = command.p1 == 0x04;
        if command.p2 & TERMINATION != 0 && !by_name {
            return Sw::WRONG_P1_P2;
        }
        let found = if by_name {
            self.find_application(command)
        } else if let Some(view) = self.view(command.channel) {
            view.find(command.p1, command.data).map(Found::File)
        } else {
            files::find(command.p1, command.data, self.config.quirks.default_iccid).map(Found::Own)
        };
        let found = match found {
            Ok(found) => found,
            Err(sw) => return sw,
        };
        let shared = self.channels.shares_application(command.channel);
        let termination = command.p2 & TERMINATION != 0;
        let (application, information, sw) = match (found, self.view(command.channel)) {
            (Found::IsdR, view) => {
                // TS 102 221 §8.5.1.2: another application takes the place of the one before.
                if let Some(mut view) = view {
                    view.leave_application(shared);
                }
                (Application::IsdR, self.isdr_information(), Sw::OK)
            }
            (Found::File(file), Some(mut view)) => {
                // The application that is there already goes on.
                if by_name && view.current_application() != Some(file) {
                    view.leave_application(shared);
                }
                let (information, sw) = view.select(file);
                if termination {
                    view.leave_application(shared);
                }
                (Application::Uicc, information, sw)
            }
            (Found::File(_), None) => return Sw::NOT_FOUND,
            (Found::Own(file), _) => {
                if let Some(channel) = self.channels.get(command.channel) {
                    channel.own_file = file;
                }
                (Application::Uicc, files::control_parameters(file, self.free_memory()), Sw::OK)
            }
        };
        let Some(channel) = self.channels.get(command.channel) else { return Sw::CHANNEL_NOT_SUPPORTED };
        channel.application = if termination { Application::Uicc } else { application };
        if with_data { channel.offer_with(information, sw) } else { sw }
    }

    /// SELECT by AID, which may be cut short (TS 102 221 §8.5.1.2): the applications of the enabled profile, then the
    /// ISD-R.
    fn find_application(&mut self, command: &Command<'_>) -> Result<Found, Sw> {
        let aid = command.data;
        if !(1..=16).contains(&aid.len()) {
            return Err(Sw::NOT_FOUND);
        }
        let on_isdr =
            self.channels.get(command.channel).is_some_and(|channel| channel.application == Application::IsdR);
        let mut all: Vec<(Found, Aid)> = Vec::new();
        let mut current = None;
        if let Some(view) = self.view(command.channel) {
            all = view.applications().map(|(file, aid)| (Found::File(file), aid.clone())).collect();
            current = view.current_application().map(Found::File);
        }
        let hidden = self.config.quirks.hidden_until_terminal_capability && !self.toolkit.supports_euicc;
        if self.config.is_euicc && !hidden {
            all.push((Found::IsdR, self.config.isdr_aid.clone()));
        }
        if on_isdr {
            current = Some(Found::IsdR);
        }
        let matches: Vec<usize> = (0..all.len()).filter(|index| all[*index].1.as_bytes().starts_with(aid)).collect();
        let current = current.and_then(|current| all.iter().position(|(found, _)| *found == current));
        let found = match (command.p2 & 0x03, current) {
            (0x00, _) | (0x02, None) => matches.first(),
            (0x01, _) | (0x03, None) => matches.last(),
            (0x02, Some(current)) => matches.iter().find(|index| **index > current),
            (_, Some(current)) => matches.iter().rev().find(|index| **index < current),
            _ => None,
        };
        found.map(|index| all[*index].0).ok_or(Sw::NOT_FOUND)
    }

    /// The enabled profile as this channel sees it; `None` when no profile with files is enabled.
    fn view(&mut self, number: u8) -> Option<View<'_>> {
        let free_memory = self.free_memory();
        let profile = self.store.enabled_mut()?;
        let (channel, verified) = self.channels.with_verified(number)?;
        View::of(&mut profile.package.files, (&mut channel.selection, verified), &mut self.random, free_memory)
    }

    /// A command on files, PINs or applications.
    fn uicc_command(&mut self, command: &Command<'_>) -> Response {
        let on_isdr =
            self.channels.get(command.channel).is_some_and(|channel| channel.application == Application::IsdR);
        if on_isdr {
            return Sw::INS_NOT_SUPPORTED.into();
        }
        let answer = match self.view(command.channel) {
            Some(mut view) => view.execute(command),
            None if command.ins == uicc::ins::READ_BINARY => return self.read_own_file(command),
            None => return uicc::without_profile(command.ins).into(),
        };
        match answer {
            Answer::Now(response) => response,
            Answer::Offer(data) => self.offer(command.channel, data, Sw::OK).into(),
            Answer::OfferWith(data, ending) => self.offer(command.channel, data, ending).into(),
        }
    }

    /// Keeps data for GET RESPONSE on a channel; `ending` comes with the last of it.
    fn offer(&mut self, number: u8, data: Vec<u8>, ending: Sw) -> Sw {
        match self.channels.get(number) {
            Some(channel) => channel.offer_with(data, ending),
            None => Sw::CHANNEL_NOT_SUPPORTED,
        }
    }

    /// The file control information of the ISD-R (SGP.22 v2.5 §5.7.1): AID, the longest command it takes, and
    /// `ISDRProprietaryApplicationTemplate` with the version it supports.
    fn isdr_information(&self) -> Vec<u8> {
        Writer::new()
            .nested(0x6F, |w| {
                w.put(0x84, self.config.isdr_aid.as_bytes())
                    .nested(0xA5, |w| w.put(0x9F65, &[0xFF]))
                    .nested(0xE0, |w| w.put(0x82, &self.config.svn.0))
            })
            .into_vec()
    }

    /// MANAGE CHANNEL (TS 102 221 §11.1.17).
    fn manage_channel(&mut self, command: &Command<'_>) -> Response {
        match (command.p1, command.p2) {
            (0x00, 0x00) => {
                // The answer is one byte; a wrong Le must not cost a channel.
                if command.le.is_some_and(|le| le != 1) {
                    return Sw::exact_length(1).into();
                }
                match self.channels.open(command.channel, None) {
                    Ok(number) => {
                        self.events.push(CardEvent::ChannelOpened(number));
                        Response { data: vec![number], sw: Sw::OK }
                    }
                    Err(sw) => sw.into(),
                }
            }
            (0x00, number) => match self.channels.open(command.channel, Some(number)) {
                Ok(number) => {
                    self.events.push(CardEvent::ChannelOpened(number));
                    Sw::OK.into()
                }
                Err(sw) => sw.into(),
            },
            (0x80, number) => {
                // ISO 7816-4 §11.1.2: P2 zero closes the channel on which the command comes.
                let number = if number == 0 { command.channel } else { number };
                // TS 102 221 §8.5.1.3: the application session of a channel ends with it.
                let shared = self.channels.shares_application(number);
                if let Some(mut view) = self.view(number).filter(|_| number != 0) {
                    view.leave_application(shared);
                }
                let sw = self.channels.close(number);
                if sw == Sw::OK {
                    self.events.push(CardEvent::ChannelClosed(number));
                }
                sw.into()
            }
            _ => Sw::WRONG_P1_P2.into(),
        }
    }

    /// STORE DATA (SGP.22 v2.5 §5.7.2): blocks of one command, the response with the last.
    fn store_data(&mut self, command: &Command<'_>, now: i64) -> Sw {
        let Some(channel) = self.channels.get(command.channel) else { return Sw::CHANNEL_NOT_SUPPORTED };
        if channel.application != Application::IsdR {
            return Sw::INS_NOT_SUPPORTED;
        }
        if !matches!(command.p1, MORE_BLOCKS | LAST_BLOCK) {
            channel.chain = None;
            return Sw::WRONG_P1_P2;
        }
        let quirks = &self.config.quirks;
        if quirks.longest_block.is_some_and(|longest| command.data.len() > usize::from(longest)) {
            channel.chain = None;
            return Sw::SECURITY_ENVIRONMENT;
        }
        let loses_response = quirks.no_data_without_le && command.le.is_none();
        let mut chain = channel.chain.take().unwrap_or_default();
        if let Err(sw) = Chain::add(&mut chain, command.p2, command.data) {
            return sw;
        }
        if command.p1 == MORE_BLOCKS {
            channel.chain = Some(chain);
            return Sw::OK;
        }
        match self.execute(&chain.into_data(), now) {
            Ok(_) if loses_response => Sw::OK,
            Ok(response) => self.offer(command.channel, response, Sw::OK),
            Err(sw) => sw,
        }
    }

    /// STATUS (TS 102 221 §11.1.2).
    fn status(&mut self, command: &Command<'_>) -> Response {
        let Some(channel) = self.channels.get(command.channel) else {
            return Sw::CHANNEL_NOT_SUPPORTED.into();
        };
        let application = channel.application;
        let name = |aid: &Aid| Writer::new().put(0x84, aid.as_bytes()).into_vec();
        let data = match (command.p1, command.p2, application) {
            (0x00..=0x02, 0x0C, _) => return Sw::OK.into(),
            (0x00..=0x02, 0x00, Application::IsdR) => self.isdr_information(),
            (0x00..=0x02, 0x01, Application::IsdR) => name(&self.config.isdr_aid),
            (0x00..=0x02, 0x00, Application::Uicc) => match self.view(command.channel) {
                Some(view) => view.directory_parameters(),
                None => files::control_parameters(files::File::Mf, self.free_memory()),
            },
            (0x00..=0x02, 0x01, Application::Uicc) => {
                match self.view(command.channel).as_ref().and_then(View::application_name) {
                    Some(aid) => name(aid),
                    None => return Sw::CONDITIONS_NOT_SATISFIED.into(),
                }
            }
            _ => return Sw::WRONG_P1_P2.into(),
        };
        exactly(command, data)
    }

    /// READ BINARY (TS 102 221 §11.1.3) while no profile is enabled: EF_ICCID is all there can be.
    fn read_own_file(&mut self, command: &Command<'_>) -> Response {
        let iccid = self.config.quirks.default_iccid;
        let Some(channel) = self.channels.get(command.channel) else {
            return Sw::CHANNEL_NOT_SUPPORTED.into();
        };
        let offset = if command.p1 & 0x80 != 0 {
            if command.p1 & 0x1F != files::EF_ICCID_SHORT_ID || iccid.is_none() {
                return Sw::NOT_FOUND.into();
            }
            channel.own_file = files::File::Iccid;
            usize::from(command.p2)
        } else {
            usize::from(command.p1) << 8 | usize::from(command.p2)
        };
        match (channel.own_file, iccid) {
            (files::File::Iccid, Some(iccid)) => match iccid.as_bytes().get(offset..) {
                Some(data) if !data.is_empty() => {
                    let expected = command.le.unwrap_or(256);
                    if expected > data.len() {
                        return Sw::exact_length(data.len()).into();
                    }
                    Response { data: data[..expected].to_vec(), sw: Sw::OK }
                }
                _ => Sw::WRONG_OFFSET.into(),
            },
            _ => Sw::NO_FILE_SELECTED.into(),
        }
    }

    /// TERMINAL CAPABILITY (TS 102 221 §11.1.19): of what the terminal tells, only that it knows eUICCs is taken note
    /// of.
    fn terminal_capability(&mut self, command: &Command<'_>) -> Sw {
        if (command.p1, command.p2) != (0, 0) {
            return Sw::WRONG_P1_P2;
        }
        let read = || {
            let mut objects = Reader::new(command.data).expect(0xA9)?.reader();
            // TS 102 221 §11.1.19.2.4: additional interfaces aside, tag 83 is what an eUICC has to know.
            let euicc = objects.optional(0x83)?;
            objects.finish().map(|()| euicc.is_some())
        };
        match read() {
            Ok(euicc) => {
                self.toolkit.supports_euicc = euicc;
                Sw::OK
            }
            Err(_) => Sw::WRONG_DATA,
        }
    }

    /// The multi-IMSI applet asks to be told where the terminal is.
    fn start_applet(&mut self) {
        let able = self.toolkit.knows_location() && self.toolkit.knows_refresh() && !self.toolkit.is_busy();
        if able && self.config.multi_imsi.is_some() && self.store.enabled().is_some() {
            self.toolkit.announce(applet::event_list());
        }
    }

    /// ENVELOPE (TS 102 221 §11.2.2): a short message for the card, or where the terminal is.
    fn envelope(&mut self, command: &Command<'_>) -> Sw {
        if (command.p1, command.p2) != (0, 0) {
            return Sw::WRONG_P1_P2;
        }
        // Without a profile there is no toolkit application.
        if self.store.enabled().is_none() {
            return Sw::CONDITIONS_NOT_SATISFIED;
        }
        let response = self.short_message(command.data);
        self.take_location(command.data);
        self.offer(command.channel, response, Sw::OK)
    }

    /// The multi-IMSI applet learns where the terminal is (TS 102 223 §7.5.4), and takes the IMSI that fits.
    fn take_location(&mut self, data: &[u8]) {
        let Some(multi_imsi) = &self.config.multi_imsi else { return };
        let Some(profile) = self.store.enabled_mut() else { return };
        let files = &mut profile.package.files;
        let Some(current) = files.imsi().map(applet::decode_imsi) else { return };
        // While another command is under way a switch could not be told; the next change of place brings it about.
        if self.toolkit.is_busy() {
            return;
        }
        if let Some(imsi) = multi_imsi.decide(&mut self.applet, data, &current) {
            files.set_imsi(&applet::encode_imsi(&imsi));
            self.events.push(CardEvent::ImsiSwitched(imsi));
            self.toolkit.announce(applet::refresh());
        }
    }

    /// TERMINAL RESPONSE: the terminal has refreshed, will, or will not.
    fn terminal_response(&mut self, response: &[u8]) -> Sw {
        match self.toolkit.terminal_response(response) {
            // SGP.22 v2.5 §3.2.1: a successful response is as good as a reset.
            Ok(Refreshed::Done) => match self.finish_switch() {
                Ok(()) => Sw::OK,
                Err(sw) => sw,
            },
            Ok(Refreshed::Later) => Sw::OK,
            Ok(Refreshed::Refused) => {
                if self.store.take_marked().is_some() {
                    self.events.push(CardEvent::SwitchAbandoned);
                }
                Sw::OK
            }
            Err(sw) => sw,
        }
    }
}

/// What SELECT has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A file of the enabled profile, or the directory of an application.
    File(FileRef),
    /// A file of the card itself, while no profile is enabled.
    Own(files::File),
    IsdR,
}

/// False for commands that never get as far as a key: a block of a command that is not whole yet, what is fetched, and
/// selection.
fn may_have_used_keys(apdu: &[u8]) -> bool {
    match apdu {
        [_, ins::STORE_DATA, p1, ..] => *p1 != MORE_BLOCKS,
        [_, ins, ..] => !matches!(*ins, ins::GET_RESPONSE | ins::SELECT | ins::STATUS | ins::MANAGE_CHANNEL),
        _ => false,
    }
}

fn is_known(code: u8) -> bool {
    matches!(
        code,
        ins::TERMINAL_PROFILE
            | ins::FETCH
            | ins::TERMINAL_RESPONSE
            | ins::MANAGE_CHANNEL
            | ins::SELECT
            | ins::TERMINAL_CAPABILITY
            | ins::ENVELOPE
            | ins::GET_DATA
            | ins::STORE_DATA
            | ins::STATUS
    ) || uicc::is_interindustry(code).is_some()
}

/// The answer to a case 2 command whose Le has to be right (TS 102 221 §7.3.1.1.2).
fn exactly(command: &Command<'_>, data: Vec<u8>) -> Response {
    if command.le == Some(data.len()) { Response { data, sw: Sw::OK } } else { Sw::exact_length(data.len()).into() }
}
