//! Downloads by the module itself (`AT+QESIM="download"` and `"ota"` of older firmware), through its own data session.
//!
//! The modem has no HTTPS and no procedure of SGP.22: a [`Downloader`] that is handed in does the work, on whatever
//! thread it likes, and comes back through the modem for everything the module owns:
//!
//! ```text
//! AT+QESIM="download","1$..." ─▶ Modem ─ start(request) ─▶ Downloader
//!        +QESIM: "download",0 ◀─  │  ◀─ open, transmit, data_path, progress, finish(ticket, ...)
//!                                card
//! ```
//!
//! A download is known by its [`DownloadTicket`]: after a restart of the module the ticket is void, and whoever still
//! works under it is told so.

use rsp::ISD_R_AID;

use crate::card::{CardError, class_on_channel};
use crate::engine::Modem;
use crate::output::Output;
use crate::state::State;

/// Which command has asked for a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DownloadFunction {
    /// `"download"`: with progress.
    Download,
    /// `"ota"`: the outcome only.
    Ota,
}

impl DownloadFunction {
    /// As AT+QESIM writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DownloadFunction::Download => "download",
            DownloadFunction::Ota => "ota",
        }
    }
}

/// What a download is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DownloadTicket(u64);

/// A download that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadJob {
    /// What it is known by.
    pub ticket: DownloadTicket,
    /// The activation code, as the host has written it.
    pub activation_code: String,
    /// The confirmation code, when the host has given one.
    pub confirmation_code: Option<String>,
}

/// Makes downloads for the module's own LPA.
pub trait Downloader: Send {
    /// Begins a download; false when it cannot. It is called while the modem works and must not wait for anything: the
    /// work is done elsewhere, and ends in [`Modem::finish_download`].
    fn start(&mut self, job: DownloadJob) -> bool;
}

/// The way from the module to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPath {
    /// There is no data session.
    Down,
    /// There is one, and names resolve.
    Up,
    /// There is one, and no name resolves.
    NoNames,
}

/// How a download ended: the `<result>` of the URC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadResult {
    /// The profile is on the card.
    Success = 0,
    /// The activation code cannot be used.
    ActivationCode = 1,
    /// The server cannot be reached.
    Network = 2,
    /// The server has refused.
    Refused = 3,
    /// A confirmation code is missing.
    ConfirmationCodeRequired = 4,
    /// The confirmation code is wrong.
    ConfirmationCodeWrong = 5,
    /// The card has no room for the profile.
    MemoryFull = 6,
    /// The profile is on the card already.
    AlreadyInstalled = 7,
    /// Anything else.
    Other = 255,
}

/// `<result>` while a download is under way, followed by the percentage.
const IN_PROGRESS: u8 = 254;

/// The download is no longer wanted: the module has restarted, or has no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the module has given up this download")]
pub struct DownloadGone;

/// A download that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Download {
    ticket: DownloadTicket,
    function: DownloadFunction,
    /// The logical channel on which the ISD-R is.
    channel: Option<u8>,
    /// The percentage that was told last.
    told: u8,
}

/// The module's own downloads.
#[derive(Default)]
pub(crate) struct Downloads {
    pub(crate) downloader: Option<Box<dyn Downloader>>,
    current: Option<Download>,
    issued: u64,
}

impl Downloads {
    /// A restart of the module ends what is under way.
    pub(crate) fn restart(&mut self) {
        self.current = None;
    }
}

impl State {
    /// The way from the module to a server.
    fn data_path(&self) -> DataPath {
        let sessions = self.pdp.all().any(|(_, context)| context.bearer.is_some());
        match (sessions && self.network.is_registered(), self.network.resolves()) {
            (false, _) => DataPath::Down,
            (true, true) => DataPath::Up,
            (true, false) => DataPath::NoNames,
        }
    }

    /// Has a download begin. False when there is no data session, another download is under way, or nobody could make
    /// it.
    pub(crate) fn start_download(
        &mut self,
        function: DownloadFunction,
        activation_code: String,
        confirmation_code: Option<String>,
    ) -> bool {
        if self.data_path() == DataPath::Down || self.downloads.current.is_some() {
            return false;
        }
        let Some(downloader) = &mut self.downloads.downloader else { return false };
        self.downloads.issued += 1;
        let ticket = DownloadTicket(self.downloads.issued);
        let begun = downloader.start(DownloadJob { ticket, activation_code, confirmation_code });
        self.downloads.current = begun.then_some(Download { ticket, function, channel: None, told: 0 });
        begun
    }

    fn download(&mut self, ticket: DownloadTicket) -> Result<&mut Download, DownloadGone> {
        let current = self.downloads.current.as_mut().filter(|download| download.ticket == ticket);
        current.ok_or(DownloadGone)
    }
}

impl Modem {
    /// Hands in who makes the downloads of the module's own LPA. Without one they are refused.
    pub fn set_downloader(&mut self, downloader: Box<dyn Downloader>) {
        self.state_mut().downloads.downloader = Some(downloader);
    }

    /// Opens the ISD-R on a logical channel for a download, anew when it was open before. The inner error is the
    /// card's status word, 0 when it does not answer.
    pub fn open_for_download(&mut self, ticket: DownloadTicket) -> Result<Result<(), u16>, DownloadGone> {
        self.close_download_channel(ticket)?;
        let state = self.state_mut();
        let opened = state.uicc.open_application(&ISD_R_AID, &mut state.tap);
        match opened {
            Ok(channel) => {
                state.download(ticket)?.channel = Some(channel);
                Ok(Ok(()))
            }
            Err(CardError::Status(status)) => Ok(Err(status)),
            Err(CardError::Absent) => Err(DownloadGone),
            Err(_) => Ok(Err(0)),
        }
    }

    /// Sends a command APDU to the ISD-R for a download; the logical channel is put into CLA.
    pub fn transmit_for_download(&mut self, ticket: DownloadTicket, apdu: &[u8]) -> Result<Vec<u8>, DownloadGone> {
        let state = self.state_mut();
        let channel = state.download(ticket)?.channel.ok_or(DownloadGone)?;
        let mut command = apdu.to_vec();
        if let Some(class) = command.first_mut() {
            *class = class_on_channel(*class, channel);
        }
        state.network.traffic(state.now);
        state.uicc.transmit(&command, &mut state.tap).map_err(|_| DownloadGone)
    }

    /// The way from the module to a server, for a download.
    pub fn data_path_for_download(&mut self, ticket: DownloadTicket) -> Result<DataPath, DownloadGone> {
        let state = self.state_mut();
        state.download(ticket)?;
        state.network.traffic(state.now);
        Ok(state.data_path())
    }

    /// Tells the host how far a download is, in percent. A percentage that is no greater than the one before is not
    /// told.
    pub fn progress_of_download(&mut self, ticket: DownloadTicket, percent: u8) -> Output {
        let mut output = Output::default();
        let state = self.state_mut();
        let Ok(download) = state.download(ticket) else { return output };
        let percent = percent.min(100);
        if download.function == DownloadFunction::Download && percent > download.told {
            download.told = percent;
            state.tell(format!("+QESIM: \"download\",{IN_PROGRESS},{percent}"));
            self.flush(&mut output);
        }
        output
    }

    /// Ends a download and tells the host.
    pub fn finish_download(&mut self, ticket: DownloadTicket, result: DownloadResult) -> Output {
        let mut output = Output::default();
        // A channel that does not close has gone already.
        let _ = self.close_download_channel(ticket);
        let state = self.state_mut();
        let Ok(Download { function, .. }) = state.download(ticket).copied() else { return output };
        state.downloads.current = None;
        state.tell(format!("+QESIM: \"{}\",{}", function.name(), result as u8));
        self.flush(&mut output);
        output
    }

    fn close_download_channel(&mut self, ticket: DownloadTicket) -> Result<(), DownloadGone> {
        let state = self.state_mut();
        if let Some(channel) = state.download(ticket)?.channel.take() {
            let _ = state.uicc.close_channel(channel, &mut state.tap);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::Model;
    use crate::network::{Change, Dns};
    use crate::testing::Sketch;

    #[derive(Clone, Default)]
    struct Jobs(Arc<Mutex<Vec<DownloadJob>>>);

    impl Downloader for Jobs {
        fn start(&mut self, job: DownloadJob) -> bool {
            self.0.lock().unwrap().push(job);
            true
        }
    }

    fn say(modem: &mut Modem, line: &str) -> String {
        String::from_utf8(modem.receive(0, format!("{line}\r").as_bytes()).for_port(0)).unwrap()
    }

    fn said(output: Output) -> String {
        String::from_utf8(output.for_port(0)).unwrap()
    }

    fn modem(card: &Sketch) -> (Modem, Jobs) {
        let jobs = Jobs::default();
        let mut modem = Modem::new(Model::named("EG21-G-old").unwrap(), card.card());
        modem.set_downloader(Box::new(jobs.clone()));
        say(&mut modem, "ATE0");
        (modem, jobs)
    }

    const ORDER: &str = "AT+QESIM=\"download\",\"1$smdp.example$TOKEN\"";

    #[test]
    fn a_download_goes_through_the_module() {
        let sketch = Sketch::of_the_note();
        let (mut modem, jobs) = modem(&sketch);
        assert_eq!(say(&mut modem, ORDER), "\r\nERROR\r\n", "there is no data session");
        say(&mut modem, "AT+CGACT=1,1");
        for wrong in ["\"2$x$y\"", "\"1$smdp.example\"", "1", "\"1$smdp.example$TOKEN\",\"1\",\"2\"", ""] {
            assert_eq!(say(&mut modem, &format!("AT+QESIM=\"download\",{wrong}")), "\r\nERROR\r\n", "{wrong}");
        }
        say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
        assert_eq!(say(&mut modem, ORDER), "\r\nERROR\r\n", "the LPA is off");
        say(&mut modem, "AT+QESIM=\"lpa_enable\",1");
        assert!(jobs.0.lock().unwrap().is_empty());
        assert_eq!(say(&mut modem, ORDER), "\r\nOK\r\n");
        assert_eq!(say(&mut modem, ORDER), "\r\nERROR\r\n", "one at a time");
        let job = jobs.0.lock().unwrap().pop().unwrap();
        assert_eq!((job.activation_code.as_str(), job.confirmation_code), ("1$smdp.example$TOKEN", None));
        let ticket = job.ticket;
        assert_eq!(modem.transmit_for_download(ticket, &[0x80, 0xE2]), Err(DownloadGone), "not open yet");
        assert_eq!(modem.open_for_download(ticket), Ok(Ok(())));
        assert_eq!(modem.open_for_download(ticket), Ok(Ok(())));
        assert_eq!(sketch.open_channels(), 1);
        let eid = rsp::ids::from_hex("80E2910006BF3E035C015A").unwrap();
        assert_eq!(modem.transmit_for_download(ticket, &eid).unwrap()[0], 0x61);
        assert_eq!(modem.data_path_for_download(ticket), Ok(DataPath::Up));
        let _ = modem.change_network(&Change::Dns(Dns::Blocked)).unwrap();
        assert_eq!(modem.data_path_for_download(ticket), Ok(DataPath::NoNames));
        say(&mut modem, "AT+CGACT=0,1");
        assert_eq!(modem.data_path_for_download(ticket), Ok(DataPath::Down));
        assert_eq!(said(modem.progress_of_download(ticket, 50)), "\r\n+QESIM: \"download\",254,50\r\n");
        assert_eq!(said(modem.progress_of_download(ticket, 50)), "");
        assert_eq!(said(modem.finish_download(ticket, DownloadResult::Success)), "\r\n+QESIM: \"download\",0\r\n");
        assert_eq!(
            (said(modem.finish_download(ticket, DownloadResult::Success)), sketch.open_channels()),
            (String::new(), 0)
        );
    }

    #[test]
    fn a_restart_ends_it() {
        let sketch = Sketch::of_the_note();
        let (mut modem, jobs) = modem(&sketch);
        say(&mut modem, "AT+CGACT=1,1");
        assert_eq!(say(&mut modem, "AT+QESIM=\"ota\",\"LPA:1$smdp.example$TOKEN\",\"1234\""), "\r\nOK\r\n");
        let DownloadJob { ticket, confirmation_code, .. } = jobs.0.lock().unwrap().pop().unwrap();
        assert_eq!(confirmation_code.as_deref(), Some("1234"));
        assert_eq!(modem.open_for_download(ticket), Ok(Ok(())));
        assert!(modem.progress_of_download(ticket, 10).writes.is_empty(), "the outcome only");
        let _ = modem.reset();
        assert_eq!(modem.transmit_for_download(ticket, &[0x80, 0xE2]), Err(DownloadGone));
        assert_eq!(modem.data_path_for_download(ticket), Err(DownloadGone));
        assert!(modem.finish_download(ticket, DownloadResult::Other).writes.is_empty());
    }

    /// The chicken and the egg: a card without a profile has no network, and without a network there is no download.
    #[test]
    fn without_a_profile_there_is_no_way() {
        let (mut modem, jobs) = modem(&Sketch::blank());
        assert!(say(&mut modem, "AT+CGACT=1,1").contains("ERROR"));
        assert_eq!(say(&mut modem, ORDER), "\r\nERROR\r\n");
        assert!(jobs.0.lock().unwrap().is_empty());
    }
}
