//! Test PKIs for remote SIM provisioning: made new, or loaded from a folder.
//!
//! A [`Pki`] holds, for each of the two curves, the certificates and keys of every part: CI, EUM, SM-DP+ (authentication,
//! binding, TLS), SM-DS and eUICCs. [`Pki::generate`] makes one from a random source and a time, [`Pki::write`] puts
//! it into a folder laid out like the test PKI of GSMA SGP.26, [`Pki::load`] reads such a folder, its own or SGP.26's.
//! More eUICCs and TLS servers are issued on demand, under a loaded CI and EUM as under made ones.
//!
//! What is made obeys SGP.22 v2.5 §4.5.2.1, which `rsp::cert` checks. Certificates that break a rule, for tests of
//! who has to notice, come from a [`CertificateSpec`] with a field changed.

mod crl;
mod spec;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rsp::cert::{CertError, Certificate};
use rsp::crypto::{CryptoError, Curve, PrivateKey, Random};
use rsp::ids::IdError;
use rsp::tlv::TlvError;
use rsp::{Eid, Oid};

pub use crl::CrlSpec;
pub use spec::{CertificateSpec, Extension, KeyId, NEVER};

/// Why a PKI could not be made, loaded, written or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A part that the PKI does not have.
    #[error("the PKI has no {what} on {curve}: {remedy}")]
    Missing {
        /// The part.
        what: &'static str,
        /// The curve.
        curve: Curve,
        /// What to do.
        remedy: &'static str,
    },
    /// An EID that the EUM may not sign for.
    #[error("the EUM may not sign for EID {eid}: choose one that begins with {eins}, or a PKI with another EIN")]
    EidOutsideEin {
        /// The EID.
        eid: Eid,
        /// The EINs that the EUM has.
        eins: String,
    },
    /// An EIN of another form.
    #[error("{ein:?} is no EIN: it has 8 decimal digits, the first of the EIDs (SGP.29 §2.2)")]
    Ein {
        /// The text.
        ein: String,
    },
    /// A name that cannot stand in a certificate.
    #[error("{name:?} cannot stand in a certificate: {rule}")]
    Name {
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A file or folder that cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file that is no certificate.
    #[error("{}: {source}; repair the file or take it out of the folder", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertError,
    },
    /// A file that is no key.
    #[error("{}: {source}; repair the file or take it out of the folder", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CryptoError,
    },
    /// A folder without the certificate that everything begins with.
    #[error(
        "{} holds no certificate of a CI: expected a folder laid out like SGP.26, with \
         CertificateIssuer/CERT_CI_ECDSA_NIST.der or _BRP.der", dir.display()
    )]
    NoCi {
        /// The folder.
        dir: PathBuf,
    },
    /// An identifier that breaks its rule.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A certificate that was made and cannot be read.
    #[error("a certificate was made that is none: {0}")]
    Certificate(#[from] CertError),
    /// rcgen could not lay out a certificate.
    #[error("cannot lay out the certificate: {0}")]
    Layout(#[from] rcgen::Error),
    /// rcgen's certificate could not be read.
    #[error("cannot complete the certificate: {0}")]
    Complete(#[from] TlvError),
    /// A cryptographic operation failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// A certificate and the key that belongs to it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: Certificate,
    /// Its private key.
    pub key: PrivateKey,
}

/// An SM-DP+: its two certificates for profile download.
#[derive(Debug, Clone)]
pub struct SmdpCredentials {
    /// Its object identifier, in both certificates.
    pub oid: Oid,
    /// For authentication, CERT.DPauth.
    pub auth: Identity,
    /// For profile package binding, CERT.DPpb.
    pub pb: Identity,
}

/// An SM-DS.
#[derive(Debug, Clone)]
pub struct SmdsCredentials {
    /// Its object identifier.
    pub oid: Oid,
    /// For authentication, CERT.DSauth.
    pub auth: Identity,
}

/// An eUICC: what it is made with.
#[derive(Debug, Clone)]
pub struct EuiccCredentials {
    /// Its EID.
    pub eid: Eid,
    /// The curve of its chain.
    pub curve: Curve,
    /// The CI at the root of its chain.
    pub ci: Certificate,
    /// The certificate of its manufacturer.
    pub eum: Certificate,
    /// Its own certificate and key.
    pub euicc: Identity,
}

/// What a new PKI is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiSpec {
    /// The curves: each has a CI of its own and everything below it.
    pub curves: Vec<Curve>,
    /// Host names and IP addresses of the TLS servers.
    pub host_names: Vec<String>,
    /// Object identifier of the SM-DP+.
    pub smdp_oid: Oid,
    /// Object identifier of the SM-DS.
    pub smds_oid: Oid,
    /// The first eight digits of all EIDs of the EUM.
    pub eum_ein: String,
    /// The eUICCs to begin with; more can be issued later.
    pub eids: Vec<Eid>,
    /// For how many days CI, EUM and servers are valid. eUICC certificates do not expire.
    pub validity_days: u32,
}

/// DER content octets of 2.999.`arc`, the arcs for examples, of which SGP.26 takes its identifiers.
fn example_oid(arc: u8) -> Result<Oid, IdError> {
    Oid::from_der_content(&[0x88, 0x37, arc & 0x7F])
}

impl Default for PkiSpec {
    /// Both curves, on this machine, with the identifiers of SGP.26: SM-DP+ 2.999.10 and the EID
    /// 89049032123451234512345678901235.
    fn default() -> Self {
        let oid = |arc| example_oid(arc).expect("a last octet without a continuation bit");
        PkiSpec {
            curves: vec![Curve::P256, Curve::BrainpoolP256r1],
            host_names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            smdp_oid: oid(10),
            smds_oid: oid(15),
            eum_ein: "89049032".to_owned(),
            eids: Eid::parse("89049032123451234512345678901235").into_iter().collect(),
            validity_days: 3650,
        }
    }
}

/// A certificate whose key need not be there: nothing can be issued under it then.
#[derive(Debug, Clone)]
struct Authority {
    certificate: Certificate,
    key: Option<PrivateKey>,
}

impl Authority {
    fn identity(&self) -> Option<Identity> {
        Some(Identity { certificate: self.certificate.clone(), key: self.key.clone()? })
    }
}

/// Everything on one curve, the preferred one first where there are several.
#[derive(Debug, Clone)]
struct Branch {
    ci: Authority,
    eums: Vec<Authority>,
    smdps: Vec<SmdpCredentials>,
    smdss: Vec<SmdsCredentials>,
    dp_tls: Vec<Identity>,
    ds_tls: Vec<Identity>,
    euiccs: Vec<EuiccCredentials>,
}

/// A whole test PKI.
#[derive(Debug, Clone, Default)]
pub struct Pki {
    branches: BTreeMap<Curve, Branch>,
}

const LOAD_OR_NEW: &str = "add its certificate and key to the folder, or make a new PKI";

impl Pki {
    /// Makes a new PKI. The same specification, random source and time give the same PKI, byte for byte.
    pub fn generate(spec: &PkiSpec, random: &mut dyn Random, now: i64) -> Result<Pki, PkiError> {
        if spec.eum_ein.len() != 8 || !spec.eum_ein.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PkiError::Ein { ein: spec.eum_ein.clone() });
        }
        let until = now.saturating_add(i64::from(spec.validity_days) * 86_400);
        let mut pki = Pki::default();
        for &curve in &spec.curves {
            let dated = |certificate: CertificateSpec| CertificateSpec { not_after: until, ..certificate };
            let name = format!("esimlab CI {curve}");
            let ci = dated(CertificateSpec::ci(&name, &example_oid(1)?, now))
                .self_sign(PrivateKey::generate(curve, random)?, random)?;
            let issue = |certificate: CertificateSpec, random: &mut dyn Random| {
                dated(certificate).issue(&ci, PrivateKey::generate(curve, random)?, random)
            };
            let eum = issue(CertificateSpec::eum("esimlab EUM", &spec.eum_ein, &example_oid(5)?, now), random)?;
            let auth = issue(CertificateSpec::dp_auth(&spec.smdp_oid, now), random)?;
            let pb = issue(CertificateSpec::dp_pb(&spec.smdp_oid, now), random)?;
            let dp_tls = issue(CertificateSpec::dp_tls(&spec.host_names, &spec.smdp_oid, now), random)?;
            let ds_auth = issue(CertificateSpec::ds_auth(&spec.smds_oid, now), random)?;
            let ds_tls = issue(CertificateSpec::ds_tls(&spec.host_names, &spec.smds_oid, now), random)?;
            let branch = Branch {
                ci: Authority { certificate: ci.certificate, key: Some(ci.key) },
                eums: vec![Authority { certificate: eum.certificate, key: Some(eum.key) }],
                smdps: vec![SmdpCredentials { oid: spec.smdp_oid.clone(), auth, pb }],
                smdss: vec![SmdsCredentials { oid: spec.smds_oid.clone(), auth: ds_auth }],
                dp_tls: vec![dp_tls],
                ds_tls: vec![ds_tls],
                euiccs: Vec::new(),
            };
            pki.branches.insert(curve, branch);
            for eid in &spec.eids {
                let credentials = pki.issue_euicc(curve, eid, random, now)?;
                pki.add_euicc(credentials);
            }
        }
        Ok(pki)
    }

    fn branch(&self, curve: Curve) -> Result<&Branch, PkiError> {
        self.branches.get(&curve).ok_or(PkiError::Missing {
            what: "CI",
            curve,
            remedy: "use the other curve, or make a new PKI with both",
        })
    }

    /// The curves that there is a CI on.
    pub fn curves(&self) -> impl Iterator<Item = Curve> + '_ {
        self.branches.keys().copied()
    }

    /// The certificate of the CI: what an LPA and an eUICC trust.
    pub fn ci(&self, curve: Curve) -> Result<&Certificate, PkiError> {
        Ok(&self.branch(curve)?.ci.certificate)
    }

    /// The private key of the CI.
    pub fn ci_key(&self, curve: Curve) -> Result<&PrivateKey, PkiError> {
        let key = self.branch(curve)?.ci.key.as_ref();
        key.ok_or(PkiError::Missing { what: "private key of the CI", curve, remedy: LOAD_OR_NEW })
    }

    /// The CI as an issuer.
    pub fn ci_identity(&self, curve: Curve) -> Result<Identity, PkiError> {
        Ok(Identity { certificate: self.ci(curve)?.clone(), key: self.ci_key(curve)?.clone() })
    }

    /// The EUM as an issuer.
    pub fn eum_identity(&self, curve: Curve) -> Result<Identity, PkiError> {
        let mut identities = self.branch(curve)?.eums.iter().filter_map(Authority::identity);
        identities.next().ok_or(PkiError::Missing { what: "EUM with its private key", curve, remedy: LOAD_OR_NEW })
    }

    /// The SM-DP+.
    pub fn smdp(&self, curve: Curve) -> Result<&SmdpCredentials, PkiError> {
        let first = self.smdps(curve).first();
        first.ok_or(PkiError::Missing {
            what: "SM-DP+ (DPauth and DPpb with one object identifier, and their private keys)",
            curve,
            remedy: LOAD_OR_NEW,
        })
    }

    /// Every SM-DP+ on this curve, the preferred one first.
    pub fn smdps(&self, curve: Curve) -> &[SmdpCredentials] {
        self.branches.get(&curve).map_or(&[], |branch| &branch.smdps)
    }

    /// The SM-DS.
    pub fn smds(&self, curve: Curve) -> Result<&SmdsCredentials, PkiError> {
        let first = self.branch(curve)?.smdss.first();
        first.ok_or(PkiError::Missing { what: "SM-DS (DSauth and its private key)", curve, remedy: LOAD_OR_NEW })
    }

    /// The TLS certificate of the SM-DP+. Of several in a loaded folder it is one that was valid when it was loaded,
    /// if there was one.
    pub fn tls(&self, curve: Curve) -> Result<&Identity, PkiError> {
        let first = self.branch(curve)?.dp_tls.first();
        first.ok_or(PkiError::Missing {
            what: "TLS certificate of the SM-DP+ with its private key",
            curve,
            remedy: "add it to the folder, or issue one under the CI",
        })
    }

    /// The TLS certificate of the SM-DS.
    pub fn smds_tls(&self, curve: Curve) -> Result<&Identity, PkiError> {
        let first = self.branch(curve)?.ds_tls.first();
        first.ok_or(PkiError::Missing {
            what: "TLS certificate of the SM-DS with its private key",
            curve,
            remedy: "add it to the folder, or issue one under the CI",
        })
    }

    /// Issues a TLS certificate for an SM-DP+ that is reached under other names or addresses.
    pub fn issue_tls(
        &self,
        curve: Curve,
        host_names: &[String],
        random: &mut dyn Random,
        now: i64,
    ) -> Result<Identity, PkiError> {
        let oid = match self.smdps(curve).first() {
            Some(smdp) => smdp.oid.clone(),
            None => example_oid(10)?,
        };
        let ci = self.ci_identity(curve)?;
        CertificateSpec::dp_tls(host_names, &oid, now).issue(&ci, PrivateKey::generate(curve, random)?, random)
    }

    /// Issues the certificate of an eUICC, under the EUM that may sign for its EID. It is not kept: see
    /// [`Pki::add_euicc`].
    pub fn issue_euicc(
        &self,
        curve: Curve,
        eid: &Eid,
        random: &mut dyn Random,
        now: i64,
    ) -> Result<EuiccCredentials, PkiError> {
        let branch = self.branch(curve)?;
        let digits = eid.to_string();
        let issuers: Vec<Identity> = branch.eums.iter().filter_map(Authority::identity).collect();
        let permitted = |eum: &Identity| {
            let mut names = eum.certificate.permitted_names().iter();
            let name = names.find(|name| name.ein().is_some_and(|ein| digits.starts_with(ein)));
            let organization = match name {
                Some(name) => name.organization(),
                // An EUM of SGP.22 v3 has EINs in an extension, and the organization in its own name.
                None if eum.certificate.permitted_eins().iter().any(|ein| digits.starts_with(ein)) => {
                    eum.certificate.organization()
                }
                None => None,
            };
            organization.map(str::to_owned)
        };
        let Some((eum, organization)) = issuers.iter().find_map(|eum| Some((eum, permitted(eum)?))) else {
            let eins: Vec<&str> = issuers.iter().flat_map(|eum| eum.certificate.permitted_eins()).collect();
            if eins.is_empty() {
                return Err(PkiError::Missing { what: "EUM with its private key", curve, remedy: LOAD_OR_NEW });
            }
            return Err(PkiError::EidOutsideEin { eid: *eid, eins: eins.join(" or ") });
        };
        let key = PrivateKey::generate(curve, random)?;
        let euicc = CertificateSpec::euicc(&organization, eid, now).issue(eum, key, random)?;
        Ok(EuiccCredentials {
            eid: *eid,
            curve,
            ci: branch.ci.certificate.clone(),
            eum: eum.certificate.clone(),
            euicc,
        })
    }

    /// Keeps an eUICC, in the place of one with the same EID if there is one, so that it is found and written.
    pub fn add_euicc(&mut self, credentials: EuiccCredentials) {
        if let Some(branch) = self.branches.get_mut(&credentials.curve) {
            match branch.euiccs.iter_mut().find(|known| known.eid == credentials.eid) {
                Some(known) => *known = credentials,
                None => branch.euiccs.push(credentials),
            }
        }
    }

    /// The eUICC with this EID, if the PKI holds it.
    pub fn euicc(&self, curve: Curve, eid: &Eid) -> Option<&EuiccCredentials> {
        self.branches.get(&curve)?.euiccs.iter().find(|known| known.eid == *eid)
    }

    /// The EIDs of the eUICCs that the PKI holds, on any curve.
    pub fn eids(&self) -> Vec<Eid> {
        let mut eids = Vec::new();
        for eid in self.branches.values().flat_map(|branch| &branch.euiccs).map(|known| known.eid) {
            if !eids.contains(&eid) {
                eids.push(eid);
            }
        }
        eids
    }
}

#[cfg(test)]
mod tests;
