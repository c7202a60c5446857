//! The management API as OpenAPI 3.1.

use serde_json::{Value, json};

use crate::front::vocabulary;
use crate::order::OrderState;
use crate::server::Function;

/// What the management API can do, as OpenAPI 3.1.
pub(super) fn document(profiles: &[&str]) -> Value {
    let text = json!({ "type": "string" });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let states: Vec<String> = OrderState::ALL.iter().map(OrderState::to_string).collect();
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let answer = |text: &str, schema: Value| json!({ "description": text, "content": content(schema) });
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    let error = |text: &str| answer(text, reference("Error"));
    let number = json!({
        "name": "number", "in": "path", "required": true,
        "schema": { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 },
    });
    let of_order = |summary: &str, body: Option<Value>| {
        let mut call = json!({
            "summary": summary,
            "responses": {
                "200": answer("The order", reference("Order")),
                "401": error("No token"),
                "404": error("No such order"),
                "409": error("Not in this state"),
                "503": error("The store has failed"),
            },
        });
        if let Some(schema) = body {
            call["requestBody"] = json!({ "required": true, "content": content(schema) });
            call["responses"]["400"] = error("A body that cannot be read");
        }
        call
    };
    let picture = |kind: &str| {
        json!({
            "parameters": [number],
            "get": {
                "summary": "The activation code of an order",
                "responses": {
                    "200": { "description": "The code", "content": { kind: {} } },
                    "401": error("No token"),
                    "404": error("No such order"),
                    "409": error("A code that cannot be drawn"),
                },
            },
        })
    };
    let with_body = |summary: &str, schema: Value, status: &str, result: Value| {
        json!({
            "summary": summary,
            "requestBody": { "required": true, "content": content(schema) },
            "responses": {
                status: answer("Done", result),
                "400": error("A body that cannot be read"),
                "401": error("No token"),
                "409": error("It cannot be taken"),
                "503": error("The store has failed"),
            },
        })
    };
    let plain = |summary: &str, result: Value| {
        json!({
            "summary": summary,
            "responses": { "200": result, "401": error("No token"), "503": error("The store has failed") },
        })
    };
    let stream = |kind: &str| json!({ "description": "A text", "content": { kind: {} } });
    // Exactly one key says what goes wrong; the others say when.
    let number_to = |most: u64| json!({ "type": ["integer", "null"], "minimum": 0, "maximum": most });
    let codes = "^[0-9]{1,4}(\\.[0-9]{1,4}){0,5}/[0-9]{1,4}(\\.[0-9]{1,4}){0,5}$";
    let functions: Vec<Option<&str>> =
        Function::ALL.iter().map(|function| Some(function.name())).chain([None]).collect();
    let worded = vocabulary().map(|(name, words)| (name, json!({ "type": "string", "enum": words })));
    let others = [
        ("http-status", json!({ "type": "integer", "minimum": 200, "maximum": 599 })),
        ("redirect", text.clone()),
        ("missing", text.clone()),
        ("refuse", json!({ "type": "string", "pattern": codes })),
    ];
    let kinds: Vec<Value> = worded
        .into_iter()
        .chain(others)
        .map(|(name, schema)| {
            json!({
                "type": "object",
                "properties": {
                    name: schema,
                    "segment": number_to(u64::MAX),
                    "bytes": number_to(u64::MAX),
                    "function": { "type": ["string", "null"], "enum": functions },
                    "order": maybe("string"),
                    "nth": number_to(u32::MAX.into()),
                    "count": number_to(u32::MAX.into()),
                    "after": number_to(u32::MAX.into()),
                },
                "required": [name],
                "additionalProperties": false,
            })
        })
        .collect();
    let time = json!({ "type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "esimlab SM-DP+ management", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "token": [] }],
        "paths": {
            "/openapi.json": { "get": plain("This document", answer("The document", json!({ "type": "object" }))) },
            "/orders": {
                "get": plain("All orders", answer("The orders", list("Order"))),
                "post": with_body("Take an order", reference("NewOrder"), "201", reference("Order")),
            },
            "/orders/{number}": { "parameters": [number], "get": of_order("An order", None) },
            "/orders/{number}/release": { "parameters": [number], "post": of_order("Release an order", None) },
            "/orders/{number}/cancel": { "parameters": [number], "post": of_order("Take an order back", None) },
            "/orders/{number}/state": {
                "parameters": [number],
                "post": of_order("Put an order into a state", Some(json!({
                    "type": "object",
                    "properties": { "state": reference("State") },
                    "required": ["state"],
                    "additionalProperties": false,
                }))),
            },
            "/orders/{number}/expiry": {
                "parameters": [number],
                "post": of_order("Set when an order expires, Unix seconds", Some(json!({
                    "type": "object",
                    "properties": { "expires": time },
                    "additionalProperties": false,
                }))),
            },
            "/orders/{number}/code.txt": picture("text/plain"),
            "/orders/{number}/code.svg": picture("image/svg+xml"),
            "/orders/{number}/code.png": picture("image/png"),
            "/sessions": {
                "get": plain("Open sessions", answer("The sessions", json!({
                    "type": "array", "items": { "type": "object" },
                }))),
            },
            "/faults": {
                "get": plain("The faults that are set", answer("The faults", list("ArmedFault"))),
                "post": with_body("Set one more fault", reference("Fault"), "201", list("ArmedFault")),
                "put": with_body("Replace all faults", list("Fault"), "200", list("ArmedFault")),
                "delete": plain("Take all faults away", answer("None", list("ArmedFault"))),
            },
            "/events": { "get": plain("What happens, as server-sent events", stream("text/event-stream")) },
            "/metrics": { "get": plain("Counters for Prometheus", stream("text/plain")) },
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "State": { "type": "string", "enum": states },
                "Error": {
                    "type": "object", "properties": { "error": text }, "required": ["error"],
                },
                "NewOrder": {
                    "type": "object",
                    "properties": {
                        "profile": { "type": "string", "enum": profiles, "description": "The name of a profile" },
                        "number": number_to(u32::MAX.into()),
                        "matching_id": maybe("string"),
                        "eid": { "type": ["string", "null"], "pattern": "^[0-9]{32}$" },
                        "confirmation_code": maybe("string"),
                        "state": reference("State"),
                        "expires": time,
                        "max_attempts": number_to(u32::MAX.into()),
                        "replace_session_keys": maybe("boolean"),
                    },
                    "required": ["profile"],
                    "additionalProperties": false,
                },
                "Order": {
                    "type": "object",
                    "properties": {
                        "number": { "type": "integer" },
                        "state": reference("State"),
                        "matching_id": maybe("string"),
                        "eid": maybe("string"),
                        "bound_to": maybe("string"),
                        "iccid": text,
                        "profile": text,
                        "profile_type": maybe("string"),
                        "needs_confirmation_code": { "type": "boolean" },
                        "expires": maybe("integer"),
                        "max_attempts": maybe("integer"),
                        "attempts": { "type": "integer" },
                        "wrong_codes": { "type": "integer" },
                        "activation_code": text,
                        "events": { "type": "array", "items": { "type": "object" } },
                    },
                    "required": ["number", "state", "iccid", "activation_code"],
                },
                "Fault": {
                    "description": "What goes wrong, and when",
                    "oneOf": kinds,
                },
                "ArmedFault": {
                    "type": "object",
                    "properties": { "text": text, "seen": { "type": "integer" }, "fired": { "type": "integer" } },
                    "required": ["text", "seen", "fired"],
                },
            },
        },
    })
}
