//! SSL contexts: the fourteen settings of `AT+QSSLCFG` (EC200U&EG915U SSL AN 1.1 §2.2.1), six of each.

use std::time::Duration;

use crate::ip_error::IpError;
use crate::socket::{TlsSettings, TlsVersions};

/// How many contexts there are.
pub(crate) const COUNT: u8 = 6;

/// The cipher suites of table 2, in its order, each with the name that OpenSSL has for it; `None` where OpenSSL has
/// none: it has dropped static ECDH in version 1.1.0.
pub(crate) const SUITES: [(u16, Option<&str>); 32] = [
    (0x0035, Some("AES256-SHA")),
    (0x002F, Some("AES128-SHA")),
    (0x0005, Some("RC4-SHA")),
    (0x0004, Some("RC4-MD5")),
    (0x000A, Some("DES-CBC3-SHA")),
    (0x003D, Some("AES256-SHA256")),
    (0xC002, None),
    (0xC003, None),
    (0xC004, None),
    (0xC005, None),
    (0xC007, Some("ECDHE-ECDSA-RC4-SHA")),
    (0xC008, Some("ECDHE-ECDSA-DES-CBC3-SHA")),
    (0xC009, Some("ECDHE-ECDSA-AES128-SHA")),
    (0xC00A, Some("ECDHE-ECDSA-AES256-SHA")),
    (0xC011, Some("ECDHE-RSA-RC4-SHA")),
    (0xC012, Some("ECDHE-RSA-DES-CBC3-SHA")),
    (0xC013, Some("ECDHE-RSA-AES128-SHA")),
    (0xC014, Some("ECDHE-RSA-AES256-SHA")),
    (0xC00C, None),
    (0xC00D, None),
    (0xC00E, None),
    (0xC00F, None),
    (0xC023, Some("ECDHE-ECDSA-AES128-SHA256")),
    (0xC024, Some("ECDHE-ECDSA-AES256-SHA384")),
    (0xC025, None),
    (0xC026, None),
    (0xC027, Some("ECDHE-RSA-AES128-SHA256")),
    (0xC028, Some("ECDHE-RSA-AES256-SHA384")),
    (0xC029, None),
    (0xC02A, None),
    (0xC02F, Some("ECDHE-RSA-AES128-GCM-SHA256")),
    (0xC030, Some("ECDHE-RSA-AES256-GCM-SHA384")),
];

/// The code that means all suites. (Table 2 has one digit too many, `0xFFFFF`; the parameter table has this.)
pub(crate) const ALL_SUITES: u32 = 0xFFFF;

/// One context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SslContext {
    /// `"sslversion"`
    pub(crate) version: u32,
    /// `"ciphersuite"`
    pub(crate) suite: u32,
    /// `"cacert"`, `"cacertex"`, `"clientcert"`, `"clientkey"`
    pub(crate) trusted: String,
    pub(crate) trusted_too: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// `"secllevel"`
    pub(crate) level: u32,
    /// `"ignorelocaltime"`
    pub(crate) ignore_time: u32,
    /// `"negotiatetime"`
    pub(crate) negotiation: u32,
    /// `"sni"`
    pub(crate) sni: u32,
    /// `"ignoremulticertchainverify"`
    pub(crate) ignore_chain: u32,
    /// `"ignoreinvalidcertsign"`
    pub(crate) ignore_signature: u32,
    /// `"dtls"`
    pub(crate) dtls: u32,
    /// `"ignorecertitem"`
    pub(crate) ignored: u32,
}

impl Default for SslContext {
    /// The underlined values of §2.2.1, where the note underlines one; else those of a module without any setting: all
    /// versions and suites, no authentication, the local time ignored, nothing else ignored.
    fn default() -> Self {
        SslContext {
            version: 4,
            suite: ALL_SUITES,
            trusted: String::new(),
            trusted_too: String::new(),
            certificate: String::new(),
            key: String::new(),
            level: 0,
            ignore_time: 1,
            negotiation: 300,
            sni: 0,
            ignore_chain: 0,
            ignore_signature: 0,
            dtls: 0,
            ignored: 0,
        }
    }
}

impl SslContext {
    /// What a connection to this host is to be like, with the files read and the time as the modem has it.
    ///
    /// A file that is not there counts as empty: the handshake then fails for want of it, as §4 of the note has it.
    pub(crate) fn settings<'f>(
        &self,
        host: &str,
        clock: i64,
        file: impl Fn(&str) -> Option<&'f [u8]>,
    ) -> Result<TlsSettings, IpError> {
        let suites: Vec<u16> = match self.suite {
            ALL_SUITES => SUITES.iter().filter(|(_, name)| name.is_some()).map(|(code, _)| *code).collect(),
            one => match SUITES.iter().find(|(code, _)| u32::from(*code) == one) {
                Some((code, Some(_))) => vec![*code],
                _ => return Err(IpError::NotSupported),
            },
        };
        let versions = match self.version {
            // There is no DTLS of that time.
            0 if self.dtls == 1 => return Err(IpError::NotSupported),
            0 => TlsVersions::Ssl3,
            1 => TlsVersions::Tls10,
            2 => TlsVersions::Tls11,
            3 => TlsVersions::Tls12,
            _ => TlsVersions::All,
        };
        let named = |path: &str| file(path).unwrap_or_default().to_vec();
        let trusted: Vec<Vec<u8>> = [&self.trusted, &self.trusted_too]
            .into_iter()
            .filter(|path| !path.is_empty() && self.level > 0)
            .map(|path| named(path))
            .collect();
        let client =
            (self.level == 2 && !self.certificate.is_empty()).then(|| (named(&self.certificate), named(&self.key)));
        let size: usize =
            trusted.iter().map(Vec::len).sum::<usize>() + client.iter().map(|(a, b)| a.len() + b.len()).sum::<usize>();
        if size > LARGEST_CREDENTIALS {
            return Err(IpError::MemoryNotEnough);
        }
        Ok(TlsSettings {
            datagrams: self.dtls == 1,
            versions,
            suites,
            trusted,
            client,
            verify: self.level > 0,
            ignored: self.ignored,
            ignore_chain: self.ignore_chain == 1,
            ignore_signature: self.ignore_signature == 1,
            time: (self.ignore_time == 0).then_some(clock),
            server_name: (self.sni == 1).then(|| host.to_owned()),
            negotiation: Duration::from_secs(self.negotiation.into()),
        })
    }
}

/// What a module has memory for when it reads certificates and keys for a connection.
const LARGEST_CREDENTIALS: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_takes() {
        let file = |path: &str| (path == "UFS:ca").then_some(&b"certificate"[..]);
        let settings = SslContext::default().settings("host", 7, file).unwrap();
        assert!(!settings.verify && settings.trusted.is_empty() && settings.time.is_none());
        assert_eq!((settings.suites.len(), settings.server_name), (20, None));
        let strict = SslContext {
            level: 2,
            trusted: "UFS:ca".to_owned(),
            certificate: "UFS:none".to_owned(),
            ignore_time: 0,
            sni: 1,
            suite: 0x35,
            ..SslContext::default()
        };
        let settings = strict.settings("host", 7, file).unwrap();
        assert_eq!(settings.trusted, [b"certificate"]);
        assert_eq!(settings.client, Some((Vec::new(), Vec::new())));
        assert_eq!((settings.time, settings.server_name.as_deref()), (Some(7), Some("host")));
        let old = SslContext { suite: 0xC004, ..SslContext::default() };
        assert_eq!(old.settings("host", 7, file), Err(IpError::NotSupported));
        let odd = SslContext { version: 0, dtls: 1, ..SslContext::default() };
        assert_eq!(odd.settings("host", 7, file), Err(IpError::NotSupported));
    }

    #[test]
    fn there_are_as_many_suites_as_in_the_table() {
        let mut codes: Vec<u16> = SUITES.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 32);
        assert_eq!(SUITES.iter().filter(|(_, name)| name.is_none()).count(), 12);
    }
}
