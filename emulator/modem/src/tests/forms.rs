//! Every command of the table in every form: with good parameters, and with missing, surplus, out-of-range and
//! malformed ones. A command that is added to the table has to be added here.

use super::{modem, say};
use crate::commands::{self, Forms};
use crate::model::CommandSet;

/// A command, what has to be said before it, and lines of it: the good ones end in `OK` (or a prompt), the bad ones in
/// an error. Forms that a command does not have need no line: they are errors for every command.
struct Case {
    name: &'static str,
    before: &'static [&'static str],
    good: &'static [&'static str],
    bad: &'static [&'static str],
}

const fn case(name: &'static str, good: &'static [&'static str], bad: &'static [&'static str]) -> Case {
    Case { name, before: &[], good, bad }
}

const fn after(before: &'static [&'static str], case: Case) -> Case {
    Case { before, ..case }
}

const OPEN: &str = "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"";
const TEXT: &str = "AT+CMGF=1";
const MESSAGE: &[&str] = &["AT+CMGS=23", "0011000B916407281553F80000AA0AE8329BFD4697D9EC37\u{1A}"];

const STORED: &[&str] = &["AT+CMGW=23", "0031000B916407281553F80000AA0AE8329BFD4697D9EC37\u{1A}"];

/// A file, closed again, and one that is open.
const FILE: &[&str] = &["AT+QFOPEN=\"a\"", "AT+QFCLOSE=1"];
const FILE_OPEN: &[&str] = &["AT+QFOPEN=\"a\""];

/// A socket that is being opened. (What needs one that stands is in tests/ssl.rs and tests/sockets.rs.)
const OPENING: &[&str] = &["AT+QIACT=1", "AT+QIOPEN=1,0,\"TCP\",\"host\",80"];

const CASES: &[Case] = &[
    case("+CGMI", &[""], &["=", "=1"]),
    case("+GMI", &[""], &["=1"]),
    case("+CGMM", &[""], &["=1"]),
    case("+GMM", &[""], &["=1"]),
    case("+CGMR", &[""], &["=1"]),
    case("+GMR", &[""], &["=1"]),
    case("+CGSN", &["", "=0", "=3"], &["=", "=4", "=-1"]),
    case("+GSN", &[""], &["=1"]),
    case("+GCAP", &[""], &["=1"]),
    case("+QGMR", &[""], &["=1"]),
    case("+CIMI", &[""], &["=1"]),
    case("+CSCS", &["?", "=\"GSM\"", "=\"ucs2\"", "=IRA"], &["=", "=\"8859-1\"", "=1"]),
    case("+CMEE", &["?", "=", "=0", "=2"], &["=3", "=\"1\""]),
    case("+CEER", &[""], &["=1"]),
    case("+IPR", &["?", "=0", "=115200", "=3000000"], &["=", "=1", "=4294967296"]),
    case("+IFC", &["?", "=0", "=2,2"], &["=", "=1", "=0,1"]),
    case("+ICF", &["?", "=3", "=3,2", "=,1"], &["=", "=2", "=3,4"]),
    case("+CFUN", &["?", "=", "=0", "=1", "=4", "=1,0", "=1,1"], &["=2", "=1,2", "=0,1"]),
    case("+CPAS", &[""], &["=1"]),
    case("+CIND", &["?"], &["=1"]),
    case("+CCLK", &["?", "=\"26/11/20,10:31:45+00\"", "=\"26/11/20,10:31:45\""], &["=", "=\"26/13/20,10:31:45+00\""]),
    case("+CTZU", &["?", "=0", "=3"], &["=", "=2", "=4"]),
    case("+CTZR", &["?", "=0", "=2"], &["=", "=4"]),
    // No PIN is asked for.
    case("+CPIN", &["?"], &["=", "=\"1234\"", "=1234,5678"]),
    case("+CLCK", &["=\"SC\",2", "=\"SC\",1,\"1234\"", "=\"PN\",2"], &["=", "=\"SC\"", "=\"SC\",3", "=\"XX\",2"]),
    case("+CPWD", &["=\"SC\",\"1234\",\"5678\""], &["=", "=\"SC\"", "=\"SC\",\"1234\"", "=\"XX\",\"1234\",\"5678\""]),
    case("+CPINR", &["", "=\"SIM PIN\"", "=\"SIM*\""], &["=", "=\"PIN\"", "=1"]),
    case("+QPINC", &["?", "=\"SC\"", "=\"P2\""], &["=", "=\"XX\"", "=1"]),
    case("+CSIM", &["=10,\"0020000100\"", "=10,0020000100"], &["=", "=10", "=9,\"0020000100\"", "=10,\"00200001zz\""]),
    case(
        "+CRSM",
        &["=176,12258,0,0,10", "=192,28423", "=242"],
        &["=", "=177,12258", "=176,99999", "=176,12258,0,0,256", "=176,x,0,0,1"],
    ),
    case(
        "+CCHO",
        &["=\"A0000005591010FFFFFFFF8900000100\"", "=a0000005591010ffffffff8900000100"],
        &["=", "=\"A0000\"", "=\"zz\""],
    ),
    after(&[OPEN], case("+CCHC", &["=1"], &["=", "=2", "=x"])),
    after(
        &[OPEN],
        case(
            "+CGLA",
            &["=1,10,\"81C0000005\"", "=1,8,80F20000"],
            &["=", "=1", "=1,10", "=2,8,80F20000", "=1,7,80F20000"],
        ),
    ),
    case("+QCCID", &[""], &["=1"]),
    case("+CREG", &["?", "=", "=0", "=2"], &["=4", "=\"1\""]),
    case("+CGREG", &["?", "=", "=0", "=2"], &["=6", "=\"1\""]),
    case("+CEREG", &["?", "=", "=0", "=2"], &["=6", "=\"1\""]),
    case("+C5GREG", &["?", "=", "=0", "=2"], &["=6", "=\"1\""]),
    case("+COPS", &["?", "=0", "=3,2", "=1,2,\"00101\"", "=2"], &["=5", "=0,3", "=1", "=1,2,\"001\"", "=0,0,\"x\""]),
    case("+CSQ", &[""], &["=1"]),
    case("+CESQ", &[""], &["=1"]),
    case("+WS46", &["?", "=28", "=31"], &["=", "=12", "=x"]),
    case("+CPOL", &["?", "=1", "=,2", "=1,2,\"00101\""], &["=", "=0", "=9", "=1,2,\"1\"", "=x"]),
    case("+CUSD", &["?", "=", "=1", "=2", "=1,\"*100#\",15"], &["=3", "=1,\"\"", "=1,\"*100#\",256"]),
    case(
        "+CPSMS",
        &["?", "=", "=0", "=2", "=1,,,\"01001110\",\"00000101\"", "=1,,,01001110,00000101"],
        &["=3", "=1,,,\"0100111\"", "=1,\"2\"", "=x"],
    ),
    case("+QPSMS", &["?", "=", "=1,,,\"01001110\",\"00000101\""], &["=3", "=1,,,,\"x\"", "=x"]),
    case("+CEDRXS", &["?", "=", "=1,4,\"1000\"", "=2,5,\"0101\"", "=3"], &["=4", "=1,6", "=1,,\"1000\"", "=1,4,\"2\""]),
    case("+CEDRXRDP", &[""], &["=1"]),
    case("+UCGDFLT", &["?", "=1,\"IP\",\"em\"", "=0"], &["=", "=2", "=1,\"PPP\"", "=x"]),
    case("+UDCONF", &["=20,2", "=20"], &["=", "=21,2", "=20,3", "=x"]),
    case("+CGDCONT", &["?", "=", "=2,\"IP\",\"iot.example\"", "=1"], &["=0,\"IP\"", "=16,\"IP\"", "=2,\"PPP\",\"x\""]),
    case("+CGATT", &["?", "=0", "=1"], &["=", "=2", "=x"]),
    case("+CGACT", &["?", "=", "=1,1", "=0,1"], &["=2,1", "=1,16"]),
    case("+CGPADDR", &["", "=1"], &["=16", "=x"]),
    case("+CGCONTRDP", &["", "=1"], &["=16", "=x"]),
    case("+CGAUTH", &["?", "=1,1,\"me\",\"secret\"", "=1,0"], &["=", "=16,0", "=1,3"]),
    case("+CGEREP", &["", "?", "=0", "=2,1"], &["=3", "=1,2"]),
    case("+CNUM", &[""], &["=1"]),
    case("+CPBS", &["?", "=\"ME\"", "=SM"], &["=", "=\"XX\"", "=1"]),
    case("+CPBR", &["=1", "=1,5"], &["=", "=0", "=6", "=2,1", "=x"]),
    case("+CPBW", &["=1,\"123\",129,\"Ann\"", "=1", "=,\"123\""], &["=", "=9,\"1\"", "=1,\"12x\"", "=1,\"1\",1"]),
    case("+CSMS", &["?", "=0", "=1"], &["=", "=2", "=x"]),
    case("+CMGF", &["", "?", "=", "=1"], &["=2", "=\"1\""]),
    case("+CPMS", &["?", "=\"SM\"", "=\"ME\",\"ME\",\"SM\""], &["=", "=\"XX\"", "=\"ME\",\"SR\"", "=1"]),
    case("+CSCA", &["?", "=\"+4912345\"", "=\"12345\",129"], &["=", "=\"x\"", "=\"1\",256"]),
    case("+CSMP", &["?", "=17,167,0,8", "=,,,0"], &["=256", "=2", "=17,999", "=x"]),
    case("+CSDH", &["?", "=", "=1"], &["=2", "=x"]),
    case("+CMMS", &["", "?", "=0", "=2"], &["=", "=3", "=x"]),
    case("+CNMI", &["?", "=", "=2,1,0,0,0"], &["=3", "=2,4", "=2,1,0,3", "=x"]),
    case("+CMGS", &["=23"], &["=", "=0", "=165", "=x"]),
    after(&[TEXT], case("+CMGS", &["=\"123\"", "=\"+123\",145"], &["=", "=\"x\"", "=\"123\",256"])),
    after(STORED, case("+CMSS", &["=0", "=0,\"123\""], &["=", "=9", "=x", "=0,\"x\""])),
    case("+CMGW", &["=23", "=23,2"], &["=", "=0", "=165", "=23,9", "=x"]),
    after(&[TEXT], case("+CMGW", &["", "=\"123\"", "=\"123\",129,\"STO SENT\""], &["=\"x\"", "=\"123\",129,\"X\""])),
    after(MESSAGE, case("+CMGR", &["=0"], &["=", "=1", "=99999", "=x"])),
    case("+CMGL", &["", "=4", "=0"], &["=", "=5", "=x"]),
    after(&[TEXT], case("+CMGL", &["", "=\"ALL\""], &["=", "=\"NONE\"", "=4"])),
    after(MESSAGE, case("+CMGD", &["=0", "=0,4"], &["=", "=999", "=0,5", "=x"])),
    after(
        &["AT+CSMS=1;+CNMI=2,2;+CMGF=1", "AT+CMGS=\"1\"", "text\x1A"],
        case("+CNMA", &["", "=0"], &["=", "=3", "=x"]),
    ),
    case("+QINISTAT", &[""], &["=1"]),
    case("+QSIMSTAT", &["?", "=0", "=1"], &["=", "=2", "=x"]),
    case("+QSIMDET", &["?", "=1,0"], &["=", "=1", "=2,0", "=0,2", "=x,1"]),
    case("+QUIMSLOT", &["?", "=1", "=2"], &["=", "=0", "=3", "=x"]),
    case("+QINDCFG", &["=\"csq\"", "=\"csq\",1", "=\"csq\",1,1"], &["=", "=\"x\"", "=\"csq\",2", "=\"csq\",1,2"]),
    case("+QCFG", &["=\"usbnet\"", "=\"usbnet\",2"], &["=", "=\"x\"", "=\"usbnet\",9", "=\"usbnet\",x"]),
    case("+QURCCFG", &["=\"urcport\"", "=\"urcport\",\"usbat\""], &["=", "=\"x\"", "=\"urcport\",\"x\""]),
    case("+QNWINFO", &[""], &["=1"]),
    case("+QENG", &["=\"servingcell\""], &["=", "=\"x\"", "=1"]),
    case(
        "+QNWPREFCFG",
        &[
            "=\"mode_pref\"",
            "=\"mode_pref\",LTE:NR5G",
            "=\"srv_domain\",1",
            "=\"voice_domain\"",
            "=\"rat_acq_order\",LTE:NR5G:WCDMA",
            "=\"policy_band\"",
            "=\"ue_capability_band\"",
        ],
        &[
            "=",
            "=\"x\"",
            "=\"mode_pref\",X",
            "=\"srv_domain\",3",
            "=\"rat_acq_order\",LTE:LTE",
            "=\"rat_acq_order\",AUTO",
            "=\"policy_band\",1",
        ],
    ),
    case("+QTEMP", &[""], &["=1"]),
    case("+QPOWD", &["", "=0", "=1"], &["=", "=2", "=x"]),
    case(
        "+QESIM",
        &["=\"eid\"", "=\"lpa_enable\"", "=\"lpa_enable\",0", "=\"profile_brief\"", "=\"profile_detail\",4"],
        &["=", "=\"x\"", "=\"lpa_enable\",2", "=\"profile_detail\"", "=\"profile_detail\",9", "=\"eid\",1", "=eid"],
    ),
    case("+QICSGP", &["=1", "=1,1,\"UNINET\",\"\",\"\",1"], &["=", "=0", "=8", "=1,4,\"x\"", "=x"]),
    case("+QIACT", &["?", "=1"], &["=", "=0", "=8", "=x"]),
    case("+QIDEACT", &["=1"], &["=", "=0", "=8", "=x"]),
    after(&["AT+QIACT=1"], case("+QIDNSCFG", &["=1", "=1,\"1.2.3.4\""], &["=", "=8", "=1,\"x\"", "=1,1"])),
    case("+QIGETERROR", &[""], &["=1"]),
    after(&["AT+QIACT=1"], case("+QIDNSGIP", &["=1,\"host\""], &["=", "=1", "=2,\"host\"", "=1,host", "=1,\"a b\""])),
    after(
        &["AT+QIACT=1"],
        case(
            "+QIOPEN",
            &[
                "=1,0,\"TCP\",\"host\",80",
                "=1,11,\"UDP\",\"10.0.0.1\",80,0,1",
                "=1,1,\"TCP LISTENER\",\"127.0.0.1\",0,2020",
            ],
            &["=", "=1,12,\"TCP\",\"host\",80", "=1,0,\"TCP\",\"host\",65536", "=1,0,\"TCP\",\"host\",80,0,3"],
        ),
    ),
    case("+QICLOSE", &["=0", "=11,65535"], &["=", "=12", "=0,65536"]),
    case("+QISTATE", &["", "?", "=0,1", "=1,11"], &["=", "=2,1", "=0,8", "=1,12"]),
    after(OPENING, case("+QISEND", &["=0,0"], &["=", "=0", "=12", "=0,1461"])),
    after(OPENING, case("+QISENDEX", &[], &["=", "=0", "=0,\"3\"", "=0,\"31\""])),
    after(OPENING, case("+QIRD", &["=0", "=0,0", "=0,1500"], &["=", "=1", "=0,1501"])),
    after(OPENING, case("+QISWTMD", &[], &["=", "=0", "=0,3", "=0,1"])),
    case("+QSSLCFG", &["=\"sni\",0", "=\"sni\",0,1", "=\"cacertex\""], &["=", "=\"sni\"", "=\"sni\",6", "=\"x\",0"]),
    after(
        &["AT+QIACT=1"],
        case(
            "+QSSLOPEN",
            &["=1,0,0,\"host\",443", "=1,5,11,\"host\",443,1"],
            &["=", "=1,6,0,\"host\",443", "=1,0,0,\"host\",0", "=1,0,0,\"host\",443,3"],
        ),
    ),
    case("+QSSLSEND", &[], &["=", "=0", "=0,1461"]),
    case("+QSSLRECV", &[], &["=", "=0", "=0,1500", "=0,1501"]),
    case("+QSSLCLOSE", &["=0", "=11,0"], &["=", "=12", "=0,65536"]),
    case("+QSSLSTATE", &["", "=0"], &["=", "=12"]),
    case("+QFLDS", &["", "=\"UFS\""], &["=", "=\"SD\"", "=1"]),
    case("+QFLST", &["", "=\"*\"", "=\"*.pem\""], &["=", "=1"]),
    after(FILE, case("+QFDEL", &["=\"a\"", "=\"*\""], &["=", "=\"b\"", "=1"])),
    case(
        "+QFUPL",
        &["=\"a\"", "=\"a\",10", "=\"a\",10,60,1"],
        &["=", "=\"a\",0", "=\"a\",10,0", "=\"a\",10,5,2", "=\"a*\",1"],
    ),
    after(FILE, case("+QFDWL", &["=\"a\"", "=\"UFS:a\""], &["=", "=\"b\"", "=a"])),
    case("+QFOPEN", &["?", "=\"a\"", "=\"a\",1"], &["=", "=\"a\",2", "=\"a\",3", "=1"]),
    after(FILE_OPEN, case("+QFREAD", &["=1", "=1,10"], &["=", "=2", "=1,x"])),
    after(FILE_OPEN, case("+QFWRITE", &["=1", "=1,10", "=1,10,5"], &["=", "=2", "=1,0", "=1,10,0"])),
    after(FILE_OPEN, case("+QFSEEK", &["=1,0", "=1,0,2"], &["=", "=2,0", "=1", "=1,1", "=1,0,3"])),
    after(FILE_OPEN, case("+QFPOSITION", &["=1"], &["=", "=2"])),
    after(FILE_OPEN, case("+QFTUCAT", &["=1"], &["=", "=2"])),
    after(FILE_OPEN, case("+QFFLUSH", &["=1"], &["=", "=2"])),
    after(FILE_OPEN, case("+QFCLOSE", &["=1"], &["=", "=2"])),
];

/// What no command takes in the place of its parameters: strings without an end, text behind a string, a second
/// question mark, and more parameters than there are anywhere.
const MALFORMED: [&str; 6] = ["=\"open", "=\"a\"b", "=a\"b\"", "??", "=?1", "=1,,,,,,,,,,,,,,,,,,,,,,,,,,1"];

/// What a line is answered by a modem that has done nothing but what comes before it.
fn fresh(case: &Case, form: &str) -> String {
    let model = match commands::set_of(case.name) {
        Some(CommandSet::Common) => "RM500Q-GL",
        Some(CommandSet::PowerSaving) => "BG95-M3",
        Some(CommandSet::Ublox) => "SARA-R410M",
        _ => "EC200U",
    };
    let (mut modem, _) = modem(model);
    for line in case.before {
        assert!(!say(&mut modem, line).contains("ERROR"), "{line}");
    }
    say(&mut modem, &format!("AT{}{form}", case.name))
}

fn is_good(answer: &str) -> bool {
    answer.contains("\r\nOK\r\n") || answer.ends_with("\r\n> ") || answer.ends_with("\r\nCONNECT\r\n")
}

fn is_error(answer: &str) -> bool {
    let last = answer.trim_end().rsplit("\r\n").next().unwrap_or_default();
    answer.ends_with("\r\n")
        && (last == "ERROR" || last.starts_with("+CME ERROR: ") || last.starts_with("+CMS ERROR: "))
}

/// The fuzzer knows every command by name, or it would take very long to find it.
#[test]
fn every_command_is_in_the_dictionary_of_the_fuzzer() {
    let dictionary = include_str!("../../fuzz/at.dict");
    let missing: Vec<&str> =
        commands::names().filter(|name| !dictionary.lines().any(|line| line == format!("\"AT{name}\""))).collect();
    assert!(missing.is_empty(), "add to fuzz/at.dict: {}", missing.join(", "));
}

/// Each of these lines of each command, said to a modem of its own, is answered as it should be.
fn none_fails(forms: impl Fn(&Case) -> Vec<String>, is_right: fn(&str) -> bool) {
    let mut wrong = Vec::new();
    for case in CASES {
        for form in forms(case) {
            let answer = fresh(case, &form);
            if !is_right(&answer) {
                wrong.push(format!("AT{}{form}: {answer:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_is_here() {
    for name in commands::names() {
        let cases: Vec<&Case> = CASES.iter().filter(|case| case.name == name).collect();
        assert!(!cases.is_empty(), "{name} has no case: add one to tests/forms.rs");
        let Forms { execute, read, write } = commands::forms(name).unwrap();
        let has = |form: fn(&str) -> bool| cases.iter().any(|case| case.good.iter().any(|line| form(line)));
        assert!(!execute || has(str::is_empty), "{name} alone has no good line");
        assert!(!read || has(|line| line == "?"), "{name}? has no good line");
        // AT+CPIN=... is good when a PIN is asked for: see the test of the PINs. The others need a socket that stands.
        let elsewhere = ["+CPIN", "+QISENDEX", "+QISWTMD", "+QSSLSEND", "+QSSLRECV"].contains(&name);
        assert!(!write || elsewhere || has(|line| line.starts_with('=')), "{name}=... has no good line");
        let missing = cases.iter().any(|case| case.good.contains(&"=") || case.bad.contains(&"="));
        let lenient = ["+CSMP", "+COPS", "+CGPADDR", "+CGCONTRDP", "+CGEREP"];
        assert!(!write || missing || lenient.contains(&name), "{name}= has no line");
    }
    for case in CASES {
        assert!(commands::names().any(|name| name == case.name), "{} is not in the table", case.name);
    }
}

#[test]
fn good_parameters() {
    none_fails(|case| case.good.iter().map(|form| form.to_string()).collect(), is_good);
}

#[test]
fn missing_and_out_of_range_parameters() {
    none_fails(|case| case.bad.iter().map(|form| form.to_string()).collect(), is_error);
}

#[test]
fn surplus_and_malformed_parameters() {
    none_fails(
        |case| {
            let surplus =
                case.good.iter().filter(|form| form.len() > 1).map(|form| format!("{form},,,,,,,,,,,,,,,,,,,,,,,,,,1"));
            surplus.chain(MALFORMED.map(str::to_owned)).collect()
        },
        is_error,
    );
}

#[test]
fn forms_that_a_command_does_not_have() {
    for case in CASES {
        let Forms { execute, read, write } = commands::forms(case.name).unwrap();
        for (form, has) in [("", execute), ("?", read), ("=1", write)] {
            if !has {
                assert_eq!(fresh(case, form), "\r\nERROR\r\n", "AT{}{form}", case.name);
            }
        }
        // Each has its test form, with or without something to tell.
        let answer = fresh(case, "=?");
        let told = answer == "\r\nOK\r\n" || answer.starts_with(&format!("\r\n{}: ", case.name));
        assert!(told && answer.ends_with("\r\nOK\r\n"), "AT{}=?: {answer:?}", case.name);
    }
}
