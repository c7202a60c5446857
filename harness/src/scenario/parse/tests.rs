//! Tests of the parser: one scenario that uses everything, and mistakes with what is said about them.

use proptest::prelude::*;

use super::*;

/// Names for the tests, apart from what the program has.
pub(crate) fn vocabulary() -> Vocabulary {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Vocabulary {
        models: names(&["RG501Q-EU", "RM500Q-GL", "RM510Q-GL"]),
        cards: names(&["consumer", "toolkit-busy"]),
        profiles: names(&["operator-a", "operator-b", "test"]),
    }
}

/// A scenario with everything in it.
pub(crate) const FULL: &str = r#"
format = 1
title  = "Everything at once"
why    = """
The language has to be shown somewhere.
"""
refs   = ["SGP.22 v2.5 §5.6.3", "eSIM LPA AN 1.1 chapter 4"]
deadline = "2min"
expected_failure = "it is too much"

[modem]
model = "RM510Q-GL"
ports = 2

[pki]
curve = "brainpoolP256r1"

[clock]
now = 2026-01-31T12:00:00Z

[card]
kind = "toolkit-busy"
eid = "89049032123451234512345678901235"
profiles = [{ profile = "operator-b", state = "enabled", nickname = "old", rules = ["no-delete"] }, { profile = "test" }]
free_memory = 100000
default_smdp = "${smdp}"
forbidden_rules = ["no-disable"]
ci = ["brainpoolP256r1", "P-256"]
certificate = "expired"

[smdp]
name = "smdp.example.com"

[[smdp.order]]
matching_id = "TOKEN-1"
profile = "operator-a"
eid = "${eid}"
confirmation_code = "12345678"
replace_session_keys = true
rules = ["no-delete"]
expires = "2min"
attempts = 3

[[smdp.order]]
package = "packages/one.der"
eid = "89049032123451234512345678901235"
state = "downloaded"

[[fault]]
http = 503
function = "getBoundProfilePackage"
count = 2

[[fault]]
es9plus = "tamper-segment"

[[fault]]
tls = "alert"
nth = 2
count = 1

[[fault]]
es9plus = "8.1/4.8"
function = "authenticateClient"

[[fault]]
http = "cut"
bytes = 10
order = "TOKEN-1"

[[fault]]
http = { missing = "transactionId" }

[[fault]]
http = { status = 500, body = "" }
after = "1s"

[[fault]]
tls = { alert = 48 }

[[fault]]
tls = "wrong-role"
nth = 7

[[fault]]
es9plus = "tamper-mac"
segment = 3

[[fault]]
es9plus = "package-iccid"

[[fault]]
at = "noise"
command = 'AT\+CGLA=.*'
after_bytes = 500

[[fault]]
at = { cme_error = 13 }
function = "AuthenticateServer"
count = 1

[[fault]]
card = "6F00"
function = "LoadBoundProfilePackage"
nth = 3

[[fault]]
card = "power-cut"
nth = 12

[[step]]
at = 'AT+QESIM="eid"'
reply = ['+QESIM: "eid",${eid}', "OK"]
within = "300ms"

[[step]]
at = "AT+CSQ"
port = 1
reply = [{ pattern = '\+CSQ: (?<rssi>\d+),\d+' }, "...", "OK"]

[[step]]
dialogue = """
> AT+CMGS=${rssi}
< >
"""

[[step]]
urc = { pattern = '\+CREG: \d' }
within = "1s"

[[step]]
apdu = "80 CA 00 5A 00"
sw = "90xx"
data = { pattern = '5A10.*' }

[[step]]
server = { release = "TOKEN-1" }

[[step]]
server = "stop"

[[step]]
card = "remove"

[[step]]
modem = "power-cut"

[[step]]
clock = "2min"

[[step]]
parallel = [{ at = "AT", port = 1 }, { lpa = { list = true }, outcome = "success", csim = true }]

[[step]]
at = "AT+COPS=?"
within = "documented"

[[step]]
lpa = { download = "1$${smdp}$TOKEN-1", confirmation_code = "12345678" }
outcome = "failure"
status = "8.2.7/3.8"
http = 503
curl = 35
euicc = "scp03tSecurityError"
command = "loadProfileElements"
sw = "6A80"
timeout = "500ms"
segment = 60
accept_rules = true
refresh = false
within = "10s"

[[step]]
lpa = { enable = 1 }
outcome = "success"

[[step]]
lpa = { disable = "89440000000000000012" }
outcome = "success"

[[step]]
lpa = { nickname = "operator-a", name = "Work" }
outcome = "success"

[[step]]
lpa = { delete = "operator-b" }
outcome = "success"

[[step]]
lpa = { list = true }
outcome = "success"
profiles = [{ profile = "operator-a" }]

[[step]]
lpa = { notifications = "list" }
outcome = "success"
notifications = []

[[step]]
lpa = { default_address = "smdp.example.com" }
outcome = "success"

[[step]]
lpa = { info = true }
outcome = "success"

[expect]
euicc.default_smdp = "${smdp}"
open_sessions = 0
faults = 3
within = "2min"
euicc.profiles = [{ profile = "operator-a", state = "enabled", nickname = "Work" }, { profile = "test", nickname = "" }]
euicc.notifications = [{ event = "install", profile = "operator-a" }, { event = "enable" }]
euicc.open_channels = 0
es9plus = ["initiateAuthentication", "authenticateClient", "getBoundProfilePackage", "handleNotification"]
orders = { TOKEN-1 = "installed" }
"#;

/// The smallest scenario there is.
const MINIMAL: &str = "format = 1\ntitle = \"Small\"\n[[step]]\nat = \"AT\"\nreply = [\"OK\"]\n";

#[test]
fn everything_is_read() {
    let (scenario, warnings) = parse("full.toml", FULL, &vocabulary()).unwrap();
    assert!(warnings.list.is_empty(), "{}", warnings.render(false, 100));
    insta::assert_debug_snapshot!(scenario);
}

#[test]
fn what_is_absent_has_its_default() {
    let (scenario, _) = parse("small.toml", MINIMAL, &vocabulary()).unwrap();
    assert_eq!(
        (scenario.model.as_str(), scenario.curve, scenario.deadline),
        ("RM500Q-GL", Curve::P256, DEFAULT_DEADLINE)
    );
    assert_eq!((scenario.card, scenario.expect), (Card::default(), Expect::default()));
    assert_eq!(scenario.steps[0].line, 3);
}

/// What is said about a scenario with mistakes, as on a terminal without colour.
fn told(text: &str) -> String {
    match parse("scenarios/case.toml", text, &vocabulary()) {
        Ok((_, warnings)) => warnings.render(false, 100),
        Err(mistakes) => mistakes.render(false, 100),
    }
}

/// A scenario with this before its step.
fn with(lines: &str) -> String {
    format!("format = 1\ntitle = \"A case\"\n{lines}\n[[step]]\nat = \"AT\"\nreply = [\"OK\"]\n")
}

/// A scenario with this as its step.
fn with_step(lines: &str) -> String {
    format!(
        "format = 1\ntitle = \"A case\"\n[[smdp.order]]\nmatching_id = \"TOKEN-1\"\nprofile = \"operator-a\"\n[[step]]\n{lines}\n"
    )
}

/// One snapshot per mistake, named after it.
macro_rules! mistakes {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), told(&$text));
        })*
    };
}

mistakes! {
    an_empty_file: "";
    no_toml: "format = 1\ntitle = \"A case\nrefs = []\n";
    another_format: MINIMAL.replace("format = 1", "format = 2");
    an_unknown_key: with("titel = \"twice\"\ncolour = \"red\"");
    a_key_that_is_nearly_right: "format = 1\ntitel = \"A case\"\n[[step]]\nat = \"AT\"\n";
    an_unknown_model: with("[modem]\nmodel = \"RM500Q\"");
    an_eid_with_wrong_check_digits: with("[card]\neid = \"89049032123451234512345678901234\"");
    two_enabled_profiles: with("[card]\nprofiles = [{ profile = \"operator-a\", state = \"enabled\" }, { profile = \"operator-b\", state = \"enabled\" }]");
    an_unknown_profile: with("[[smdp.order]]\nmatching_id = \"A\"\nprofile = \"operator-c\"");
    an_unknown_order_state: with("[[smdp.order]]\nmatching_id = \"A\"\nprofile = \"test\"\nstate = \"instaled\"");
    a_matching_id_twice: with("[[smdp.order]]\nmatching_id = \"A\"\nprofile = \"test\"\n[[smdp.order]]\nmatching_id = \"A\"\nprofile = \"operator-a\"");
    a_matching_id_with_an_underscore: with("[[smdp.order]]\nmatching_id = \"A_B\"\nprofile = \"test\"");
    a_matching_id_that_no_code_can_carry: with("[[smdp.order]]\nmatching_id = \"A$B\"\nprofile = \"test\"");
    an_order_that_nobody_can_find: with("[[smdp.order]]\nprofile = \"test\"");
    an_order_in_single_brackets: with("[smdp.order]\nmatching_id = \"A\"\nprofile = \"test\"");
    a_fault_of_two_layers: with("[[fault]]\ntls = \"close\"\nhttp = 503");
    a_fault_of_no_layer: with("[[fault]]\ncount = 1");
    a_fault_of_another_kind: with("[[fault]]\ntls = \"closed\"");
    a_function_where_none_is_called: with("[[fault]]\ntls = \"close\"\nfunction = \"cancelSession\"");
    a_status_out_of_range: with("[[fault]]\nhttp = 99");
    no_step: "format = 1\ntitle = \"A case\"\n";
    a_step_that_does_nothing: with_step("within = \"1s\"");
    a_step_that_does_two_things: with_step("at = \"AT\"\nlpa = { list = true }\noutcome = \"success\"");
    an_expectation_of_the_other_kind: with_step("at = \"AT\"\noutcome = \"success\"");
    a_reply_that_is_no_list: with_step("at = \"AT\"\nreply = \"OK\"");
    a_command_that_is_none: with_step("at = \"+CSIM=?\"");
    a_time_without_unit: with_step("at = \"AT\"\nwithin = 300");
    documented_without_a_command: with_step("lpa = { list = true }\noutcome = \"success\"\nwithin = \"documented\"");
    an_unknown_variable: with_step("lpa = { download = \"1$${smpd}$TOKEN-1\" }\noutcome = \"success\"");
    an_operation_that_is_unknown: with_step("lpa = { instal = \"1$${smdp}$TOKEN-1\" }\noutcome = \"success\"");
    an_operation_without_outcome: with_step("lpa = { download = \"1$${smdp}$TOKEN-1\" }");
    a_success_with_a_code: with_step("lpa = { download = \"1$${smdp}$TOKEN-1\" }\noutcome = \"success\"\ncurl = 6");
    a_status_in_another_form: with_step("lpa = { download = \"1$${smdp}$TOKEN-1\" }\noutcome = \"failure\"\nstatus = \"8.2.6 3.8\"");
    a_reason_that_is_unknown: with_step("lpa = { download = \"1$${smdp}$TOKEN-1\" }\noutcome = \"failure\"\neuicc = \"invalidSignatur\"");
    an_activation_code_for_no_order: with_step("lpa = { download = \"1$${smdp}$TOKEN-2\" }\noutcome = \"failure\"");
    an_activation_code_that_is_none: with_step("lpa = { download = \"${smdp}\" }\noutcome = \"failure\"");
    an_expected_call_that_is_unknown: with_step("at = \"AT\"\n[expect]\nes9plus = [\"authenticateClient\", \"authenticateServer\"]");
    an_expected_order_that_is_unknown: with_step("at = \"AT\"\n[expect]\norders = { TOKEN-2 = \"installed\" }");
    a_date_without_a_zone: with("[clock]\nnow = 2026-01-31T12:00:00");
    a_port_of_a_server_name: with("[smdp]\nname = \"smdp.example.com:443\"");
    a_rule_that_is_none: with("[card]\nforbidden_rules = [\"ppr1\"]");
    a_fault_of_the_line_that_is_none: with("[[fault]]\nat = \"silent\"");
    a_fault_of_the_line_without_value: with("[[fault]]\nat = { cme = 13 }");
    a_status_word_with_three_digits: with("[[fault]]\ncard = \"6F0\"");
    a_card_function_that_is_none: with("[[fault]]\nat = \"silence\"\nfunction = \"authenticateServer\"");
    a_trigger_that_is_not_looked_at: with("[[fault]]\ncard = \"power-cut\"\nfunction = \"EnableProfile\"");
    a_count_where_all_is_so: with("[[fault]]\ntcp = \"refused\"\ncount = 1");
    bytes_of_what_has_none: with("[[fault]]\nhttp = \"no-reply\"\nbytes = 5");
    a_pattern_with_a_bare_plus: with_step("at = \"AT+CSQ\"\nreply = [{ pattern = '+CSQ: \\d' }, \"OK\"]");
    a_reply_without_end: with_step("at = \"AT\"\nreply = [\"...\"]");
    a_capture_that_is_not_there: with_step("at = \"AT+CMGR=${index}\"");
    a_capture_with_a_name_that_is_taken: with_step("at = \"AT\"\nreply = [{ pattern = '(?<eid>.*)' }, \"OK\"]");
    an_apdu_with_an_odd_digit: with_step("apdu = \"80CA005A0\"");
    a_status_word_in_words: with_step("apdu = \"80CA005A00\"\nsw = \"ok\"");
    a_dialogue_with_a_mistake: with_step("dialogue = \"\"\"\n> AT\nOK\n\"\"\"");
    a_dialogue_without_a_command: with_step("dialogue = \"< OK\"");
    an_order_that_the_operator_does_not_have: with_step("server = { release = \"TOKEN-2\" }");
    a_thing_that_is_not_done_with_a_card: with_step("card = \"eject\"");
    parallel_of_one: with_step("parallel = [{ at = \"AT\" }]");
    an_isd_r_that_is_no_aid: with_step("lpa = { list = true }\noutcome = \"success\"\nisd_r = \"A000\"");
    a_list_where_nothing_is_listed: with_step("lpa = { enable = 1 }\noutcome = \"success\"\nprofiles = []");
    several_mistakes_at_once: with("[modem]\nmodle = \"RM500Q-GL\"\n[card]\neid = 5\n[[fault]]\nhttp = \"503\"");
}

#[test]
fn files_that_a_scenario_names_are_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("dialogue.at", "> AT\n< OK\n< +CSQ: ${rsi}\nOK\n");
    write("right.at", "> AT\n<~ (?<answer>.*)\n");
    write("model.toml", "identity = 5\n");
    let told = |text: &str| match parse_in("case.toml", text, &vocabulary(), Some(folder.path())) {
        Ok((_, warnings)) => warnings.render(false, 100),
        Err(mistakes) => mistakes.render(false, 100),
    };
    let messages = |text: &str| match parse_in("case.toml", text, &vocabulary(), Some(folder.path())) {
        Ok((_, warnings)) | Err(warnings) => {
            let list: Vec<String> = warnings.list.iter().map(|mistake| mistake.message.clone()).collect();
            list.join("|")
        }
    };
    assert_eq!(messages(&with_step("transcript = \"right.at\"\n[[step]]\nat = \"AT+${answer}\"")), "");
    insta::assert_snapshot!(told(&with_step("transcript = \"dialogue.at\"")));
    assert!(messages(&with_step("transcript = \"other.at\"")).starts_with("there is no transcript "));
    assert!(messages(&with("[modem]\nfile = \"model.toml\"")).starts_with("this is no model: "));
    assert!(messages(&with("[card]\nfile = \"model.toml\"")).starts_with("this is no card: "));
    assert!(messages(&with("[pki]\nfolder = \".\"")).starts_with("this is no folder of certificates: "));
    let order = "[[smdp.order]]\nmatching_id = \"A\"\npackage = \"right.at\"";
    assert!(messages(&with(order)).starts_with("this is no profile package: "));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = told(&text);
    }

    #[test]
    fn a_scenario_with_a_piece_cut_out_or_put_in_does_not_panic(
        start in 0..FULL.len(), length in 0_usize..40, piece in "[\\[\\]{}=\"'$a-z0-9.,\\n ]{0,6}",
    ) {
        let end = FULL.len().min(start + length);
        if let (Some(before), Some(after)) = (FULL.get(..start), FULL.get(end..)) {
            let _ = told(&format!("{before}{piece}{after}"));
        }
    }
}
