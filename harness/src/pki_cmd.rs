//! `esimlab pki crl`: certificate revocation lists of a test PKI.

use std::path::PathBuf;

use clap::Args;
use pki::{CrlSpec, Pki};
use rsp::cert::{Certificate, RevocationList};

use crate::cli::{Abort, print};
use crate::runner::result::exit;

/// What goes into the list.
#[derive(Debug, Args)]
pub(crate) struct CrlArgs {
    /// The folder of the PKI, laid out like SGP.26, with the key of its CI
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// A certificate that is revoked (PEM or DER); may be given more than once. Without any the list is empty
    #[arg(long, value_name = "FILE")]
    revoke: Vec<PathBuf>,

    /// The number of the list; a card takes no list with a lower number than it has
    #[arg(long, value_name = "N", default_value_t = 1)]
    number: u32,

    /// Which CI issues it, when nothing is revoked; otherwise it is the one that has issued what is
    #[arg(long, value_name = "CURVE", value_enum, default_value_t = CurveName::P256)]
    curve: CurveName,

    /// Where the list is written to
    #[arg(short, long, value_name = "FILE", default_value = "crl.der")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CurveName {
    P256,
    Brainpool,
}

/// Writes a list, in DER.
pub(crate) fn crl(args: &CrlArgs) -> Result<u8, Abort> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let list = make(args, now).map_err(Abort::usage)?;
    std::fs::write(&args.output, list.der())
        .map_err(|error| Abort::usage(format!("cannot write {}: {error}", args.output.display())))?;
    let revoked = match list.revoked().len() {
        0 => "nobody is revoked".to_owned(),
        1 => "1 certificate is revoked".to_owned(),
        count => format!("{count} certificates are revoked"),
    };
    print(&format!("revocation list {} is in {}: {revoked}\n", list.number(), args.output.display()));
    Ok(exit::PASSED)
}

fn make(args: &CrlArgs, now: i64) -> Result<RevocationList, String> {
    let pki = Pki::load(&args.folder, now).map_err(|error| error.to_string())?;
    let mut curve = match args.curve {
        CurveName::P256 => rsp::crypto::Curve::P256,
        CurveName::Brainpool => rsp::crypto::Curve::BrainpoolP256r1,
    };
    let mut serials = Vec::new();
    for path in &args.revoke {
        let fail = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
        let bytes = std::fs::read(path).map_err(|error| fail(&error))?;
        let certificate = Certificate::from_pem_or_der(&bytes).map_err(|error| fail(&error))?;
        let of_it = |curve: &rsp::crypto::Curve| {
            pki.ci(*curve).is_ok_and(|ci| ci.subject_key_id() == certificate.authority_key_id())
        };
        let issuer = pki.curves().find(of_it).ok_or_else(|| fail(&"no CI of this PKI has issued it"))?;
        if !serials.is_empty() && issuer != curve {
            return Err(fail(&"another CI has issued it than the ones before: each has lists of its own"));
        }
        curve = issuer;
        serials.push(certificate.serial().to_vec());
    }
    let issuer = pki.ci_identity(curve).map_err(|error| error.to_string())?;
    let der = CrlSpec::new(args.number, serials, now).issue(&issuer).map_err(|error| error.to_string())?;
    RevocationList::parse(&der).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsp::crypto::SystemRandom;

    const NOW: i64 = 1_795_200_000;

    #[test]
    fn a_list_names_what_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::generate(&pki::PkiSpec::default(), &mut SystemRandom, NOW).unwrap();
        pki.write(folder.path()).unwrap();
        let mut files = Vec::new();
        for (name, curve) in [("p256", rsp::crypto::Curve::P256), ("brainpool", rsp::crypto::Curve::BrainpoolP256r1)] {
            let path = folder.path().join(name);
            std::fs::write(&path, pki.smdp(curve).unwrap().auth.certificate.der()).unwrap();
            files.push((path, curve));
        }
        let args = |revoke: &[&PathBuf]| CrlArgs {
            folder: folder.path().to_owned(),
            revoke: revoke.iter().map(|path| (*path).clone()).collect(),
            number: 7,
            curve: CurveName::P256,
            output: PathBuf::new(),
        };
        for (path, curve) in &files {
            let list = make(&args(&[path]), NOW).unwrap();
            assert_eq!(list.verify_signed_by(pki.ci(*curve).unwrap()), Ok(()));
            assert_eq!(list.revoked()[0].serial, pki.smdp(*curve).unwrap().auth.certificate.serial());
            assert_eq!(list.number(), 7.into());
        }
        assert!(make(&args(&[]), NOW).unwrap().revoked().is_empty());
        let error = make(&args(&[&files[0].0, &files[1].0]), NOW).unwrap_err();
        assert!(error.contains("another CI"), "{error}");
        assert!(make(&args(&[&folder.path().join("nothing")]), NOW).unwrap_err().contains("nothing"));
    }
}
