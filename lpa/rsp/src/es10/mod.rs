//! The messages of ES10a, ES10b, ES10c and of the ES8+ functions inside them (SGP.22 v2.5 §5.5, §5.7, annex H).
//!
//! A message is a struct with `parse` and `encode`. What it borrows, it borrows from the bytes that arrived: parts
//! that somebody signs or forwards are kept as [`Received`], value and raw slice together. Requests are encoded by
//! the LPA and parsed by the card, responses the other way round; the SM-DP+ parses what the card has signed.
//!
//! Unknown elements are skipped; known ones are found in their order. Numbers that stand for a result or a reason are
//! enums with the specification's names and an `Other` for what a peer may send besides.

use std::ops::Deref;

use crate::ids::IdError;
use crate::tlv::{Tag, Tlv, TlvError};
use crate::{Iccid, TransactionId};

pub mod auth;
pub mod config;
pub mod crl;
pub mod download;
pub mod info;
pub mod notification;
pub mod profiles;

/// ECDSA signature, `5F37` with 64 bytes.
pub const TAG_SIGNATURE: u32 = 0x5F37;
/// One-time public key, `5F49` with 65 bytes.
pub const TAG_OTPK: u32 = 0x5F49;
/// A SEQUENCE.
pub const TAG_SEQUENCE: u32 = 0x30;

/// A value together with the very bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a, T> {
    /// The whole element, tag and length included, as it arrived: this is what signatures cover.
    pub raw: &'a [u8],
    /// What it says.
    pub value: T,
}

impl<T> Deref for Received<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'a, T> Received<'a, T> {
    fn read(tlv: Tlv<'a>, parse: impl FnOnce(Tlv<'a>) -> Result<T, TlvError>) -> Result<Self, TlvError> {
        Ok(Received { raw: tlv.raw(), value: parse(tlv)? })
    }
}

/// Declares an enum of the specification's numbers, with names, and `Other` for the rest.
macro_rules! codes {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "` (", stringify!($code), ").")] $variant,)*
            /// A number that this version of the specification does not name.
            Other(u32),
        }

        impl $name {
            /// The number on the wire.
            pub fn code(self) -> u32 {
                match self {
                    $($name::$variant => $code,)*
                    $name::Other(code) => code,
                }
            }

            /// The value with this number.
            pub fn from_code(code: u32) -> Self {
                match code {
                    $($code => $name::$variant,)*
                    other => $name::Other(other),
                }
            }

            /// The name in the specification; `unknown` for others.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                    $name::Other(_) => "unknown",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} ({})", self.name(), self.code())
            }
        }
    };
}
pub(crate) use codes;

/// A signature element's 64 bytes.
fn signature(tlv: Tlv<'_>) -> Result<&[u8], TlvError> {
    if tlv.value().len() == 64 {
        Ok(tlv.value())
    } else {
        Err(TlvError::BadValue { tag: tlv.tag(), rule: "a signature of 64 bytes (r and s, TR-03111)" })
    }
}

fn transaction_id(tlv: Tlv<'_>) -> Result<TransactionId, TlvError> {
    TransactionId::from_bytes(tlv.value()).map_err(|error| bad(tlv.tag(), &error))
}

fn iccid(tlv: Tlv<'_>) -> Result<Iccid, TlvError> {
    Iccid::from_bytes(tlv.value()).map_err(|error| bad(tlv.tag(), &error))
}

fn bad(tag: Tag, error: &IdError) -> TlvError {
    TlvError::BadValue { tag, rule: error.rule }
}

/// UTF-8 text with an upper bound in bytes, as the specification's `SIZE` constraints have it.
fn text(tlv: Tlv<'_>, longest: usize, rule: &'static str) -> Result<String, TlvError> {
    let text = tlv.as_str()?;
    if text.len() > longest { Err(TlvError::BadValue { tag: tlv.tag(), rule }) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file of the recorded session; `None`, with a message, on a checkout without the shared test data.
    pub(crate) fn session_file(name: &str) -> Option<Vec<u8>> {
        let path = format!("{}/../../../shared/data/session/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).ok();
        if bytes.is_none() {
            eprintln!("skipped: {path} is not there");
        }
        bytes
    }

    /// Runs every parser over the bytes.
    fn parse_all(bytes: &[u8]) {
        let _ = auth::AuthenticateServerRequest::parse(bytes);
        let _ = auth::AuthenticateServerResponse::parse(bytes);
        let _ = auth::parse_euicc_challenge(bytes);
        let _ = download::PrepareDownloadRequest::parse(bytes);
        let _ = download::PrepareDownloadResponse::parse(bytes);
        let _ = download::InitialiseSecureChannel::parse(bytes);
        let _ = download::StoreMetadata::parse(bytes);
        let _ = download::ProfileInstallationResult::parse(bytes);
        let _ = download::CancelSessionRequest::parse(bytes);
        let _ = download::CancelSessionResponse::parse(bytes);
        let _ = info::EuiccInfo1::parse(bytes);
        let _ = info::EuiccInfo2::parse(bytes);
        let _ = notification::PendingNotification::parse(bytes);
        let _ = notification::parse_list_response(bytes);
        let _ = notification::parse_retrieve_response(bytes);
        let _ = notification::parse_retrieve_request(bytes);
        let _ = profiles::GetProfilesInfoRequest::parse(bytes);
        let _ = profiles::parse_profiles_info_response(bytes);
        let _ = profiles::parse_delete_request(bytes);
        let _ = profiles::parse_set_nickname_request(bytes);
        let _ = config::ConfiguredAddresses::parse(bytes);
        let _ = config::parse_rat(bytes);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_a_parser(tag in prop::sample::select(vec![0xBF38u32, 0xBF21, 0xBF23, 0xBF25, 0xBF37, 0xBF41, 0xBF20, 0xBF22, 0xBF2D, 0xBF2B, 0xBF28, 0xBF29, 0xBF33, 0x30]), content in proptest::collection::vec(any::<u8>(), 0..80)) {
            parse_all(&content);
            parse_all(&crate::tlv::encode(tag, &content));
            parse_all(&crate::tlv::encode(tag, &crate::tlv::encode(0xA0u32, &content)));
        }
    }
}
