//! ES11 over the wire: every status of SGP.22 §5.8, in both bindings, on both of the paths that clients use, on both
//! curves. `CONFORMANCE.md` has the table of cases.

use pki::CertificateSpec;
use rsp::crypto::SeededRandom;
use rsp::es10::auth::{AuthenticateServerResponse, ServerSigned1};
use rsp::tlv::Writer;
use rsp::{TransactionId, Version};

use super::conformance::{Binding, Called, b64, broken_card, other_id, same};
use super::*;
use crate::server::EventEntry;
use crate::smds::{DsCredentials, RegisterEvent, SmdsConfig};

const ADDRESS_OF_DS: &str = "smds.example.com";

/// An SM-DS with two events for one card, and a client of it.
pub(super) struct DsWorld {
    server: SmdsServer,
    client: Client,
    card: Card,
    curve: Curve,
    binding: Binding,
    path: &'static str,
    _runtime: tokio::runtime::Runtime,
}

impl DsWorld {
    fn new(curve: Curve, binding: Binding, path: &'static str) -> Self {
        let smds = pki().smds(curve).unwrap();
        let own = DsCredentials { ci: pki().ci(curve).unwrap().clone(), auth: identity(&smds.auth) };
        let config = SmdsConfig::new(ADDRESS_OF_DS, vec![own]);
        let mut smds = Smds::new(config, Box::new(SeededRandom::new(7, "smds"))).unwrap();
        for id in ["EVENT-1", "EVENT-2"] {
            let rsp_server_address = ADDRESS.to_owned();
            let event_id = id.to_owned();
            smds.register_event(RegisterEvent { eid: eid(), rsp_server_address, event_id, forwarding: false }).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options { clock: Arc::new(|| NOW), ..Options::default() };
        let tls = identity(pki().smds_tls(curve).unwrap());
        let server = {
            let _entered = runtime.enter();
            SmdsServer::start(listener, Arc::new(Mutex::new(smds)), &tls, options).unwrap()
        };
        let stream = connector(pki().ci(curve).unwrap(), SslVersion::TLS1_3)
            .build()
            .connect("localhost", StdStream::connect(server.address()).unwrap())
            .unwrap();
        let (client, card) = (Client { stream }, Card::on(curve));
        DsWorld { server, client, card, curve, binding, path, _runtime: runtime }
    }

    fn initiate(&mut self) -> Called<InitiateAuthenticationOk> {
        self.initiate_as(ADDRESS_OF_DS)
    }

    fn initiate_as(&mut self, address: &str) -> Called<InitiateAuthenticationOk> {
        self.client.initiate_at(self.binding, self.path, &self.card, address)
    }

    fn own_key_id(&self) -> Vec<u8> {
        pki().ci(self.curve).unwrap().subject_key_id().unwrap().to_vec()
    }

    /// authenticateClient: the events.
    fn ask(&mut self, id: &TransactionId, response: &[u8]) -> Called<Vec<EventEntry>> {
        let entry =
            |id: &str, address: &str| EventEntry { event_id: id.to_owned(), rsp_server_address: address.to_owned() };
        if self.binding == Binding::Json {
            let body = json!({ "transactionId": id.to_string(), "authenticateServerResponse": b64(response) });
            let reply = self.client.json(&format!("{}authenticateClient", self.path), body)?;
            assert_eq!(reply["transactionId"], id.to_string());
            let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
            let entries = reply["eventEntries"].as_array().unwrap().iter();
            return Ok(entries.map(|one| entry(&text(one, "eventId"), &text(one, "rspServerAddress"))).collect());
        }
        // In ASN.1 the answer has a tag of its own.
        let body = Writer::new().put(0x80, id.as_bytes()).raw(response).into_vec();
        let answer = self.client.asn1(0xBF3B, 0xBF40, &body)?;
        let mut fields = rsp::tlv::Reader::new(&answer);
        assert_eq!(fields.expect(0x80u32).unwrap().value(), id.as_bytes());
        let entries = fields.expect(0xA1u32).unwrap();
        let read = |one: rsp::tlv::Tlv<'_>| {
            let mut fields = one.reader();
            let mut text = |tag: u32| fields.expect(tag).unwrap().as_str().unwrap().to_owned();
            entry(&text(0x80), &text(0x81))
        };
        Ok(entries.reader().map(|one| read(one.unwrap())).collect())
    }

    fn authenticate(&mut self, event: Option<&str>) -> Called<Vec<EventEntry>> {
        let ok = self.initiate()?;
        let response = self.card.authenticate(&ok, event);
        self.ask(&ok.transaction_id, &response)
    }

    /// authenticateClient with a response that is made from what the server has signed.
    fn authenticate_with(&mut self, make: impl FnOnce(&Card, ServerSigned1) -> Vec<u8>) -> Called<Vec<EventEntry>> {
        let ok = self.initiate()?;
        let response = make(&self.card, ServerSigned1::receive(&ok.server_signed1).unwrap().value);
        self.ask(&ok.transaction_id, &response)
    }

    fn with_card(mut self, card: impl FnOnce(&Self) -> Card) -> Self {
        self.card = card(&self);
        self
    }
}

/// One case: what is done, and how it has to end.
pub(super) struct DsCase {
    pub(super) function: &'static str,
    pub(super) title: &'static str,
    /// Subject and reason, and the number in ASN.1; empty where it has to succeed.
    pub(super) status: &'static str,
    pub(super) number: &'static str,
    run: fn(DsWorld) -> Called<()>,
}

pub(super) fn cases() -> Vec<DsCase> {
    const INITIATE: &str = "InitiateAuthentication";
    const AUTHENTICATE: &str = "AuthenticateClient";
    let mut cases = Vec::new();
    let mut case = |function, title, status, number, run| cases.push(DsCase { function, title, status, number, run });

    case(INITIATE, "the address of another server", "8.9.1/3.8", "1", |mut world| {
        world.initiate_as(ADDRESS).map(|_| ())
    });
    case(INITIATE, "no CI in common", "8.9.2/3.1", "3", |mut world| {
        world.card.ci_key_ids = Some([vec![vec![9; 20]], vec![vec![9; 20]]]);
        world.initiate().map(|_| ())
    });
    case(INITIATE, "a version of SGP.22 that is not supported", "8.9.3/3.1", "2", |mut world| {
        world.card.svn = Version::new(1, 0, 0);
        world.initiate().map(|_| ())
    });
    case(INITIATE, "no certificate that the card can verify", "8.9.4/3.7", "3", |mut world| {
        world.card.ci_key_ids = Some([vec![vec![9; 20]], vec![world.own_key_id()]]);
        world.initiate().map(|_| ())
    });
    case(AUTHENTICATE, "without an event id: all that wait for the card", "", "", |mut world| {
        let all = world.authenticate(None)?;
        assert_eq!(all, world.server.smds().lock().unwrap().events_of(eid()));
        assert_eq!(all.len(), 2);
        Ok(())
    });
    case(AUTHENTICATE, "with an event id: that one", "", "", |mut world| {
        let one = world.authenticate(Some("EVENT-2"))?;
        assert_eq!((one.len(), one[0].event_id.as_str()), (1, "EVENT-2"));
        Ok(())
    });
    case(AUTHENTICATE, "an unknown event id", "8.9.5/3.9", "6", |mut world| {
        world.authenticate(Some("EVENT-3")).map(|_| ())
    });
    case(AUTHENTICATE, "an EUM certificate of another role", "8.1.2/6.1", "1", |world| {
        let card =
            |world: &DsWorld| broken_card(pki(), world.curve, |eum| eum.with_role(rsp::cert::Role::DpAuth), same);
        world.with_card(card).authenticate(None).map(|_| ())
    });
    case(AUTHENTICATE, "an expired EUM certificate", "8.1.2/6.3", "2", |world| {
        let expired = |eum| CertificateSpec { not_after: NOW - 10, ..eum };
        world.with_card(|world| broken_card(pki(), world.curve, expired, same)).authenticate(None).map(|_| ())
    });
    case(AUTHENTICATE, "an eUICC certificate of another role", "8.1.3/6.1", "3", |world| {
        let card =
            |world: &DsWorld| broken_card(pki(), world.curve, same, |euicc| euicc.with_role(rsp::cert::Role::DpPb));
        world.with_card(card).authenticate(None).map(|_| ())
    });
    case(AUTHENTICATE, "an expired eUICC certificate", "8.1.3/6.3", "4", |world| {
        let expired = |euicc| CertificateSpec { not_after: NOW - 10, ..euicc };
        world.with_card(|world| broken_card(pki(), world.curve, same, expired)).authenticate(None).map(|_| ())
    });
    case(AUTHENTICATE, "a wrong signature", "8.1/6.1", "5", |mut world| {
        let forged = |card: &Card, server: ServerSigned1| {
            let (euicc, eum) = (&card.credentials.euicc.certificate, &card.credentials.eum);
            AuthenticateServerResponse::encode_ok(&card.signed1(&server, None), &[1; 64], euicc.der(), eum.der())
        };
        world.authenticate_with(forged).map(|_| ())
    });
    case(AUTHENTICATE, "another serverChallenge", "8.1/6.1", "5", |mut world| {
        let other = |card: &Card, server: ServerSigned1| {
            card.answer(&card.signed1(&ServerSigned1 { server_challenge: [0; 16], ..server }, None))
        };
        world.authenticate_with(other).map(|_| ())
    });
    case(AUTHENTICATE, "an EUM under an unknown CI", "8.11.1/3.9", "127", |world| {
        let foreign = |world: &DsWorld| {
            let spec = pki::PkiSpec { curves: vec![world.curve], ..pki::PkiSpec::default() };
            let other = pki::Pki::generate(&spec, &mut SeededRandom::new(2, "other"), NOW - 1000).unwrap();
            let mut foreign = other.euicc(world.curve, &eid()).unwrap().clone();
            foreign.ci = pki().ci(world.curve).unwrap().clone();
            Card::with(foreign)
        };
        world.with_card(foreign).authenticate(None).map(|_| ())
    });
    case(AUTHENTICATE, "an unknown transaction id in the request", "8.10.1/3.9", "7", |mut world| {
        let ok = world.initiate()?;
        let response = world.card.authenticate(&ok, None);
        world.ask(&other_id(), &response).map(|_| ())
    });
    case(AUTHENTICATE, "another transaction id in what the card has signed", "8.10.1/3.9", "7", |mut world| {
        let other = |card: &Card, server: ServerSigned1| {
            card.answer(&card.signed1(&ServerSigned1 { transaction_id: other_id(), ..server }, None))
        };
        world.authenticate_with(other).map(|_| ())
    });
    case(AUTHENTICATE, "a second time in the same session", "8.10.1/3.9", "7", |mut world| {
        let ok = world.initiate()?;
        let response = world.card.authenticate(&ok, None);
        world.ask(&ok.transaction_id, &response).unwrap();
        world.ask(&ok.transaction_id, &response).map(|_| ())
    });
    cases
}

fn run_all(binding: Binding, path: &'static str) {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for case in cases() {
            let came_to = (case.run)(DsWorld::new(curve, binding, path)).err().unwrap_or_default();
            let expected = if binding == Binding::Json { case.status } else { case.number };
            assert_eq!(came_to, expected, "{}: {} ({curve}, {binding:?})", case.function, case.title);
        }
    }
}

#[test]
fn conformance_of_the_sm_ds_in_json() {
    run_all(Binding::Json, "/gsma/rsp2/es11/");
}

#[test]
fn conformance_of_the_sm_ds_in_json_on_the_path_of_es9plus() {
    run_all(Binding::Json, "/gsma/rsp2/es9plus/");
}

#[test]
fn conformance_of_the_sm_ds_in_asn1() {
    run_all(Binding::Asn1, "/gsma/rsp2/asn1");
}

#[test]
fn an_sm_ds_has_no_packages() {
    let mut world = DsWorld::new(Curve::P256, Binding::Json, "/gsma/rsp2/es11/");
    for function in ["getBoundProfilePackage", "cancelSession", "handleNotification"] {
        assert_eq!(world.client.post(function, b"{}").unwrap().status, 404, "{function}");
    }
}
