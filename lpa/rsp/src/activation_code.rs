//! Activation codes (SGP.22 §4.1): `[LPA:]1$<SM-DP+ address>$<matching id>[$<SM-DP+ OID>[$<confirmation flag>]]`.
//!
//! The text is cut at `$`; every part is checked where it stands, and the error says which part and which character.
//! A trailing `$` and empty optional parts are taken as absent, as the note's own example has them
//! (eSIM LPA AN 1.1 §3.6.1). Fields after the fifth belong to later versions and are ignored (SGP.22 §4.1.2).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::ids::{MatchingId, Oid};

/// What an activation code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationCode {
    /// Where the profile waits.
    pub smdp: ServerAddress,
    /// The token; empty when the server finds the order by the EID.
    pub matching_id: MatchingId,
    /// The SM-DP+ OID that the server's certificate must carry, when given.
    pub smdp_oid: Option<Oid>,
    /// Whether the server will ask for a confirmation code.
    pub confirmation_code_required: bool,
}

/// An activation code that cannot be used, with the part that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("activation code {code:?}: {problem}")]
pub struct ActivationCodeError {
    /// The code as given.
    pub code: String,
    /// What is wrong, and what to do.
    pub problem: String,
    /// Where the part that is wrong begins, in bytes.
    pub offset: usize,
}

impl ActivationCode {
    /// Reads an activation code, with or without `LPA:` in front.
    pub fn parse(text: &str) -> Result<Self, ActivationCodeError> {
        let fail = |offset: usize, problem: String| ActivationCodeError { code: text.to_owned(), problem, offset };
        if text.len() > 255 + 4 {
            return Err(fail(255, "it has more than 255 characters".to_owned()));
        }
        let prefix = text.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("LPA:")).map_or(0, str::len);
        let mut parts = Parts { text, next: Some(prefix) };
        let (offset, format) = parts.next().unwrap_or((prefix, ""));
        if format.is_empty() {
            let empty = text.len() == prefix;
            let problem = if empty { "it is empty" } else { "the format in front of the first `$` is missing" };
            return Err(fail(
                offset,
                format!("{problem}; it has to be `1$address$token`, in single quotes in a shell"),
            ));
        }
        if format != "1" {
            return Err(fail(
                offset,
                format!("it begins with {format:?}, but only format 1 is known: `1$address$token`"),
            ));
        }
        let Some((offset, address)) = parts.next() else {
            return Err(fail(
                text.len(),
                "nothing follows the format; if a shell has cut it at `$`, put it in single quotes".to_owned(),
            ));
        };
        let smdp = ServerAddress::parse(address).map_err(|problem| fail(offset, problem.to_string()))?;
        let Some((offset, token)) = parts.next() else {
            return Err(fail(text.len(), "the token is missing; if a shell has cut the code at `$`, put it in single quotes (an empty token still needs its `$`)".to_owned()));
        };
        let matching_id = MatchingId::parse(token).map_err(|error| fail(offset, error.to_string()))?;
        let smdp_oid = match parts.next() {
            None | Some((_, "")) => None,
            Some((offset, oid)) => Some(Oid::parse(oid).map_err(|error| fail(offset, error.to_string()))?),
        };
        let confirmation_code_required = match parts.next() {
            None | Some((_, "")) => false,
            Some((_, "1")) => true,
            Some((offset, flag)) => {
                return Err(fail(offset, format!("the confirmation flag is {flag:?}; it is 1 or absent")));
            }
        };
        Ok(ActivationCode { smdp, matching_id, smdp_oid, confirmation_code_required })
    }

    /// The text with `LPA:` in front, as a QR code carries it (SGP.22 §4.1.1).
    pub fn to_qr_text(&self) -> String {
        format!("LPA:{self}")
    }
}

/// Cuts at `$` and keeps where each part begins.
struct Parts<'a> {
    text: &'a str,
    next: Option<usize>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next?;
        let rest = &self.text[start..];
        let length = rest.find('$');
        self.next = length.map(|length| start + length + 1);
        Some((start, &rest[..length.unwrap_or(rest.len())]))
    }
}

impl fmt::Display for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1${}${}", self.smdp, self.matching_id)?;
        match (&self.smdp_oid, self.confirmation_code_required) {
            (Some(oid), false) => write!(f, "${oid}"),
            (Some(oid), true) => write!(f, "${oid}$1"),
            (None, true) => f.write_str("$$1"),
            (None, false) => Ok(()),
        }
    }
}

impl FromStr for ActivationCode {
    type Err = ActivationCodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ActivationCode::parse(text)
    }
}

/// The address of an SM-DP+ or SM-DS: a host name (or IP address, that of IPv6 in brackets) and, for a lab, a port.
///
/// SGP.22 §4.1 wants a bare FQDN; a port after a colon is what every LPA in the field takes besides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress(String);

/// An address that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server address is {address:?}; it has to be a host name like `smdp.example.com`, with a port after a colon if need be, without scheme or path"
)]
pub struct AddressError {
    /// The address as given.
    pub address: String,
}

impl ServerAddress {
    /// Checks host and port.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let fail = || AddressError { address: text.to_owned() };
        let (host, port) = split(text);
        if let Some(port) = port
            && (!port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().unwrap_or(0) == 0)
        {
            return Err(fail());
        }
        if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
            return address.map(|_| ServerAddress(text.to_owned())).ok_or_else(fail);
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() || host.len() > 253 || !host.split('.').all(is_label) {
            return Err(fail());
        }
        Ok(ServerAddress(text.to_owned()))
    }

    /// The text as given, `host` or `host:port`: this is what goes into a URL and into `smdpAddress`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host alone; an address of IPv6 keeps its brackets.
    pub fn host(&self) -> &str {
        split(&self.0).0
    }

    /// Whether two addresses name the same server: letters of either case, with or without port
    /// (SGP.22 §5.6.1 compares the host names).
    pub fn same_host(&self, other: &ServerAddress) -> bool {
        self.host().trim_end_matches('.').eq_ignore_ascii_case(other.host().trim_end_matches('.'))
    }
}

/// Host and port; the colons in brackets are of an IPv6 address.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ServerAddress::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> ActivationCode {
        ActivationCode::parse(text).unwrap()
    }

    #[test]
    fn examples_of_the_specification() {
        // SGP.22 §4.1.1: the five examples.
        let code = parse("1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815");
        assert_eq!((code.smdp.as_str(), code.matching_id.as_str()), ("SMDP.GSMA.COM", "04386-AGYFT-A74Y8-3F815"));
        assert_eq!((code.smdp_oid, code.confirmation_code_required), (None, false));
        let code = parse("1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$$1");
        assert_eq!((code.smdp_oid, code.confirmation_code_required), (None, true));
        let code = parse("1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746$1");
        assert_eq!(
            (code.smdp_oid, code.confirmation_code_required),
            (Some(Oid::parse("1.3.6.1.4.1.31746").unwrap()), true)
        );
        let code = parse("1$SMDP.GSMA.COM$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746");
        assert_eq!((code.smdp_oid.is_some(), code.confirmation_code_required), (true, false));
        let code = parse("1$SMDP.GSMA.COM$$1.3.6.1.4.1.31746");
        assert!(code.matching_id.is_empty());
    }

    #[test]
    fn forms_of_the_field() {
        // eSIM LPA AN 1.1 §3.6.1 ends in a `$`.
        assert_eq!(parse("1$esim.quectel.com$0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ$").smdp_oid, None);
        assert_eq!(parse("LPA:1$127.0.0.1:8443$TOKEN").smdp.as_str(), "127.0.0.1:8443");
        assert_eq!(parse("lpa:1$host$TOKEN").smdp.host(), "host");
        // Fields of later versions are ignored.
        assert_eq!(parse("1$host$TOKEN$$$F54172BDF98A95D65CBEB88A38A1C11D800A85C3$1").matching_id.as_str(), "TOKEN");
    }

    #[test]
    fn mistakes_name_their_place() {
        for (code, offset, word) in [
            ("", 0, "it is empty"),
            ("LPA:", 4, "it is empty"),
            ("$host$token", 0, "the format in front"),
            ("2$host$token", 0, "format 1"),
            ("LPA:1", 5, "single quotes"),
            ("1$host", 6, "single quotes"),
            ("1$$token", 2, "host name"),
            ("1$https://host$token", 2, "without scheme"),
            ("1$host:0$token", 2, "port"),
            ("1$host$to_ken", 7, "letters, digits"),
            ("1$host$token$2..3", 13, "numbers with dots"),
            ("1$host$token$$0", 14, "confirmation flag"),
        ] {
            let error = ActivationCode::parse(code).unwrap_err();
            assert_eq!(error.offset, offset, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn addresses_of_ipv6_stand_in_brackets() {
        assert_eq!(parse("1$[::1]:8443$TOKEN").smdp.as_str(), "[::1]:8443");
        let host = |text| ServerAddress::parse(text).map(|address| address.host().to_owned());
        assert_eq!(host("[2001:db8::1]:8443").as_deref(), Ok("[2001:db8::1]"));
        assert_eq!(host("[::1]").as_deref(), Ok("[::1]"));
        for wrong in ["::1", "::1:8443", "[::1", "[::1]:", "[::1]:0", "[host]", "[]:1", "[::1]x:1"] {
            assert!(ServerAddress::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_compared_without_case_and_port() {
        let address = |text| ServerAddress::parse(text).unwrap();
        assert!(address("SMDP.Example.com:8443").same_host(&address("smdp.example.com")));
        assert!(!address("smdp.example.com").same_host(&address("smdp.example.org")));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(host in "[a-z]{1,10}(\\.[a-z]{2,5}){0,2}(:[1-9][0-9]{0,3})?", token in "[A-Z0-9-]{0,40}", oid in proptest::option::of("2\\.999\\.[1-9]"), cc in any::<bool>()) {
            let code = ActivationCode {
                smdp: ServerAddress::parse(&host).unwrap(),
                matching_id: MatchingId::parse(&token).unwrap(),
                smdp_oid: oid.map(|oid| Oid::parse(&oid).unwrap()),
                confirmation_code_required: cc,
            };
            prop_assert_eq!(parse(&code.to_string()), code.clone());
            prop_assert_eq!(parse(&code.to_qr_text()), code);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}", codish in "(LPA:)?1?\\$[a-z.:0-9é]{0,10}\\$.{0,10}") {
            let _ = (ActivationCode::parse(&text), ActivationCode::parse(&codish));
        }
    }
}
