//! What goes wrong, and when.

use std::borrow::Cow;
use std::time::Duration;

use smdp::flaw::PackageFlaw;
use smdp::front::{Action, SegmentPart, TlsFlaw};

use super::Word;
pub use crate::fault::card::CardFault;
pub use crate::fault::line::{LineFault, LineWord};
pub use crate::fault::{CardFunction, Trigger};

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// `name = "does-not-resolve"`: the server's name does not resolve.
    Unresolvable,
    /// Nobody is at the server's address.
    Address(AddressFault),
    /// A fault of the server's front.
    Server(smdp::Fault),
    /// A fault of the AT line.
    Line(LineFault, Trigger),
    /// A fault of the card.
    Card(CardFault, Trigger),
}

/// What is at the server's address instead of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFault {
    /// The name resolves to an address where nobody listens.
    NothingListens,
    /// The address refuses connections.
    Refused,
    /// Nothing comes back from the address.
    BlackHole,
}

/// Faults of the server's name, by their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// It does not resolve.
    DoesNotResolve,
    /// It resolves, and nobody listens there.
    NothingListens,
}

impl Word for NameFault {
    const ALL: &'static [(&'static str, Self)] =
        &[("does-not-resolve", NameFault::DoesNotResolve), ("nothing-listens", NameFault::NothingListens)];
}

impl From<NameFault> for Fault {
    fn from(fault: NameFault) -> Self {
        match fault {
            NameFault::DoesNotResolve => Fault::Unresolvable,
            NameFault::NothingListens => Fault::Address(AddressFault::NothingListens),
        }
    }
}

/// Faults of the TCP connection, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TcpFault {
    /// It is refused.
    Refused,
    /// Nothing comes back.
    BlackHole,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

impl TcpFault {
    /// What the server's front does, where it is the one that does it.
    pub fn action(self) -> Result<Action, AddressFault> {
        match self {
            TcpFault::Refused => Err(AddressFault::Refused),
            TcpFault::BlackHole => Err(AddressFault::BlackHole),
            TcpFault::Close => Ok(Action::TcpClose),
            TcpFault::Reset => Ok(Action::TcpReset),
        }
    }
}

impl Word for TcpFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("refused", TcpFault::Refused),
        ("black-hole", TcpFault::BlackHole),
        ("close", TcpFault::Close),
        ("reset", TcpFault::Reset),
    ];
}

/// Faults of the TLS handshake, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TlsFault {
    /// The connection is closed after the ClientHello.
    Close,
    /// Bytes that are no TLS.
    Garbage,
    /// A fatal alert, handshake_failure.
    Alert,
    /// No answer.
    Hang,
    /// A certificate or version that the client should refuse.
    Flaw(TlsFlaw),
}

impl From<TlsFault> for Action {
    fn from(fault: TlsFault) -> Self {
        match fault {
            TlsFault::Close => Action::TlsClose,
            TlsFault::Garbage => Action::TlsGarbage,
            // RFC 8446 §6.2: handshake_failure.
            TlsFault::Alert => Action::TlsAlert(40),
            TlsFault::Hang => Action::TlsHang,
            TlsFault::Flaw(flaw) => Action::TlsFlaw(flaw),
        }
    }
}

impl Word for TlsFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("close", TlsFault::Close),
        ("garbage", TlsFault::Garbage),
        ("alert", TlsFault::Alert),
        ("hang", TlsFault::Hang),
        ("untrusted", TlsFault::Flaw(TlsFlaw::Untrusted)),
        ("expired", TlsFault::Flaw(TlsFlaw::Expired)),
        ("wrong-name", TlsFault::Flaw(TlsFlaw::WrongName)),
        ("wrong-role", TlsFault::Flaw(TlsFlaw::WrongRole)),
        ("old-version", TlsFault::Flaw(TlsFlaw::OldVersion)),
    ];
}

/// Faults of HTTP, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HttpFault {
    /// No response at all.
    NoReply,
    /// The response is cut short.
    Cut,
    /// The response comes in small pieces.
    Drip,
    /// The content type is another.
    ContentType,
    /// The body is no JSON.
    NoJson,
    /// A huge body.
    Huge,
}

impl HttpFault {
    /// The action, with this number of bytes where one counts.
    pub fn action(self, bytes: Option<usize>) -> Action {
        match self {
            HttpFault::NoReply => Action::HttpNoReply,
            HttpFault::Cut => Action::HttpCut { after: bytes.unwrap_or(20) },
            HttpFault::Drip => Action::HttpDrip { size: bytes.unwrap_or(512), pause: Duration::from_millis(5) },
            HttpFault::ContentType => Action::HttpContentType,
            HttpFault::NoJson => Action::HttpGarbage,
            HttpFault::Huge => Action::HttpHuge { bytes: bytes.unwrap_or(20_000_000) },
        }
    }

    /// Whether a number of bytes means something to it.
    pub fn counts_bytes(self) -> bool {
        matches!(self, HttpFault::Cut | HttpFault::Drip | HttpFault::Huge)
    }
}

impl Word for HttpFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("no-reply", HttpFault::NoReply),
        ("cut", HttpFault::Cut),
        ("drip", HttpFault::Drip),
        ("content-type", HttpFault::ContentType),
        ("no-json", HttpFault::NoJson),
        ("huge", HttpFault::Huge),
    ];
}

/// The HTTP status with the text that a fault sends when it is given none.
pub fn http_status_fault(status: u16, body: Option<String>) -> Action {
    let body = body.map_or_else(|| Cow::from(format!("status {status} because a fault says so\n")), Cow::from);
    Action::HttpStatus { status, body }
}

/// Faults of the messages of ES9+, by their words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Es9PlusFault {
    /// One bit of a segment of the bound profile package is another.
    TamperSegment,
    /// One bit of the MAC of such a segment is another.
    TamperMac,
    /// One bit of the signature in the response is another.
    BadSignature,
    /// The transaction id in the response is another.
    WrongTransactionId,
    /// The certificate in the response is the server's other one.
    WrongCertificate,
    /// The response is that of an earlier session.
    Replay,
    /// The package is made wrong from the beginning.
    Flaw(PackageFlaw),
}

impl Es9PlusFault {
    /// The action, at this segment where it is about one.
    pub fn action(self, segment: usize) -> Action {
        match self {
            Es9PlusFault::TamperSegment => Action::TamperSegment { segment, part: SegmentPart::Data },
            Es9PlusFault::TamperMac => Action::TamperSegment { segment, part: SegmentPart::Mac },
            Es9PlusFault::BadSignature => Action::BadSignature,
            Es9PlusFault::WrongTransactionId => Action::WrongTransactionId,
            Es9PlusFault::WrongCertificate => Action::WrongCertificate,
            Es9PlusFault::Replay => Action::Replay,
            Es9PlusFault::Flaw(flaw) => Action::Flaw(flaw),
        }
    }
}

impl Word for Es9PlusFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("tamper-segment", Es9PlusFault::TamperSegment),
        ("tamper-mac", Es9PlusFault::TamperMac),
        ("bad-signature", Es9PlusFault::BadSignature),
        ("wrong-transaction-id", Es9PlusFault::WrongTransactionId),
        ("wrong-certificate", Es9PlusFault::WrongCertificate),
        ("replay", Es9PlusFault::Replay),
        ("package-transaction-id", Es9PlusFault::Flaw(PackageFlaw::TransactionId)),
        ("package-operation", Es9PlusFault::Flaw(PackageFlaw::RemoteOperation)),
        ("package-key-type", Es9PlusFault::Flaw(PackageFlaw::KeyType)),
        ("package-host-id", Es9PlusFault::Flaw(PackageFlaw::HostId)),
        ("package-isdp", Es9PlusFault::Flaw(PackageFlaw::ConfigureIsdp)),
        ("package-isdp-mac", Es9PlusFault::Flaw(PackageFlaw::ConfigureIsdpMac)),
        ("package-metadata", Es9PlusFault::Flaw(PackageFlaw::Metadata)),
        ("package-metadata-mac", Es9PlusFault::Flaw(PackageFlaw::MetadataMac)),
        ("package-keys-mac", Es9PlusFault::Flaw(PackageFlaw::SessionKeysMac)),
        ("package-iccid", Es9PlusFault::Flaw(PackageFlaw::Iccid)),
        ("package-class", Es9PlusFault::Flaw(PackageFlaw::Class)),
        ("package-test-class", Es9PlusFault::Flaw(PackageFlaw::TestClass)),
        ("package-rules", Es9PlusFault::Flaw(PackageFlaw::Rules)),
        ("package-element", Es9PlusFault::Flaw(PackageFlaw::UnknownElement)),
        ("package-no-metadata", Es9PlusFault::Flaw(PackageFlaw::NoMetadata)),
        ("package-short-segment", Es9PlusFault::Flaw(PackageFlaw::ShortSegment)),
    ];
}
