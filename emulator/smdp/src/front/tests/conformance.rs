//! The test cases of SGP.23 for the SM-DP+ and every status of SGP.22 §5.6 and §5.8 over the wire: in both bindings,
//! on both curves, with the keys of SGP.26 where they are at hand.
//!
//! `CONFORMANCE.md` is written from the table of cases here: `UPDATE_CONFORMANCE=1 cargo test -p smdp conformance`.

use std::path::Path;

use pki::{CertificateSpec, EuiccCredentials, Pki};
use rsp::crypto::{PrivateKey, SeededRandom};
use rsp::es10::auth::{AuthenticateServerResponse, ServerSigned1};
use rsp::es10::download::{CancelSessionReason, EuiccSigned2, PrepareDownloadResponse, SmdpSigned2, StoreMetadata};
use rsp::tlv::{NamedBits, Tlv, Writer};
use rsp::{Eid, Oid, TransactionId, Version};

use super::*;
use crate::order::OrderSpec;
use crate::profile::{PolicyRule, Profile, built_in_named};
use crate::server::SmdpConfig;
use crate::status::Status;

const SGP26: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sgp26");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/CONFORMANCE.md");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    Json,
    Asn1,
}

/// The PKI of SGP.26, or one of the same shape.
fn test_pki() -> &'static Pki {
    static PKI: std::sync::OnceLock<Pki> = std::sync::OnceLock::new();
    PKI.get_or_init(|| match Pki::load(Path::new(SGP26), NOW) {
        Ok(pki) => pki,
        Err(error) => {
            println!("without the keys of SGP.26: {error}");
            super::pki().clone()
        }
    })
}

/// A server, a client and a card.
struct World {
    lab: Lab,
    client: Client,
    card: Card,
    curve: Curve,
    binding: Binding,
    address: String,
}

/// What a refused call has come to: `8.2.6/3.8` in JSON, a number in ASN.1.
pub(super) type Called<T> = Result<T, String>;

pub(super) fn b64(bytes: &[u8]) -> Value {
    json!(BASE64_STANDARD.encode(bytes))
}

impl Client {
    /// A call in the JSON binding.
    pub(super) fn json(&mut self, path: &str, body: Value) -> Called<Value> {
        let headers = "X-Admin-Protocol: gsma/rsp/v2.5.0\r\nContent-Type: application/json\r\n";
        let reply = self.post_with(path, headers, body.to_string().as_bytes()).unwrap();
        if reply.status == 204 {
            return Ok(Value::Null);
        }
        let value = reply.json();
        match value["header"]["functionExecutionStatus"]["status"].as_str() {
            Some("Executed-Success") => Ok(value),
            _ => Err(reply.codes()),
        }
    }

    /// A call in the ASN.1 binding: the content of the response's `A0`.
    pub(super) fn asn1(&mut self, tag: u32, answer_tag: u32, body: &[u8]) -> Called<Vec<u8>> {
        let body = Writer::new().nested(0xA2, |w| w.nested(tag, |w| w.raw(body))).into_vec();
        let headers = "X-Admin-Protocol: gsma/rsp/v2.5.0\r\nContent-Type: application/x-gsma-rsp-asn1\r\n";
        let reply = self.post_with("/gsma/rsp2/asn1", headers, &body).unwrap();
        if reply.status == 204 {
            return Ok(Vec::new());
        }
        if reply.status != 200 {
            return Err(format!("HTTP {}", reply.status));
        }
        assert!(reply.head.contains("content-type: application/x-gsma-rsp-asn1\r\n"));
        let response = Tlv::parse_as(0xA2, &reply.body).unwrap();
        let response = Tlv::parse_as(answer_tag, response.value()).unwrap();
        let choice = Tlv::parse_exact(response.value()).unwrap();
        match choice.tag().0 {
            0xA0 => Ok(choice.value().to_vec()),
            0x81 => Err(choice.as_u32().unwrap().to_string()),
            other => panic!("{other:X}"),
        }
    }

    /// initiateAuthentication in one binding, in JSON under this path.
    pub(super) fn initiate_at(
        &mut self,
        binding: Binding,
        path: &str,
        card: &Card,
        address: &str,
    ) -> Called<InitiateAuthenticationOk> {
        let (challenge, info) = (card.challenge, card.info1());
        if binding == Binding::Json {
            let reply = self.json(
                &format!("{path}initiateAuthentication"),
                json!({ "euiccChallenge": b64(&challenge), "euiccInfo1": b64(&info), "smdpAddress": address }),
            )?;
            let binary = |name: &str| BASE64_STANDARD.decode(reply[name].as_str().unwrap()).unwrap();
            return Ok(InitiateAuthenticationOk {
                transaction_id: TransactionId::parse(reply["transactionId"].as_str().unwrap()).unwrap(),
                server_signed1: binary("serverSigned1"),
                server_signature1: binary("serverSignature1"),
                euicc_ci_pkid_to_be_used: binary("euiccCiPKIdToBeUsed"),
                server_certificate: binary("serverCertificate"),
            });
        }
        let body = Writer::new().put(0x81, &challenge).put(0x83, address.as_bytes()).raw(&info).into_vec();
        let answer = self.asn1(0xBF39, 0xBF39, &body)?;
        let mut fields = rsp::tlv::Reader::new(&answer);
        let mut next = |tag: u32| fields.expect(tag).unwrap().raw().to_vec();
        Ok(InitiateAuthenticationOk {
            transaction_id: TransactionId::from_bytes(&next(0x80)[2..]).unwrap(),
            server_signed1: next(0x30),
            server_signature1: next(0x5F37),
            euicc_ci_pkid_to_be_used: next(0x04),
            server_certificate: next(0x30),
        })
    }
}

impl World {
    fn new(curve: Curve, binding: Binding, change: impl FnOnce(&mut SmdpConfig), orders: Vec<OrderSpec>) -> Self {
        let pki = test_pki();
        let mut config = config(pki);
        change(&mut config);
        let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(7, "smdp"))).unwrap();
        for order in orders {
            smdp.add_order(order, NOW).unwrap();
        }
        let hosts = ["localhost".to_owned()];
        let tls = pki.issue_tls(curve, &hosts, &mut SeededRandom::new(8, "tls"), NOW - 1000).unwrap();
        let lab = Lab::serving(curve, smdp, &identity(&tls), |_| {});
        let stream =
            connector(pki.ci(curve).unwrap(), SslVersion::TLS1_3).build().connect("localhost", lab.tcp()).unwrap();
        let card = Card::with(pki.euicc(curve, &eid()).unwrap().clone());
        World { lab, client: Client { stream }, card, curve, binding, address: ADDRESS.to_owned() }
    }

    fn json(&mut self, function: &str, body: Value) -> Called<Value> {
        self.client.json(&format!("/gsma/rsp2/es9plus/{function}"), body)
    }

    fn asn1(&mut self, tag: u32, answer_tag: u32, body: &[u8]) -> Called<Vec<u8>> {
        self.client.asn1(tag, answer_tag, body)
    }

    fn initiate(&mut self) -> Called<InitiateAuthenticationOk> {
        self.client.initiate_at(self.binding, "/gsma/rsp2/es9plus/", &self.card, &self.address)
    }

    fn client_call(&mut self, id: &TransactionId, response: &[u8]) -> Called<AuthenticateClientOk> {
        if self.binding == Binding::Json {
            let reply = self.json(
                "authenticateClient",
                json!({ "transactionId": id.to_string(), "authenticateServerResponse": b64(response) }),
            )?;
            let binary = |name: &str| BASE64_STANDARD.decode(reply[name].as_str().unwrap()).unwrap();
            return Ok(AuthenticateClientOk {
                transaction_id: TransactionId::parse(reply["transactionId"].as_str().unwrap()).unwrap(),
                profile_metadata: binary("profileMetadata"),
                smdp_signed2: binary("smdpSigned2"),
                smdp_signature2: binary("smdpSignature2"),
                smdp_certificate: binary("smdpCertificate"),
            });
        }
        let body = Writer::new().put(0x80, id.as_bytes()).raw(response).into_vec();
        let answer = self.asn1(0xBF3B, 0xBF3B, &body)?;
        let mut fields = rsp::tlv::Reader::new(&answer);
        let mut next = |tag: u32| fields.expect(tag).unwrap().raw().to_vec();
        Ok(AuthenticateClientOk {
            transaction_id: TransactionId::from_bytes(&next(0x80)[2..]).unwrap(),
            profile_metadata: next(0xBF25),
            smdp_signed2: next(0x30),
            smdp_signature2: next(0x5F37),
            smdp_certificate: next(0x30),
        })
    }

    /// A session up to authenticateClient.
    fn authenticate(&mut self, matching_id: &str) -> Called<AuthenticateClientOk> {
        let ok = self.initiate()?;
        let response = self.card.authenticate(&ok, Some(matching_id));
        self.client_call(&ok.transaction_id, &response)
    }

    /// A session up to authenticateClient, whose response is made from what the server has signed.
    fn authenticate_with(
        &mut self,
        make: impl FnOnce(&Card, &InitiateAuthenticationOk, ServerSigned1) -> Vec<u8>,
    ) -> Called<AuthenticateClientOk> {
        let ok = self.initiate()?;
        let server = ServerSigned1::receive(&ok.server_signed1).unwrap().value;
        let response = make(&self.card, &ok, server);
        self.client_call(&ok.transaction_id, &response)
    }

    fn package_call(&mut self, id: &TransactionId, response: &[u8]) -> Called<BoundProfilePackageOk> {
        if self.binding == Binding::Json {
            let reply = self.json(
                "getBoundProfilePackage",
                json!({ "transactionId": id.to_string(), "prepareDownloadResponse": b64(response) }),
            )?;
            return Ok(BoundProfilePackageOk {
                transaction_id: TransactionId::parse(reply["transactionId"].as_str().unwrap()).unwrap(),
                bound_profile_package: BASE64_STANDARD.decode(reply["boundProfilePackage"].as_str().unwrap()).unwrap(),
            });
        }
        let body = Writer::new().put(0x80, id.as_bytes()).raw(response).into_vec();
        let answer = self.asn1(0xBF3A, 0xBF3A, &body)?;
        let mut fields = rsp::tlv::Reader::new(&answer);
        Ok(BoundProfilePackageOk {
            transaction_id: TransactionId::from_bytes(fields.expect(0x80u32).unwrap().value()).unwrap(),
            bound_profile_package: fields.expect(0xBF36u32).unwrap().raw().to_vec(),
        })
    }

    fn download(
        &mut self,
        matching_id: &str,
        code: Option<&str>,
    ) -> Called<(AuthenticateClientOk, BoundProfilePackageOk)> {
        let client = self.authenticate(matching_id)?;
        let response = self.card.prepare(&client, code);
        let package = self.package_call(&client.transaction_id, &response)?;
        Ok((client, package))
    }

    fn cancel_call(&mut self, id: &TransactionId, response: &[u8]) -> Called<()> {
        if self.binding == Binding::Json {
            let body = json!({ "transactionId": id.to_string(), "cancelSessionResponse": b64(response) });
            return self.json("cancelSession", body).map(|_| ());
        }
        // Automatic tags put A1 in the place of BF41.
        let inner = Tlv::parse_as(0xBF41, response).unwrap().value().to_vec();
        let body = Writer::new().put(0x80, id.as_bytes()).put(0xA1, &inner).into_vec();
        self.asn1(0xBF41, 0xBF41, &body).map(|_| ())
    }

    fn notify(&mut self, notification: &[u8]) -> Called<()> {
        if self.binding == Binding::Json {
            return self.json("handleNotification", json!({ "pendingNotification": b64(notification) })).map(|_| ());
        }
        let body = Writer::new().put(0xA0, notification).into_vec();
        self.asn1(0xBF3D, 0xBF3D, &body).map(|_| ())
    }

    fn state(&self) -> OrderState {
        self.lab.server().smdp().lock().unwrap().orders()[0].state()
    }
}

/// How a case makes its world.
type Make<'a> = &'a dyn Fn(&mut dyn FnMut(&mut SmdpConfig), Vec<OrderSpec>) -> World;

/// One case: what is done, and how it has to end.
struct Case {
    family: &'static str,
    title: &'static str,
    /// Subject and reason, and the number in ASN.1; empty where it has to succeed.
    expected: (&'static str, &'static str),
    run: fn(Make<'_>) -> Called<()>,
}

fn ac1() -> Vec<OrderSpec> {
    vec![OrderSpec::new("AC-1", profile())]
}

fn plain(make: Make<'_>) -> World {
    make(&mut |_| {}, ac1())
}

fn with_order(make: Make<'_>, change: impl FnOnce(&mut OrderSpec)) -> World {
    let mut order = OrderSpec::new("AC-1", profile());
    change(&mut order);
    make(&mut |_| {}, vec![order])
}

fn key_ids(world: &mut World, verify: &[&[u8]], sign: &[&[u8]]) {
    let of = |ids: &[&[u8]]| ids.iter().map(|id| id.to_vec()).collect::<Vec<_>>();
    world.card.ci_key_ids = Some([of(verify), of(sign)]);
}

fn own_key_id(world: &World) -> Vec<u8> {
    test_pki().ci(world.curve).unwrap().subject_key_id().unwrap().to_vec()
}

/// A card whose EUM, or itself, is as this says.
fn card_under(
    world: &World,
    change_eum: impl FnOnce(CertificateSpec) -> CertificateSpec,
    change_euicc: impl FnOnce(CertificateSpec) -> CertificateSpec,
) -> Card {
    broken_card(test_pki(), world.curve, change_eum, change_euicc)
}

/// The same in any PKI.
pub(super) fn broken_card(
    pki: &Pki,
    curve: Curve,
    change_eum: impl FnOnce(CertificateSpec) -> CertificateSpec,
    change_euicc: impl FnOnce(CertificateSpec) -> CertificateSpec,
) -> Card {
    let mut random = SeededRandom::new(11, "broken");
    let key = || PrivateKey::generate(curve, &mut SeededRandom::new(12, "key")).unwrap();
    let good = pki.euicc(curve, &eid()).unwrap();
    let organization = good.euicc.certificate.organization().unwrap().to_owned();
    let eum = change_eum(CertificateSpec::eum(&organization, "89049032", &Oid::parse("2.999.5").unwrap(), NOW - 1000));
    let ci = pki.ci_identity(curve).unwrap();
    let eum = eum.issue(&ci, key(), &mut random).unwrap();
    let euicc = change_euicc(CertificateSpec::euicc(&organization, &eid(), NOW - 1000));
    let euicc = euicc.issue(&eum, key(), &mut random).unwrap();
    Card::with(EuiccCredentials { eum: eum.certificate, euicc, ..good.clone() })
}

pub(super) fn same(spec: CertificateSpec) -> CertificateSpec {
    spec
}

/// euiccSigned2 over what this says.
fn signed2(card: &Card, client: &AuthenticateClientOk, transaction_id: &TransactionId, after: &[u8]) -> Vec<u8> {
    let signed = EuiccSigned2 {
        transaction_id: transaction_id.clone(),
        euicc_otpk: card.one_time.public().point(),
        hash_cc: None,
    }
    .encode();
    let _ = client;
    PrepareDownloadResponse::encode_ok(&signed, &card.sign(&[&signed, after]))
}

pub(super) fn other_id() -> TransactionId {
    TransactionId::from_bytes(&[5; 16]).unwrap()
}

const INITIATE: &str = "4.3.12 InitiateAuthentication";
const PACKAGE: &str = "4.3.13 GetBoundProfilePackage";
const RETRY: &str = "4.3.13 GetBoundProfilePackage_RetryCases";
const PACKAGE_ERRORS: &str = "4.3.13.2.10 GetBoundProfilePackage ErrorCases";
const AUTHENTICATE: &str = "4.3.14 AuthenticateClient";
const AUTHENTICATE_ERRORS: &str = "4.3.14.2.2 AuthenticateClient ErrorCases";
const NOTIFICATION: &str = "4.3.15 HandleNotification";
const CANCEL: &str = "4.3.16 CancelSession";
const OK: (&str, &str) = ("", "");

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |family, title, expected, run| cases.push(Case { family, title, expected, run });

    case(INITIATE, "the server signs for the session and the card's challenge", OK, |make| {
        let mut world = plain(make);
        let ok = world.initiate()?;
        // The card verifies the signature and compares challenge, id and CI.
        world.card.authenticate(&ok, Some("AC-1"));
        Ok(())
    });
    case(INITIATE, "the address may be written in capitals, and with a port", OK, |make| {
        let mut world = plain(make);
        for address in ["SMDP.Example.COM", "smdp.example.com:8443", "smdp.example.com."] {
            world.address = address.to_owned();
            let ok = world.initiate()?;
            let signed = ServerSigned1::receive(&ok.server_signed1).unwrap();
            assert_eq!(signed.server_address, address);
        }
        Ok(())
    });
    case(INITIATE, "the first CI of the card that the server has is chosen", OK, |make| {
        let mut world = plain(make);
        let own = own_key_id(&world);
        key_ids(&mut world, &[&[9; 20], &own], &[&[8; 20], &own]);
        let ok = world.initiate()?;
        assert_eq!(ok.euicc_ci_pkid_to_be_used[2..], own);
        Ok(())
    });
    case(INITIATE, "an address of another server", ("8.8.1/3.8", "1"), |make| {
        let mut world = plain(make);
        world.address = "other.example.com".to_owned();
        world.initiate().map(|_| ())
    });
    case(INITIATE, "no CI in common", ("8.8.2/3.1", "3"), |make| {
        let mut world = plain(make);
        key_ids(&mut world, &[&[9; 20]], &[&[9; 20]]);
        world.initiate().map(|_| ())
    });
    case(INITIATE, "a version of SGP.22 that is not supported", ("8.8.3/3.1", "2"), |make| {
        let mut world = plain(make);
        world.card.svn = Version::new(1, 1, 0);
        world.initiate().map(|_| ())
    });
    case(INITIATE, "no certificate that the card can verify", ("8.8.4/3.7", "3"), |make| {
        let mut world = plain(make);
        let own = own_key_id(&world);
        key_ids(&mut world, &[&[9; 20]], &[&own]);
        world.initiate().map(|_| ())
    });
    case(INITIATE, "a challenge of fifteen bytes", ("1.3.1/2.1", "127"), |make| {
        let mut world = plain(make);
        let info = world.card.info1();
        if world.binding == Binding::Json {
            let body = json!({ "euiccChallenge": b64(&[1; 15]), "euiccInfo1": b64(&info), "smdpAddress": ADDRESS });
            return world.json("initiateAuthentication", body).map(|_| ());
        }
        let body = Writer::new().put(0x81, &[1; 15]).put(0x83, ADDRESS.as_bytes()).raw(&info).into_vec();
        world.asn1(0xBF39, 0xBF39, &body).map(|_| ())
    });

    case(
        AUTHENTICATE,
        "with a matching id: metadata and smdpSigned2, signed over the card's own signature",
        OK,
        |make| {
            let mut world = plain(make);
            let ok = world.initiate()?;
            let response = world.card.authenticate(&ok, Some("AC-1"));
            let client = world.client_call(&ok.transaction_id, &response)?;
            let signed = SmdpSigned2::receive(&client.smdp_signed2).unwrap();
            assert!(!signed.cc_required && signed.bpp_euicc_otpk.is_none());
            let AuthenticateServerResponse::Ok(sent) = AuthenticateServerResponse::parse(&response).unwrap() else {
                panic!("a response of success")
            };
            let after = rsp::tlv::encode(0x5F37, sent.euicc_signature1);
            let pb = rsp::cert::Certificate::parse(&client.smdp_certificate).unwrap();
            assert!(pb.public_key().verify(&[&client.smdp_signed2, &after], &client.smdp_signature2[3..]));
            Ok(())
        },
    );
    case(AUTHENTICATE, "without a matching id, and with an empty one: what waits for the EID", OK, |make| {
        for matching_id in [None, Some("")] {
            let mut world = make(&mut |_| {}, vec![OrderSpec::for_eid(eid(), profile())]);
            world.authenticate_with(|card, _, server| card.answer(&card.signed1(&server, matching_id)))?;
        }
        Ok(())
    });
    case(AUTHENTICATE, "a matching id outside the characters of SGP.22 is compared as given", OK, |make| {
        let mut world = make(&mut |_| {}, vec![OrderSpec::new("with_under score", profile())]);
        world.authenticate("with_under score").map(|_| ())
    });
    case(AUTHENTICATE, "with a confirmation code: ccRequiredFlag", OK, |make| {
        let mut world = with_order(make, |order| order.confirmation_code = Some("1234".to_owned()));
        let client = world.authenticate("AC-1")?;
        assert!(SmdpSigned2::receive(&client.smdp_signed2).unwrap().cc_required);
        Ok(())
    });
    case(AUTHENTICATE_ERRORS, "an EUM certificate of another role", ("8.1.2/6.1", "1"), |make| {
        let mut world = plain(make);
        world.card = card_under(&world, |eum| eum.with_role(rsp::cert::Role::DpAuth), same);
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an expired EUM certificate", ("8.1.2/6.3", "2"), |make| {
        let mut world = plain(make);
        world.card = card_under(&world, |eum| CertificateSpec { not_after: NOW - 10, ..eum }, same);
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an eUICC certificate of another role", ("8.1.3/6.1", "3"), |make| {
        let mut world = plain(make);
        world.card = card_under(&world, same, |euicc| euicc.with_role(rsp::cert::Role::DpPb));
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an EID that the EUM may not sign for", ("8.1.3/6.1", "3"), |make| {
        let mut world = plain(make);
        let outside = Eid::with_check_digits("890000001234512345123456789012").unwrap();
        let good = test_pki().euicc(world.curve, &eid()).unwrap();
        let organization = good.euicc.certificate.organization().unwrap().to_owned();
        world.card = card_under(&world, same, |_| CertificateSpec::euicc(&organization, &outside, NOW - 1000));
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an expired eUICC certificate", ("8.1.3/6.3", "4"), |make| {
        let mut world = plain(make);
        world.card = card_under(&world, same, |euicc| CertificateSpec { not_after: NOW - 10, ..euicc });
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a wrong signature", ("8.1/6.1", "5"), |make| {
        plain(make)
            .authenticate_with(|card, _, server| {
                let signed = card.signed1(&server, Some("AC-1"));
                let (euicc, eum) = (&card.credentials.euicc.certificate, &card.credentials.eum);
                AuthenticateServerResponse::encode_ok(&signed, &[1; 64], euicc.der(), eum.der())
            })
            .map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "another serverChallenge", ("8.1/6.1", "5"), |make| {
        plain(make)
            .authenticate_with(|card, _, server| {
                card.answer(&card.signed1(&ServerSigned1 { server_challenge: [0; 16], ..server }, Some("AC-1")))
            })
            .map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an EUM under an unknown CI", ("8.11.1/3.9", "9"), |make| {
        let mut world = plain(make);
        let spec = pki::PkiSpec { curves: vec![world.curve], ..pki::PkiSpec::default() };
        let other = Pki::generate(&spec, &mut SeededRandom::new(2, "other"), NOW - 1000).unwrap();
        let mut foreign = other.euicc(world.curve, &eid()).unwrap().clone();
        foreign.ci = test_pki().ci(world.curve).unwrap().clone();
        world.card = Card::with(foreign);
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an unknown transaction id in the request", ("8.10.1/3.9", "10"), |make| {
        let mut world = plain(make);
        let ok = world.initiate()?;
        let response = world.card.authenticate(&ok, Some("AC-1"));
        world.client_call(&other_id(), &response).map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "another transaction id in what the card has signed", ("8.10.1/3.9", "10"), |make| {
        plain(make)
            .authenticate_with(|card, _, server| {
                card.answer(&card.signed1(&ServerSigned1 { transaction_id: other_id(), ..server }, Some("AC-1")))
            })
            .map(|_| ())
    });
    case(
        AUTHENTICATE_ERRORS,
        "a second authenticateClient in a session that was refused",
        ("8.10.1/3.9", "10"),
        |make| {
            let mut world = plain(make);
            let ok = world.initiate()?;
            let wrong = world.card.authenticate(&ok, Some("UNKNOWN"));
            assert!(world.client_call(&ok.transaction_id, &wrong).is_err());
            let right = world.card.authenticate(&ok, Some("AC-1"));
            world.client_call(&ok.transaction_id, &right).map(|_| ())
        },
    );
    case(AUTHENTICATE_ERRORS, "a profile that is not released", ("8.2/1.2", "127"), |make| {
        for state in [OrderState::Allocated, OrderState::Linked] {
            let mut world = with_order(make, |order| order.state = state);
            assert!(world.authenticate("AC-1").is_err());
        }
        with_order(make, |order| order.state = OrderState::Confirmed).authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an unknown matching id", ("8.2.6/3.8", "6"), |make| {
        plain(make).authenticate("UNKNOWN").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a matching id that has been used", ("8.2.6/3.8", "6"), |make| {
        with_order(make, |order| order.state = OrderState::Installed).authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an order for another EID", ("8.1.1/3.8", "7"), |make| {
        let other = Eid::with_check_digits("890490321234512345123456789099").unwrap();
        with_order(make, |order| order.eid = Some(other)).authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "no matching id, and nothing waits for the EID", ("8.1.1/3.8", "7"), |make| {
        plain(make).authenticate_with(|card, _, server| card.answer(&card.signed1(&server, None))).map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a package of a later version than the card takes", ("8.2.5/4.3", "8"), |make| {
        let mut world = plain(make);
        world.card.profile_version = Version::new(2, 0, 0);
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a service that the card does not have", ("8.2.5/4.3", "8"), |make| {
        let mut world = plain(make);
        world.card.capability = NamedBits::of(&[2]);
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a policy rule that the card forbids", ("8.2.5/4.3", "8"), |make| {
        let mut spec = built_in_named("operator-a").unwrap();
        spec.policy = vec![PolicyRule::NoDisable];
        let mut world = make(&mut |_| {}, vec![OrderSpec::new("AC-1", Profile::build(&spec).unwrap())]);
        world.card.forbidden_ppr = Some(NamedBits::of(&[1]));
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a technology that the device does not support", ("8.2.5/4.3", "8"), |make| {
        // NR of release 16; the test device has E-UTRAN of release 15.
        with_order(make, |order| order.requires = vec![(0x88, Version::new(16, 0, 0))]).authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "not enough memory on the card", ("8.1/4.8", "11"), |make| {
        let mut world = plain(make);
        world.card.free = 100;
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an order that has expired", ("8.8.5/4.10", "18"), |make| {
        with_order(make, |order| order.expires = Some(NOW - 1)).authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "an order that was tried too often", ("8.8.5/6.4", "127"), |make| {
        let mut world = with_order(make, |order| order.max_attempts = Some(2));
        world.authenticate("AC-1").unwrap();
        world.authenticate("AC-1").unwrap();
        world.authenticate("AC-1").map(|_| ())
    });
    case(AUTHENTICATE_ERRORS, "a response that is no DER", ("1.3.1/2.1", "127"), |make| {
        plain(make).authenticate_with(|_, _, _| vec![0xBF, 0x38, 0x02, 0xA0, 0x00]).map(|_| ())
    });

    case(PACKAGE, "session keys only, and the card reads what was ordered", OK, |make| {
        let mut world = plain(make);
        let (client, package) = world.download("AC-1", None)?;
        let (metadata, opened) = world.card.open(&package, &client.smdp_certificate);
        assert_eq!((metadata, &opened[..]), (client.profile_metadata, profile().package()));
        assert_eq!(world.state(), OrderState::Downloaded);
        Ok(())
    });
    case(PACKAGE, "keys of its own: ReplaceSessionKeys", OK, |make| {
        let mut world = with_order(make, |order| order.replace_session_keys = Some(true));
        let (client, package) = world.download("AC-1", None)?;
        let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
        assert!(parts.replace_session_keys.is_some());
        assert_eq!(world.card.open(&package, &client.smdp_certificate).1, profile().package());
        Ok(())
    });
    case(PACKAGE, "metadata in two segments 88, with policy rules", OK, |make| {
        let mut spec = built_in_named("operator-a").unwrap();
        let mut icon = vec![0x89, b'P', b'N', b'G'];
        icon.resize(1000, 7);
        spec.icon = Some(BASE64_STANDARD.encode(icon));
        spec.policy = vec![PolicyRule::NoDelete];
        let mut world = make(&mut |_| {}, vec![OrderSpec::new("AC-1", Profile::build(&spec).unwrap())]);
        let (client, package) = world.download("AC-1", None)?;
        let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
        assert_eq!(parts.store_metadata.len(), 2);
        let metadata = StoreMetadata::parse(&client.profile_metadata).unwrap();
        assert_eq!(metadata.profile_policy_rules, Some(NamedBits::of(&[2])));
        assert_eq!(world.card.open(&package, &client.smdp_certificate).0, client.profile_metadata);
        Ok(())
    });
    case(PACKAGE, "with the right confirmation code", OK, |make| {
        let mut world = with_order(make, |order| order.confirmation_code = Some("12345678".to_owned()));
        world.download("AC-1", Some("12345678")).map(|_| ())
    });
    case(RETRY, "ReuseOTPK: the card is asked for its key, and gets the same segments again", OK, |make| {
        let mut world = plain(make);
        let (_, first) = world.download("AC-1", None)?;
        let client = world.authenticate("AC-1")?;
        let own = world.card.one_time.public().point();
        assert_eq!(SmdpSigned2::receive(&client.smdp_signed2).unwrap().bpp_euicc_otpk, Some(own));
        let second = world.package_call(&client.transaction_id, &world.card.prepare(&client, None))?;
        let segments = |package: &BoundProfilePackageOk| {
            let parts = rsp::bpp::BoundProfilePackage::parse(&package.bound_profile_package).unwrap();
            parts.profile_elements.iter().map(|segment| segment.raw().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(segments(&first), segments(&second));
        assert_eq!(world.card.open(&second, &client.smdp_certificate).1, profile().package());
        Ok(())
    });
    case(RETRY, "DifferentOTPK: bound anew", OK, |make| {
        let mut world = plain(make);
        world.download("AC-1", None)?;
        world.card.renew(1);
        let (client, package) = world.download("AC-1", None)?;
        assert_eq!(world.card.open(&package, &client.smdp_certificate).1, profile().package());
        Ok(())
    });
    case(RETRY, "DifferentOTPK, where the server does not bind again", ("8.2/3.7", "5"), |make| {
        let mut world = make(&mut |config| config.rebind = false, ac1());
        world.download("AC-1", None).unwrap();
        world.card.renew(1);
        world.download("AC-1", None).map(|_| ())
    });
    case(PACKAGE_ERRORS, "a signature that does not cover smdpSignature2", ("8.1/6.1", "1"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let response = signed2(&world.card, &client, &client.transaction_id, &[0; 67]);
        world.package_call(&client.transaction_id, &response).map(|_| ())
    });
    case(PACKAGE_ERRORS, "an unknown transaction id in the request", ("8.10.1/3.9", "95"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let response = world.card.prepare(&client, None);
        world.package_call(&other_id(), &response).map(|_| ())
    });
    case(PACKAGE_ERRORS, "another transaction id in what the card has signed", ("8.10.1/3.9", "95"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let response = signed2(&world.card, &client, &other_id(), &client.smdp_signature2);
        world.package_call(&client.transaction_id, &response).map(|_| ())
    });
    case(PACKAGE_ERRORS, "before authenticateClient", ("8.10.1/3.9", "95"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let response = world.card.prepare(&client, None);
        let early = world.initiate().unwrap();
        world.package_call(&early.transaction_id, &response).map(|_| ())
    });
    case(PACKAGE_ERRORS, "no confirmation code where one is needed", ("8.2.7/2.2", "2"), |make| {
        with_order(make, |order| order.confirmation_code = Some("1234".to_owned())).download("AC-1", None).map(|_| ())
    });
    case(PACKAGE_ERRORS, "a wrong confirmation code", ("8.2.7/3.8", "3"), |make| {
        let mut world = with_order(make, |order| order.confirmation_code = Some("1234".to_owned()));
        world.download("AC-1", Some("4321")).map(|_| ())
    });
    case(PACKAGE_ERRORS, "a wrong confirmation code, too often; the order ends", ("8.2.7/6.4", "4"), |make| {
        let mut world = with_order(make, |order| order.confirmation_code = Some("1234".to_owned()));
        for _ in 0..3 {
            assert!(world.download("AC-1", Some("4321")).is_err());
        }
        let last = world.download("AC-1", Some("4321")).map(|_| ());
        assert_eq!(world.state(), OrderState::Error);
        last
    });
    case(PACKAGE_ERRORS, "a response that is no DER", ("1.3.1/2.1", "127"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        world.package_call(&client.transaction_id, &[0xBF, 0x21, 0x02, 0xA0, 0x00]).map(|_| ())
    });

    case(NOTIFICATION, "ProfileInstallationResult of success: installed, once however often it comes", OK, |make| {
        let mut world = plain(make);
        let (_, package) = world.download("AC-1", None)?;
        let result = world.card.installation(&package.transaction_id, profile().iccid(), false);
        world.notify(&result)?;
        world.notify(&result)?;
        assert_eq!(world.state(), OrderState::Installed);
        let events = world.lab.server().smdp().lock().unwrap().orders()[0].events().len();
        assert_eq!(events, 3, "ordered, handed out, installed");
        Ok(())
    });
    case(NOTIFICATION, "ProfileInstallationResult of failure: the order is in error", OK, |make| {
        let mut world = plain(make);
        let (_, package) = world.download("AC-1", None)?;
        let result = world.card.installation(&package.transaction_id, profile().iccid(), true);
        world.notify(&result)?;
        assert_eq!(world.state(), OrderState::Error);
        Ok(())
    });
    case(NOTIFICATION, "enable, disable and delete are noted; forged ones change nothing", OK, |make| {
        let mut world = plain(make);
        let (_, package) = world.download("AC-1", None)?;
        let result = world.card.installation(&package.transaction_id, profile().iccid(), false);
        world.notify(&result)?;
        for (number, event) in
            [(2, NotificationEvent::Enable), (3, NotificationEvent::Disable), (4, NotificationEvent::Delete)]
        {
            let other = world.card.other(number, event, profile().iccid());
            world.notify(&other)?;
            let mut forged = world.card.other(number + 10, event, profile().iccid());
            let last = forged.len() - 1;
            forged[last] ^= 1;
            world.notify(&forged)?;
        }
        assert_eq!(world.lab.server().smdp().lock().unwrap().orders()[0].events().len(), 6);
        Ok(())
    });

    case(CANCEL, "after authenticateClient: postponed and timeout leave the order, all else ends it", OK, |make| {
        for (reason, expected) in REASONS {
            let mut world = plain(make);
            let client = world.authenticate("AC-1")?;
            let response = world.card.cancel(&client.transaction_id, reason);
            world.cancel_call(&client.transaction_id, &response)?;
            let expected = if expected { OrderState::Released } else { OrderState::Error };
            assert_eq!(world.state(), expected, "{reason}");
        }
        Ok(())
    });
    case(CANCEL, "after getBoundProfilePackage: the same", OK, |make| {
        for (reason, expected) in REASONS {
            let mut world = plain(make);
            let (client, _) = world.download("AC-1", None)?;
            let response = world.card.cancel(&client.transaction_id, reason);
            world.cancel_call(&client.transaction_id, &response)?;
            let expected = if expected { OrderState::Downloaded } else { OrderState::Error };
            assert_eq!(world.state(), expected, "{reason}");
        }
        Ok(())
    });
    case(CANCEL, "an unknown transaction id", ("8.10.1/3.9", "1"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let response = world.card.cancel(&client.transaction_id, CancelSessionReason::Postponed);
        world.cancel_call(&other_id(), &response)
    });
    case(CANCEL, "another transaction id in what the card has signed", ("8.10.1/3.9", "1"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let response = world.card.cancel(&other_id(), CancelSessionReason::Postponed);
        world.cancel_call(&client.transaction_id, &response)
    });
    case(CANCEL, "before authenticateClient", ("8.10.1/3.9", "1"), |make| {
        let mut world = plain(make);
        let ok = world.initiate().unwrap();
        let response = world.card.cancel(&ok.transaction_id, CancelSessionReason::Postponed);
        world.cancel_call(&ok.transaction_id, &response)
    });
    case(CANCEL, "a signature of another card", ("8.1/6.1", "2"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let stranger = card_under(&world, same, same);
        let response = stranger.cancel(&client.transaction_id, CancelSessionReason::Postponed);
        world.cancel_call(&client.transaction_id, &response)
    });
    case(CANCEL, "the OID of another SM-DP+", ("8.8/3.10", "127"), |make| {
        let mut world = plain(make);
        let client = world.authenticate("AC-1").unwrap();
        let mut card = Card::with(world.card.credentials.clone());
        card.smdp_oid = Oid::parse("2.999.12").unwrap();
        let response = card.cancel(&client.transaction_id, CancelSessionReason::Postponed);
        world.cancel_call(&client.transaction_id, &response)
    });
    cases
}

/// The reasons to cancel, and whether the order can be downloaded afterwards.
const REASONS: [(CancelSessionReason, bool); 7] = [
    (CancelSessionReason::EndUserRejection, false),
    (CancelSessionReason::Postponed, true),
    (CancelSessionReason::Timeout, true),
    (CancelSessionReason::PprNotAllowed, false),
    (CancelSessionReason::MetadataMismatch, false),
    (CancelSessionReason::LoadBppExecutionError, false),
    (CancelSessionReason::UndefinedReason, false),
];

fn run_all(curve: Curve, binding: Binding) {
    let make = |change: &mut dyn FnMut(&mut SmdpConfig), orders| World::new(curve, binding, change, orders);
    for case in cases() {
        let came_to = (case.run)(&make).err().unwrap_or_default();
        let expected = if binding == Binding::Json { case.expected.0 } else { case.expected.1 };
        assert_eq!(came_to, expected, "{}: {} ({curve}, {binding:?})", case.family, case.title);
    }
}

#[test]
fn conformance_in_json_on_nist() {
    run_all(Curve::P256, Binding::Json);
}

#[test]
fn conformance_in_json_on_brainpool() {
    run_all(Curve::BrainpoolP256r1, Binding::Json);
}

#[test]
fn conformance_in_asn1_on_nist() {
    run_all(Curve::P256, Binding::Asn1);
}

#[test]
fn conformance_in_asn1_on_brainpool() {
    run_all(Curve::BrainpoolP256r1, Binding::Asn1);
}

#[test]
fn conformance_document() {
    let mut text = String::from(
        "# Conformance of the SM-DP+\n\n\
         Written by the tests (`UPDATE_CONFORMANCE=1 cargo test -p smdp conformance`); a test fails when it is out of \
         date.\n\n\
         Each row is a case of `src/front/tests/conformance.rs`. Every case runs over TLS in four ways: JSON and ASN.1 \
         binding, NIST P-256 and brainpoolP256r1, with the keys of SGP.26 where the test data is at hand. *Status* is \
         the pair of subject and reason that has to come in JSON, *ASN.1* the error of the response; a dash is \
         success.\n\n\
         | SGP.23 | case | status | ASN.1 |\n| --- | --- | --- | --- |\n",
    );
    let or_dash = |text: &'static str| if text.is_empty() { "–" } else { text };
    for case in cases() {
        let (status, number) = (or_dash(case.expected.0), or_dash(case.expected.1));
        text += &format!("| {} | {} | {status} | {number} |\n", case.family, case.title);
    }
    text += "\n## SM-DS\n\n\
        ES11 (SGP.22 §5.8), each case of `src/front/tests/conformance_ds.rs` in JSON on both of the paths that clients \
        use, in ASN.1, and on both curves, with keys of the lab: SGP.26 has none of an SM-DS for this release.\n\n\
        | function | case | status | ASN.1 |\n| --- | --- | --- | --- |\n";
    for case in super::conformance_ds::cases() {
        text +=
            &format!("| {} | {} | {} | {} |\n", case.function, case.title, or_dash(case.status), or_dash(case.number));
    }
    text += "\n## ES2+\n\n\
        SGP.22 §5.3, in `src/front/tests/peers.rs`: refusals in JSON, the only binding, on both curves.\n\n\
        | function | case | status |\n| --- | --- | --- |\n";
    for refusal in super::peers::refusals().iter().flatten() {
        text += &format!("| {} | {} | {} |\n", refusal.function, refusal.title, refusal.codes);
    }
    text += REST;
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(DOCUMENT, &text).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(written == text, "CONFORMANCE.md is out of date: UPDATE_CONFORMANCE=1 cargo test -p smdp conformance");
}

#[test]
fn every_status_of_the_specification_has_a_case() {
    let mut reached: std::collections::BTreeSet<&str> = cases().iter().map(|case| case.expected.0).collect();
    reached.extend(super::conformance_ds::cases().iter().map(|case| case.status));
    reached.extend(super::peers::refusals().iter().flatten().map(|refusal| refusal.codes));
    // In `whatever_is_sent_gets_an_answer`, and in `events_go_by_the_alternative_sm_ds_to_the_root`.
    reached.extend(["1.2.1/2.1", "1.2.2/2.1", "8.9/4.2", "8.9.5/3.3"]);
    for status in Status::ALL.iter().filter(|status| **status != Status::Internal) {
        let (subject, reason) = status.codes();
        let codes = format!("{subject}/{reason}");
        assert!(reached.contains(codes.as_str()), "nothing comes to {codes}, {}", status.text());
    }
}

/// What other tests prove, and what is left out.
const REST: &str = "\n\
## Beside these\n\n\
| requirement | tests |\n| --- | --- |\n\
| SGP.23 4.3.17 TLS server authentication, and SGP.22 §2.6.6 versions and suites | `front::tests::peers::tls_is_that_of_sgp22`, `front::tests::a_session_over_the_wire_on_both_curves` |\n\
| SGP.22 §6.5 headers, content types, 200 with status, 204, nothing a client can send ends in a 5xx | `front::tests::responses_are_formed_as_the_specification_says`, `…::whatever_is_sent_gets_an_answer`, `…::any_body_gets_a_status` |\n\
| SGP.22 §5.9 ES12, cascade of alternative and root SM-DS | `front::tests::peers::events_go_by_the_alternative_sm_ds_to_the_root` |\n\
| SGP.22 §5.3 ES2+: the life of an order | `front::tests::peers::es2plus_nominal` |\n\
| SGP.22 §5.3.5 handleDownloadProgressInfo | `front::tests::peers::operators_are_told_of_progress` |\n\
| SGP.22 §2.6.6.2 client certificates | `front::tests::peers::client_certificates_where_they_are_needed` |\n\
| any byte that is changed in what a card has signed is found | `server::tests::one_flipped_bit_anywhere_…` |\n\
| any request, changed at random on every level, gets an answer of the protocol | `front::tests::fuzz::thousands_of_requests_that_nobody_would_send` and, by hand, `…::ten_million_requests_without_a_panic` |\n\
| a client that sends nothing, or no end, is given up and makes room for others | `front::tests::what_does_not_come_holds_nothing` |\n\
| the management API keeps to its document, and refuses without its token | `manage::tests`, and by hand `schemathesis.sh` |\n\
| orders survive a kill, none is installed twice | `harness/tests/smdp.rs`, `store::tests` |\n\n\
## By hand\n\n\
- `cargo test --release -p smdp -- --ignored ten_million --nocapture`: last time 10,000,002 requests in process, to every \
function of ES9+, ES11, ES2+ and ES12, changed in JSON, Base64 and DER. 1,206,678 were accepted, 8,116,621 refused with 26 \
different statuses, 676,703 were no request at all; no panic, and no error of the server itself. Ten thousand of them come \
with every run of the tests.\n\
- `emulator/smdp/schemathesis.sh` holds the management API against its OpenAPI document over HTTP; it says what it needs.\n\n\
## Left out\n\n\
- CRLs and revoked certificates: SGP.22 v2.5 does not ask an SM-DP+ to look them up in these functions.\n\
- SGP.22 v3 functions (device change, RPM, event checking): the server speaks v2.5 to every client.\n\
- The third curve of SGP.26 (FRP256V1): OpenSSL does not have it.\n\
- SGP.23 families whose test names are not public: the cases above are sorted by the numbers of the families that are.\n";
