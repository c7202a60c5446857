//! A PKI in a folder laid out like the test PKI of GSMA SGP.26: a subfolder for each part, certificates in DER and
//! PEM, keys in PEM.
//!
//! File names are for people: what a certificate is stands in its policy, and the key that goes with it is the one
//! with its public key. Names only decide the order where there are several of a kind, shorter ones first
//! (`CERT_S_SM_DPauth…` before `CERT_S_SM_DP2auth…`).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rsp::cert::{CertError, Certificate, Role};
use rsp::crypto::{CryptoError, Curve, PrivateKey};

use crate::{Authority, Branch, EuiccCredentials, Identity, Pki, PkiError, SmdpCredentials, SmdsCredentials};

/// How SGP.26 names a curve in its files.
fn suffix(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "NIST",
        Curve::BrainpoolP256r1 => "BRP",
    }
}

/// The certificates and keys of a folder, in order.
#[derive(Default)]
struct Found {
    certificates: Vec<Certificate>,
    keys: Vec<PrivateKey>,
}

impl Found {
    fn read(dir: &Path) -> Result<Found, PkiError> {
        let mut files = Vec::new();
        list(dir, 0, &mut files)?;
        files.sort_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_owned();
            (name.len(), name, path.clone())
        });
        let mut found = Found::default();
        for path in files {
            found.read_file(path)?;
        }
        Ok(found)
    }

    fn read_file(&mut self, path: PathBuf) -> Result<(), PkiError> {
        let bytes = fs::read(&path).map_err(|source| PkiError::Io { action: "read", path: path.clone(), source })?;
        let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let is_der = bytes.first() == Some(&0x30);
        let key = if is_der || contains("PRIVATE KEY-----") { Some(PrivateKey::from_pem_or_der(&bytes)) } else { None };
        if contains("-----BEGIN CERTIFICATE-----") || (is_der && !matches!(key, Some(Ok(_)))) {
            match Certificate::from_pem_or_der(&bytes) {
                Ok(certificate) if self.certificates.contains(&certificate) => {}
                Ok(certificate) => self.certificates.push(certificate),
                // SGP.26 has a third curve, which is not used in the field.
                Err(CertError::UnsupportedKey) => {}
                Err(source) => return Err(PkiError::BadCertificate { path, source }),
            }
        }
        match key {
            Some(Ok(key)) => self.keys.push(key),
            // A DER file that is no key was read as a certificate.
            Some(Err(source)) if !is_der && !matches!(source, CryptoError::UnsupportedKey) => {
                return Err(PkiError::BadKey { path, source });
            }
            _ => {}
        }
        Ok(())
    }

    fn key(&self, certificate: &Certificate) -> Option<PrivateKey> {
        self.keys.iter().find(|key| key.public() == certificate.public_key()).cloned()
    }

    /// The certificates with this role that `issuer` has signed.
    fn issued<'a>(&'a self, role: Role, issuer: &'a Certificate) -> impl Iterator<Item = &'a Certificate> + 'a {
        self.certificates
            .iter()
            .filter(move |found| found.role() == Some(role) && found.verify_signed_by(issuer).is_ok())
    }

    /// The same, those with their keys only.
    fn identities(&self, role: Role, issuer: &Certificate) -> Vec<Identity> {
        self.issued(role, issuer)
            .filter_map(|certificate| Some(Identity { certificate: certificate.clone(), key: self.key(certificate)? }))
            .collect()
    }

    fn branch(&self, ci: Authority, now: i64) -> Branch {
        let root = ci.certificate.clone();
        let pbs = self.identities(Role::DpPb, &root);
        let smdps: Vec<SmdpCredentials> = self
            .identities(Role::DpAuth, &root)
            .into_iter()
            .filter_map(|auth| {
                let oid = auth.certificate.registered_id()?.clone();
                let pb = pbs.iter().find(|pb| pb.certificate.registered_id() == Some(&oid))?.clone();
                Some(SmdpCredentials { oid, auth, pb })
            })
            .collect();
        let smdss: Vec<SmdsCredentials> = self
            .identities(Role::DsAuth, &root)
            .into_iter()
            .filter_map(|auth| Some(SmdsCredentials { oid: auth.certificate.registered_id()?.clone(), auth }))
            .collect();

        // Those that can be used now come first, then those of the server that is preferred.
        let tls = |role, preferred: Option<&rsp::Oid>| {
            let mut found = self.identities(role, &root);
            found.sort_by_key(|tls| {
                (tls.certificate.check_validity(now).is_err(), tls.certificate.registered_id() != preferred)
            });
            found
        };
        let eums: Vec<Authority> = self
            .issued(Role::Eum, &root)
            .map(|eum| Authority { certificate: eum.clone(), key: self.key(eum) })
            .collect();
        let euiccs = eums
            .iter()
            .flat_map(|eum| self.identities(Role::Euicc, &eum.certificate).into_iter().map(move |euicc| (eum, euicc)))
            .filter_map(|(eum, euicc)| {
                Some(EuiccCredentials {
                    eid: euicc.certificate.eid().ok()?,
                    curve: root.curve(),
                    ci: root.clone(),
                    eum: eum.certificate.clone(),
                    euicc,
                })
            })
            .collect();
        Branch {
            dp_tls: tls(Role::DpTls, smdps.first().map(|smdp| &smdp.oid)),
            ds_tls: tls(Role::DsTls, smdss.first().map(|smds| &smds.oid)),
            eums,
            smdps,
            smdss,
            euiccs,
            ci,
        }
    }
}

/// The files of a folder and its subfolders that certificates and keys can be in.
fn list(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), PkiError> {
    /// SGP.26 has one level of subfolders, and its variants another.
    const DEEPEST: usize = 3;
    let failed = |source: io::Error| PkiError::Io { action: "read", path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if depth < DEEPEST {
                list(&path, depth + 1, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| ["der", "pem", "crt", "cer", "key"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

impl Pki {
    /// Reads a PKI from a folder laid out like SGP.26. `now` decides between TLS certificates where there are
    /// several; an expired one is loaded nevertheless.
    ///
    /// What is not in the folder is missed only when it is asked for. A CI without certificates below it is passed
    /// over when there is another on the same curve.
    pub fn load(dir: &Path, now: i64) -> Result<Pki, PkiError> {
        let found = Found::read(dir)?;
        let mut branches: BTreeMap<Curve, Branch> = BTreeMap::new();
        for ci in found.certificates.iter().filter(|found| found.role() == Some(Role::Ci)) {
            let ci = Authority { certificate: ci.clone(), key: found.key(ci) };
            let branch = found.branch(ci, now);
            let useful = |branch: &Branch| (!branch.smdps.is_empty(), !branch.eums.is_empty(), branch.ci.key.is_some());
            let curve = branch.ci.certificate.curve();
            if branches.get(&curve).is_none_or(|known| useful(known) < useful(&branch)) {
                branches.insert(curve, branch);
            }
        }
        if branches.is_empty() {
            return Err(PkiError::NoCi { dir: dir.to_owned() });
        }
        Ok(Pki { branches })
    }

    /// Writes the PKI into a folder, which is made if it is not there. Keys can be read by their owner only; a file
    /// that is there already is never replaced.
    pub fn write(&self, dir: &Path) -> Result<(), PkiError> {
        for (curve, branch) in &self.branches {
            let suffix = suffix(*curve);
            let put = |folder: &str, name: &str, certificate: &Certificate, key: Option<&PrivateKey>| {
                put(&dir.join(folder), name, suffix, certificate, key)
            };
            let put_identity = |folder, name: &str, of: &Identity| put(folder, name, &of.certificate, Some(&of.key));
            put("CertificateIssuer", "CI_ECDSA", &branch.ci.certificate, branch.ci.key.as_ref())?;
            for (number, eum) in branch.eums.iter().enumerate() {
                put("EUM", &numbered("EUM", number, "_ECDSA"), &eum.certificate, eum.key.as_ref())?;
            }
            for (number, smdp) in branch.smdps.iter().enumerate() {
                put_identity("DPauth", &numbered("S_SM_DP", number, "auth_ECDSA"), &smdp.auth)?;
                put_identity("DPpb", &numbered("S_SM_DP", number, "pb_ECDSA"), &smdp.pb)?;
            }
            for (number, tls) in branch.dp_tls.iter().enumerate() {
                put_identity("DPtls", &numbered("S_SM_DP", number, "_TLS"), tls)?;
            }
            for (number, smds) in branch.smdss.iter().enumerate() {
                put_identity("DSauth", &numbered("S_SM_DS", number, "auth_ECDSA"), &smds.auth)?;
            }
            for (number, tls) in branch.ds_tls.iter().enumerate() {
                put_identity("DStls", &numbered("S_SM_DS", number, "_TLS"), tls)?;
            }
            for (number, euicc) in branch.euiccs.iter().enumerate() {
                put_identity("eUICC", &numbered("EUICC", number, "_ECDSA"), &euicc.euicc)?;
            }
        }
        Ok(())
    }
}

/// Names as in SGP.26: the first has no number, the second is `S_SM_DP2auth_ECDSA`.
fn numbered(before: &str, index: usize, after: &str) -> String {
    match index {
        0 => format!("{before}{after}"),
        index => format!("{before}{}{after}", index + 1),
    }
}

/// One certificate in both forms, and its key.
fn put(
    folder: &Path,
    name: &str,
    suffix: &str,
    certificate: &Certificate,
    key: Option<&PrivateKey>,
) -> Result<(), PkiError> {
    fs::create_dir_all(folder).map_err(|source| PkiError::Io {
        action: "make the folder",
        path: folder.to_owned(),
        source,
    })?;
    put_file(folder.join(format!("CERT_{name}_{suffix}.der")), 0o644, certificate.der())?;
    put_file(folder.join(format!("CERT_{name}_{suffix}.pem")), 0o644, certificate.to_pem().as_bytes())?;
    match key {
        Some(key) => put_file(folder.join(format!("SK_{name}_{suffix}.pem")), 0o600, &key.to_pem()?),
        None => Ok(()),
    }
}

fn put_file(path: PathBuf, mode: u32, content: &[u8]) -> Result<(), PkiError> {
    let written = || -> io::Result<()> {
        // The mode is there from the first moment; set again, it does not depend on the umask.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)
    };
    written().map_err(|source| PkiError::Io { action: "write", path: path.clone(), source })
}
