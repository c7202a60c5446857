//! Common mutual authentication (SGP.22 §3.0.1): AuthenticateServer with what both sides sign in it.

use super::info::EuiccInfo2;
use super::{Received, TAG_SEQUENCE, TAG_SIGNATURE, codes, signature, text, transaction_id};
use crate::tlv::{Reader, Tlv, TlvError, Writer};
use crate::{TransactionId, Version};

/// GetEUICCChallenge (SGP.22 §5.7.7).
pub const TAG_GET_EUICC_CHALLENGE: u32 = 0xBF2E;
/// AuthenticateServer (SGP.22 §5.7.13).
pub const TAG_AUTHENTICATE_SERVER: u32 = 0xBF38;

codes! {
    /// Why AuthenticateServer failed (SGP.22 §5.7.13, `AuthenticateErrorCode`).
    pub enum AuthenticateErrorCode {
        InvalidCertificate = 1 "invalidCertificate",
        InvalidSignature = 2 "invalidSignature",
        UnsupportedCurve = 3 "unsupportedCurve",
        NoSessionContext = 4 "noSessionContext",
        InvalidOid = 5 "invalidOid",
        EuiccChallengeMismatch = 6 "euiccChallengeMismatch",
        CiPkUnknown = 7 "ciPKUnknown",
        UndefinedError = 127 "undefinedError",
    }
}

/// The response to GetEUICCChallenge.
pub fn encode_euicc_challenge(challenge: &[u8; 16]) -> Vec<u8> {
    Writer::new().nested(TAG_GET_EUICC_CHALLENGE, |w| w.put(0x80, challenge)).into_vec()
}

/// Reads the response to GetEUICCChallenge.
pub fn parse_euicc_challenge(bytes: &[u8]) -> Result<[u8; 16], TlvError> {
    Tlv::parse_as(TAG_GET_EUICC_CHALLENGE, bytes)?.reader().require(0x80)?.as_array()
}

/// What the server signs first (`serverSigned1`, SGP.22 §5.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSigned1 {
    /// The server's id of this session.
    pub transaction_id: TransactionId,
    /// The challenge that the card drew.
    pub euicc_challenge: [u8; 16],
    /// The address under which the LPA has called, as it wrote it.
    pub server_address: String,
    /// The server's own challenge.
    pub server_challenge: [u8; 16],
}

impl ServerSigned1 {
    /// Reads the SEQUENCE.
    pub fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let value = ServerSigned1 {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            euicc_challenge: fields.require(0x81)?.as_array()?,
            server_address: text(fields.require(0x83)?, 255, "a server address of at most 255 bytes")?,
            server_challenge: fields.require(0x84)?.as_array()?,
        };
        fields.finish()?;
        Ok(value)
    }

    /// Reads the SEQUENCE from its bytes, keeping them.
    pub fn receive(bytes: &[u8]) -> Result<Received<'_, Self>, TlvError> {
        Received::read(Tlv::parse_as(TAG_SEQUENCE, bytes)?, ServerSigned1::parse)
    }

    /// The SEQUENCE.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(TAG_SEQUENCE, |w| {
                w.put(0x80, self.transaction_id.as_bytes())
                    .put(0x81, &self.euicc_challenge)
                    .put(0x83, self.server_address.as_bytes())
                    .put(0x84, &self.server_challenge)
            })
            .into_vec()
    }
}

/// What the device is (`DeviceInfo`, SGP.22 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Type allocation code: the first eight digits of the IMEI, swapped nibbles.
    pub tac: [u8; 4],
    /// The releases it supports: context tag of the technology (`0x80` GSM, `0x81` UTRAN, `0x85` E-UTRAN, `0x88` NR ...)
    /// and the release.
    pub capabilities: Vec<(u32, Version)>,
    /// The IMEI, eight bytes in swapped nibbles, when the device tells it.
    pub imei: Option<[u8; 8]>,
}

impl DeviceInfo {
    fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let tac = fields.require(0x80)?.as_array()?;
        let mut capabilities = Vec::new();
        for capability in fields.require(0xA1)?.reader() {
            let capability = capability?;
            // Later versions add fields that are no version numbers: they are skipped.
            if let Ok(version) = capability.as_array() {
                capabilities.push((capability.tag().0, Version(version)));
            }
        }
        let imei = fields.optional(0x82)?.map(|imei| imei.as_array()).transpose()?;
        fields.finish()?;
        Ok(DeviceInfo { tac, capabilities, imei })
    }

    fn write(&self, writer: Writer) -> Writer {
        let capabilities =
            self.capabilities.iter().fold(Writer::new(), |w, (tag, version)| w.put(*tag, &version.0)).into_vec();
        writer.put(0x80, &self.tac).put(0xA1, &capabilities).put_opt(0x82, self.imei.as_ref())
    }
}

/// What the LPA adds to the authentication (`ctxParamsForCommonAuthentication`, SGP.22 §5.7.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtxParams1 {
    /// The matching id; absent or empty where the server finds the order by the EID. Kept as any text: a server
    /// decides itself which ids it knows.
    pub matching_id: Option<String>,
    /// The device.
    pub device_info: DeviceInfo,
}

impl CtxParams1 {
    /// Reads the choice `A0`.
    pub fn parse(tlv: Tlv<'_>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let matching_id =
            fields.optional(0x80)?.map(|id| text(id, 255, "a matching id of at most 255 bytes")).transpose()?;
        let device_info = DeviceInfo::parse(fields.require(0xA1)?)?;
        fields.finish()?;
        Ok(CtxParams1 { matching_id, device_info })
    }

    /// The choice `A0`.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .nested(0xA0, |w| {
                w.put_opt(0x80, self.matching_id.as_ref().map(|id| id.as_bytes()))
                    .nested(0xA1, |w| self.device_info.write(w))
            })
            .into_vec()
    }
}

/// AuthenticateServer, from the LPA to the card.
#[derive(Debug, Clone)]
pub struct AuthenticateServerRequest<'a> {
    /// What the server has signed.
    pub server_signed1: Received<'a, ServerSigned1>,
    /// Its signature by the key of CERT.DPauth (or CERT.DSauth).
    pub server_signature1: &'a [u8],
    /// Which CI the card has to use: the subject key identifier.
    pub euicc_ci_pkid_to_be_used: &'a [u8],
    /// The server's certificate, DER.
    pub server_certificate: &'a [u8],
    /// What the LPA adds.
    pub ctx_params1: Received<'a, CtxParams1>,
}

impl<'a> AuthenticateServerRequest<'a> {
    /// Reads the whole command data.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut fields = Tlv::parse_as(TAG_AUTHENTICATE_SERVER, bytes)?.reader();
        let request = AuthenticateServerRequest {
            server_signed1: Received::read(fields.require(TAG_SEQUENCE)?, ServerSigned1::parse)?,
            server_signature1: signature(fields.require(TAG_SIGNATURE)?)?,
            euicc_ci_pkid_to_be_used: fields.require(0x04)?.value(),
            server_certificate: fields.require(TAG_SEQUENCE)?.raw(),
            ctx_params1: Received::read(fields.require(0xA0)?, CtxParams1::parse)?,
        };
        fields.finish()?;
        Ok(request)
    }

    /// The command data, from parts as the server has sent them.
    pub fn encode(
        server_signed1: &[u8],
        server_signature1: &[u8],
        euicc_ci_pkid_to_be_used: &[u8],
        server_certificate: &[u8],
        ctx_params1: &CtxParams1,
    ) -> Vec<u8> {
        Writer::new()
            .nested(TAG_AUTHENTICATE_SERVER, |w| {
                w.raw(server_signed1)
                    .put(TAG_SIGNATURE, server_signature1)
                    .put(0x04, euicc_ci_pkid_to_be_used)
                    .raw(server_certificate)
                    .raw(&ctx_params1.encode())
            })
            .into_vec()
    }
}

/// What the card signs in answer (`euiccSigned1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EuiccSigned1<'a> {
    /// The session.
    pub transaction_id: TransactionId,
    /// The server's address, as in `serverSigned1`.
    pub server_address: String,
    /// The server's challenge, as in `serverSigned1`.
    pub server_challenge: [u8; 16],
    /// What the card is.
    pub euicc_info2: Received<'a, EuiccInfo2>,
    /// What the LPA has added.
    pub ctx_params1: Received<'a, CtxParams1>,
}

impl<'a> EuiccSigned1<'a> {
    /// Reads the SEQUENCE.
    pub fn parse(tlv: Tlv<'a>) -> Result<Self, TlvError> {
        let mut fields = tlv.reader();
        let value = EuiccSigned1 {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            server_address: text(fields.require(0x83)?, 255, "a server address of at most 255 bytes")?,
            server_challenge: fields.require(0x84)?.as_array()?,
            euicc_info2: Received::read(fields.require(super::info::TAG_GET_EUICC_INFO2)?, EuiccInfo2::parse_tlv)?,
            ctx_params1: Received::read(fields.require(0xA0)?, CtxParams1::parse)?,
        };
        fields.finish()?;
        Ok(value)
    }

    /// The SEQUENCE: `euicc_info2` and `ctx_params1` are whole elements, the latter as it was received.
    pub fn encode(server_signed1: &ServerSigned1, euicc_info2: &[u8], ctx_params1: &[u8]) -> Vec<u8> {
        Writer::new()
            .nested(TAG_SEQUENCE, |w| {
                w.put(0x80, server_signed1.transaction_id.as_bytes())
                    .put(0x83, server_signed1.server_address.as_bytes())
                    .put(0x84, &server_signed1.server_challenge)
                    .raw(euicc_info2)
                    .raw(ctx_params1)
            })
            .into_vec()
    }
}

/// The card's answer to AuthenticateServer.
#[derive(Debug, Clone)]
pub enum AuthenticateServerResponse<'a> {
    /// The server is authenticated.
    Ok(Box<AuthenticateResponseOk<'a>>),
    /// It is not.
    Error {
        /// The session that the server named.
        transaction_id: TransactionId,
        /// Why.
        code: AuthenticateErrorCode,
    },
}

/// The card's proof of itself.
#[derive(Debug, Clone)]
pub struct AuthenticateResponseOk<'a> {
    /// What the card has signed.
    pub euicc_signed1: Received<'a, EuiccSigned1<'a>>,
    /// Its signature by the key of CERT.EUICC.
    pub euicc_signature1: &'a [u8],
    /// CERT.EUICC, DER.
    pub euicc_certificate: &'a [u8],
    /// CERT.EUM, DER.
    pub eum_certificate: &'a [u8],
}

impl<'a> AuthenticateServerResponse<'a> {
    /// Reads the whole response.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut choice = Tlv::parse_as(TAG_AUTHENTICATE_SERVER, bytes)?.reader();
        if let Some(ok) = choice.optional(0xA0)? {
            let mut fields = ok.reader();
            let response = AuthenticateResponseOk {
                euicc_signed1: Received::read(fields.require(TAG_SEQUENCE)?, EuiccSigned1::parse)?,
                euicc_signature1: signature(fields.require(TAG_SIGNATURE)?)?,
                euicc_certificate: fields.require(TAG_SEQUENCE)?.raw(),
                eum_certificate: fields.require(TAG_SEQUENCE)?.raw(),
            };
            fields.finish()?;
            return Ok(AuthenticateServerResponse::Ok(Box::new(response)));
        }
        let mut fields: Reader<'_> = choice.require(0xA1)?.reader();
        Ok(AuthenticateServerResponse::Error {
            transaction_id: transaction_id(fields.require(0x80)?)?,
            code: AuthenticateErrorCode::from_code(fields.require(0x02)?.as_u32()?),
        })
    }

    /// The response of success.
    pub fn encode_ok(
        euicc_signed1: &[u8],
        euicc_signature1: &[u8],
        euicc_certificate: &[u8],
        eum_certificate: &[u8],
    ) -> Vec<u8> {
        Writer::new()
            .nested(TAG_AUTHENTICATE_SERVER, |w| {
                w.nested(0xA0, |w| {
                    w.raw(euicc_signed1)
                        .put(TAG_SIGNATURE, euicc_signature1)
                        .raw(euicc_certificate)
                        .raw(eum_certificate)
                })
            })
            .into_vec()
    }

    /// The response of failure.
    pub fn encode_error(transaction_id: &TransactionId, code: AuthenticateErrorCode) -> Vec<u8> {
        Writer::new()
            .nested(TAG_AUTHENTICATE_SERVER, |w| {
                w.nested(0xA1, |w| w.put(0x80, transaction_id.as_bytes()).integer(0x02, code.code()))
            })
            .into_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::es10::tests::session_file;

    fn device_info() -> DeviceInfo {
        DeviceInfo {
            tac: [0x53, 0x86, 0x80, 0x00],
            capabilities: vec![(0x85, Version::new(15, 0, 0)), (0x88, Version::new(15, 0, 0))],
            imei: None,
        }
    }

    #[test]
    fn recorded_session() {
        let Some(bytes) = session_file("auth-server-response.der") else { return };
        let AuthenticateServerResponse::Ok(response) = AuthenticateServerResponse::parse(&bytes).unwrap() else {
            panic!("the recorded response is one of success");
        };
        assert_eq!(response.euicc_signed1.transaction_id.to_string(), "0102030405060708090A0B0C0D0E0F10");
        assert_eq!(response.euicc_signed1.server_address, "smdp.example.com");
        assert_eq!(response.euicc_signed1.ctx_params1.matching_id, None);
        let again = AuthenticateServerResponse::encode_ok(
            response.euicc_signed1.raw,
            response.euicc_signature1,
            response.euicc_certificate,
            response.eum_certificate,
        );
        assert_eq!(again, bytes);
    }

    #[test]
    fn request_round_trip_keeps_the_received_bytes() {
        let server_signed1 = ServerSigned1 {
            transaction_id: TransactionId::from_bytes(&[1; 16]).unwrap(),
            euicc_challenge: [2; 16],
            server_address: "smdp.example.com".to_owned(),
            server_challenge: [3; 16],
        };
        // An element of a later version at the end belongs to what is signed.
        let mut signed = server_signed1.encode();
        signed.extend_from_slice(&[0xA5, 0x00]);
        signed[1] += 2;
        let ctx = CtxParams1 { matching_id: Some("AB-1".to_owned()), device_info: device_info() };
        let bytes = AuthenticateServerRequest::encode(&signed, &[4; 64], &[5; 20], &[0x30, 0x00], &ctx);
        let request = AuthenticateServerRequest::parse(&bytes).unwrap();
        assert_eq!(request.server_signed1.raw, signed);
        assert_eq!(request.server_signed1.value, server_signed1);
        assert_eq!(request.ctx_params1.value, ctx);
        assert_eq!(request.euicc_ci_pkid_to_be_used, [5; 20]);
    }

    #[test]
    fn errors_round_trip() {
        let transaction_id = TransactionId::from_bytes(&[9]).unwrap();
        let bytes = AuthenticateServerResponse::encode_error(&transaction_id, AuthenticateErrorCode::CiPkUnknown);
        assert_eq!(bytes, [0xBF, 0x38, 0x08, 0xA1, 0x06, 0x80, 0x01, 0x09, 0x02, 0x01, 0x07]);
        let AuthenticateServerResponse::Error { code, .. } = AuthenticateServerResponse::parse(&bytes).unwrap() else {
            panic!("an error");
        };
        assert_eq!(code.to_string(), "ciPKUnknown (7)");
    }
}
