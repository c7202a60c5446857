//! The network with states, as hosts and the operator see it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::{NOW, lines, transcript};
use crate::model::Model;
use crate::network::{Change, Connectivity, Dns, NetworkSpec, SubscriptionState, Technology};
use crate::testing::Sketch;
use crate::{Modem, ModemEvent, Observer};

/// The operator's log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn event(&mut self, event: ModemEvent<'_>) {
        if let ModemEvent::Network(event) = event {
            let rejected = event.rejected.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
            self.0.lock().unwrap().push(format!("{}{rejected}", event.title()));
        }
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A modem in this network; its card is of the PLMN 00101.
struct Bench {
    modem: Modem,
    log: Log,
    now: Duration,
}

impl Bench {
    fn new(model: &str, network: &str) -> Self {
        let log = Log::default();
        let network = NetworkSpec::from_toml(network).unwrap();
        let card = Sketch::of_the_note().card();
        let mut modem =
            Modem::in_network(Model::named(model).unwrap(), Some(card), network, Some(Box::new(log.clone())));
        modem.set_time(NOW);
        let mut bench = Bench { modem, log, now: NOW };
        bench.say("ATE0+CMEE=2");
        bench
    }

    fn say(&mut self, line: &str) -> String {
        let output = self.modem.receive_at(0, format!("{line}\r").as_bytes(), self.now);
        String::from_utf8(output.for_port(0)).unwrap()
    }

    /// Lets time pass, and does at each deadline what is due. Gives what was said.
    fn pass(&mut self, time: Duration) -> String {
        let end = self.now + time;
        let mut said = String::new();
        while let Some(due) = self.modem.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            said.push_str(&String::from_utf8(self.modem.tick(due).for_port(0)).unwrap());
        }
        self.now = end;
        said.push_str(&String::from_utf8(self.modem.tick(end).for_port(0)).unwrap());
        said
    }

    fn change(&mut self, change: Change) -> String {
        String::from_utf8(self.modem.change_network(&change).unwrap().for_port(0)).unwrap()
    }

    fn state(&self) -> Connectivity {
        self.modem.network().state
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const ABROAD: &str = "[[operator]]\nplmn = \"26201\"\nname = \"One\"\nshort = \"1\"\ncoverage = { lte = -80, gsm = -70 }\n\
    [[operator]]\nplmn = \"26202\"\nname = \"Two\"\ncoverage = { lte = -95, lte-m = -100, nb-iot = -110 }\n";

#[test]
fn scans_and_choices_abroad() {
    let mut bench = Bench::new("EG25-G", ABROAD);
    assert_eq!(bench.log.take(), ["Update Location", "Update GPRS location"]);
    bench.say("AT+CREG=2;+CEREG=1");
    insta::assert_snapshot!(transcript(
        &mut bench.modem,
        [
            "AT+COPS=?",
            "AT+COPS?;+CREG?;+CSQ;+CESQ;+CIND?",
            "AT+COPS=3,1;+COPS?",
            "AT+COPS=1,2,\"26202\"",
            "AT+COPS?;+CSQ",
            "AT+COPS=1,2,\"26201\",0",
            "AT+COPS=3,2;+COPS?;+CSQ;+CESQ;+QNWINFO;+QENG=\"servingcell\"",
            "AT+COPS=1,2,\"26203\"",
            "AT+CEER",
            "AT+COPS?;+CREG?",
            "AT+COPS=1,0,\"1\"",
            "AT+COPS=2",
            "AT+COPS=0",
            "AT+QCFG=?",
            "AT+QCFG=\"nwscanmode\",1",
            "AT+COPS?",
            "AT+QCFG=\"nwscanmode\"",
            "AT+QCFG=\"nwscanmode\",7",
            "AT+QCFG=\"nwscanmode\",0,1",
            "AT+QCFG=\"roamservice\",1,1",
            "AT+CREG?;+COPS?",
            "AT+QCFG=\"roamservice\",2,1",
            "AT+QCFG=\"iotopmode\"",
        ]
    ));
}

#[test]
fn an_iot_module_uses_what_it_is_told_to() {
    let mut bench = Bench::new("BG95-M3", ABROAD);
    insta::assert_snapshot!(transcript(
        &mut bench.modem,
        [
            "AT+COPS=?",
            "AT+COPS?;+QNWINFO",
            "AT+QCFG=\"iotopmode\"",
            "AT+QCFG=\"iotopmode\",0,1",
            "AT+COPS?;+QNWINFO;+QENG=\"servingcell\"",
            "AT+QCFG=\"nwscanmode\",3,1",
            "AT+QCFG=\"iotopmode\",1,1",
            "AT+COPS?;+QNWINFO;+CREG?;+CEREG?",
            "AT+COPS=1,2,\"26202\",8",
            "AT+QCFG=\"iotopmode\",2,1",
            "AT+COPS=1,2,\"26202\",8",
            "AT+COPS?",
        ]
    ));
}

#[test]
fn five_g() {
    let network = "[[operator]]\nhome = true\nname = \"Home\"\ncoverage = { nr = -85, lte = -90 }\n";
    let mut bench = Bench::new("RM500Q-GL", network);
    assert_eq!(
        lines(&bench.say("AT+C5GREG=2;+C5GREG?;+CEREG?;+COPS?;+CESQ")),
        [
            "+C5GREG: 2,1,\"1A2D\",\"1A2D001\",11",
            "+CEREG: 0,0",
            "+COPS: 0,0,\"Home\",11",
            "+CESQ: 99,99,255,255,255,255",
            "OK"
        ]
    );
    bench.say("AT+CEREG=1");
    assert_eq!(lines(&bench.say("AT+QNWPREFCFG=\"mode_pref\",LTE")), ["OK", "+CEREG: 2", "+C5GREG: 0", "+CEREG: 1"]);
    let lost = Change::Coverage { operator: "home".to_owned(), technology: Technology::Lte, signal: None };
    assert_eq!(lines(&bench.change(lost)), ["+CEREG: 2"]);
    assert_eq!(lines(&bench.say("AT+COPS?;+CSQ;+QNWINFO")), ["+COPS: 0", "+CSQ: 99,99", "+QNWINFO: No Service", "OK"]);
    assert_eq!(
        lines(&bench.say("AT+QNWPREFCFG=\"mode_pref\",AUTO")),
        ["OK", "+CEREG: 0", "+C5GREG: 1,\"1A2D\",\"1A2D001\",11"]
    );
}

/// RG50xQ & RM5xxQ Series AT Commands Manual, AT+QNWPREFCFG: the order of the search takes effect after a restart, that 5G
/// standalone is disabled at once.
#[test]
fn the_order_of_the_search() {
    let network = "[[operator]]\nplmn = \"00101\"\ncoverage = { nr = -80, lte = -80, umts = -80 }\n";
    let mut bench = Bench::new("RM500Q-GL", network);
    let access =
        |bench: &mut Bench| bench.say("ATE0+COPS?").rsplit(',').next().unwrap().trim_end().replace("\r\n\r\nOK", "");
    assert_eq!(access(&mut bench), "11");
    bench.say("AT+QNWPREFCFG=\"rat_acq_order\",WCDMA:LTE:NR5G");
    assert_eq!(access(&mut bench), "11", "not before a restart");
    bench.say("AT+CFUN=1,1");
    assert_eq!(access(&mut bench), "2");
    bench.say("AT+QNWPREFCFG=\"rat_acq_order\",NR5G:LTE:WCDMA");
    bench.say("AT+CFUN=1,1");
    assert_eq!(access(&mut bench), "11");
    bench.say("AT+QNWPREFCFG=\"nr5g_disable_mode\",1");
    assert_eq!(access(&mut bench), "7");
    bench.say("AT+QNWPREFCFG=\"nr5g_disable_mode\",2");
    assert_eq!(access(&mut bench), "11", "what is disabled is the other one");
}

#[test]
fn states_and_events_follow_from_what_the_modem_does() {
    let mut bench = Bench::new("EC200U", &format!("{ABROAD}[[subscription]]\napns = [\"em\", \"emnify\"]\n"));
    assert_eq!(bench.log.take(), ["Update Location", "Update GPRS location"]);
    assert_eq!(bench.state(), Connectivity::Attached);
    // No access point, and the wrong one.
    assert_eq!(lines(&bench.say("AT+CGACT=1,1")), ["+CME ERROR: missing or unknown APN"]);
    assert_eq!(bench.log.take(), ["Create PDP context rejected: Missing or unknown APN (#27)"]);
    bench.say("AT+CGDCONT=1,\"IP\",\"internet\"");
    assert_eq!(lines(&bench.say("AT+QIACT=1;")), ["ERROR"]);
    assert_eq!(bench.log.take(), ["Create PDP context rejected: Missing or unknown APN (#27)"]);
    // As the document has it.
    assert_eq!(lines(&bench.say("AT+CGDCONT=1,\"IP\",\"em\",,")), ["OK"]);
    assert_eq!(lines(&bench.say("AT+CGACT=1,1")), ["OK"]);
    assert_eq!(bench.log.take(), ["Create PDP context"]);
    assert_eq!(bench.state(), Connectivity::Online);
    assert_eq!(bench.modem.network().sessions[0].apn, "em");
    bench.say("AT+CGACT=0,1");
    assert_eq!(bench.log.take(), ["Delete PDP context"]);
    assert_eq!(bench.state(), Connectivity::Offline, "as the document has it");
    // The radio off ends a session, and tells nobody else.
    bench.say("AT+CGACT=1,1");
    bench.say("AT+CFUN=4");
    assert_eq!(bench.log.take(), ["Create PDP context", "Delete PDP context"]);
    bench.say("AT+CFUN=1");
    assert_eq!(bench.log.take(), ["Update Location", "Update GPRS location"]);
    bench.say("AT+CFUN=4");
    assert_eq!((bench.state(), bench.log.take().len()), (Connectivity::Attached, 0), "nothing tells the network");
}

#[test]
fn the_operator_blocks_and_lets_go() {
    let mut bench = Bench::new("EC200U", ABROAD);
    bench.say("AT+CREG=1;+CGEREP=2;+CGACT=1,1");
    bench.log.take();
    assert_eq!(
        lines(&bench.change(Change::State(SubscriptionState::Blocked))),
        ["+CREG: 3", "+QIURC: \"pdpdeact\",1", "+CGEV: NW PDN DEACT 1"]
    );
    assert_eq!(bench.state(), Connectivity::Blocked);
    assert_eq!(bench.log.take(), ["Policy", "Delete PDP context", "Cancel Location"]);
    assert_eq!(lines(&bench.say("AT+CGACT?")), ["+CGACT: 1,0", "OK"]);
    // It is of no use until the device starts again.
    assert_eq!(bench.change(Change::State(SubscriptionState::Active)), "");
    assert_eq!(lines(&bench.say("AT+COPS=0")), ["+CME ERROR: network not allowed - emergency calls only"]);
    bench.say("AT+CFUN=0");
    bench.say("AT+CFUN=1");
    assert_eq!(lines(&bench.say("AT+CREG?")), ["+CREG: 1,5", "OK"]);
    assert_eq!(bench.state(), Connectivity::Attached);
    // "Reset connectivity": sessions end, and it registers anew at once.
    bench.say("AT+CGACT=1,1");
    bench.log.take();
    let said = bench.change(Change::Reset);
    assert_eq!(lines(&said), ["+CREG: 2", "+CREG: 5", "+QIURC: \"pdpdeact\",1", "+CGEV: NW PDN DEACT 1"]);
    assert_eq!(bench.log.take(), ["Delete PDP context", "Cancel Location", "Update Location", "Update GPRS location"]);
    // The blacklist forces it to another network.
    bench.change(Change::Blacklist(vec!["26201".to_owned()]));
    assert_eq!(bench.modem.network().operator.unwrap().0, "26202");
    bench.change(Change::Roaming(false));
    assert_eq!(lines(&bench.say("AT+CREG?")), ["+CREG: 1,3", "OK"]);
    let unknown = Change::Coverage { operator: "99999".to_owned(), technology: Technology::Lte, signal: None };
    let error = bench.modem.change_network(&unknown).unwrap_err().to_string();
    assert_eq!(error, "there is no operator \"99999\"; there are 26201, 26202");
}

#[test]
fn data_and_names_are_a_matter_of_policy() {
    let mut bench = Bench::new("EC200U", ABROAD);
    bench.say("AT+CGEREP=2;+CGACT=1,1");
    assert!(bench.modem.network().resolves);
    bench.change(Change::Dns(Dns::Blocked));
    assert!(!bench.modem.network().resolves);
    assert_eq!(lines(&bench.change(Change::Data(false))), ["+QIURC: \"pdpdeact\",1", "+CGEV: NW PDN DEACT 1"]);
    assert_eq!(lines(&bench.say("AT+CGACT=1,1")), ["+CME ERROR: requested service option not subscribed"]);
}

#[test]
fn messages_wait_for_coverage_and_policy() {
    let mut bench = Bench::new("EC200U", "");
    bench.say("AT+CMGF=1;+CNMI=2,2");
    let send = |bench: &mut Bench| {
        let output = bench.modem.send_message("+4912345", "  setparam 2001:em").unwrap();
        String::from_utf8(output.for_port(0)).unwrap()
    };
    assert!(send(&mut bench).contains("  setparam 2001:em"));
    let coverage = |signal| Change::Coverage { operator: "home".to_owned(), technology: Technology::Lte, signal };
    bench.change(coverage(None));
    bench.log.take();
    assert_eq!(send(&mut bench), "");
    assert_eq!((bench.modem.network().waiting, bench.log.take()), (1, vec!["SMS MT".to_owned()]));
    assert!(bench.change(coverage(Some(-100))).contains("+CMT: \"+4912345\""));
    bench.change(Change::Sms(false));
    bench.log.take();
    assert_eq!(send(&mut bench), "");
    assert_eq!((bench.modem.network().waiting, bench.log.take()), (0, vec!["SMS MT rejected: not allowed".to_owned()]));
}

#[test]
fn power_saving_as_the_document_has_it() {
    let mut bench = Bench::new("BG95-M3", "");
    insta::assert_snapshot!(transcript(
        &mut bench.modem,
        [
            "AT+CPSMS=?;+QPSMS=?;+CEREG=?",
            "AT+CPSMS?;+QPSMS?",
            "AT+CEREG=4",
            "AT+CPSMS=1,,,01001110,00000101",
            "AT+CPSMS?",
            "AT+QPSMS?",
            "AT+CEREG?",
            "AT+CPSMS=1,,,0100111,00000101",
            "AT+CPSMS=3",
        ]
    ));
    // The radio connection is kept for 5 s, then T3324 runs for 10 s.
    assert_eq!(bench.pass(seconds(14)), "");
    assert!(lines(&bench.say("AT")).contains(&"OK"));
    assert_eq!(lines(&bench.pass(seconds(1))), ["PSM POWER DOWN"]);
    assert!(bench.modem.network().asleep);
    // Deaf.
    assert_eq!(bench.say("AT"), "");
    let _ = bench.modem.send_message("+4912345", "hello").unwrap();
    assert_eq!(bench.modem.network().waiting, 1);
    assert_eq!(bench.pass(140 * seconds(3600) - seconds(11)), "");
    assert_eq!(bench.say("AT"), "");
    bench.log.take();
    // T3412 extended has run since the device was idle: 140 hours, of which it listened 10 s.
    let woken = bench.pass(seconds(1));
    assert_eq!(
        lines(&woken),
        ["RDY", "APP RDY", "+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+CMTI: \"ME\",0"],
        "what has waited comes"
    );
    // It does not register anew.
    assert_eq!(bench.log.take(), ["SMS MT"]);
    assert!(lines(&bench.say("ATE0")).contains(&"OK"));
    assert_eq!(lines(&bench.say("AT+CEREG?")), ["+CEREG: 0,1", "OK"]);
    assert_eq!(lines(&bench.pass(seconds(15))), ["PSM POWER DOWN"]);
    // The power key wakes it before its time.
    bench.now += seconds(60);
    bench.modem.set_time(bench.now);
    assert_eq!(lines(&String::from_utf8(bench.modem.wake().for_port(0)).unwrap())[0], "RDY");
    assert!(bench.modem.wake().writes.is_empty());
    // As soon as the radio connection is released.
    bench.say("ATE0+QCFG=\"psm/enter\",1");
    assert_eq!(lines(&bench.pass(seconds(5))), ["PSM POWER DOWN"]);
    let _ = bench.modem.wake();
    // A restart wakes it, too.
    bench.say("ATE0");
    assert_eq!(lines(&bench.pass(seconds(5))), ["PSM POWER DOWN"]);
    assert_eq!(lines(&String::from_utf8(bench.modem.reset().for_port(0)).unwrap())[0], "RDY");
    bench.say("ATE0+CPSMS=0");
    assert_eq!(bench.pass(seconds(100)), "");
}

#[test]
fn a_session_outlives_sleep() {
    let mut bench = Bench::new("BG95-M3", "");
    bench.say("AT+CGACT=1,1;+CPSMS=1,,,\"01001110\",\"00000101\"");
    assert_eq!(lines(&bench.pass(seconds(15))), ["PSM POWER DOWN"]);
    bench.log.take();
    assert_eq!(bench.state(), Connectivity::Online);
    let _ = bench.modem.wake();
    assert_eq!(lines(&bench.say("ATE0+CGACT?"))[1..], ["+CGACT: 1,1", "OK"]);
    assert_eq!(bench.log.take().len(), 0);
    // What the operator does meanwhile is seen when it wakes.
    bench.pass(seconds(15));
    assert!(bench.modem.network().asleep);
    assert_eq!(bench.change(Change::State(SubscriptionState::Blocked)), "");
    let _ = bench.modem.wake();
    assert_eq!(lines(&bench.say("ATE0+CGACT?;+CEREG?"))[1..], ["+CGACT: 1,0", "+CEREG: 0,3", "OK"]);
}

#[test]
fn paging_waits_for_the_cycle() {
    let mut bench = Bench::new("BG95-M3", "[[operator]]\nhome = true\ncoverage = { lte-m = -90 }\n");
    insta::assert_snapshot!(transcript(
        &mut bench.modem,
        [
            "AT+CEDRXS=?",
            "AT+CEDRXS?",
            "AT+CEDRXRDP",
            "AT+CMGF=1;+CNMI=2,2",
            "AT+CEDRXS=2,4,\"1000\"",
            "AT+CEDRXS?",
            "AT+CEDRXRDP",
            "AT+CEDRXS=1,,\"1000\"",
            "AT+CEDRXS=1,6,\"1000\"",
            "AT+CEDRXS=1,4,\"100\"",
        ]
    ));
    bench.pass(seconds(20));
    assert!(bench.modem.send_message("+4912345", "hello").unwrap().writes.is_empty());
    // 143.36 s from the first cycle on.
    assert_eq!(bench.pass(Duration::from_millis(143_360 - 20_001)), "");
    assert!(bench.pass(Duration::from_millis(1)).contains("hello"));
    bench.say("AT+CEDRXS=0");
    assert_eq!(lines(&bench.say("AT+CEDRXRDP")), ["+CEDRXRDP: 0", "OK"]);
    bench.pass(seconds(20));
    assert!(!bench.modem.send_message("+4912345", "hello").unwrap().writes.is_empty());
}

#[test]
fn modules_of_u_blox() {
    let mut bench =
        Bench::new("SARA-R410M", &format!("{ABROAD}[[subscription]]\napns = [\"em\"]\nblacklist = [\"26202\"]\n"));
    insta::assert_snapshot!(transcript(
        &mut bench.modem,
        [
            "AT+UCGDFLT=?",
            "AT+UCGDFLT=1,\"IP\",\"em\"",
            "AT+UCGDFLT?",
            "AT+UCGDFLT=2",
            "AT+UCGDFLT=1,\"PPP\"",
            "AT+UDCONF=?",
            "AT+UDCONF=20,2",
            "AT+UDCONF=20",
            "AT+UDCONF=21,2",
            "AT+CEREG?",
        ]
    ));
    bench.change(Change::Blacklist(Vec::new()));
    bench.log.take();
    bench.say("AT+CFUN=0;+CFUN=1");
    assert_eq!(bench.log.take(), ["Update Location", "Update GPRS location", "Create PDP context"]);
    assert_eq!(lines(&bench.say("AT+CGACT?")), ["+CGACT: 1,1", "OK"]);
    // With and without a search after a refusal: LTE-M is tried first, and is not allowed.
    bench.change(Change::Technologies(Some(vec![Technology::NbIot])));
    assert_eq!(bench.modem.network().technology, Some(Technology::NbIot));
    bench.say("AT+UDCONF=20,0");
    bench.log.take();
    bench.say("AT+CFUN=0;+CFUN=1");
    assert_eq!((bench.log.take().len(), bench.modem.network().technology), (2, None), "a session ends, one refusal");
    assert_eq!(lines(&bench.say("AT+CEREG?")), ["+CEREG: 0,3", "OK"]);
}

/// What can happen around a modem.
#[derive(Debug, Clone)]
enum Happening {
    Line(&'static str),
    Change(Change),
    Pass(u64),
    Message,
    Wake,
    Reset,
}

fn happening() -> impl Strategy<Value = Happening> {
    let lines = proptest::sample::select(vec![
        "AT+CFUN=0",
        "AT+CFUN=4",
        "AT+CFUN=1",
        "AT+COPS=0",
        "AT+COPS=2",
        "AT+COPS=1,2,\"26201\"",
        "AT+COPS=4,2,\"26202\",9",
        "AT+CGACT=1,1",
        "AT+CGACT=0,1",
        "AT+CGATT=0",
        "AT+CGATT=1",
        "AT+CEREG=4;+CREG=2",
        "AT+CPSMS=1,,,\"01100001\",\"00000001\"",
        "AT+CPSMS=1,,,\"00000001\",\"00000000\"",
        "AT+CPSMS=0",
        "AT+CEDRXS=2,4,\"0000\"",
        "AT+CEDRXS=1,5,\"0010\"",
        "AT+QCFG=\"psm/enter\",1",
        "AT+QCFG=\"iotopmode\",1",
        "AT+QCFG=\"iotopmode\",2",
        "AT+QCFG=\"roamservice\",1",
        "AT+QCFG=\"roamservice\",2",
        "AT+CNMI=2,2",
    ]);
    let coverage = (
        proptest::sample::select(vec!["26201", "26202"]),
        proptest::sample::select(vec![Technology::Gsm, Technology::LteM, Technology::NbIot]),
        proptest::option::of(-120i16..-60),
    );
    let coverage = coverage.prop_map(|(operator, technology, signal)| Change::Coverage {
        operator: operator.to_owned(),
        technology,
        signal,
    });
    let states = [SubscriptionState::Active, SubscriptionState::Suspended, SubscriptionState::Blocked];
    let change = prop_oneof![
        3 => coverage,
        1 => proptest::sample::select(states.to_vec()).prop_map(Change::State),
        1 => any::<bool>().prop_map(Change::Data),
        1 => any::<bool>().prop_map(Change::Sms),
        1 => any::<bool>().prop_map(Change::Roaming),
        1 => any::<bool>().prop_map(|on| Change::Blacklist(if on { vec!["26201".to_owned()] } else { Vec::new() })),
        1 => Just(Change::Reset),
    ];
    prop_oneof![
        6 => lines.prop_map(Happening::Line),
        4 => change.prop_map(Happening::Change),
        3 => (0u64..3_000_000).prop_map(Happening::Pass),
        2 => Just(Happening::Message),
        1 => Just(Happening::Wake),
        1 => Just(Happening::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: nothing is due for ever, what the modem and the operator say of sessions is
    /// the same, a module that sleeps is deaf, and one that is awake answers.
    #[test]
    fn any_course_of_events(happenings in proptest::collection::vec(happening(), 0..40)) {
        let mut bench = Bench::new("BG95-M3", ABROAD);
        for happening in happenings {
            match happening {
                Happening::Line(line) => drop(bench.say(line)),
                Happening::Change(change) => drop(bench.change(change)),
                Happening::Pass(milliseconds) => drop(bench.pass(Duration::from_millis(milliseconds))),
                Happening::Message => drop(bench.modem.send_message("+4912345", "x")),
                Happening::Wake => drop(bench.modem.wake()),
                Happening::Reset => {
                    drop(bench.modem.reset());
                    prop_assert!(!bench.modem.network().asleep, "a restart wakes");
                }
            }
            drop(bench.pass(Duration::ZERO));
            prop_assert!(bench.modem.deadline().is_none_or(|due| due > bench.now), "something stays due");
            let device = bench.modem.network();
            prop_assert_eq!(device.state == Connectivity::Online, !device.sessions.is_empty());
            let asleep = device.asleep;
            let answer = bench.say("AT+CGACT?");
            prop_assert_eq!(answer.is_empty(), asleep, "{}", answer);
            if !asleep && device.operator.is_some() {
                let active = answer.contains("+CGACT: 1,1");
                prop_assert_eq!(active, !device.sessions.is_empty(), "{}", answer);
            }
        }
    }
}

/// Modules without power saving know nothing of it.
#[test]
fn where_there_is_no_power_saving() {
    let mut bench = Bench::new("RM500Q-GL", "");
    for line in ["AT+CPSMS?", "AT+CPSMS=1", "AT+QPSMS?", "AT+CEDRXS=1", "AT+CEDRXRDP", "AT+UCGDFLT?", "AT+UDCONF=20,2"]
    {
        assert_eq!(lines(&bench.say(line)), ["ERROR"], "{line}");
    }
}
