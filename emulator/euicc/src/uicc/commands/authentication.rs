//! Commands of an application that knows a subscription: AUTHENTICATE and GET IDENTITY.

use super::{Answer, Done, View};
use crate::apdu::{Command, Response, Sw};
use crate::uicc::image::{FileRef, Structure, id};
use crate::uicc::suci::{self, Subscription};
use rsp::aka::Outcome;
use rsp::gba;
use rsp::saip::Kind;

impl View<'_> {
    /// AUTHENTICATE (TS 31.102 §7.1, TS 31.103 §7.1).
    pub(super) fn authenticate(&mut self, command: &Command<'_>) -> Done {
        const GSM_CONTEXT: u8 = 0x80;
        const AKA_CONTEXT: u8 = 0x81;
        const GBA_CONTEXT: u8 = 0x84;
        if command.p1 != 0 {
            return Err(Sw::WRONG_P1_P2);
        }
        let application = self.opened_application()?;
        let authentication = self.files.image().authentication(application).ok_or(Sw::CONTEXT_NOT_SUPPORTED)?;
        match command.p2 {
            AKA_CONTEXT => {
                let (rand, rest) = authentication_value(command.data)?;
                let (autn, rest) = authentication_value(rest)?;
                if !rest.is_empty() {
                    return Err(Sw::WRONG_LENGTH);
                }
                match self.files.authenticate(authentication, &rand, &autn) {
                    Outcome::Success { res, ck, ik, kc } => {
                        let mut data = vec![0xDB];
                        for value in [&res, &ck, &ik] {
                            data.push(value.len() as u8);
                            data.extend_from_slice(value);
                        }
                        // TS 31.102 §7.1.2.1: Kc when service 27 (GSM access) is there.
                        if self.has_service(application, 27) {
                            data.push(kc.len() as u8);
                            data.extend_from_slice(&kc);
                        }
                        Ok(Answer::Offer(data))
                    }
                    Outcome::SynchronisationFailure(auts) => Ok(Answer::Offer([&[0xDC, 0x0E], &auts[..]].concat())),
                    Outcome::MacFailure => Err(Sw::WRONG_MAC),
                }
            }
            GSM_CONTEXT => {
                // TS 31.102 §4.2.8: service 38, GSM security context.
                if !self.has_service(application, 38) {
                    return Err(Sw::CONTEXT_NOT_SUPPORTED);
                }
                let (rand, rest) = authentication_value(command.data)?;
                if !rest.is_empty() {
                    return Err(Sw::WRONG_LENGTH);
                }
                let (sres, kc) = self.files.authenticate_gsm(authentication, &rand);
                Ok(Answer::Offer([&[0x04], &sres[..], &[0x08], &kc[..]].concat()))
            }
            GBA_CONTEXT if self.has_gba(application) => self.bootstrap(application, authentication, command.data),
            0x82..=0x87 => Err(Sw::CONTEXT_NOT_SUPPORTED),
            _ => Err(Sw::WRONG_P1_P2),
        }
    }

    /// The GBA context (TS 31.102 §7.1.1.4, TS 31.103 §7.1.2.3; TS 33.220 §5.3): bootstrapping by a challenge, after it
    /// the key for a network application function.
    fn bootstrap(&mut self, application: FileRef, authentication: usize, data: &[u8]) -> Done {
        const BOOTSTRAPPING: u8 = 0xDD;
        const NAF_DERIVATION: u8 = 0xDE;
        let (mode, rest) = data.split_first().ok_or(Sw::WRONG_LENGTH)?;
        match *mode {
            BOOTSTRAPPING => {
                let (rand, rest) = authentication_value(rest)?;
                let (autn, rest) = authentication_value(rest)?;
                if !rest.is_empty() {
                    return Err(Sw::WRONG_LENGTH);
                }
                match self.files.bootstrap(authentication, &rand, &autn) {
                    Outcome::Success { res, .. } => {
                        // TS 31.102 §4.2.73: the parameters begin with RAND; the rest is for the terminal to write.
                        if let Some(file) = self.files.image().child(application, id::GBA_PARAMETERS) {
                            self.files.write(file, 0, &[&[0x10], &rand[..]].concat());
                        }
                        Ok(Answer::Offer([&[0xDB, res.len() as u8], &res[..]].concat()))
                    }
                    Outcome::SynchronisationFailure(auts) => Ok(Answer::Offer([&[0xDC, 0x0E], &auts[..]].concat())),
                    Outcome::MacFailure => Err(Sw::WRONG_MAC),
                }
            }
            NAF_DERIVATION => {
                let (naf_id, rest) = value(rest)?;
                let (impi, rest) = value(rest)?;
                if !rest.is_empty() {
                    return Err(Sw::WRONG_LENGTH);
                }
                let keys = self.files.bootstrapped(authentication).ok_or(Sw::CONDITIONS_NOT_SATISFIED)?;
                let (rand, ks) = keys.split_first_chunk::<16>().ok_or(Sw::TECHNICAL_PROBLEM)?;
                let ks = ks.first_chunk::<32>().ok_or(Sw::TECHNICAL_PROBLEM)?;
                let key = gba::naf_key(gba::KeyFor::Terminal, ks, rand, impi, naf_id);
                let key = key.map_err(|_| Sw::TECHNICAL_PROBLEM)?;
                Ok(Answer::Offer([&[0xDB, key.len() as u8], &key[..]].concat()))
            }
            _ => Err(Sw::WRONG_DATA),
        }
    }

    /// Whether an application has the Generic Bootstrapping Architecture: service 68 of a USIM, 2 of an ISIM.
    fn has_gba(&self, application: FileRef) -> bool {
        match self.files.image().file(application).structure {
            Structure::Application { kind: Kind::Usim, .. } => self.has_service(application, 68),
            Structure::Application { kind: Kind::Isim, .. } => self.has_service_of(application, id::IST, 2),
            _ => false,
        }
    }

    /// The application that may be used: it is the channel's, a directory of it is the current one, and its PIN is
    /// verified (TS 31.102 §7.1.1, §7.5.1).
    fn opened_application(&self) -> Result<FileRef, Sw> {
        let image = self.files.image();
        let inside =
            image.application_of(self.selection.directory).filter(|of| Some(*of) == self.selection.application);
        let application = inside.ok_or(Sw::CONDITIONS_NOT_SATISFIED)?;
        // The application's PIN is the global key that its directory shows.
        let shown = &image.file(application).pin_status;
        let pin = shown.iter().filter(|key| **key <= 0x08).find_map(|key| image.pin(application, *key));
        if pin.is_some_and(|pin| self.files.pin(pin).enabled && !self.verified.has(pin)) {
            return Err(Sw::SECURITY_STATUS_NOT_SATISFIED);
        }
        Ok(application)
    }

    /// GET IDENTITY (TS 31.102 §7.5): the concealed subscription identifier, when the USIM is to compute it.
    pub(super) fn get_identity(&mut self, command: &Command<'_>) -> Done {
        const SUCI: u8 = 0x01;
        if (command.p1, command.p2) != (0, SUCI) {
            return Err(Sw::WRONG_P1_P2);
        }
        let application = self.opened_application()?;
        // TS 31.102 §4.2.8: privacy of the identifier, and its computation by the USIM.
        if !self.has_service(application, 124) || !self.has_service(application, 125) {
            return Err(Sw::CONDITIONS_NOT_SATISFIED);
        }
        let content =
            |path: &[u16]| self.walk(application, path).map_or(Vec::new(), |file| self.files.content(file).to_vec());
        let (imsi, data) = (content(&[id::IMSI]), content(&[id::AD]));
        // SAIP §9.5.12: what the USIM computes with is in DF.SAIP, out of the terminal's reach.
        let schemes = content(&[id::DF_SAIP, id::SUCI_CALCULATION]);
        let subscription = Subscription {
            imsi: &imsi,
            mnc_digits: if data.get(3).is_some_and(|digits| digits & 0x0F == 3) { 3 } else { 2 },
            routing_indicator: match content(&[id::DF_5GS, id::ROUTING_INDICATOR])[..] {
                [first, second, ..] => [first, second],
                _ => [0xF0, 0xFF],
            },
            schemes: &schemes,
        };
        let data = suci::identity(&subscription, self.random).ok_or(Sw::CONDITIONS_NOT_SATISFIED)?;
        if command.le != Some(data.len()) {
            return Err(Sw::exact_length(data.len()));
        }
        Ok(Answer::Now(Response { data, sw: Sw::OK }))
    }

    /// Whether a service is available in EF.UST (TS 31.102 §4.2.8).
    fn has_service(&self, application: FileRef, service: usize) -> bool {
        self.has_service_of(application, id::UST, service)
    }

    fn has_service_of(&self, application: FileRef, table: u16, service: usize) -> bool {
        let Some(table) = self.files.image().child(application, table) else { return false };
        let byte = self.files.content(table).get((service - 1) / 8).copied().unwrap_or(0);
        byte >> ((service - 1) % 8) & 1 != 0
    }
}

/// A length and the value behind it.
fn value(data: &[u8]) -> Result<(&[u8], &[u8]), Sw> {
    let (length, rest) = data.split_first().ok_or(Sw::WRONG_LENGTH)?;
    rest.split_at_checked(usize::from(*length)).ok_or(Sw::WRONG_LENGTH)
}

/// A length of 16 and the value behind it.
fn authentication_value(data: &[u8]) -> Result<([u8; 16], &[u8]), Sw> {
    let (length, rest) = data.split_first().ok_or(Sw::WRONG_LENGTH)?;
    let (value, rest) = rest.split_first_chunk::<16>().ok_or(Sw::WRONG_LENGTH)?;
    if *length == 16 { Ok((*value, rest)) } else { Err(Sw::WRONG_LENGTH) }
}
