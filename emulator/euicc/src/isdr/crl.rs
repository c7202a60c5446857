//! LoadCRL (SGP.22 v2.5 §5.7.12), when the card has the capability crlSupport.

use rsp::cert::RevocationList;
use rsp::es10::crl::{LoadCrlErrorCode as Code, LoadCrlResponse, parse_load_crl_request};

use crate::apdu::Sw;
use crate::config::rsp_capability;
use crate::{CardEvent, Euicc};

impl Euicc {
    pub(super) fn load_crl(&mut self, data: &[u8]) -> Result<Vec<u8>, Sw> {
        // A function that the card says it does not have is one that it does not know.
        if !self.config.rsp_capability.has(rsp_capability::CRL) {
            return Err(Sw::DATA_NOT_FOUND);
        }
        let list = parse_load_crl_request(data).map_err(|_| Sw::WRONG_DATA)?;
        let response = match self.take_list(&list) {
            Ok(missing_parts) => LoadCrlResponse::Ok { missing_parts },
            Err((code, problem)) => {
                self.events.push(CardEvent::RevocationListRefused { code, problem });
                LoadCrlResponse::Error(code)
            }
        };
        Ok(response.encode())
    }

    /// Verifies a list and keeps it; gives the numbers of its parts that are missing yet.
    fn take_list(&mut self, der: &[u8]) -> Result<Vec<u32>, (Code, String)> {
        let list = RevocationList::parse(der).map_err(|error| (Code::InvalidCrlFormat, error.to_string()))?;
        let issuer = list.authority_key_id();
        let Some(ci) = self.config.trusted_cis().find(|ci| ci.subject_key_id() == Some(issuer)) else {
            return Err((Code::VerificationKeyNotFound, "it is of a CI that the card does not trust".to_owned()));
        };
        list.verify_signed_by(ci).map_err(|error| (Code::InvalidSignature, error.to_string()))?;
        let mut lists = self.store.revocation_lists().clone();
        let before = lists.memory();
        let missing = lists.add(&list).map_err(|code| (code, format!("list {}", list.number())))?;
        if lists.memory().saturating_sub(before) > self.free_memory() {
            return Err((Code::NotEnoughMemorySpace, format!("list {} is too long", list.number())));
        }
        self.store.set_revocation_lists(lists);
        self.events.push(CardEvent::RevocationListLoaded { number: list.number(), missing: missing.clone() });
        Ok(missing)
    }
}
