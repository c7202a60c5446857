//! The mobile network in the schema of scenarios.

use modem::network::{Connectivity, Dns, SubscriptionState, Technology};
use serde_json::{Value, json};

use super::{boolean, choice, integer, line, one_of, pattern, string, table, words};
use crate::scenario::ast::{DEEDS, NetworkEventWord};

const PLMN: &str = "^[0-9]{5,6}$";
const TIME: &str = "^[0-9]+ *(ms|s|min|h|d)$";

fn technologies() -> Value {
    let words: Vec<&str> = words::<Technology>().into_iter().chain(["2g", "3g", "4g", "5g"]).collect();
    json!({ "type": "array", "items": { "enum": words } })
}

fn plmns(description: &str) -> Value {
    json!({ "description": description, "type": "array", "items": { "type": "string", "pattern": PLMN } })
}

fn texts(description: &str) -> Value {
    json!({ "description": description, "type": "array", "items": { "type": "string" } })
}

/// `[network]`.
pub(super) fn spec() -> Value {
    let signal = json!({ "oneOf": [
        { "type": "integer", "minimum": -140, "maximum": -40 },
        { "const": "none" },
    ] });
    let coverage: serde_json::Map<String, Value> = words::<Technology>()
        .into_iter()
        .chain(["2g", "3g", "4g", "5g"])
        .map(|word| (word.to_owned(), signal.clone()))
        .collect();
    let operator = table(
        "An operator, with what is received of it.",
        &[],
        json!({
            "plmn": pattern("MCC and MNC; that of the card when not given", PLMN),
            "name": string("its long name"),
            "short": string("its short name"),
            "home": boolean("whether it is the home network of every card"),
            "coverage": {
                "description": "what is received, in dBm, by radio access; or none",
                "type": "object",
                "minProperties": 1,
                "properties": coverage,
                "additionalProperties": false,
            },
            "forbidden": boolean("whether the card has it on its list of forbidden networks"),
            "roaming": boolean("whether it lets subscribers of others in"),
            "area": integer("the code of its tracking or location area", 0, 65_535),
            "cell": integer("the identity of its cell", 0, 268_435_455),
            "psm": table("What it makes of the timers of PSM.", &[], json!({
                "supported": boolean("whether it has PSM"),
                "longest_periodic": pattern("the longest T3412 extended", TIME),
                "shortest_periodic": pattern("the shortest T3412 extended", TIME),
                "longest_active": pattern("the longest T3324", TIME),
            })),
            "edrx": table("What it makes of eDRX.", &[], json!({
                "supported": boolean("whether it has eDRX"),
                "longest_cycle": pattern("the longest cycle", TIME),
                "window": integer("the paging time window", 0, 15),
            })),
        }),
    );
    let mut technologies = technologies();
    technologies["description"] = json!("service policy: radio types; all when not given");
    let subscription = table(
        "A subscription, as the home operator has it.",
        &[],
        json!({
            "imsi": pattern("the IMSI it is for", "^[0-9]{6,15}$"),
            "iccid": pattern("the ICCID of the profile it is for", "^[0-9]{18,20}$"),
            "state": choice("how the SIM stands", &words::<SubscriptionState>()),
            "data": boolean("service policy: data sessions"),
            "sms": boolean("service policy: text messages"),
            "roaming": boolean("coverage policy: networks that are not the home network"),
            "technologies": technologies,
            "blacklist": plmns("operators that it must not use"),
            "apns": texts("access point names that it may use; any when there are none"),
            "dns": choice("whether names resolve", &words::<Dns>()),
            "imei": pattern("the one device that it may be used in (IMEI lock)", "^[0-9]{15}$"),
            "keys": table("What the operator holds for the card's keys.", &["ki"], json!({
                "ki": pattern("the authentication key", "^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$"),
                "opc": pattern("OPc; for TUAK TOPc", "^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$"),
                "algorithm": json!({ "description": "the algorithm, Milenage when not given", "enum": ["milenage", "tuak", "test"] }),
            })),
            "address": pattern("the address of its first data session", "^[0-9.]{7,15}$"),
        }),
    );
    table(
        "The mobile network around the modem.",
        &[],
        json!({
            "file": line("a network file, relative to the scenario, in the place of everything else"),
            "operator": { "description": "the operators", "type": "array", "items": operator },
            "subscription": { "description": "the subscriptions", "type": "array", "items": subscription },
            "rrc_release": pattern("how long the radio connection is kept after the last traffic", TIME),
        }),
    )
}

/// `network = ...` of a step.
pub(super) fn action() -> Value {
    let mut technologies = json!({ "type": "array", "items": { "enum": words::<Technology>() } });
    technologies["description"] = json!("service policy: radio types");
    let properties = json!({
        "sim": choice("the SIM is activated, suspended or blocked", &words::<SubscriptionState>()),
        "data": boolean("service policy: data sessions"),
        "messages": boolean("service policy: text messages"),
        "roaming": boolean("coverage policy: networks that are not the home network"),
        "dns": choice("service policy: whether names resolve", &words::<Dns>()),
        "apns": texts("service policy: access point names; any when there are none"),
        "blacklist": plmns("the operators that must not be used"),
        "technologies": technologies,
        "coverage": table("What is received of an operator.", &["operator", "technology"], json!({
            "operator": line("its PLMN, or `home`"),
            "technology": choice("the radio access", &words::<Technology>()),
            "signal": integer("in dBm; nothing is received when not given", -140, -40),
        })),
        "sms": table("A text message to the device.", &["from", "text"], json!({
            "from": line("the number it comes from"),
            "text": string("what it says"),
        })),
        "reset": { "description": "the device has to register anew", "const": true },
        "wake": { "description": "the power key of a device that sleeps is pressed", "const": true },
    });
    one_of(table("What happens in the mobile network.", &[], properties), &DEEDS)
}

/// `[expect] network`.
pub(super) fn expected() -> Value {
    let events: Vec<String> = NetworkEventWord::all().map(|(text, _)| text).collect();
    table(
        "What must be seen of the device in the mobile network.",
        &[],
        json!({
            "state": choice("its connectivity state", &words::<Connectivity>()),
            "operator": string("the PLMN of the network that it is registered in; empty for none"),
            "technology": choice("its radio access", &words::<Technology>()),
            "events": { "description": "all events of the operator's log, in order", "type": "array", "items": { "enum": events } },
        }),
    )
}
