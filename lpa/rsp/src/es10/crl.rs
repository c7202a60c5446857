//! LoadCRL (SGP.22 v2.5 §5.7.12): a certificate revocation list for the card.

use super::{TAG_SEQUENCE, codes};
use crate::tlv::{Tlv, TlvError, Writer, encode};

/// LoadCRL.
pub const TAG_LOAD_CRL: u32 = 0xBF35;

codes! {
    /// Why a list was not loaded, `LoadCRLResponseError`.
    pub enum LoadCrlErrorCode {
        InvalidSignature = 1 "invalidSignature",
        InvalidCrlFormat = 2 "invalidCRLFormat",
        NotEnoughMemorySpace = 3 "notEnoughMemorySpace",
        VerificationKeyNotFound = 4 "verificationKeyNotFound",
        FresherCrlAlreadyLoaded = 5 "fresherCrlAlreadyLoaded",
        BaseCrlMissing = 6 "baseCrlMissing",
        UndefinedError = 127 "undefinedError",
    }
}

/// The request, from the DER of a `CertificateList`: its own tag gives way to that of the field.
pub fn encode_load_crl_request(list: &[u8]) -> Result<Vec<u8>, TlvError> {
    let list = Tlv::parse_as(TAG_SEQUENCE, list)?;
    Ok(Writer::new().nested(TAG_LOAD_CRL, |w| w.put(0xA0, list.value())).into_vec())
}

/// Reads the request; gives the DER of the `CertificateList`.
pub fn parse_load_crl_request(bytes: &[u8]) -> Result<Vec<u8>, TlvError> {
    let mut fields = Tlv::parse_as(TAG_LOAD_CRL, bytes)?.reader();
    let list = fields.require(0xA0)?;
    fields.finish()?;
    Ok(encode(TAG_SEQUENCE, list.value()))
}

/// The response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadCrlResponse {
    /// It is loaded; these parts of the list have not come yet.
    Ok {
        /// The numbers of the parts; empty when all are there.
        missing_parts: Vec<u32>,
    },
    /// It is not.
    Error(LoadCrlErrorCode),
}

impl LoadCrlResponse {
    /// Reads the whole response.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlvError> {
        let choice = Tlv::parse_as(TAG_LOAD_CRL, bytes)?.reader().next_tlv()?;
        match choice {
            Some(ok) if ok.tag().0 == 0xA0 => {
                let missing = ok.reader().optional(0xA0)?;
                let missing = missing.map(|list| list.reader().map(|part| part?.as_u32()).collect::<Result<_, _>>());
                Ok(LoadCrlResponse::Ok { missing_parts: missing.transpose()?.unwrap_or_default() })
            }
            Some(error) if error.tag().0 == 0x81 => {
                Ok(LoadCrlResponse::Error(LoadCrlErrorCode::from_code(error.as_u32()?)))
            }
            Some(other) => {
                Err(TlvError::BadValue { tag: other.tag(), rule: "loadCRLResponseOk or loadCRLResponseError" })
            }
            None => Err(TlvError::BadValue { tag: TAG_LOAD_CRL.into(), rule: "an element inside" }),
        }
    }

    /// The whole response.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_LOAD_CRL, |w| match self {
                LoadCrlResponse::Ok { missing_parts } if missing_parts.is_empty() => w.put(0xA0, &[]),
                LoadCrlResponse::Ok { missing_parts } => w.nested(0xA0, |w| {
                    w.nested(0xA0, |w| missing_parts.iter().fold(w, |w, part| w.integer(0x02, *part)))
                }),
                LoadCrlResponse::Error(code) => w.integer(0x81, code.code()),
            })
            .into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::to_hex;

    #[test]
    fn messages_round_trip() {
        let list = encode(TAG_SEQUENCE, &[0x30, 0x00]);
        let request = encode_load_crl_request(&list).unwrap();
        assert_eq!(to_hex(&request), "BF3504A0023000");
        assert_eq!(parse_load_crl_request(&request), Ok(list));
        assert!(encode_load_crl_request(&[0x31, 0x00]).is_err());
        for (response, bytes) in [
            (LoadCrlResponse::Ok { missing_parts: vec![] }, "BF3502A000"),
            (LoadCrlResponse::Ok { missing_parts: vec![2, 300] }, "BF350BA009A0070201020202012C"),
            (LoadCrlResponse::Error(LoadCrlErrorCode::FresherCrlAlreadyLoaded), "BF3503810105"),
        ] {
            assert_eq!(to_hex(&response.encode()), bytes);
            assert_eq!(LoadCrlResponse::parse(&response.encode()), Ok(response));
        }
        assert!(LoadCrlResponse::parse(&[0xBF, 0x35, 0x00]).is_err());
    }
}
