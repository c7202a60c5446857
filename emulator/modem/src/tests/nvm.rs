//! What a module keeps over a restart, and over the end of the program.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::{ISD_R, NOW, lines, say, say_raw};
use crate::model::Model;
use crate::network::NetworkSpec;
use crate::testing::Sketch;
use crate::{Modem, Nvm, NvmError, NvmStore};

/// Every text that was saved.
#[derive(Clone, Default)]
struct Saved(Arc<Mutex<Vec<String>>>);

impl Saved {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn last(&self) -> Option<String> {
        self.0.lock().unwrap().last().cloned()
    }
}

impl NvmStore for Saved {
    fn save(&mut self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

fn start(model: &str, sketch: &Sketch, saved: &Saved) -> Modem {
    let model = Model::named(model).unwrap();
    let nvm = saved.last().map(|text| Nvm::parse(&text, &model).unwrap());
    let network = NetworkSpec::from_toml("").unwrap();
    let store = Box::new(saved.clone());
    Modem::with_nvm(model, Some(sketch.card()), network, None, (store, nvm), NOW)
}

/// What changes something that is saved, on all models and on those with more commands.
const CHANGES: &[&str] = &[
    "AT+QESIM=\"lpa_enable\",1",
    "AT+QESIM=\"lpa_enable\",0",
    "ATE0V1X3&C2&D1",
    "ATS0=3;S2=33;S7=9;+CMEE=2;+CREG=2;+CEREG=1;+IFC=2,2;+ICF=3,1;+IPR=921600",
    "AT&W",
    "AT+QURCCFG=\"urcport\",\"usbmodem\"",
    "AT+QSIMSTAT=1;+QSIMDET=1,0",
    "AT+QINDCFG=\"csq\",1,1",
    "AT+QCFG=\"data_interface\",1,0",
    "AT+QCFG=\"usbspeed\",\"20\"",
    "AT+QCFG=\"usbnet\",2",
    "AT+QNWPREFCFG=\"mode_pref\",LTE:NR5G",
    "AT+QNWPREFCFG=\"lte_band\",1:3:20",
    "AT+CTZU=3;+CTZR=2;+WS46=28",
    "AT+COPS=1,2,\"00101\",7",
    "AT+CGDCONT=3,\"IPV6\",\"internet.of.things\"",
    "AT+CGAUTH=3,2,\"user \\22x\\22\",\"pass\"",
    "AT+CPBS=\"ME\";+CPBW=7,\"+491234567\",145,\"Ann \\22x\\22\"",
    "AT+CPBW=3,\"12\",129,\"B\"",
    "AT+CSCA=\"+15551234\",145",
    "AT+CNMI=1,2,0,1,0",
    "AT+CPMS=\"SM\",\"ME\",\"ME\"",
];

/// What tells all of it.
const QUESTIONS: &[&str] = &[
    "AT+QESIM=\"lpa_enable\"",
    "AT&V",
    "ATS0?;S2?;S7?;+CMEE?;+CSCS?;+CREG?;+CGREG?;+CEREG?;+IFC?;+ICF?;+IPR?",
    "AT+QURCCFG=\"urcport\";+QSIMSTAT?;+QSIMDET?",
    "AT+QINDCFG=\"all\";+QINDCFG=\"csq\";+QINDCFG=\"act\";+QINDCFG=\"ring\"",
    "AT+QCFG=\"data_interface\";+QCFG=\"usbspeed\";+QCFG=\"usbnet\";+QCFG=\"risignaltype\"",
    "AT+QNWPREFCFG=\"mode_pref\";+QNWPREFCFG=\"lte_band\";+QNWPREFCFG=\"roam_pref\"",
    "AT+CTZU?;+CTZR?;+WS46?;+COPS?;+CGEREP?;+CUSD?",
    "AT+CGDCONT?;+CGAUTH?",
    "AT+CPBS?",
    "AT+CPBS=\"ME\";+CPBS?;+CPBR=1,100",
    "AT+CSCA?;+CNMI?;+CPMS?;+CMGF?;+CSMP?;+CSDH?",
    "AT+CPMS=\"ME\";+CMGL=4",
    "AT+CPSMS?;+CEDRXS?;+QCFG=\"roamservice\";+QCFG=\"psm/enter\"",
    "AT+UCGDFLT?;+UDCONF=20",
    "AT+QICSGP=2",
    "AT+QSSLCFG=\"sslversion\",1",
];

fn ask(modem: &mut Modem) -> Vec<String> {
    say(modem, "ATE0");
    QUESTIONS.iter().map(|question| format!("{question}: {}", say(modem, question))).collect()
}

/// The end of the program is to a module what a restart is: whatever it says after the one it says after the other. And
/// what it says is not what a new module says.
#[test]
fn the_end_of_the_program_is_like_a_restart() {
    for (model, more) in [
        ("RM500Q-GL", &[][..]),
        ("EC200U", &["AT+QICSGP=2,1,\"iot\",\"u\",\"p\",1", "AT+QSSLCFG=\"sslversion\",1,2"][..]),
        (
            "BG95-M3",
            &[
                "AT+CPSMS=1,,,\"00100001\",\"00000011\"",
                "AT+CEDRXS=1,4,\"0101\"",
                "AT+QCFG=\"roamservice\",1",
                "AT+QCFG=\"psm/enter\",1",
            ][..],
        ),
    ] {
        let (sketch, saved) = (Sketch::of_the_note(), Saved::default());
        let factory = ask(&mut start(model, &sketch, &Saved::default()));
        let mut modem = start(model, &sketch, &saved);
        let dialect = Model::named(model).unwrap().dialect;
        // Commands for which a module has no name.
        let lacks = |line: &str| {
            line.trim_start_matches("AT")
                .split(';')
                .any(|part| dialect.lacks_command(part.split(['=', '?']).next().unwrap()))
        };
        for change in CHANGES.iter().chain(more).filter(|change| !lacks(change)) {
            assert!(say(&mut modem, change).ends_with("OK\r\n"), "{model} {change}");
        }
        // What is not saved.
        say(&mut modem, "AT+CGEREP=2,1;+CMGF=1;+CSDH=1;+CUSD=1;+CSCS=\"UCS2\";+QINDCFG=\"act\",1;+C5GREG=2;+CSMP=49");
        assert!(say(&mut modem, "AT+CSCS=\"GSM\";+CMGW=\"123\"").ends_with("> "));
        assert!(say_raw(&mut modem, b"kept\x1A").ends_with("OK\r\n"), "{model}");
        assert!(modem.deliver_message("+4912345", "delivered").is_ok(), "{model}");
        let mut again = start(model, &sketch, &saved);
        say(&mut modem, "AT+CFUN=1,1");
        let (restarted, anew) = (ask(&mut modem), ask(&mut again));
        assert_eq!(restarted, anew, "{model}");
        let same: Vec<_> =
            factory.iter().zip(&anew).filter(|(before, after)| before == after).map(|(q, _)| q).collect();
        let expected = |question: &&&str| {
            question.starts_with("AT+QSSLCFG")
                || question.starts_with("AT+UCGDFLT")
                || **question == "AT+CPBS?"
                || lacks(question)
                || (question.starts_with("AT+QICSGP") && model != "EC200U")
                || (question.starts_with("AT+CPSMS") && model != "BG95-M3")
        };
        assert_eq!(same.len(), QUESTIONS.iter().filter(expected).count(), "{model}: {same:#?}");
    }
}

/// It is saved before the answer goes out, once for each change, and not otherwise.
#[test]
fn it_is_saved_when_something_changes() {
    let (sketch, saved) = (Sketch::of_the_note(), Saved::default());
    let mut modem = start("RM500Q-GL", &sketch, &saved);
    for line in ["AT", "ATI", "AT+CREG=2", "ATE0", "AT+CPIN?", "AT+COPS?", "AT+CMGF=1", "ATX0", "AT+CNMI=2,1,0,0,0"] {
        say(&mut modem, line);
    }
    say(&mut modem, &format!("AT+CCHO=\"{ISD_R}\""));
    assert_eq!(saved.count(), 0);
    for (times, line) in ["AT&W", "AT+QSIMSTAT=1", "AT+CTZR=1;+CTZU=0", "AT+CNMI=1,1"].iter().enumerate() {
        say(&mut modem, line);
        assert_eq!(saved.count(), times + 1, "{line}");
        say(&mut modem, line);
        assert_eq!(saved.count(), times + 1, "{line}, again");
    }
    let _ = modem.deliver_message("123", "text").unwrap();
    assert_eq!(saved.count(), 5);
    // The first that was saved can be read as well as the last.
    for text in saved.0.lock().unwrap().iter() {
        assert_eq!(Nvm::parse(text, &Model::named("RM500Q-GL").unwrap()).unwrap().to_text(), *text);
    }
}

/// `AT+UCGDFLT=0` and `AT+QINDCFG` without `<savetonvram>` are for now only.
#[test]
fn what_is_for_now_is_forgotten() {
    let (sketch, saved) = (Sketch::of_the_note(), Saved::default());
    let mut modem = start("SARA-R410M", &sketch, &saved);
    let told = |modem: &mut Modem| say(modem, "ATE0+UCGDFLT?").replace("ATE0+UCGDFLT?\r", "");
    say(&mut modem, "AT+UCGDFLT=1,\"IP\",\"for.good\"");
    say(&mut modem, "AT+UCGDFLT=0,\"IPV6\",\"for.now\"");
    assert!(told(&mut modem).contains("\"IPV6\",\"for.now\""));
    say(&mut modem, "AT+CFUN=1,1");
    assert!(told(&mut modem).contains("\"IP\",\"for.good\""));
    assert!(told(&mut start("SARA-R410M", &sketch, &saved)).contains("\"IP\",\"for.good\""));
}

/// A slot that was chosen is chosen still: without the card, which is in the other one.
#[test]
fn the_slot_stays() {
    let (sketch, saved) = (Sketch::of_the_note(), Saved::default());
    let mut modem = start("RM500Q-GL", &sketch, &saved);
    say(&mut modem, "AT+QUIMSLOT=2");
    let mut modem = start("RM500Q-GL", &sketch, &saved);
    assert_eq!(lines(&say(&mut modem, "ATE0+CMEE=1;+CPIN?"))[1..], ["+CME ERROR: 10"]);
    assert!(say(&mut modem, "AT+QUIMSLOT=1").contains("+CPIN: READY"));
}

#[test]
fn what_cannot_be_read_is_refused_with_words() {
    let model = Model::named("RM500Q-GL").unwrap();
    let saved = Saved::default();
    say(&mut start("RM500Q-GL", &Sketch::of_the_note(), &saved), "AT+QSIMSTAT=1;+CGDCONT=2,\"IP\",\"x\"");
    let text = saved.last().unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Nvm::parse(&text.replacen(from, to, 1), &model).unwrap_err().to_string()
    };
    let starts = |from: &str, to: &str, start: &str| {
        let words = refused(from, to);
        assert!(words.contains(start), "{words}");
    };
    assert!(matches!(Nvm::parse(&text[..text.len() / 2], &model), Err(NvmError::Damaged(_))));
    assert!(matches!(Nvm::parse("", &model), Err(NvmError::Damaged(_))));
    assert!(matches!(Nvm::parse(&text.replace("format = 1", "format = 2"), &model), Err(NvmError::Version(2))));
    starts("lpa_enable", "lpa_enabled", "TOML parse error at line 4, column 1");
    starts("sim_status = true", "sim_status = 1", "line 7, column 14");
    starts("RM500Q-GL\"", "RM502Q-AE\"", "this is the memory of \"RM502Q-AE\", and the module is \"RM500Q-GL\"");
    starts("sim_slot = 1", "sim_slot = 3", "sim_slot: 1 or 2");
    starts("rate = 115200", "rate = 1", "profile 1, rate: what +IPR takes");
    starts("S6 = 2", "S6 = 11", "profile 1, registers.S6");
    starts("cid = 2", "cid = 16", "context 2, cid: 1 to 15");
    starts("usbnet", "usbnot", "qcfg.usbnot: the module has no such setting");
    starts("usbnet = \"0\"", "usbnet = \"4\"", "qcfg.usbnet: it cannot be \"4\"");
    starts("selection = \"automatic\"", "selection = \"manual\"", "operator.plmn: five or six digits");
    starts("periodic_tau = \"", "periodic_tau = \"2", "power_saving.periodic_tau: 8 characters 0 or 1");
    starts("\"ME\", \"ME\", \"ME\"", "\"ME\", \"SR\", \"ME\"", "sms.stores");
    starts("centre = \"+15550000\"", "centre = \"x\"", "sms.centre");
    // Settings that the file does not have are those from the factory.
    Nvm::parse(&text.replace("usbnet = \"0\"\n", "").replace("csq = false\n", ""), &model).unwrap();
}

/// The text, as people find it.
#[test]
fn the_text() {
    let saved = Saved::default();
    let mut modem = start("RM500Q-GL", &Sketch::of_the_note(), &saved);
    say(&mut modem, "AT+QESIM=\"lpa_enable\",0;+CPBS=\"ME\";+CPBW=1,\"+491234567\",145,\"Ann\"");
    let _ = modem.deliver_message("+4912345", "hello").unwrap();
    insta::assert_snapshot!(saved.last().unwrap());
}

/// A parameter of whatever kind, right or wrong.
fn parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u32..5).prop_map(|number| number.to_string()),
        (0u32..1_000_000).prop_map(|number| number.to_string()),
        proptest::sample::select(vec![
            "",
            "00101",
            "\"00101\"",
            "\"IP\"",
            "\"IPV6\"",
            "\"UCS2\"",
            "LTE:NR5G",
            "\"urcport\"",
            "\"usbat\"",
            "\"all\"",
            "\"csq\"",
            "\"ME\"",
            "\"SM\"",
            "\"SR\"",
            "\"usbspeed\"",
            "\"20\"",
            "\"mode_pref\"",
            "\"rat_acq_order\"",
            "\"roamservice\"",
            "\"lpa_enable\"",
            "\"+12*#abc\"",
            "\"\"",
            "\"a b\\22\\5C\\0A\"",
            "\"00101010\"",
            "\"0101\"",
            "\"internet\"",
            "x",
            "-1",
            "115200",
        ])
        .prop_map(str::to_owned),
        "\"[ -!#-~é\\x01]{0,40}\"",
    ]
}

fn line() -> impl Strategy<Value = String> {
    let command = proptest::sample::select(vec![
        "&W",
        "E",
        "V",
        "X",
        "Q0",
        "&C",
        "&D",
        "S0=",
        "S2=",
        "S12=",
        "+CMEE=",
        "+CSCS=",
        "+IFC=",
        "+ICF=",
        "+IPR=",
        "+CREG=",
        "+CEREG=",
        "+QURCCFG=",
        "+QSIMSTAT=",
        "+QSIMDET=",
        "+QUIMSLOT=",
        "+QINDCFG=",
        "+QCFG=",
        "+QNWPREFCFG=",
        "+CTZU=",
        "+CTZR=",
        "+WS46=",
        "+COPS=",
        "+CGDCONT=",
        "+CGAUTH=",
        "+QICSGP=",
        "+CPBS=",
        "+CPBW=",
        "+CSCA=",
        "+CNMI=",
        "+CPMS=",
        "+CMGF=",
        "+CSMP=",
        "+CMGS=",
        "+CMGW=",
        "+CMGD=",
        "+CPSMS=",
        "+CEDRXS=",
        "+UCGDFLT=",
        "+UDCONF=",
        "+QESIM=",
        "Z",
        "&F",
        "+CFUN=1,1",
    ]);
    (command, proptest::collection::vec(parameter(), 0..5))
        .prop_map(|(command, parameters)| format!("AT{command}{}", parameters.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever hosts set, what is saved can be read, and says the same.
    #[test]
    fn what_is_saved_can_be_read(
        lines in proptest::collection::vec(line(), 0..60),
        model in proptest::sample::select(vec!["RM500Q-GL", "EC200U", "BG95-M3", "SARA-R410M"]),
    ) {
        let (sketch, saved) = (Sketch::of_the_note(), Saved::default());
        let mut modem = start(model, &sketch, &saved);
        for line in lines {
            if say(&mut modem, &line).ends_with("> ") {
                let _ = modem.receive(0, b"some text\x1A");
            }
        }
        let model = Model::named(model).unwrap();
        for text in saved.0.lock().unwrap().iter() {
            let read = Nvm::parse(text, &model);
            prop_assert_eq!(read.as_ref().map(Nvm::to_text), Ok(text.clone()));
        }
    }
}
