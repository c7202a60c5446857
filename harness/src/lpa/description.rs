//! The description of an LPA: the file, and the command lines that follow from it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use regex::Regex;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scenario::ast::LpaSettings;
use crate::scenario::error::Mistakes;
use crate::toml_file::{self, Wrong};

/// The descriptions that are built in, by name.
const BUILT_IN: [(&str, &str); 2] = [("lpad", include_str!("lpad.toml")), ("lpac", include_str!("lpac.toml"))];

/// How an LPA is called, and how what comes of it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Description {
    /// The version of the form, always 1.
    #[serde(rename = "format", deserialize_with = "format")]
    _format: u32,
    /// Its name in reports.
    pub name: String,
    /// Where it comes from.
    #[serde(default)]
    pub home: Option<String>,
    /// The program, looked for on PATH when it has no `/`.
    pub program: String,
    /// The time after which a call is ended.
    #[serde(default, deserialize_with = "duration")]
    pub deadline: Option<Duration>,
    /// What is added to the environment.
    #[serde(default)]
    pub environment: BTreeMap<String, Text>,
    /// Arguments for settings, which follow those of each operation.
    #[serde(default)]
    pub settings: Vec<Argument>,
    /// How each operation is called.
    #[serde(default, rename = "operation")]
    pub operations: BTreeMap<OperationName, Invocation>,
    /// How the outcome is read.
    #[serde(default)]
    pub result: ResultRules,
    /// How codes are read.
    #[serde(default, rename = "code")]
    pub codes: Vec<CodeRule>,
    /// Why an operation or a code is missing, in words for the report.
    #[serde(default)]
    pub cannot: BTreeMap<String, String>,
    /// Scenarios in which it is known to fail.
    #[serde(default)]
    pub known: Vec<Known>,
}

/// An operation, under the name that it has in a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationName {
    /// Download a profile by an activation code.
    Download,
    /// Download a profile from the card's default SM-DP+ address.
    DownloadDefault,
    /// Enable a profile.
    Enable,
    /// Disable a profile.
    Disable,
    /// Delete a profile.
    Delete,
    /// Give a profile a nickname.
    Nickname,
    /// List the profiles.
    List,
    /// Send the notifications that wait on the card.
    Notifications,
    /// List the notifications that wait on the card.
    ListNotifications,
    /// Take the notifications off the card without sending them.
    RemoveNotifications,
    /// Set the default SM-DP+ address of the card.
    DefaultAddress,
    /// Show what the card says of itself.
    Info,
}

impl OperationName {
    /// The name as it stands in a description.
    pub fn name(self) -> &'static str {
        match self {
            OperationName::Download => "download",
            OperationName::DownloadDefault => "download-default",
            OperationName::Enable => "enable",
            OperationName::Disable => "disable",
            OperationName::Delete => "delete",
            OperationName::Nickname => "nickname",
            OperationName::List => "list",
            OperationName::Notifications => "notifications",
            OperationName::ListNotifications => "list-notifications",
            OperationName::RemoveNotifications => "remove-notifications",
            OperationName::DefaultAddress => "default-address",
            OperationName::Info => "info",
        }
    }

    /// What it does, to follow "cannot".
    pub fn words(self) -> &'static str {
        match self {
            OperationName::Download => "download a profile",
            OperationName::DownloadDefault => "download from the default SM-DP+ address",
            OperationName::Enable => "enable a profile",
            OperationName::Disable => "disable a profile",
            OperationName::Delete => "delete a profile",
            OperationName::Nickname => "set a nickname",
            OperationName::List => "list the profiles",
            OperationName::Notifications => "send notifications",
            OperationName::ListNotifications => "list the notifications",
            OperationName::RemoveNotifications => "remove notifications without sending them",
            OperationName::DefaultAddress => "set the default SM-DP+ address",
            OperationName::Info => "show what the card says of itself",
        }
    }
}

/// How an operation is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Invocation {
    /// The arguments.
    pub args: Vec<Argument>,
    /// What is added to the environment for this operation.
    #[serde(default)]
    pub environment: BTreeMap<String, Text>,
    /// What is written to its standard input.
    #[serde(default)]
    pub input: Option<Text>,
    /// Calls that follow, whatever has come of it. They do not count for the outcome.
    #[serde(default)]
    pub afterwards: Vec<Vec<Argument>>,
}

/// One argument, or several that are left out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// An argument that is always there.
    Always(Text),
    /// Arguments that are there when everything in them has a value: `["-c", "{confirmation_code}"]`.
    WhenGiven(Vec<Text>),
}

/// What is known when an operation is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    values: BTreeMap<&'static str, String>,
}

/// The names that may stand in braces.
const NAMES: [&str; 19] = [
    "tty",
    "ci",
    "activation_code",
    "smdp",
    "matching_id",
    "confirmation_code",
    "profile",
    "iccid",
    "number",
    "nickname",
    "address",
    "timeout",
    "segment",
    "csim",
    "accept_rules",
    "isd_r",
    "no_refresh",
    "resolve",
    "requests",
];

/// Those of the names that are settings: an LPA that has no place for one of them cannot be set so.
const SETTINGS: [(&str, &str); 7] = [
    ("timeout", "how long it waits"),
    ("segment", "how many bytes it sends at a time"),
    ("csim", "to reach the card by AT+CSIM"),
    ("accept_rules", "that the user agrees to policy rules"),
    ("isd_r", "which ISD-R the card has"),
    ("no_refresh", "to do without a REFRESH"),
    ("resolve", "where a name leads to"),
];

impl Given {
    /// Gives a name a value.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        debug_assert!(NAMES.contains(&name), "{name}");
        self.values.insert(name, value.into());
    }
}

/// A text with names in braces, `LPA:{activation_code}`. `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Name(&'static str),
}

impl Text {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            if rest[at + 1..].starts_with(brace) {
                plain.push_str(brace);
                rest = &rest[at + 2..];
                continue;
            }
            let name = rest[at + 1..].split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = name else {
                return Err(format!("{text:?} has a single {brace}; write {brace}{brace} for the character itself"));
            };
            let Some(known) = NAMES.iter().find(|known| **known == name) else {
                return Err(format!("there is no {{{name}}}; there are {{{}}}", NAMES.join("}, {")));
            };
            parts.extend((!plain.is_empty()).then(|| Part::Plain(std::mem::take(&mut plain))));
            parts.push(Part::Name(known));
            rest = after;
        }
        plain.push_str(rest);
        parts.extend((!plain.is_empty()).then_some(Part::Plain(plain)));
        Ok(Text { parts })
    }

    /// The text with its names filled in, or the first name that has no value.
    fn fill(&self, given: &Given) -> Result<String, &'static str> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Plain(plain) => Ok(plain.as_str()),
                Part::Name(name) => given.values.get(name).map(String::as_str).ok_or(*name),
            })
            .collect()
    }
}

/// How the outcome of an operation is read. Without any rule the exit code tells.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResultRules {
    /// The members by which the result object is known among the JSON objects in the output, one a line. The last
    /// one counts. Keys are JSON Pointers (RFC 6901); `true` stands for any value.
    #[serde(default)]
    pub object: BTreeMap<String, Value>,
    /// The members that make the result object one of success.
    #[serde(default)]
    pub success: BTreeMap<String, Value>,
    /// Where the object tells in words what came of it, as JSON Pointers; they are joined by a colon.
    #[serde(default)]
    pub message: Vec<String>,
    /// A line of the output that tells of success.
    #[serde(default)]
    pub success_pattern: Option<Pattern>,
    /// A line of the output that tells of a failure.
    #[serde(default)]
    pub failure_pattern: Option<Pattern>,
    /// Where the object has the list that an operation was to give, as JSON Pointers: objects with `iccid`, `state`
    /// and `nickname`, or with `event` and `iccid`.
    #[serde(default)]
    pub lists: Vec<String>,
    /// Where an object of the output has the function of ES9+ that was called at a server, as a JSON Pointer; it
    /// counts when there is a `http` beside it, the status of the answer.
    #[serde(default)]
    pub request: Option<String>,
    /// The exit codes of success; 0 when not given.
    #[serde(default)]
    pub exit: Option<Vec<i32>>,
}

/// A kind of code that an LPA may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeKind {
    /// Subject and reason code of the server.
    Status,
    /// libcurl's code.
    Curl,
    /// The HTTP status.
    Http,
    /// The reason that the card gave.
    Euicc,
    /// The command of the bound profile package at which it did.
    Command,
    /// The status word with which the card refused.
    Sw,
}

impl CodeKind {
    /// The name as it stands in a description.
    pub fn name(self) -> &'static str {
        match self {
            CodeKind::Status => "status",
            CodeKind::Curl => "curl",
            CodeKind::Http => "http",
            CodeKind::Euicc => "euicc",
            CodeKind::Command => "command",
            CodeKind::Sw => "sw",
        }
    }

    /// What it is, to follow "does not tell".
    pub fn words(self) -> &'static str {
        match self {
            CodeKind::Status => "the status code of the server",
            CodeKind::Curl => "libcurl's code",
            CodeKind::Http => "the HTTP status",
            CodeKind::Euicc => "the reason of the eUICC",
            CodeKind::Command => "the command at which the eUICC failed",
            CodeKind::Sw => "the status word of the card",
        }
    }
}

/// How a code is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CodeRule {
    /// Which code.
    pub tells: CodeKind,
    /// Where it stands in the result object, as JSON Pointers; several are joined by `/`.
    #[serde(default)]
    pub json: Vec<String>,
    /// What it looks like, there or in the lines of the output: its groups, joined by `/`, are the code.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// The code that it is when the pattern is found.
    #[serde(default)]
    pub value: Option<String>,
}

/// Scenarios in which an LPA is known to fail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Known {
    /// Their ids; `errors/*` is a whole topic.
    pub scenarios: Vec<String>,
    /// Why they fail.
    pub why: String,
    /// Where that is reported, if it is.
    #[serde(default)]
    pub report: Option<String>,
}

impl Known {
    /// Whether it speaks of a scenario.
    pub fn is_about(&self, id: &str) -> bool {
        self.scenarios.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => id == known,
        })
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.report {
            Some(report) => write!(f, "{}, see {report}", self.why),
            None => write!(f, "{} (no report is known)", self.why),
        }
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

/// An operation, with everything filled in that the scenario says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Download a profile.
    Download {
        /// The activation code, or `UseSMDP`.
        activation_code: String,
        /// The confirmation code.
        confirmation_code: Option<String>,
    },
    /// Enable the profile with this number or ICCID.
    Enable(String),
    /// Disable it.
    Disable(String),
    /// Delete it.
    Delete(String),
    /// Give it a nickname.
    Nickname(String, String),
    /// List the profiles.
    List,
    /// Send the notifications.
    SendNotifications,
    /// List the notifications.
    ListNotifications,
    /// Remove the notifications without sending them.
    RemoveNotifications,
    /// Set the default SM-DP+ address; an empty one takes it away.
    DefaultAddress(String),
    /// Show what the card says of itself.
    Info,
}

/// The activation code by which the default SM-DP+ address of the card is asked for (eSIM LPA AN 1.1 §3.3).
pub const DEFAULT_ADDRESS: &str = "UseSMDP";

impl Call {
    /// The operation under its name in a description.
    pub fn operation(&self) -> OperationName {
        match self {
            Call::Download { activation_code, .. } if activation_code == DEFAULT_ADDRESS => {
                OperationName::DownloadDefault
            }
            Call::Download { .. } => OperationName::Download,
            Call::Enable(_) => OperationName::Enable,
            Call::Disable(_) => OperationName::Disable,
            Call::Delete(_) => OperationName::Delete,
            Call::Nickname(..) => OperationName::Nickname,
            Call::List => OperationName::List,
            Call::SendNotifications => OperationName::Notifications,
            Call::ListNotifications => OperationName::ListNotifications,
            Call::RemoveNotifications => OperationName::RemoveNotifications,
            Call::DefaultAddress(_) => OperationName::DefaultAddress,
            Call::Info => OperationName::Info,
        }
    }

    /// What it gives to a description. `profiles` are the ICCIDs on the card, in the order of its list: a profile that
    /// is named by one of number and ICCID gets the other one too.
    pub fn given(&self, profiles: &[String], given: &mut Given) {
        let mut profile = |named: &str| {
            given.set("profile", named);
            match named.parse::<usize>() {
                Ok(number) if named.len() < 4 => {
                    given.set("number", named);
                    if let Some(iccid) = number.checked_sub(1).and_then(|index| profiles.get(index)) {
                        given.set("iccid", iccid);
                    }
                }
                _ => {
                    given.set("iccid", named);
                    if let Some(index) = profiles.iter().position(|iccid| iccid == named) {
                        given.set("number", (index + 1).to_string());
                    }
                }
            }
        };
        match self {
            Call::Download { activation_code, confirmation_code } => {
                given.set("activation_code", activation_code);
                let bare = activation_code.trim_start_matches("LPA:");
                for (name, part) in ["smdp", "matching_id"].into_iter().zip(bare.split('$').skip(1)) {
                    given.set(name, part);
                }
                if let Some(code) = confirmation_code {
                    given.set("confirmation_code", code);
                }
            }
            Call::Enable(named) | Call::Disable(named) | Call::Delete(named) => profile(named),
            Call::Nickname(named, name) => {
                profile(named);
                given.set("nickname", name);
            }
            Call::DefaultAddress(address) => given.set("address", address),
            Call::List | Call::SendNotifications | Call::ListNotifications | Call::RemoveNotifications | Call::Info => {
            }
        }
    }
}

impl LpaSettings {
    /// What they give to a description. Those that are switched on have an empty text: `["--csim{csim}"]`.
    pub fn given(&self, given: &mut Given) {
        let LpaSettings { timeout, segment, csim, accept_rules, isd_r, no_refresh, resolve, requests } = self;
        if let Some(timeout) = timeout {
            given.set("timeout", timeout.as_secs_f64().to_string());
        }
        if let Some(segment) = segment {
            given.set("segment", segment.to_string());
        }
        if let Some(isd_r) = isd_r {
            given.set("isd_r", isd_r);
        }
        if let Some(resolve) = resolve {
            given.set("resolve", resolve);
        }
        let switches =
            [(csim, "csim"), (accept_rules, "accept_rules"), (no_refresh, "no_refresh"), (requests, "requests")];
        for (is_set, name) in switches {
            if *is_set {
                given.set(name, "");
            }
        }
    }
}

/// A command line that follows from a description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The arguments.
    pub args: Vec<String>,
    /// What is added to the environment.
    pub environment: Vec<(String, String)>,
    /// What is written to standard input.
    pub input: Option<String>,
    /// The arguments of the calls that follow.
    pub afterwards: Vec<Vec<String>>,
}

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// The file is not as it should be.
    #[error("{0}")]
    Form(String),
    /// The line of a command cannot be split into words.
    #[error("the quotes in {0:?} are not closed")]
    Quotes(String),
    /// The line of a command is empty.
    #[error("the command line of the LPA is empty")]
    Empty,
}

impl Description {
    /// Reads a description; tells all that is wrong with it.
    pub fn from_file(file: &str, text: &str) -> Result<Self, Mistakes> {
        toml_file::read(file, text, |text| {
            let description: Description = toml::from_str(text)?;
            match description.mistake() {
                None => Ok(description),
                Some(wrong) => Err(wrong),
            }
        })
    }

    /// Reads a description.
    pub fn from_toml(text: &str) -> Result<Self, DescriptionError> {
        Description::from_file("the description", text)
            .map_err(|mistakes| DescriptionError::Form(mistakes.render(false, 100)))
    }

    /// What is wrong beside single values.
    fn mistake(&self) -> Option<Wrong> {
        for (index, rule) in self.codes.iter().enumerate() {
            let wrong = |what: String| Some(Wrong::at(["code".to_owned(), index.to_string()], what));
            if rule.json.is_empty() && rule.pattern.is_none() {
                return wrong(format!("a [[code]] for {} needs `json`, `pattern` or both", rule.tells.name()));
            }
            if rule.value.is_some() && rule.pattern.is_none() {
                return wrong(format!("a [[code]] for {} has a `value` but no `pattern`", rule.tells.name()));
            }
        }
        for (name, value) in [("success", &self.result.success), ("object", &self.result.object)] {
            if let Some(pointer) = value.keys().find(|pointer| !pointer.starts_with('/')) {
                let what = format!("result.{name} has {pointer:?}; write a JSON Pointer, as in \"/{pointer}\"");
                return Some(Wrong::at(["result", name, pointer], what));
            }
        }
        if !self.result.success.is_empty() && self.result.object.is_empty() {
            let what = "result.success speaks of the result object, which needs result.object";
            return Some(Wrong::at(["result", "success"], what));
        }
        None
    }

    /// The description with this name, of those that are built in.
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        // They are read by a test.
        Description::from_toml(text).ok()
    }

    /// The names of those that are built in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A command line of which nothing more is known, `my-lpa {tty} {activation_code} {confirmation_code}`: it
    /// downloads, and its exit code tells the outcome. A word that holds a name without value is left out.
    pub fn of_command(line: &str) -> Result<Self, DescriptionError> {
        let words = shlex::split(line).ok_or_else(|| DescriptionError::Quotes(line.to_owned()))?;
        let [program, words @ ..] = &words[..] else { return Err(DescriptionError::Empty) };
        let args: Vec<Argument> = words
            .iter()
            .map(|word| Text::parse(word).map(|text| Argument::WhenGiven(vec![text])))
            .collect::<Result<_, _>>()
            .map_err(DescriptionError::Form)?;
        let invocation = Invocation { args, environment: BTreeMap::new(), input: None, afterwards: Vec::new() };
        let name = program.rsplit('/').next().unwrap_or(program).to_owned();
        Ok(Description {
            _format: 1,
            name,
            home: None,
            program: program.clone(),
            deadline: None,
            environment: BTreeMap::new(),
            settings: Vec::new(),
            operations: BTreeMap::from([(OperationName::Download, invocation)]),
            result: ResultRules::default(),
            codes: Vec::new(),
            cannot: BTreeMap::new(),
            known: Vec::new(),
        })
    }

    /// Why it cannot carry out an operation, if it cannot.
    pub fn unable(&self, operation: OperationName) -> Option<String> {
        if self.operations.contains_key(&operation) {
            return None;
        }
        let why = self.cannot.get(operation.name()).map(String::as_str);
        Some(format!(
            "{} cannot {}: {}",
            self.name,
            operation.words(),
            why.unwrap_or("its description has no such operation")
        ))
    }

    /// Why it cannot be set as an operation needs it, if it cannot.
    pub fn unset(&self, given: &Given) -> Option<String> {
        let has_place = |name: &str| {
            let texts = self.settings.iter().flat_map(|argument| match argument {
                Argument::Always(text) => std::slice::from_ref(text),
                Argument::WhenGiven(texts) => texts.as_slice(),
            });
            let mut parts = texts.flat_map(|text| &text.parts);
            parts.any(|part| matches!(part, Part::Name(known) if *known == name))
        };
        let (name, words) =
            SETTINGS.iter().find(|(name, _)| given.values.contains_key(name) && !has_place(name)).copied()?;
        let why = self.cannot.get(name).map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("{} cannot be told {words}{why}", self.name))
    }

    /// Why it does not tell a kind of code, if it does not.
    pub fn untold(&self, kind: CodeKind) -> Option<String> {
        if self.codes.iter().any(|rule| rule.tells == kind) {
            return None;
        }
        let why = self.cannot.get(kind.name()).map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("{} does not tell {}{why}", self.name, kind.words()))
    }

    /// What is known about its failing in a scenario.
    pub fn known(&self, id: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.is_about(id))
    }

    /// The command line of an operation, or why there is none.
    pub fn line(&self, operation: OperationName, given: &Given) -> Result<Line, String> {
        let Some(invocation) = self.operations.get(&operation) else {
            return Err(self.unable(operation).unwrap_or_default());
        };
        let missing = |name: &str| match name {
            "iccid" => format!("{} names profiles by their ICCID, and there is no profile of this number", self.name),
            "number" => format!("{} names profiles by their number, and this one is not on the card", self.name),
            name => {
                format!("{} needs {{{name}}} to {}, and the scenario does not give it", self.name, operation.words())
            }
        };
        let arguments = |list: &[Argument]| {
            let mut args = Vec::new();
            for argument in list {
                match argument {
                    Argument::Always(text) => args.push(text.fill(given).map_err(missing)?),
                    Argument::WhenGiven(texts) => {
                        let filled: Result<Vec<String>, _> = texts.iter().map(|text| text.fill(given)).collect();
                        args.extend(filled.unwrap_or_default());
                    }
                }
            }
            Ok::<_, String>(args)
        };
        let environment = self.environment.iter().chain(&invocation.environment);
        Ok(Line {
            args: [arguments(&invocation.args)?, arguments(&self.settings)?].concat(),
            environment: environment
                .map(|(name, text)| Ok((name.clone(), text.fill(given).map_err(missing)?)))
                .collect::<Result<_, String>>()?,
            input: invocation.input.as_ref().map(|text| text.fill(given).map_err(missing)).transpose()?,
            afterwards: invocation.afterwards.iter().map(|args| arguments(args)).collect::<Result<_, String>>()?,
        })
    }
}

// How the parts are read from TOML.

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        1 => Ok(1),
        other => Err(de::Error::custom(format!("the format is {other}; this program reads format 1"))),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(|number| number.parse().ok()).map(Duration::from_secs),
    };
    match time.filter(|time| !time.is_zero()) {
        Some(time) => Ok(Some(time)),
        None => Err(de::Error::custom(format!("{text:?} is no time; write it as in \"500ms\" or \"20s\""))),
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text).map(Pattern).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = Argument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an argument, or a list of arguments that are left out when one of them has no value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Argument, E> {
                Text::parse(text).map(Argument::Always).map_err(de::Error::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Argument, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Argument::WhenGiven(texts))
            }
        }

        deserializer.deserialize_any(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(description: &Description, call: &Call) -> Result<String, String> {
        let mut given = Given::default();
        given.set("tty", "/dev/pts/7");
        given.set("ci", "ci.pem");
        call.given(&["8944000000000000011".to_owned()], &mut given);
        description.line(call.operation(), &given).map(|line| line.args.join(" "))
    }

    fn download(confirmation_code: Option<&str>) -> Call {
        Call::Download {
            activation_code: "1$host$T".to_owned(),
            confirmation_code: confirmation_code.map(str::to_owned),
        }
    }

    #[test]
    fn the_operations_of_lpad_become_arguments() {
        let lpad = Description::built_in("lpad").unwrap();
        let line = |call: Call| line(&lpad, &call).unwrap();
        let head = "-d /dev/pts/7 --ci ci.pem --json";
        assert_eq!(line(download(None)), format!("{head} -A 1$host$T"));
        assert_eq!(line(download(Some("1234"))), format!("{head} -A 1$host$T -C 1234"));
        let default = Call::Download { activation_code: DEFAULT_ADDRESS.to_owned(), confirmation_code: None };
        assert_eq!(line(default), format!("{head} -A UseSMDP"));
        assert_eq!(line(Call::Enable("1".to_owned())), format!("{head} --enable 1"));
        assert_eq!(line(Call::Disable("9".to_owned())), format!("{head} --disable 9"));
        assert_eq!(line(Call::Delete("1".to_owned())), format!("{head} -R 1"));
        assert_eq!(line(Call::Nickname("1".to_owned(), "Work".to_owned())), format!("{head} --nickname 1 Work"));
        assert_eq!(line(Call::List), format!("{head} --list"));
    }

    #[test]
    fn lpac_names_profiles_by_their_iccid() {
        let lpac = Description::built_in("lpac").unwrap();
        assert_eq!(line(&lpac, &Call::Enable("1".to_owned())).unwrap(), "profile enable 8944000000000000011");
        let error = line(&lpac, &Call::Enable("2".to_owned())).unwrap_err();
        assert!(error.contains("there is no profile of this number"), "{error}");
        assert_eq!(line(&lpac, &download(Some("1234"))).unwrap(), "profile download -a 1$host$T -c 1234");
        assert_eq!(line(&lpac, &download(None)).unwrap(), "profile download -a 1$host$T");
        for name in Description::names() {
            assert_eq!(Description::built_in(name).unwrap().name, name);
        }
    }

    #[test]
    fn a_command_line_is_a_description() {
        let description = Description::of_command("my-lpa -p {tty} '{activation_code}' {confirmation_code}").unwrap();
        assert_eq!(line(&description, &download(None)).unwrap(), "-p /dev/pts/7 1$host$T");
        assert_eq!(line(&description, &download(Some("9"))).unwrap(), "-p /dev/pts/7 1$host$T 9");
        let why = line(&description, &Call::List).unwrap_err();
        assert_eq!(why, "my-lpa cannot list the profiles: its description has no such operation");
        assert!(description.untold(CodeKind::Http).unwrap().contains("does not tell the HTTP status"));
        assert!(Description::of_command("my-lpa 'x").is_err());
        assert!(Description::of_command("").is_err());
        let error = Description::of_command("my-lpa {port}").unwrap_err().to_string();
        assert!(error.contains("there is no {port}; there are {tty}, {ci}"), "{error}");
    }

    #[test]
    fn the_description_of_the_examples_is_one() {
        let description = Description::from_toml(include_str!("../../examples/my-lpa.toml")).unwrap();
        assert_eq!(line(&description, &download(Some("1"))).unwrap(), "install 1$host$T --pin 1");
        assert_eq!(description.operations.len(), 8);
        let reason = description.codes.last().and_then(|rule| rule.value.clone()).unwrap();
        assert!(crate::scenario::ast::error_reasons().any(|known| known.name() == reason), "{reason}");
        assert!(description.known("interruptions/any").is_some());
    }

    #[test]
    fn braces_can_be_written() {
        let given = Given { values: [("tty", "T".to_owned())].into() };
        assert_eq!(Text::parse("{{{tty}}}").unwrap().fill(&given).unwrap(), "{T}");
        assert!(Text::parse("a}b").unwrap_err().contains("}}"));
        assert!(Text::parse("{tty").is_err());
        assert_eq!(Text::parse("{ci}").unwrap().fill(&given), Err("ci"));
    }

    #[test]
    fn mistakes_in_a_description_are_told_with_their_place() {
        let text = |rest: &str| format!("format = 1\nname = 'x'\nprogram = 'x'\n{rest}");
        let told = |rest: &str| Description::from_toml(&text(rest)).unwrap_err().to_string();
        for (wrong, part) in [
            ("deadlin = '2s'", "deadlin"),
            ("deadline = '2'", "500ms"),
            ("[operation.donwload]\nargs = []", "donwload"),
            ("[operation.download]\nargs = ['{tyt}']", "there is no {tyt}"),
            ("[operation.download]\nargs = [1]", "an argument"),
            ("[[code]]\ntells = 'curl'", "needs `json`"),
            ("[[code]]\ntells = 'curl'\npattern = '('", "regex"),
            ("[result]\nobject = { type = 'lpa' }", "JSON Pointer"),
            ("[result]\nsuccess = { '/code' = 0 }", "result.object"),
        ] {
            let told = told(wrong);
            assert!(told.contains(part), "{wrong}: {told}");
        }
        assert!(
            Description::from_toml("format = 2\nname = 'x'\nprogram = 'x'")
                .unwrap_err()
                .to_string()
                .contains("format 1")
        );
    }

    #[test]
    fn all_mistakes_of_a_description_are_told() {
        let text = "\
format = 1
name = 'x'
progam = 'x'
program = 'x'
deadline = '2'

[operation.donwload]
args = ['a']

[operation.enable]
args = ['{tyt}', 'b']

[[code]]
tells = 'curll'
json = ['/x']

[[code]]
tells = 'curl'

[result]
object = { type = 'lpa' }
";
        insta::assert_snapshot!(Description::from_file("my-lpa.toml", text).unwrap_err().render(false, 100));
    }

    #[test]
    fn known_failures_go_by_id_and_topic() {
        let known = Known { scenarios: vec!["a/*".into(), "b/c".into()], why: "it hangs".into(), report: None };
        assert!(known.is_about("a/x") && known.is_about("b/c") && !known.is_about("b/cd"));
        assert_eq!(known.to_string(), "it hangs (no report is known)");
    }
}
