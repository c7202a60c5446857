//! A real client: ModemManager with mmcli, on both terminals of a lab's modem.
//!
//! Skipped, with a message, where it is not installed or mount namespaces may not be made.

use std::path::Path;

use e2e::client::Client;
use e2e::modem_manager::ModemManager;
use e2e::{dialogue, profile, two_profiles};
use esimlab::lab::Lab;
use modem::network::{Change, Connectivity, NetworkSpec, Technology};
use smdp::OrderSpec;

/// The RM500Q's number on the USB.
const PRODUCT: &str = "0800";

/// ModemManager on a lab, when it has found the modem.
async fn start(lab: &Lab) -> Option<ModemManager> {
    let mut manager = ModemManager::start(lab.ttys(), PRODUCT, lab.model()).await?;
    manager.log.line("exported modem at path '/org/freedesktop/ModemManager1/Modem/0'").await;
    Some(manager)
}

/// Enables the modem that there is, and waits until it is registered.
async fn enable(manager: &ModemManager) {
    let mut states = manager.monitor(&["--modem=any", "--monitor-state"]);
    states.line("Initial state, 'disabled'").await;
    manager.mmcli(&["--modem=any", "--enable"]).await;
    states.line("--> 'registered'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_probe_to_registered_with_messages_both_ways() {
    let lab = two_profiles().start().unwrap();
    let Some(manager) = start(&lab).await else { return };
    enable(&manager).await;

    // What it knows of the modem, the network and the card.
    let modem = ["--modem=any"];
    for (key, value) in [
        ("modem.generic.manufacturer", "Quectel"),
        ("modem.generic.model", "RM500Q-GL"),
        ("modem.generic.revision", "RM500QGLABR11A06M4G"),
        ("modem.generic.equipment-identifier", "001015010000013"),
        ("modem.generic.plugin", "quectel"),
        ("modem.generic.ports.value[1]", "ttyUSB2 (at)"),
        ("modem.generic.ports.value[2]", "ttyUSB3 (at)"),
        ("modem.generic.own-numbers.value[1]", "+15551000101"),
        ("modem.generic.unlock-retries.value[1]", "sim-pin (3)"),
        ("modem.generic.power-state", "on"),
        ("modem.generic.access-technologies.value[1]", "lte"),
        ("modem.3gpp.operator-code", "00101"),
        ("modem.3gpp.operator-name", "Operator A"),
        ("modem.3gpp.registration-state", "home"),
        ("modem.3gpp.packet-service-state", "attached"),
    ] {
        assert_eq!(manager.value(&modem, key).await, value, "{key}");
    }
    let sim = manager.value(&modem, "modem.generic.sim").await;
    for (key, value) in [
        ("sim.properties.iccid", "8999901000000000013"),
        ("sim.properties.imsi", "001010000000101"),
        ("sim.properties.operator-code", "00101"),
        ("sim.properties.operator-name", "Operator A"),
        ("sim.properties.gid1", "A1"),
    ] {
        assert_eq!(manager.value(&["--sim", &sim], key).await, value, "{key}");
    }

    // A message out. The message centre hands it back: it is the modem's own number.
    let mut messages = manager.signals("org.freedesktop.ModemManager1.Modem.Messaging").await;
    let created = "--messaging-create-sms=text='Hello, lab',number='+15551000101'";
    let created = manager.mmcli(&["--modem=any", created]).await;
    let message = created.rsplit_once(' ').unwrap().1.to_owned();
    messages.line(&message).await;
    manager.mmcli(&["--sms", &message, "--send"]).await;
    assert_eq!(manager.value(&["--sms", &message], "sms.properties.state").await, "sent");
    // It comes back; then one from elsewhere, with letters that the GSM alphabet does not have. Not both at once: one
    // that comes while ModemManager reads another is not read.
    let elsewhere = || lab.modem().try_apply(|modem| modem.deliver_message("+4915112345678", "Привет, Ω")).unwrap();
    for (number, text, then) in [("+15551000101", "Hello, lab", true), ("+4915112345678", "Привет, Ω", false)] {
        messages.line("member=Added").await;
        let line = messages.line("object path").await;
        let path = line.split('"').nth(1).unwrap();
        assert_eq!(manager.value(&["--sms", path], "sms.content.number").await, number);
        let shown = manager.mmcli(&["--sms", path]).await;
        assert!(shown.contains(&format!("text: {text}")), "{shown}");
        assert_eq!(manager.value(&["--sms", path], "sms.properties.pdu-type").await, "deliver");
        // Deleted there, it is gone from the modem's memory as well.
        manager.mmcli(&["--modem=any", &format!("--messaging-delete-sms={path}")]).await;
        if then {
            elsewhere();
        }
    }
    let stored = manager.mmcli(&["--modem=any", "--command=+CPMS?"]).await;
    assert!(stored.contains("+CPMS: \"ME\",0,"), "{stored}");

    let answer = manager.mmcli(&["--modem=any", "--3gpp-ussd-initiate=*100#"]).await;
    assert!(answer.contains("*100#"), "{answer}");
    manager.mmcli(&["--modem=any", "--disable"]).await;
    assert_eq!(manager.value(&modem, "modem.generic.state").await, "disabled");
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_switch_is_a_changed_sim() {
    let lab = two_profiles().start().unwrap();
    let Some(mut manager) = start(&lab).await else { return };
    enable(&manager).await;
    // By the modem's own LPA, while ModemManager holds its ports.
    let _ = manager.mmcli(&["--modem=any", "--command=AT+QESIM=\"enable_profile\",2"]).await;
    manager.log.line("SIM identifier has changed: 8999901000000000013 -> 8999902000000000012").await;
    manager.log.line("exported modem at path '/org/freedesktop/ModemManager1/Modem/1'").await;
    enable(&manager).await;
    let sim = manager.value(&["--modem=any"], "modem.generic.sim").await;
    assert_eq!(manager.value(&["--sim", &sim], "sim.properties.iccid").await, "8999902000000000012");
    assert_eq!(manager.value(&["--modem=any"], "modem.3gpp.operator-name").await, "Operator B");
    manager.stop().await;
}

/// A card that has no profile is none to ModemManager; with one downloaded it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_card_is_a_missing_sim_until_it_has_a_profile() {
    let lab = Lab::builder().order(OrderSpec::new("FIRST", profile("operator-a"))).start().unwrap();
    let Some(manager) = start(&lab).await else { return };
    assert_eq!(manager.value(&["--modem=any"], "modem.generic.state").await, "failed");
    assert_eq!(manager.value(&["--modem=any"], "modem.generic.state-failed-reason").await, "sim-missing");
    // Stopped, as for everything that wants the ports for itself.
    manager.stop().await;

    let code = format!("1${}$FIRST", lab.smdp_address());
    for operation in [["-A", &code], ["--enable", "1"]] {
        let done = Client::run(Path::new(env!("CARGO_BIN_EXE_lpad_under_test")), |command| {
            command.arg("-d").arg(lab.tty()).arg("--ci").arg(lab.ci_file()).args(operation);
        });
        let done = done.await;
        assert!(done.status.success(), "{}", done.text);
    }

    let manager = start(&lab).await.unwrap();
    enable(&manager).await;
    let sim = manager.value(&["--modem=any"], "modem.generic.sim").await;
    assert_eq!(manager.value(&["--sim", &sim], "sim.properties.iccid").await, "8999901000000000013");
    manager.stop().await;
}

/// A home network and one to roam in.
const NETWORK: &str = r#"
[[operator]]
home = true
coverage = { lte = -85 }

[[operator]]
plmn = "26201"
name = "Visited Network"
coverage = { lte = -95 }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_session_and_changes_of_registration() {
    let lab = two_profiles().network(NetworkSpec::from_toml(NETWORK).unwrap()).start().unwrap();
    let Some(mut manager) = start(&lab).await else { return };
    enable(&manager).await;
    let modem = ["--modem=any"];

    // By ATD*99 on the first port; what follows on it would be PPP, which is pppd's.
    manager.mmcli(&["--modem=any", "--simple-connect=apn=internet"]).await;
    assert_eq!(manager.value(&modem, "modem.generic.state").await, "connected");
    let bearer = manager.value(&modem, "modem.generic.bearers.value[1]").await;
    for (key, value) in [
        ("bearer.status.connected", "yes"),
        ("bearer.status.interface", "ttyUSB2"),
        ("bearer.properties.apn", "internet"),
        ("bearer.ipv4-config.method", "ppp"),
    ] {
        assert_eq!(manager.value(&["--bearer", &bearer], key).await, value, "{key}");
    }
    let device = lab.console().device();
    assert_eq!(device.state, Connectivity::Online);
    assert_eq!(device.sessions.iter().map(|session| session.apn.as_str()).collect::<Vec<_>>(), ["internet"]);
    // Meanwhile the second port is there for everything else.
    assert_eq!(manager.value(&modem, "modem.3gpp.registration-state").await, "home");
    manager.mmcli(&["--modem=any", "--simple-disconnect"]).await;
    assert_eq!(manager.value(&modem, "modem.generic.state").await, "registered");
    assert!(lab.console().device().sessions.is_empty());
    assert!(dialogue(&lab).contains(&"> ATD*99***2#".to_owned()));

    // The home network goes, then the other one; then both are back.
    let covers = |operator: &str, signal| {
        let operator = operator.to_owned();
        lab.console().change(&Change::Coverage { operator, technology: Technology::Lte, signal }).unwrap();
    };
    covers("home", None);
    manager.log.line(" -> roaming)").await;
    assert_eq!(manager.value(&modem, "modem.3gpp.operator-code").await, "26201");
    assert_eq!(manager.value(&modem, "modem.3gpp.operator-name").await, "Visited Network");
    let mut states = manager.monitor(&["--modem=any", "--monitor-state"]);
    states.line("Initial state, 'registered'").await;
    covers("26201", None);
    states.line("'registered' --> ").await;
    covers("home", Some(-85));
    states.line("--> 'registered'").await;
    assert_eq!(manager.value(&modem, "modem.3gpp.registration-state").await, "home");
    assert_eq!(manager.value(&modem, "modem.3gpp.operator-code").await, "00101");
    manager.stop().await;
}
