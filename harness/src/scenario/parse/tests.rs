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

[pki]
curve = "brainpoolP256r1"

[card]
kind = "toolkit-busy"
eid = "89049032123451234512345678901235"
profiles = [{ profile = "operator-b", state = "enabled", nickname = "old" }, { profile = "test" }]

[[smdp.order]]
matching_id = "TOKEN-1"
profile = "operator-a"
eid = "${eid}"
confirmation_code = "12345678"
replace_session_keys = true

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

[[step]]
at = 'AT+QESIM="eid"'
reply = ['+QESIM: "eid",${eid}', "OK"]
within = "300ms"

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

[expect]
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
    several_mistakes_at_once: with("[modem]\nmodle = \"RM500Q-GL\"\n[card]\neid = 5\n[[fault]]\nhttp = \"503\"");
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
