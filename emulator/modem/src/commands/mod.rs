//! The command table: which commands there are, in which forms, how long each may take, and what carries it out.
//!
//! A handler works on an [`Exec`]: it reads and changes the state of the modem and of the port the command came from,
//! and leaves lines for the information response. What the table does not hold is answered `ERROR`.

mod access;
mod book;
mod context;
mod files;
mod general;
mod message;
mod network;
mod packet;
mod power;
mod qcfg;
mod qesim;
mod quectel;
mod radio;
mod security;
mod serving;
mod ssl;
mod tcpip;
mod v250;

use std::time::Duration;

use crate::connection::Connection;
use crate::entry::Entry as DataEntry;
use crate::errors::CmeError;
use crate::model::CommandSet;
use crate::parse::{Command, Form, Params, Parser, RegisterAction};
use crate::prompt::Prompt;
use crate::result::{Failure, ResultCode};
use crate::settings::Settings;
use crate::sim::Files;
use crate::socket::SocketId;
use crate::state::State;

pub(crate) use files::entered;
pub(crate) use message::{complete, deliver, incoming};
pub(crate) use qcfg::{QcfgSetting, configuration};
pub(crate) use quectel::{INDICATIONS, is_preference, preferences};
pub(crate) use v250::RATES;

/// What follows a response.
#[derive(Debug, Default)]
pub(crate) enum Next {
    #[default]
    Nothing,
    /// Text is to be entered.
    Prompt(Box<Prompt>),
    /// Data are to be entered.
    Entry(Box<DataEntry>),
    /// Data mode begins.
    Connect,
    /// The result comes from a socket.
    Await {
        /// The socket.
        socket: SocketId,
        /// It is its end that is waited for.
        closes: bool,
    },
    /// The module restarts.
    Restart,
    /// The module switches itself off.
    PowerDown,
}

/// A command in execution.
pub(crate) struct Exec<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) settings: &'a mut Settings,
    /// The profile that `&W` writes and `Z` reads.
    pub(crate) stored: &'a mut Settings,
    /// The connection of the port, if it has one.
    pub(crate) connection: &'a mut Option<Connection>,
    /// No other command follows on the line.
    pub(crate) is_last: bool,
    /// The port that the command came from.
    pub(crate) port: usize,
    /// A header, and data behind it, before the information response.
    pub(crate) framed: Option<(String, Vec<u8>)>,
    /// The information response.
    pub(crate) lines: Vec<String>,
    /// Data behind it.
    pub(crate) data: Option<Vec<u8>>,
    /// What follows the response.
    pub(crate) next: Next,
    /// The result code in the place of `OK`; it ends the line.
    pub(crate) code: Option<ResultCode>,
    /// What is answered when the host does not wait.
    pub(crate) abort: Option<ResultCode>,
    /// How long the command takes, in milliseconds.
    pub(crate) delay: u32,
}

/// How a command ended.
pub(crate) type Outcome = Result<(), Failure>;

type Handler = fn(&mut Exec<'_>) -> Outcome;
type WriteHandler = fn(&mut Exec<'_>, &Params) -> Outcome;

/// What a test command (`=?`) answers.
#[derive(Clone, Copy)]
enum Test {
    /// `OK` alone.
    Ok,
    /// One line, then `OK`.
    Text(&'static str),
    /// Something that depends on the modem.
    Call(Handler),
}

/// An extended command and its forms. A form that is `None` is answered `ERROR`.
struct Entry {
    name: &'static str,
    execute: Option<Handler>,
    read: Option<Handler>,
    test: Test,
    write: Option<WriteHandler>,
    /// The maximum response time, in milliseconds.
    within: u32,
    /// V.250 §5.6.1: a character aborts it.
    abortable: bool,
    /// The set that a model has to have for it.
    set: CommandSet,
}

/// A basic command: its name, the greatest value it takes (a missing one counts as 0), and what carries it out.
struct BasicEntry {
    name: &'static str,
    greatest: u32,
    run: fn(&mut Exec<'_>, u32) -> Outcome,
}

/// The maximum response time of a command of which no document tells another: that of the eSIM LPA Application Note
/// for all of its commands.
const WITHIN: u32 = 300;

/// The maximum response time of `D`: how long a call may take to be answered (V.250 §6.3.10).
const DIAL_WITHIN: Duration = Duration::from_secs(60);

const fn entry(name: &'static str) -> Entry {
    Entry {
        name,
        execute: None,
        read: None,
        test: Test::Ok,
        write: None,
        within: WITHIN,
        abortable: false,
        set: CommandSet::Common,
    }
}

/// A command that tells something.
const fn tells(name: &'static str, execute: Handler) -> Entry {
    Entry { execute: Some(execute), ..entry(name) }
}

/// A command that takes parameters only, tested by a text.
const fn written(name: &'static str, test: &'static str, write: WriteHandler) -> Entry {
    Entry { test: Test::Text(test), write: Some(write), ..entry(name) }
}

/// Makes a command one of a set.
const fn of(set: CommandSet, entry: Entry) -> Entry {
    Entry { set, ..entry }
}

/// A setting: read, tested by a text, written.
const fn setting(name: &'static str, read: Handler, test: &'static str, write: WriteHandler) -> Entry {
    Entry { read: Some(read), test: Test::Text(test), write: Some(write), ..entry(name) }
}

/// The same, tested by what depends on the modem.
const fn called(name: &'static str, read: Handler, test: Handler, write: WriteHandler) -> Entry {
    Entry { read: Some(read), test: Test::Call(test), write: Some(write), ..entry(name) }
}

/// The extended commands.
const EXTENDED: &[Entry] = &[
    // V.250 §6.1, TS 27.007 §5.
    tells("+CGMI", general::manufacturer),
    tells("+GMI", general::manufacturer),
    tells("+CGMM", general::model),
    tells("+GMM", general::model),
    tells("+CGMR", general::revision),
    tells("+GMR", general::revision),
    Entry { test: Test::Text("+CGSN: (0-3)"), write: Some(general::serial), ..tells("+CGSN", general::imei) },
    tells("+GSN", general::imei),
    tells("+GCAP", general::capabilities),
    tells("+QGMR", general::firmware),
    Entry { within: 5_000, ..tells("+CIMI", general::imsi) },
    setting("+CSCS", general::read_cscs, "+CSCS: (\"GSM\",\"IRA\",\"UCS2\")", general::write_cscs),
    setting("+CMEE", general::read_cmee, "+CMEE: (0-2)", general::write_cmee),
    tells("+CEER", general::cause),
    // V.250 §6.2.
    setting("+IPR", v250::read_rate, v250::RATES_TEST, v250::write_rate),
    setting("+IFC", v250::read_flow_control, "+IFC: (0,2),(0,2)", v250::write_flow_control),
    setting("+ICF", v250::read_framing, "+ICF: (3),(0-3)", v250::write_framing),
    // TS 27.007 §8.
    Entry { within: 15_000, ..setting("+CFUN", general::read_cfun, "+CFUN: (0,1,4),(0,1)", general::write_cfun) },
    Entry { test: Test::Text("+CPAS: (0,3,4)"), ..tells("+CPAS", general::activity) },
    Entry { read: Some(general::read_cind), test: Test::Text(general::CIND_TEST), ..entry("+CIND") },
    setting("+CCLK", general::read_clock, "+CCLK: \"yy/MM/dd,hh:mm:ss±zz\"", general::write_clock),
    setting("+CTZU", general::read_zone_update, "+CTZU: (0,1,3)", general::write_zone_update),
    setting("+CTZR", general::read_zone_report, "+CTZR: (0-2)", general::write_zone_report),
    // PIN and facilities.
    Entry { within: 5_000, read: Some(security::read_cpin), write: Some(security::write_cpin), ..entry("+CPIN") },
    Entry {
        within: 5_000,
        test: Test::Text("+CLCK: (\"SC\",\"PN\",\"PU\",\"PP\",\"PC\",\"PF\")"),
        write: Some(security::write_clck),
        ..entry("+CLCK")
    },
    Entry {
        within: 5_000,
        test: Test::Text("+CPWD: (\"SC\",8),(\"P2\",8)"),
        write: Some(security::write_cpwd),
        ..entry("+CPWD")
    },
    Entry { write: Some(security::write_cpinr), ..tells("+CPINR", security::cpinr) },
    Entry {
        test: Test::Text("+QPINC: (\"SC\",\"P2\")"),
        read: Some(security::read_qpinc),
        write: Some(security::write_qpinc),
        ..entry("+QPINC")
    },
    // The card (TS 27.007 §8.17, §8.18, §8.43 to §8.46).
    Entry { within: 8_000, test: Test::Call(access::test_csim), write: Some(access::csim), ..entry("+CSIM") },
    Entry { within: 8_000, write: Some(access::crsm), ..entry("+CRSM") },
    Entry { within: 8_000, test: Test::Call(access::test_ccho), write: Some(access::ccho), ..entry("+CCHO") },
    Entry { within: 8_000, test: Test::Call(access::test_cchc), write: Some(access::cchc), ..entry("+CCHC") },
    Entry { within: 8_000, test: Test::Call(access::test_cgla), write: Some(access::cgla), ..entry("+CGLA") },
    tells("+QCCID", general::iccid),
    // The network (TS 27.007 §7, §8.5, §8.69).
    called("+CREG", network::read_creg, network::test_creg, network::write_creg),
    called("+CGREG", network::read_cgreg, network::test_cgreg, network::write_cgreg),
    called("+CEREG", network::read_cereg, network::test_cereg, network::write_cereg),
    called("+C5GREG", network::read_c5greg, network::test_c5greg, network::write_c5greg),
    Entry {
        within: 180_000,
        abortable: true,
        read: Some(network::read_cops),
        test: Test::Call(network::test_cops),
        write: Some(network::write_cops),
        ..entry("+COPS")
    },
    Entry { test: Test::Text("+CSQ: (0-31,99),(0-7,99)"), ..tells("+CSQ", serving::signal) },
    Entry { test: Test::Text(serving::CESQ_TEST), ..tells("+CESQ", serving::extended_signal) },
    setting("+WS46", network::read_ws46, "+WS46: (22,28,30,31)", network::write_ws46),
    Entry {
        read: Some(network::read_cpol),
        test: Test::Call(network::test_cpol),
        write: Some(network::write_cpol),
        ..entry("+CPOL")
    },
    Entry {
        within: 120_000,
        abortable: true,
        ..setting("+CUSD", network::read_cusd, "+CUSD: (0-2)", network::write_cusd)
    },
    // Packet data (TS 27.007 §10.1).
    Entry {
        read: Some(packet::read_cgdcont),
        test: Test::Call(packet::test_cgdcont),
        write: Some(packet::write_cgdcont),
        ..entry("+CGDCONT")
    },
    Entry { within: 140_000, ..setting("+CGATT", packet::read_cgatt, "+CGATT: (0,1)", packet::write_cgatt) },
    Entry { within: 150_000, ..setting("+CGACT", packet::read_cgact, "+CGACT: (0,1)", packet::write_cgact) },
    Entry {
        test: Test::Call(packet::test_cgpaddr),
        write: Some(packet::addresses_of),
        ..tells("+CGPADDR", packet::addresses)
    },
    Entry {
        test: Test::Call(packet::test_cgcontrdp),
        write: Some(packet::dynamic_of),
        ..tells("+CGCONTRDP", packet::dynamic)
    },
    setting("+CGAUTH", packet::read_cgauth, "+CGAUTH: (1-15),(0-2),127,127", packet::write_cgauth),
    Entry {
        execute: Some(packet::default_cgerep),
        ..setting("+CGEREP", packet::read_cgerep, "+CGEREP: (0-2),(0,1)", packet::write_cgerep)
    },
    // Power saving (TS 27.007 §7.38, §7.40, §7.41).
    of(CommandSet::PowerSaving, setting("+CPSMS", power::read_cpsms, power::CPSMS_TEST, power::write_psm)),
    of(CommandSet::PowerSaving, setting("+QPSMS", power::read_qpsms, power::QPSMS_TEST, power::write_psm)),
    of(CommandSet::PowerSaving, setting("+CEDRXS", power::read_cedrxs, power::CEDRXS_TEST, power::write_cedrxs)),
    of(CommandSet::PowerSaving, tells("+CEDRXRDP", power::read_cycle)),
    of(CommandSet::Ublox, setting("+UCGDFLT", radio::read_ucgdflt, radio::UCGDFLT_TEST, radio::write_ucgdflt)),
    of(
        CommandSet::Ublox,
        Entry { test: Test::Text(radio::UDCONF_TEST), write: Some(radio::write_udconf), ..entry("+UDCONF") },
    ),
    tells("+CNUM", book::own),
    // Phone book (TS 27.007 §8.11 to §8.14).
    Entry {
        read: Some(book::read_cpbs),
        test: Test::Call(book::test_cpbs),
        write: Some(book::write_cpbs),
        ..entry("+CPBS")
    },
    Entry { test: Test::Call(book::test_cpbr), write: Some(book::read_entries), ..entry("+CPBR") },
    Entry { test: Test::Call(book::test_cpbw), write: Some(book::write_entry), ..entry("+CPBW") },
    // Messages (TS 27.005).
    Entry {
        read: Some(message::read_csms),
        test: Test::Text("+CSMS: (0,1)"),
        write: Some(message::write_csms),
        ..entry("+CSMS")
    },
    Entry {
        execute: Some(message::default_cmgf),
        ..setting("+CMGF", message::read_cmgf, "+CMGF: (0,1)", message::write_cmgf)
    },
    Entry {
        read: Some(message::read_cpms),
        test: Test::Text(message::CPMS_TEST),
        write: Some(message::write_cpms),
        ..entry("+CPMS")
    },
    Entry { read: Some(message::read_csca), write: Some(message::write_csca), ..entry("+CSCA") },
    Entry { read: Some(message::read_csmp), write: Some(message::write_csmp), ..entry("+CSMP") },
    setting("+CSDH", message::read_csdh, "+CSDH: (0,1)", message::write_csdh),
    Entry {
        execute: Some(message::default_cmms),
        ..setting("+CMMS", message::read_cmms, "+CMMS: (0-2)", message::write_cmms)
    },
    setting("+CNMI", message::read_cnmi, "+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)", message::write_cnmi),
    Entry { within: 120_000, write: Some(message::send), ..entry("+CMGS") },
    Entry { within: 120_000, write: Some(message::send_stored), ..entry("+CMSS") },
    Entry { execute: Some(message::write_plain), write: Some(message::write), ..entry("+CMGW") },
    Entry { write: Some(message::read), ..entry("+CMGR") },
    Entry {
        test: Test::Call(message::test_cmgl),
        execute: Some(message::list_unread),
        write: Some(message::list),
        ..entry("+CMGL")
    },
    Entry { test: Test::Call(message::test_cmgd), write: Some(message::delete), ..entry("+CMGD") },
    Entry { execute: Some(message::acknowledge), write: Some(message::acknowledge_with), ..entry("+CNMA") },
    // The maker's own.
    Entry { test: Test::Text("+QINISTAT: (0-7)"), ..tells("+QINISTAT", quectel::initialised) },
    setting("+QSIMSTAT", quectel::read_card_status, "+QSIMSTAT: (0,1)", quectel::write_card_status),
    setting("+QSIMDET", quectel::read_card_detection, "+QSIMDET: (0,1),(0,1)", quectel::write_card_detection),
    setting("+QUIMSLOT", quectel::read_slot, "+QUIMSLOT: (1,2)", quectel::write_slot),
    Entry { test: Test::Call(quectel::test_qindcfg), write: Some(quectel::write_qindcfg), ..entry("+QINDCFG") },
    Entry { test: Test::Call(qcfg::test), write: Some(qcfg::write), ..entry("+QCFG") },
    Entry { test: Test::Text(quectel::QURCCFG_TEST), write: Some(quectel::write_qurccfg), ..entry("+QURCCFG") },
    tells("+QNWINFO", serving::network_information),
    Entry { test: Test::Text("+QENG: \"servingcell\""), write: Some(serving::engineering), ..entry("+QENG") },
    Entry {
        test: Test::Call(quectel::test_preferences),
        write: Some(quectel::write_preferences),
        ..entry("+QNWPREFCFG")
    },
    tells("+QTEMP", quectel::temperatures),
    Entry {
        execute: Some(quectel::power_down),
        test: Test::Text("+QPOWD: (0,1)"),
        write: Some(quectel::power_down_as),
        ..entry("+QPOWD")
    },
    Entry { test: Test::Call(qesim::test), write: Some(qesim::write), ..entry("+QESIM") },
    // The module's own TCP/IP stack (EC200U&EG915U TCP/IP AN 1.1).
    of(
        CommandSet::Sockets,
        Entry {
            test: Test::Text("+QICSGP: (1-7),(1-3),<APN>,<username>,<password>,(0-2)"),
            write: Some(context::configure),
            ..entry("+QICSGP")
        },
    ),
    of(
        CommandSet::Sockets,
        Entry { within: 150_000, ..setting("+QIACT", context::read_active, "+QIACT: (1-7)", context::activate) },
    ),
    of(
        CommandSet::Sockets,
        Entry {
            within: 40_000,
            test: Test::Text("+QIDEACT: (1-7)"),
            write: Some(context::deactivate),
            ..entry("+QIDEACT")
        },
    ),
    of(
        CommandSet::Sockets,
        Entry {
            test: Test::Text("+QIDNSCFG: (1-7),<pridnsaddr>,<secdnsaddr>"),
            write: Some(context::name_servers),
            ..entry("+QIDNSCFG")
        },
    ),
    of(CommandSet::Sockets, tells("+QIGETERROR", context::last_error)),
    of(
        CommandSet::Sockets,
        Entry {
            within: 60_000,
            test: Test::Text("+QIDNSGIP: (1-7),<hostname>"),
            write: Some(tcpip::look_up),
            ..entry("+QIDNSGIP")
        },
    ),
    of(
        CommandSet::Sockets,
        Entry {
            within: 150_000,
            test: Test::Text(
                "+QIOPEN: (1-7),(0-11),\"TCP/UDP/TCP LISTENER/UDP SERVICE\",\"<IP_address>/<domain_name>\",\
                 <remote_port>,<local_port>,(0-2),(0-11),(10-150)",
            ),
            write: Some(tcpip::open),
            ..entry("+QIOPEN")
        },
    ),
    of(
        CommandSet::Sockets,
        Entry {
            within: 10_000,
            test: Test::Text("+QICLOSE: (0-11),(0-65535)"),
            write: Some(tcpip::close),
            ..entry("+QICLOSE")
        },
    ),
    of(
        CommandSet::Sockets,
        Entry { read: Some(tcpip::states), write: Some(tcpip::states_of), ..tells("+QISTATE", tcpip::states) },
    ),
    of(
        CommandSet::Sockets,
        Entry { test: Test::Text("+QISEND: (0-11),(0-1460)"), write: Some(tcpip::send), ..entry("+QISEND") },
    ),
    of(
        CommandSet::Sockets,
        Entry {
            test: Test::Text("+QISENDEX: (0-11),<hex_string>"),
            write: Some(tcpip::send_hex),
            ..entry("+QISENDEX")
        },
    ),
    of(
        CommandSet::Sockets,
        Entry { test: Test::Text("+QIRD: (0-11),(0-1500)"), write: Some(tcpip::read), ..entry("+QIRD") },
    ),
    of(
        CommandSet::Sockets,
        Entry { test: Test::Text("+QISWTMD: (0-11),(0-2)"), write: Some(tcpip::switch), ..entry("+QISWTMD") },
    ),
    // TLS (EC200U&EG915U SSL AN 1.1).
    of(
        CommandSet::Ssl,
        Entry { test: Test::Call(ssl::test_configure), write: Some(ssl::configure), ..entry("+QSSLCFG") },
    ),
    of(
        CommandSet::Ssl,
        Entry {
            within: ssl::WITHIN,
            test: Test::Text("+QSSLOPEN: (1-7),(0-5),(0-11),<serveraddr>,<server_port>[,(0-2)]"),
            write: Some(ssl::open),
            ..entry("+QSSLOPEN")
        },
    ),
    of(
        CommandSet::Ssl,
        Entry { test: Test::Text("+QSSLSEND: (0-11)[,(1-1460)]"), write: Some(ssl::send), ..entry("+QSSLSEND") },
    ),
    of(
        CommandSet::Ssl,
        Entry { test: Test::Text("+QSSLRECV: (0-11),(1-1500)"), write: Some(ssl::receive), ..entry("+QSSLRECV") },
    ),
    of(
        CommandSet::Ssl,
        Entry {
            within: 10_000,
            test: Test::Text("+QSSLCLOSE: (0-11),(0-65535)"),
            write: Some(ssl::close),
            ..entry("+QSSLCLOSE")
        },
    ),
    of(CommandSet::Ssl, Entry { write: Some(ssl::state_of), ..tells("+QSSLSTATE", ssl::states) }),
    // Files (the maker's FILE Application Note).
    of(CommandSet::Files, Entry { write: Some(files::space), ..tells("+QFLDS", files::used) }),
    of(CommandSet::Files, Entry { write: Some(files::list_like), ..tells("+QFLST", files::list) }),
    of(CommandSet::Files, written("+QFDEL", "+QFDEL: <filename>", files::delete)),
    of(
        CommandSet::Files,
        Entry { test: Test::Call(files::test_upload), write: Some(files::upload), ..entry("+QFUPL") },
    ),
    of(CommandSet::Files, written("+QFDWL", "+QFDWL: <filename>", files::download)),
    of(
        CommandSet::Files,
        Entry { read: Some(files::read_open), ..written("+QFOPEN", "+QFOPEN: <filename>[,(0-2)]", files::open) },
    ),
    of(CommandSet::Files, written("+QFREAD", "+QFREAD: <filehandle>[,<length>]", files::read)),
    of(CommandSet::Files, written("+QFWRITE", "+QFWRITE: <filehandle>[,<length>[,<timeout>]]", files::write)),
    of(CommandSet::Files, written("+QFSEEK", "+QFSEEK: <filehandle>,<offset>[,<position>]", files::seek)),
    of(CommandSet::Files, written("+QFPOSITION", "+QFPOSITION: <filehandle>", files::position)),
    of(CommandSet::Files, written("+QFTUCAT", "+QFTUCAT: <filehandle>", files::truncate)),
    of(CommandSet::Files, written("+QFFLUSH", "+QFFLUSH: <filehandle>", files::flush)),
    of(CommandSet::Files, written("+QFCLOSE", "+QFCLOSE: <filehandle>", files::close)),
];

/// The basic commands.
const BASIC: &[BasicEntry] = &[
    BasicEntry { name: "E", greatest: 1, run: v250::echo },
    BasicEntry { name: "Q", greatest: 1, run: v250::quiet },
    BasicEntry { name: "V", greatest: 1, run: v250::verbose },
    BasicEntry { name: "X", greatest: 4, run: v250::progress },
    BasicEntry { name: "&C", greatest: 2, run: v250::carrier_detect },
    BasicEntry { name: "&D", greatest: 2, run: v250::terminal_ready },
    BasicEntry { name: "&F", greatest: 0, run: v250::factory },
    BasicEntry { name: "&V", greatest: 0, run: v250::view },
    BasicEntry { name: "&W", greatest: 0, run: v250::store },
    BasicEntry { name: "Z", greatest: 0, run: v250::restore },
    BasicEntry { name: "I", greatest: 0, run: general::identify },
    // V.250 §6.3.
    BasicEntry { name: "A", greatest: 0, run: v250::answer },
    BasicEntry { name: "H", greatest: 0, run: v250::hook },
    BasicEntry { name: "O", greatest: 0, run: v250::online },
    BasicEntry { name: "P", greatest: 0, run: v250::nothing },
    BasicEntry { name: "T", greatest: 0, run: v250::nothing },
    // V.250 §6.3.13, §6.3.14: there is no loudspeaker.
    BasicEntry { name: "L", greatest: 3, run: v250::ignored },
    BasicEntry { name: "M", greatest: 3, run: v250::ignored },
];

/// The names of the extended commands.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    EXTENDED.iter().map(|entry| entry.name)
}

/// Which forms a command has, beside its test form.
#[cfg(test)]
pub(crate) struct Forms {
    pub(crate) execute: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// The forms of an extended command.
#[cfg(test)]
pub(crate) fn forms(name: &str) -> Option<Forms> {
    let entry = EXTENDED.iter().find(|entry| entry.name == name)?;
    let Entry { execute, read, write, .. } = entry;
    Some(Forms { execute: execute.is_some(), read: read.is_some(), write: write.is_some() })
}

/// The set that an extended command is of.
#[cfg(test)]
pub(crate) fn set_of(name: &str) -> Option<CommandSet> {
    EXTENDED.iter().find(|entry| entry.name == name).map(|entry| entry.set)
}

/// The maximum response time that the documents give an extended command, or 300 ms where they give none.
///
/// ```
/// let within = modem::maximum_response_time("+QESIM");
/// assert_eq!(within, Some(std::time::Duration::from_millis(300)));
/// ```
pub fn maximum_response_time(name: &str) -> Option<Duration> {
    let entry = EXTENDED.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))?;
    Some(Duration::from_millis(entry.within.into()))
}

/// The maximum response time of a whole command line: that of all its commands, one after the other. What is no
/// command, or none that is known, counts as one of which no document tells.
///
/// ```
/// let within = modem::maximum_response_time_of_line("AT+QESIM=\"eid\";+COPS?");
/// assert_eq!(within, std::time::Duration::from_millis(180_300));
/// ```
pub fn maximum_response_time_of_line(line: &str) -> Duration {
    let unknown = Duration::from_millis(WITHIN.into());
    let body = line.get(2..).unwrap_or_default();
    let mut parser = Parser::new(body.as_bytes());
    let mut sum = Duration::ZERO;
    while let Some(command) = parser.next() {
        sum += match command {
            Ok(Command::Extended { name, .. }) => maximum_response_time(&name).unwrap_or(unknown),
            Ok(Command::Dial { .. }) => DIAL_WITHIN,
            Ok(_) | Err(_) => unknown,
        };
    }
    sum.max(unknown)
}

/// Carries out one command.
pub(crate) fn run(exec: &mut Exec<'_>, command: Command) -> Outcome {
    if exec.state.is_realistic() {
        let times = &exec.state.model.times;
        let own = match &command {
            Command::Dial { .. } => times.commands.get("D"),
            Command::Extended { name, form: Form::Test } => times.commands.get(&format!("{name}=?")),
            // Reading what is known takes no time of its own.
            Command::Extended { form: Form::Read, .. } => None,
            Command::Extended { name, .. } => times.commands.get(name),
            _ => None,
        };
        exec.delay = own.copied().unwrap_or(times.command);
    }
    match command {
        Command::Basic { name, value } => {
            let value = value.unwrap_or(0);
            let entry = BASIC.iter().find(|entry| entry.name == name).ok_or(Failure::Error)?;
            if value > entry.greatest {
                return Err(Failure::Error);
            }
            (entry.run)(exec, value)
        }
        Command::Dial { number, voice } => v250::dial(exec, &number, voice),
        Command::Register { index, action: RegisterAction::Read } => v250::read_register(exec, index),
        Command::Register { index, action: RegisterAction::Write(value) } => v250::write_register(exec, index, value),
        Command::Extended { name, form } => {
            let entry = EXTENDED.iter().find(|entry| entry.name == name).ok_or(Failure::Error)?;
            let dialect = &exec.state.model.dialect;
            if !dialect.has_set(entry.set)
                || dialect.lacks_command(&name)
                || (form == Form::Test && dialect.lacks_test(&name))
            {
                return Err(Failure::Error);
            }
            if form == Form::Test && dialect.is_silent_on_test(&name) {
                return Err(Failure::Silence);
            }
            if entry.abortable && form != Form::Read {
                exec.abort = Some(ResultCode::Ok);
            }
            match form {
                Form::Execute => entry.execute.ok_or(Failure::Error)?(exec),
                Form::Read => entry.read.ok_or(Failure::Error)?(exec),
                Form::Write(params) => entry.write.ok_or(Failure::Error)?(exec, &params),
                Form::Test => match entry.test {
                    Test::Ok => Ok(()),
                    Test::Text(line) => {
                        exec.line(line);
                        Ok(())
                    }
                    Test::Call(handler) => handler(exec),
                },
            }
        }
    }
}

impl Exec<'_> {
    /// Adds a line to the information response.
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Puts data behind the information response.
    fn data(&mut self, data: Vec<u8>) {
        self.data = Some(data);
    }

    /// Puts data with a header in front of the information response.
    fn framed(&mut self, header: &str, data: Vec<u8>) {
        self.framed = Some((header.to_owned(), data));
    }

    /// A text in quotes, in the character set of the port.
    fn text(&self, text: &str) -> String {
        crate::parse::quote(&self.settings.charset.encode(text))
    }
}

impl State {
    /// The files of the card.
    pub(crate) fn files(&mut self) -> Files<'_> {
        Files { uicc: &mut self.uicc, tap: &mut self.tap, usim: self.sim.usim.as_deref() }
    }
}

/// What is wrong with parameters.
const INCORRECT: Failure = Failure::Cme(CmeError::IncorrectParameters);

/// A command has at most so many parameters.
fn at_most(params: &Params, count: usize) -> Outcome {
    if params.len() > count { Err(INCORRECT) } else { Ok(()) }
}

/// A number from a list of ranges; the default when it is left out. Without a default it must be there.
fn choice(params: &Params, index: usize, allowed: &[u32], default: Option<u32>) -> Result<u32, Failure> {
    if params.omitted(index) {
        return default.ok_or(INCORRECT);
    }
    params.number(index).filter(|value| allowed.contains(value)).ok_or(INCORRECT)
}

/// The one number of a setting that has one.
fn single(params: &Params, allowed: &[u32]) -> Result<u8, Failure> {
    at_most(params, 1)?;
    choice(params, 0, allowed, None).map(|value| value as u8)
}

/// A name in quotes (or without, as hosts write it), in upper case.
fn name(params: &Params, index: usize) -> Result<String, Failure> {
    let text = params.text(index).and_then(|text| std::str::from_utf8(text).ok()).ok_or(INCORRECT)?;
    Ok(text.to_ascii_uppercase())
}
