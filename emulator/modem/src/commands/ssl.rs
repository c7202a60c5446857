//! TLS sockets (EC200U&EG915U SSL AN 1.1 §2.2).
//!
//! The note calls the command `AT+QSSOPEN` in a heading and a table; every example has `AT+QSSLOPEN`. Its test form has a
//! comma too many before `<access_mode>`, and that of AT+QSSLCFG spaces behind some commas and not behind others: here
//! there are none.

use std::time::Duration;

use super::context::{Attempt, context_id, limited, number, number_or};
use super::tcpip::{self, LONGEST_READ, LONGEST_SENT, index};
use super::{Exec, Outcome};
use crate::ip_error::IpError;
use crate::parse::{Params, quote};
use crate::socket::{SocketRequest, Transport};
use crate::sockets::{AccessMode, Opening, Service, SocketState};
use crate::ssl::{ALL_SUITES, SUITES, SslContext};

/// The settings that are numbers: name, least and greatest value, how the test form writes the range, and where the value
/// is.
type Numeric = (&'static str, u32, u32, &'static str, fn(&mut SslContext) -> &mut u32);

const NUMERIC: [Numeric; 9] = [
    ("sslversion", 0, 4, "(0-4)", |context| &mut context.version),
    ("secllevel", 0, 2, "(0-2)", |context| &mut context.level),
    ("ignorelocaltime", 0, 1, "(0,1)", |context| &mut context.ignore_time),
    ("negotiatetime", 10, 300, "(10-300)", |context| &mut context.negotiation),
    ("sni", 0, 1, "(0,1)", |context| &mut context.sni),
    ("ignoremulticertchainverify", 0, 1, "(0,1)", |context| &mut context.ignore_chain),
    ("ignoreinvalidcertsign", 0, 1, "(0,1)", |context| &mut context.ignore_signature),
    ("dtls", 0, 1, "(0,1)", |context| &mut context.dtls),
    ("ignorecertitem", 0, 1_048_575, "(0-1048575)", |context| &mut context.ignored),
];

/// The settings that are paths.
type Path = (&'static str, &'static str, fn(&mut SslContext) -> &mut String);

const PATHS: [Path; 4] = [
    ("cacert", "<cacertpath>", |context| &mut context.trusted),
    ("cacertex", "<cacertpath>", |context| &mut context.trusted_too),
    ("clientcert", "<client_cert_path>", |context| &mut context.certificate),
    ("clientkey", "<client_key_path>", |context| &mut context.key),
];

/// The note has "secllevel"; what hosts write, after the notes of other modules, is "seclevel".
fn is_level(known: &str, name: &str) -> bool {
    (known, name) == ("secllevel", "seclevel")
}

/// The longest path: `UFS:` and a name.
const LONGEST_PATH: usize = 84;

/// `+QSSLCFG=?`
pub(super) fn test_configure(exec: &mut Exec<'_>) -> Outcome {
    let numeric = |exec: &mut Exec<'_>, range: std::ops::Range<usize>| {
        for (name, _, _, values, _) in NUMERIC.get(range).unwrap_or_default() {
            exec.line(format!("+QSSLCFG: \"{name}\",(0-5),{values}"));
        }
    };
    numeric(exec, 0..1);
    let suites: Vec<String> = SUITES.iter().map(|(code, _)| format!("0X{code:04X}")).collect();
    exec.line(format!("+QSSLCFG: \"ciphersuite\",(0-5),({},0X{ALL_SUITES:04X})", suites.join(",")));
    for (name, path, _) in PATHS {
        exec.line(format!("+QSSLCFG: \"{name}\",(0-5),{path}"));
    }
    numeric(exec, 1..NUMERIC.len());
    Ok(())
}

/// `+QSSLCFG=<setting>,<SSL_ctxID>[,<value>]`
pub(super) fn configure(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_configure(exec, params);
    exec.conclude(attempt)
}

fn try_configure(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 3)?;
    let name = params.quoted(0).and_then(|name| std::str::from_utf8(name).ok()).ok_or(IpError::InvalidParameter)?;
    let name = name.to_ascii_lowercase();
    if name == "cacertex" && params.len() == 1 {
        for (number, context) in (0..).zip(exec.state.ssl.clone()) {
            exec.line(format!("+QSSLCFG: \"cacertex\",{number},{}", quote(&context.trusted_too)));
        }
        return Ok(());
    }
    let number = ssl_context(params, 1)?;
    let context = exec.state.ssl.get_mut(usize::from(number)).ok_or(IpError::InvalidParameter)?;
    let value = if name == "ciphersuite" {
        if params.len() == 3 {
            context.suite = suite(params, 2)?;
            return Ok(());
        }
        format!("0X{:04X}", context.suite)
    } else if let Some((_, _, value)) = PATHS.iter().find(|(known, ..)| *known == name) {
        let value = value(context);
        if params.len() == 3 {
            *value = path(params, 2)?;
            return Ok(());
        }
        quote(value)
    } else {
        let (_, least, greatest, _, value) = NUMERIC
            .iter()
            .find(|(known, ..)| *known == name || is_level(known, &name))
            .ok_or(IpError::InvalidParameter)?;
        let value = value(context);
        if params.len() == 3 {
            *value = super::context::number(params, 2, *least..=*greatest)?;
            return Ok(());
        }
        value.to_string()
    };
    exec.line(format!("+QSSLCFG: \"{name}\",{number},{value}"));
    Ok(())
}

/// `<SSL_ctxID>`
fn ssl_context(params: &Params, at: usize) -> Result<u8, IpError> {
    number(params, at, 0..=5).map(|number| number as u8)
}

/// `<cipher_suites>`: `0X` and four digits.
fn suite(params: &Params, at: usize) -> Result<u32, IpError> {
    let text = params.text(at).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    let digits = text.strip_prefix("0X").or_else(|| text.strip_prefix("0x")).filter(|digits| digits.len() == 4);
    let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(IpError::InvalidParameter)?;
    let is_known = code == ALL_SUITES || SUITES.iter().any(|(known, _)| u32::from(*known) == code);
    if is_known { Ok(code) } else { Err(IpError::InvalidParameter) }
}

/// The path of a file. Whether it is there is seen when a connection needs it.
fn path(params: &Params, at: usize) -> Result<String, IpError> {
    let path = params.quoted(at).and_then(|path| std::str::from_utf8(path).ok()).ok_or(IpError::InvalidParameter)?;
    let fits = path.is_empty() || (path.len() <= LONGEST_PATH && crate::files::name(path.as_bytes()).is_ok());
    if fits { Ok(path.to_owned()) } else { Err(IpError::InvalidParameter) }
}

/// `+QSSLOPEN=<contextID>,<SSL_ctxID>,<clientID>,<serveraddr>,<server_port>[,<access_mode>]`
pub(super) fn open(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_open(exec, params);
    exec.conclude(attempt)
}

fn try_open(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 6)?;
    let context = context_id(params, 0)?;
    let ssl = ssl_context(params, 1)?;
    let index = index(params, 2)?;
    let remote = Exec::host(params, 3)?;
    let remote_port = number(params, 4, 1..=65_535)? as u16;
    let mode = AccessMode::numbered(number_or(params, 5, 0..=2, 0)?);
    let resolves = exec.usable(context)?;
    if exec.state.sockets.at(index).is_some() {
        return Err(IpError::IdentityUsed);
    }
    let files = &exec.state.files;
    let settings = exec.state.ssl.get(usize::from(ssl)).ok_or(IpError::InvalidParameter)?;
    let tls = settings.settings(&remote, exec.state.clock(), |path| files.at_path(path))?;
    let transport = if tls.datagrams { Transport::Udp } else { Transport::Tcp };
    let id = exec.take_place(Opening {
        index,
        service: Service::Ssl(ssl),
        context,
        port: exec.port,
        mode,
        remote: remote.clone(),
        remote_port,
        local_port: 0,
        negotiation: tls.negotiation,
        timeout: None,
    })?;
    exec.state.sockets.requests.push(SocketRequest::Open {
        id,
        transport,
        host: remote,
        port: remote_port,
        local_port: 0,
        resolves,
        tls: Some(Box::new(tls)),
    });
    Ok(())
}

/// `+QSSLSEND=<clientID>[,<sendlen>]`
pub(super) fn send(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_send(exec, params);
    exec.conclude(attempt)
}

fn try_send(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    let index = index(params, 0)?;
    let length = (params.len() == 2).then(|| number(params, 1, 1..=LONGEST_SENT)).transpose()?;
    tcpip::prompt(exec, index, true, length, None)
}

/// `+QSSLRECV=<clientID>,<readlen>`
pub(super) fn receive(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = try_receive(exec, params);
    exec.conclude(attempt)
}

fn try_receive(exec: &mut Exec<'_>, params: &Params) -> Attempt {
    limited(params, 2)?;
    let index = index(params, 0)?;
    let length = number(params, 1, 1..=LONGEST_READ)?;
    let socket = exec.state.sockets.at(index).ok_or(IpError::SocketClosed)?;
    if !socket.service.is_ssl() {
        return Err(IpError::NotAllowed);
    }
    match socket.state {
        SocketState::Opening => return Err(IpError::Busy),
        // What came before the end can still be read; then the end is an error (§2.2.4).
        SocketState::Closing if socket.unread == 0 => return Err(IpError::SocketClosed),
        _ => {}
    }
    tcpip::take(exec, index, "+QSSLRECV", length)
}

/// `+QSSLCLOSE=<clientID>[,<close_timeout>]`
pub(super) fn close(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = tcpip::try_close(exec, params, true);
    exec.conclude(attempt)
}

/// `+QSSLSTATE`
pub(super) fn states(exec: &mut Exec<'_>) -> Outcome {
    tcpip::tell_states(exec, |socket| socket.service.is_ssl());
    Ok(())
}

/// `+QSSLSTATE=<clientID>`
pub(super) fn state_of(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    let attempt = limited(params, 1).and_then(|()| index(params, 0));
    if let Ok(index) = attempt {
        tcpip::tell_states(exec, |socket| socket.service.is_ssl() && socket.index == index);
    }
    exec.conclude(attempt.map(drop))
}

/// How long a command that opens may take: 150 s for the network, and 300 s at most for the handshake.
pub(super) const WITHIN: u32 = Duration::from_secs(450).as_millis() as u32;
