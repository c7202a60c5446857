//! JSON Schemas: of the scenario language, for completion and checks in editors, and of the JSON lines of a report.
//!
//! The schema of the language says what a file looks like; what a file means (an activation code without an order, two
//! enabled profiles) only `esimlab check` knows. It is kept in the repository as `scenarios/schema.json`; a test holds
//! it against the parser, key by key.

use serde_json::{Value, json};

use crate::report::json::VERSION;
use crate::scenario::ast::*;
use crate::scenario::parse::Vocabulary;

/// The dialect of the schemas.
const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// A schema as text.
pub fn text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap_or_default() + "\n"
}

fn words<W: Word>() -> Vec<&'static str> {
    W::ALL.iter().map(|(word, _)| *word).collect()
}

fn choice(description: &str, words: &[impl AsRef<str>]) -> Value {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    json!({ "description": description, "enum": words })
}

fn string(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

fn line(description: &str) -> Value {
    json!({ "description": description, "type": "string", "minLength": 1, "pattern": "^[^\\n]*$" })
}

fn pattern(description: &str, pattern: &str) -> Value {
    json!({ "description": description, "type": "string", "pattern": pattern })
}

fn duration(description: &str) -> Value {
    pattern(description, "^[0-9]+ ?(ms|s|min)$")
}

fn boolean(description: &str) -> Value {
    json!({ "description": description, "type": "boolean" })
}

fn integer(description: &str, least: i64, most: i64) -> Value {
    json!({ "description": description, "type": "integer", "minimum": least, "maximum": most })
}

fn list(description: &str, of: &str) -> Value {
    json!({ "description": description, "type": "array", "items": { "$ref": format!("#/definitions/{of}") } })
}

fn reference(of: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{of}") })
}

/// A table: its keys, and those that have to be there.
fn table(description: &str, required: &[&str], properties: Value) -> Value {
    let mut table = json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

mod network;

/// A table of which exactly one of these keys is there.
fn one_of(mut table: Value, keys: &[&str]) -> Value {
    table["oneOf"] = keys.iter().map(|key| json!({ "required": [key] })).collect();
    table
}

/// The schema of the scenario language.
pub fn scenario() -> Value {
    let vocabulary = Vocabulary::of_this_program();
    let functions = words::<smdp::Function>();
    let states = words::<rsp::es10::profiles::ProfileState>();
    let reasons: Vec<&str> = error_reasons().map(rsp::es10::download::ErrorReason::name).collect();
    let eid = "^([0-9]{32}|\\$\\{eid\\})$";
    let status = "^[0-9]+(\\.[0-9]+)*/[0-9]+(\\.[0-9]+)*$";
    let only = |words: Vec<&str>| json!({ "enum": words });
    let hexadecimal = "^([0-9A-Fa-f]{2}| |\\$\\{[^}]*\\})*$";
    let status_word = "^[0-9A-Fa-fXx]{4}$";
    let rules = words::<smdp::profile::PolicyRule>();
    let curves = words::<rsp::crypto::Curve>();
    let commands: Vec<&str> = bpp_commands().map(rsp::es10::download::BppCommandId::name).collect();
    let card_functions = words::<CardFunction>();
    let of_one_of = |description: &str, of: &[&str]| json!({ "description": description, "type": "array", "items": { "enum": of } });
    let profile_ref = json!({
        "description": "a profile on the card: its number in the list, its ICCID, or the name of a built-in one",
        "oneOf": [
            integer("number in the list, from 1", 1, 255),
            pattern("ICCID", "^[0-9]{18,20}F?$"),
            { "description": "built-in profile", "enum": &vocabulary.profiles },
        ],
    });
    let definitions = json!({
        "modem": table("The modem at the start.", &[], json!({
            "model": choice("one of `esimlab models`", &vocabulary.models),
            "file": line("the file of a model of one's own, relative to the scenario"),
            "ports": integer("how many AT ports it has; as its model says when not given", 1, 4),
        })),
        "pki": table("The certificates and keys of the lab.", &[], json!({
            "curve": choice("the curve of all of them", &curves),
            "folder": line("a folder laid out like SGP.26, relative to the scenario; new ones are made when not given"),
        })),
        "clock": table("The clock of the lab.", &["now"], json!({
            "now": { "description": "date and time of UTC at the start; those of the system when not given" },
        })),
        "card": table("The card at the start.", &[], json!({
            "kind": choice("one of `esimlab cards`", &vocabulary.cards),
            "file": line("the file of a card of one's own, relative to the scenario"),
            "present": boolean("whether it is in the modem"),
            "eid": pattern("32 digits; the lab's own when not given", "^[0-9]{32}$"),
            "profiles": list("what is installed", "installedProfile"),
            "free_memory": integer("bytes that are free for profiles", 0, i64::from(u32::MAX)),
            "default_smdp": string("its default SM-DP+ address"),
            "forbidden_rules": of_one_of("the profile policy rules that it forbids", &rules),
            "ci": of_one_of("the curves of the CIs under which it has keys, most preferred first", &curves),
            "certificate": choice("what is wrong with its certificate", &words::<CardCertificate>()),
        })),
        "installedProfile": table("A profile that is on the card.", &["profile"], json!({
            "profile": choice("a built-in profile", &vocabulary.profiles),
            "state": choice("disabled when not given", &states),
            "nickname": line("its nickname"),
            "rules": of_one_of("its profile policy rules", &rules),
        })),
        "smdp": table("The SM-DP+ at the start.", &[], json!({
            "name": line("its host name, when it is not to be an address"),
            "order": list("its orders", "order"),
        })),
        "order": table("An order of the SM-DP+.", &[], json!({
            "matching_id": pattern("the token of the activation code; without it the order is found by its EID", "^[^$\\n]{1,255}$"),
            "profile": choice("a built-in profile", &vocabulary.profiles),
            "package": line("the file of an unprotected profile package, relative to the scenario"),
            "state": choice("released when not given", &words::<smdp::OrderState>()),
            "eid": pattern("the only card that may have it", eid),
            "confirmation_code": line("the code that the user has to give"),
            "replace_session_keys": boolean("whether the package is protected with keys of its own"),
            "rules": of_one_of("the profile policy rules of its profile", &rules),
            "expires": duration("how long it is valid, from the start"),
            "attempts": integer("how often its download may be tried", 1, 1_000_000),
        })),
        "fault": one_of(table("Something that goes wrong.", &[], json!({
            "name": choice("the server's name", &words::<NameFault>()),
            "tcp": choice("the connection", &words::<TcpFault>()),
            "tls": {
                "description": "the TLS handshake",
                "oneOf": [
                    only(words::<TlsFault>()),
                    table("a fatal alert", &["alert"], json!({ "alert": integer("its number", 0, 255) })),
                ],
            },
            "http": {
                "description": "the response of HTTP",
                "oneOf": [
                    integer("the server answers with this status", 200, 599),
                    only(words::<HttpFault>()),
                    one_of(table("something else that is wrong", &[], json!({
                        "status": integer("the server answers with this status", 200, 599),
                        "body": string("and this body"),
                        "missing": line("this member of the JSON is missing"),
                        "redirect": line("the client is sent there"),
                    })), &["status", "missing", "redirect"]),
                ],
            },
            "es9plus": {
                "description": "a fault of the messages, or the status with which the function is refused",
                "oneOf": [only(words::<Es9PlusFault>()), pattern("subject and reason code", status)],
            },
            "at": {
                "description": "the AT line",
                "oneOf": [
                    only(words::<LineWord>()),
                    one_of(table("a fault with a value", &[], json!({
                        "cme_error": integer("`+CME ERROR` with this number instead of an answer", 0, 999),
                        "urc": line("this URC in the middle of the answer"),
                        "delay": duration("how much later the answer comes"),
                        "gone": duration("for how long the terminal is gone"),
                    })), &["cme_error", "urc", "delay", "gone"]),
                ],
            },
            "card": {
                "description": "the card",
                "oneOf": [only(words::<CardFault>()), pattern("it answers this status word", "^[0-9A-Fa-f]{4}$")],
            },
            "bytes": integer("of `http`: after how many bytes it is cut, of how many a piece is, how many are too many", 0, 100_000_000),
            "segment": integer("of `es9plus`: which segment of the profile is altered, from 1", 1, 1_000_000),
            "function": {
                "description": "confines the fault to one function: of ES9+ for `http` and `es9plus`, of the card for `at` and `card`",
                "enum": functions.iter().chain(&card_functions).collect::<Vec<_>>(),
            },
            "order": line("confines `http` and `es9plus` to the order with this matching id"),
            "command": string("a regular expression: confines `at` and `card` to such commands"),
            "nth": integer("from which occasion on; for `card = \"power-cut\"` at which write", 1, 1_000_000),
            "count": integer("at how many occasions; all when not given", 1, 1_000_000),
            "after": duration("not before so much time has passed"),
            "after_bytes": integer("not before so many bytes of commands", 1, 1_000_000_000),
        })), &["name", "tcp", "tls", "http", "es9plus", "at", "card"]),
        "expectedLine": {
            "description": "a line of the modem: as it stands, by a pattern, or `...` for any lines",
            "oneOf": [
                { "type": "string" },
                table("a pattern", &["pattern"], json!({
                    "pattern": string("a regular expression for the whole line; `(?<name>...)` captures"),
                })),
            ],
        },
        "step": one_of(table("One thing that happens.", &[], json!({
            "at": pattern("an AT command", "^[Aa][Tt][^\\r\\n]*$"),
            "port": integer("at which AT port, from 0", 0, 9),
            "reply": { "description": "the lines of its answer, the final result code last", "type": "array", "minItems": 1, "items": reference("expectedLine") },
            "transcript": line("the file of an AT dialogue, relative to the scenario"),
            "dialogue": string("an AT dialogue: lines with `>` or `<` in front"),
            "urc": reference("expectedLine"),
            "apdu": pattern("a command to the card, by AT+CSIM", hexadecimal),
            "data": {
                "description": "the data of the card's response",
                "oneOf": [
                    pattern("hexadecimal digits", "^[0-9A-Fa-f ]*$"),
                    table("a pattern for them", &["pattern"], json!({ "pattern": string("a regular expression") })),
                ],
            },
            "sw": pattern("the status word of the card, `x` for any digit", status_word),
            "lpa": reference("operation"),
            "outcome": choice("what must come of the operation", &words::<Outcome>()),
            "status": pattern("subject and reason code of the server", status),
            "curl": integer("libcurl's code", 1, 99),
            "http": integer("the HTTP status", 200, 599),
            "euicc": {
                "description": "why the card refused the profile (SGP.22 §2.5.6)",
                "oneOf": [{ "enum": reasons }, integer("by its number", 1, 127)],
            },
            "command": choice("at which command of the package it did", &commands),
            "profiles": list("what the LPA lists, in this order", "expectedProfile"),
            "notifications": list("what the LPA lists, in this order", "expectedNotification"),
            "timeout": duration("how long the LPA waits for one answer"),
            "segment": integer("how many bytes go into one STORE DATA", 1, 255),
            "csim": boolean("whether the LPA reaches the card by AT+CSIM"),
            "accept_rules": boolean("whether the user agrees to the policy rules of the profile"),
            "isd_r": pattern("the AID of the ISD-R, for a card that has another", "^([0-9A-Fa-f]{2}){5,16}$"),
            "refresh": boolean("whether the LPA asks for a REFRESH when it switches profiles"),
            "server": {
                "description": "what the operator of the server does",
                "oneOf": [
                    only(words::<crate::scenario::parse::Switch>()),
                    one_of(table("something with an order, by its matching id", &[], json!({
                        "release": line("it is released"),
                        "cancel": line("it is cancelled"),
                        "expire": line("it expires"),
                    })), &["release", "cancel", "expire"]),
                ],
            },
            "card": choice("what is done with the card", &words::<CardAction>()),
            "modem": choice("what happens to the modem", &words::<ModemAction>()),
            "network": reference("networkAction"),
            "clock": duration("how much the clock of the lab goes on"),
            "parallel": { "description": "steps that begin together", "type": "array", "minItems": 2, "items": reference("step") },
            "within": pattern("how long the step may take; documented: what the documents give the AT command", "^([0-9]+ ?(ms|s|min)|documented)$"),
        })), &["at", "transcript", "dialogue", "urc", "apdu", "lpa", "server", "card", "modem", "network", "clock", "parallel"]),
        "networkAction": network::action(),
        "network": network::spec(),
        "expectedNetwork": network::expected(),
        "operation": one_of(table("An operation of the LPA.", &[], json!({
            "download": string("an activation code, or UseSMDP for the card's default SM-DP+ address"),
            "confirmation_code": string("the confirmation code that the user gives"),
            "enable": reference("profileRef"),
            "disable": reference("profileRef"),
            "delete": reference("profileRef"),
            "nickname": reference("profileRef"),
            "name": string("the nickname; empty takes it away"),
            "list": { "description": "list the profiles", "const": true },
            "notifications": choice("what is done with the notifications on the card", &words::<crate::scenario::parse::NotificationWord>()),
            "default_address": string("the default SM-DP+ address of the card; empty takes it away"),
            "info": { "description": "show what the card says of itself", "const": true },
        })), &["download", "enable", "disable", "delete", "nickname", "list", "notifications", "default_address", "info"]),
        "profileRef": profile_ref,
        "expect": table("What must be seen afterwards.", &[], json!({
            "euicc": reference("expectedCard"),
            "es9plus": {
                "description": "all calls that reached the server, in their order",
                "type": "array",
                "items": { "enum": functions },
            },
            "orders": {
                "description": "states of orders by matching id",
                "type": "object",
                "additionalProperties": { "enum": words::<smdp::OrderState>() },
            },
            "network": reference("expectedNetwork"),
            "open_sessions": integer("how many sessions the server has open", 0, 1000),
            "faults": integer("how often faults have fired, all together", 0, 1_000_000),
            "within": duration("how long all steps may take together"),
        })),
        "expectedCard": table("What must be seen of the card.", &[], json!({
            "profiles": list("all profiles on the card, in any order", "expectedProfile"),
            "notifications": list("all notifications that wait on the card, in their order", "expectedNotification"),
            "open_channels": integer("how many logical channels are open", 0, 19),
            "default_smdp": string("its default SM-DP+ address; empty for none"),
        })),
        "expectedProfile": table("A profile that must be on the card.", &["profile"], json!({
            "profile": reference("profileRef"),
            "state": choice("its state", &states),
            "nickname": string("its nickname; empty for none"),
        })),
        "expectedNotification": table("A notification that must wait on the card.", &["event"], json!({
            "event": choice("what it tells of", &words::<rsp::es10::notification::NotificationEvent>()),
            "profile": reference("profileRef"),
        })),
    });
    let mut scenario = table(
        "A scenario: what is there at the start, what happens, what must be seen.",
        &["format", "title", "step"],
        json!({
            "format": { "description": "the version of the language", "const": FORMAT },
            "title": line("what is the case, in one line"),
            "why": string("what a reader should know"),
            "refs": { "description": "where it is specified or reported", "type": "array", "items": line("a document and a place in it") },
            "deadline": duration("the time after which it has failed; 60s when not given"),
            "expected_failure": line("why it is known to fail; passing is a failure then"),
            "skip": line("why it is not run at present"),
            "modem": reference("modem"),
            "pki": reference("pki"),
            "clock": reference("clock"),
            "card": reference("card"),
            "network": reference("network"),
            "smdp": reference("smdp"),
            "fault": list("what goes wrong", "fault"),
            "step": list("what happens, in this order", "step"),
            "expect": reference("expect"),
        }),
    );
    scenario["$schema"] = json!(DIALECT);
    scenario["title"] = json!("esimlab scenario");
    scenario["definitions"] = definitions;
    scenario
}

/// The schema of a line of `esimlab run --json`. Keys may be added to the lines without a new version.
pub fn report() -> Value {
    let verdicts = crate::runner::result::Verdict::ALL.map(|verdict| json!(verdict));
    let seconds = json!({ "type": "number", "minimum": 0 });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let hex = json!({ "type": "string", "pattern": "^([0-9A-F]{2})*$" });
    let event = |kind: &str, required: &[&str], mut properties: Value| {
        properties["kind"] = json!({ "const": kind });
        properties["micros"] = json!({ "type": "integer", "minimum": 0 });
        properties["role"] = json!({ "enum": ["assistant", "modem", "card", "server", "network", "lab"] });
        let required: Vec<&str> = ["kind", "micros", "role"].iter().chain(required).copied().collect();
        json!({ "type": "object", "required": required, "properties": properties })
    };
    let events = [
        event(
            "at",
            &["port", "direction", "text"],
            json!({
                "port": { "type": "integer", "minimum": 0 },
                "direction": { "enum": ["command", "response"] },
                "text": { "type": "string" },
            }),
        ),
        event("apdu", &["command", "response"], json!({ "command": hex, "response": hex })),
        event(
            "http",
            &["function", "path", "status", "request_bytes", "response_bytes", "duration_micros"],
            json!({
                "function": { "type": "string" },
                "path": { "type": "string" },
                "status": { "type": "integer" },
                "subject": { "type": "string" },
                "reason": { "type": "string" },
                "request": { "type": "string" },
                "response": { "type": "string" },
                "request_bytes": { "type": "integer" },
                "response_bytes": { "type": "integer" },
                "duration_micros": { "type": "integer" },
            }),
        ),
        event(
            "note",
            &["text"],
            json!({
                "text": { "type": "string" },
                "fields": { "type": "object", "additionalProperties": { "type": "string" } },
            }),
        ),
        event("fault", &["layer", "text"], json!({ "layer": { "type": "string" }, "text": { "type": "string" } })),
        event("lpa", &["step"], json!({ "step": { "type": "object" } })),
        event("process", &["text"], json!({ "text": { "type": "string" } })),
    ];
    let lines = [
        json!({
            "required": ["type", "version", "seed", "scenarios", "jobs", "lpa"],
            "properties": {
                "type": { "const": "run" },
                "version": { "const": VERSION },
                "seed": { "type": "integer", "minimum": 0 },
                "scenarios": { "type": "integer", "minimum": 0 },
                "jobs": { "type": "integer", "minimum": 1 },
                "lpa": { "type": "string" },
                "shard": { "type": "string", "pattern": "^[0-9]+/[0-9]+$" },
                "modem": { "type": "string" },
                "server": { "type": "string" },
                "options": { "type": "string" },
            },
        }),
        json!({
            "required": ["type", "id", "path", "title", "refs", "verdict", "seconds", "steps", "failures", "timeline"],
            "properties": {
                "type": { "const": "scenario" },
                "id": { "type": "string" },
                "path": { "type": "string" },
                "title": { "type": "string" },
                "refs": texts,
                "verdict": { "enum": verdicts },
                "reason": { "type": "string" },
                "not_looked_at": texts,
                "seconds": seconds,
                "steps": { "type": "array", "items": {
                    "type": "object",
                    "required": ["line", "text", "seconds", "passed"],
                    "properties": {
                        "line": { "type": "integer" }, "text": { "type": "string" },
                        "seconds": seconds, "passed": { "type": "boolean" },
                    },
                } },
                "failures": { "type": "array", "items": {
                    "type": "object",
                    "required": ["line", "what", "expected", "seen"],
                    "properties": {
                        "line": { "type": "integer" }, "what": { "type": "string" },
                        "expected": texts, "seen": texts,
                    },
                } },
                "timeline": { "type": "array", "items": { "oneOf": events } },
            },
        }),
        json!({
            "required": ["type", "verdicts", "exit_code", "seconds"],
            "properties": {
                "type": { "const": "summary" },
                "verdicts": { "type": "object", "additionalProperties": { "type": "integer" } },
                "exit_code": { "type": "integer" },
                "seconds": seconds,
            },
        }),
    ];
    json!({
        "$schema": DIALECT,
        "title": "a line of a report of esimlab",
        "description": "`run` first, one `scenario` for each as it ends, `summary` last",
        "type": "object",
        "oneOf": lines,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::scenario::parse::parse;

    /// A key that no table has, and that is near to none.
    const UNKNOWN: &str = "xqzzyx";

    const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

    /// The keys that the parser allows in the table that has the unknown key.
    fn allowed(text: &str) -> BTreeSet<String> {
        let Err(mistakes) = parse("x.toml", text, &Vocabulary::of_this_program()) else {
            panic!("the unknown key is taken: {text}")
        };
        let told = mistakes.list.iter().find(|mistake| mistake.message.contains(UNKNOWN)).unwrap();
        let help = told.help.as_deref().unwrap();
        help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_the_parser_has() {
        let schema = scenario();
        let step = "[[step]]\nat = 'AT'\n";
        let x = format!("{UNKNOWN} = 1");
        let tables: [(&str, Vec<String>); 19] = [
            ("", vec![x.clone()]),
            ("modem", vec![format!("[modem]\n{x}\n{step}")]),
            ("pki", vec![format!("[pki]\n{x}\n{step}")]),
            ("clock", vec![format!("[clock]\n{x}\nnow = 2026-01-01T00:00:00Z\n{step}")]),
            ("card", vec![format!("[card]\n{x}\n{step}")]),
            ("network", vec![format!("[network]\n{x}\n{step}")]),
            ("networkAction", vec![format!("[[step]]\nnetwork = {{ reset = true, {x} }}")]),
            ("expectedNetwork", vec![format!("{step}[expect.network]\n{x}")]),
            ("installedProfile", vec![format!("[card]\nprofiles = [{{ {x} }}]\n{step}")]),
            ("smdp", vec![format!("[smdp]\n{x}\n{step}")]),
            ("order", vec![format!("[[smdp.order]]\n{x}\n{step}")]),
            (
                "fault",
                vec![format!("[[fault]]\nhttp = 503\n{x}\n{step}"), format!("[[fault]]\nat = 'noise'\n{x}\n{step}")],
            ),
            ("expectedLine", vec![format!("[[step]]\nurc = {{ {x} }}\n{step}")]),
            (
                "step",
                vec![
                    format!("{step}{x}"),
                    format!("[[step]]\napdu = '00'\n{x}"),
                    format!("[[step]]\nlpa = {{ list = true }}\noutcome = 'success'\n{x}"),
                ],
            ),
            ("operation", vec![format!("[[step]]\nlpa = {{ list = true, {x} }}\noutcome = 'success'")]),
            ("expect", vec![format!("{step}[expect]\n{x}")]),
            ("expectedCard", vec![format!("{step}[expect.euicc]\n{x}")]),
            ("expectedProfile", vec![format!("{step}[expect]\neuicc.profiles = [{{ {x} }}]")]),
            ("expectedNotification", vec![format!("{step}[expect]\neuicc.notifications = [{{ {x} }}]")]),
        ];
        for (name, texts) in tables {
            let table = if name.is_empty() { &schema } else { &schema["definitions"][name] };
            let table = if name == "expectedLine" { &table["oneOf"][1] } else { table };
            let has: BTreeSet<String> = table["properties"].as_object().unwrap().keys().cloned().collect();
            let parser: BTreeSet<String> =
                texts.iter().flat_map(|text| allowed(&format!("format = 1\ntitle = 'x'\n{text}\n"))).collect();
            assert_eq!(has, parser, "the table {name:?}: change harness/src/schema.rs as the parser was changed");
        }
    }

    #[test]
    fn the_schema_in_the_repository_is_that_of_the_program() {
        let path = Path::new(REPOSITORY).join("scenarios/schema.json");
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == text(&scenario()),
            "scenarios/schema.json is out of date; write it anew: cargo run -- schema > scenarios/schema.json"
        );
    }

    /// Runs a Python program that has `jsonschema` at hand; tells why when there is none.
    fn python(program: &str, arguments: &[&str]) {
        let has_it = Command::new("python3")
            .args(["-c", "import jsonschema, tomllib"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has_it {
            return eprintln!("skipped: python3 (3.11) with jsonschema is not there");
        }
        let output = Command::new("python3").args(["-c", program]).args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}{told}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn every_scenario_is_as_the_schema_says_and_mistakes_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.json");
        std::fs::write(&path, text(&scenario())).unwrap();
        python(
            r#"
import json, jsonschema, pathlib, sys, tomllib
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
files = sorted(pathlib.Path(sys.argv[2]).rglob("*.toml"))
assert files, "no scenario was found"
for file in files:
    for error in validator.iter_errors(tomllib.loads(file.read_text())):
        sys.exit(f"{file}: {error.json_path}: {error.message}")
good = "format = 1\ntitle = 'x'\n"
for wrong in [
    "",
    good,
    good + "step = [{ at = 'ATI', lpa = { list = true } }]",
    good + "step = [{ at = 'XI' }]",
    good + "step = [{ at = 'ATI', within = '300' }]",
    good + "step = [{ at = 'ATI' }]\nfault = [{ tls = 'close', http = 503 }]",
    good + "step = [{ at = 'ATI' }]\nmodem.model = 'no such'",
    good + "step = [{ at = 'ATI' }]\nmodme = 1",
]:
    assert list(validator.iter_errors(tomllib.loads(wrong))), wrong
"#,
            &[path.to_str().unwrap(), &format!("{REPOSITORY}/scenarios")],
        );
    }

    #[test]
    fn a_report_is_as_its_schema_says() {
        use crate::report::json::JsonLines;
        let run = crate::runner::result::tests::run();
        let folder = tempfile::tempdir().unwrap();
        let (schema, lines) = (folder.path().join("schema.json"), folder.path().join("run.json"));
        std::fs::write(&schema, text(&report())).unwrap();
        let mut output = JsonLines::begin(std::fs::File::create(&lines).unwrap(), &run.info).unwrap();
        run.scenarios.iter().for_each(|scenario| output.scenario(scenario).unwrap());
        output.end(&run).unwrap();
        python(
            r#"
import json, jsonschema, sys
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for line in open(sys.argv[2]):
    validator.validate(json.loads(line))
assert list(validator.iter_errors({"type": "summary"}))
"#,
            &[schema.to_str().unwrap(), lines.to_str().unwrap()],
        );
    }
}
