//! `esimlab order`: orders on an `esimlab smdp` that runs, by its management API.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rsp::Eid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smdp::manage::{code_as_png, code_as_svg};

use crate::cli::Abort;
use crate::lab::system_time;
use crate::runner::result::exit;

/// The arguments of `esimlab order`.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// The file that `esimlab smdp` has written
    #[arg(long, value_name = "FILE", global = true)]
    control: Option<PathBuf>,

    #[command(subcommand)]
    command: OrderCommand,
}

#[derive(Debug, Subcommand)]
enum OrderCommand {
    /// Take an order, and show its activation code
    Add(AddArgs),
    /// List the orders
    List {
        /// Print what the API says, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an order, what happened to it, and its activation code
    Show {
        /// Its number or its matching id
        order: String,
        /// Print what the API says, as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        code: CodeArgs,
    },
    /// Release an order that waits
    Release {
        /// Its number or its matching id
        order: String,
    },
    /// Take an order back
    Cancel {
        /// Its number or its matching id
        order: String,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The name of the profile, as in operator-a
    profile: String,

    /// The matching id of the activation code; without it the EID tells whose order it is
    matching_id: Option<String>,

    /// The only card that may have it
    #[arg(long, value_name = "EID", value_parser = |text: &str| Eid::parse(text))]
    eid: Option<Eid>,

    /// The confirmation code that the user has to give
    #[arg(long, value_name = "CODE")]
    confirmation_code: Option<String>,

    /// Where it begins: available, allocated, linked, confirmed, released, downloaded, installed, error, unavailable
    #[arg(long, value_name = "STATE", default_value = "released")]
    state: String,

    /// The profile of this subscriber; the next that nobody has when not given
    #[arg(long, value_name = "N")]
    number: Option<u32>,

    /// How long it can be downloaded, in seconds from now
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u32>,

    /// How often a download may be tried
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,

    #[command(flatten)]
    code: CodeArgs,
}

#[derive(Debug, Args)]
struct CodeArgs {
    /// Write the activation code as an SVG picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write the activation code as a PNG picture
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,

    /// Do not draw the activation code on the terminal
    #[arg(long)]
    no_qr: bool,
}

/// Where the management API is, for `esimlab order`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Control {
    pub(crate) url: String,
    pub(crate) token: String,
}

/// The file for both sides when none is given: in a folder that only this user can enter.
pub(crate) fn default_control() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("esimlab-smdp.json"),
        None => {
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("esimlab-{user}")).join("smdp.json")
        }
    }
}

/// Runs `esimlab order`.
pub(crate) fn run(args: &OrderArgs) -> Result<u8, Abort> {
    let path = args.control.clone().unwrap_or_else(default_control);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Abort::usage(format!("cannot read {}: {error}; is `esimlab smdp` running?", path.display()))
    })?;
    let control: Control =
        serde_json::from_str(&text).map_err(|error| Abort::usage(format!("{}: {error}", path.display())))?;
    let print = |text: &str| {
        let _ = std::io::stdout().write_all(text.as_bytes());
    };
    match &args.command {
        OrderCommand::Add(add) => {
            let body = json!({
                "profile": add.profile,
                "number": add.number,
                "matching_id": add.matching_id,
                "eid": add.eid.map(|eid| eid.to_string()),
                "confirmation_code": add.confirmation_code,
                "state": add.state,
                "expires": add.expires_in.map(|seconds| system_time() + i64::from(seconds)),
                "max_attempts": add.max_attempts,
            });
            let order = control.call("POST", "/orders", Some(&body))?;
            print(&in_words(&order));
            show_code(&order, &add.code)?;
        }
        OrderCommand::List { json } => {
            let list = control.call("GET", "/orders", None)?;
            if *json {
                print(&format!("{list}\n"));
                return Ok(exit::PASSED);
            }
            for order in list.as_array().into_iter().flatten() {
                let text = |name: &str| order[name].as_str().unwrap_or("-").to_owned();
                print(&format!(
                    "{:>4}  {:<12} {:<20} {:<24} {}\n",
                    order["number"],
                    text("state"),
                    text("iccid"),
                    text("matching_id"),
                    text("profile"),
                ));
            }
        }
        OrderCommand::Show { order, json, code } => {
            let order = control.find(order)?;
            if *json {
                print(&format!("{order}\n"));
            } else {
                print(&in_words(&order));
                for event in order["events"].as_array().into_iter().flatten() {
                    let text = |name: &str| event[name].as_str().unwrap_or("").to_owned();
                    print(&format!("  {} {:<12} {}\n", text("at"), text("to"), text("cause")));
                }
            }
            show_code(&order, &CodeArgs { no_qr: code.no_qr || *json, svg: code.svg.clone(), png: code.png.clone() })?;
        }
        OrderCommand::Release { order } => print(&in_words(&control.act(order, "release")?)),
        OrderCommand::Cancel { order } => print(&in_words(&control.act(order, "cancel")?)),
    }
    Ok(exit::PASSED)
}

fn in_words(order: &Value) -> String {
    let text = |name: &str| order[name].as_str().unwrap_or("-");
    let mut words = format!("order {}, {}: {} {}\n", order["number"], text("state"), text("profile"), text("iccid"));
    if let Some(eid) = order["eid"].as_str() {
        words += &format!("  for the card {eid}\n");
    }
    words += &format!("  {}\n", text("activation_code"));
    words
}

fn show_code(order: &Value, args: &CodeArgs) -> Result<(), Abort> {
    let Some(code) = order["activation_code"].as_str() else { return Ok(()) };
    let written =
        |path: &Path, error: &dyn std::fmt::Display| Abort::usage(format!("cannot write {}: {error}", path.display()));
    if let Some(path) = &args.svg {
        let picture = code_as_svg(code).map_err(|error| Abort::lab(error.to_string()))?;
        std::fs::write(path, picture).map_err(|error| written(path, &error))?;
    }
    if let Some(path) = &args.png {
        let picture = code_as_png(code).map_err(|error| Abort::lab(error.to_string()))?;
        std::fs::write(path, picture).map_err(|error| written(path, &error))?;
    }
    if !args.no_qr
        && let Some(drawn) = crate::qr::drawn(code)
    {
        let _ = std::io::stdout().write_all(format!("\n{drawn}\n").as_bytes());
    }
    Ok(())
}

impl Control {
    /// An order by its number or by its matching id; a number that is one comes first.
    fn find(&self, text: &str) -> Result<Value, Abort> {
        let list = self.call("GET", "/orders", None)?;
        let orders = list.as_array().cloned().unwrap_or_default();
        let named = |name: &'static str| {
            orders.iter().find(|order| match &order[name] {
                Value::String(value) => value == text,
                Value::Number(value) => value.to_string() == text,
                _ => false,
            })
        };
        let found = named("number").or_else(|| named("matching_id"));
        found.cloned().ok_or_else(|| Abort::usage(format!("there is no order {text:?}; see `esimlab order list`")))
    }

    fn act(&self, order: &str, act: &str) -> Result<Value, Abort> {
        let order = self.find(order)?;
        self.call("POST", &format!("/orders/{}/{act}", order["number"]), None)
    }

    /// One call of the management API.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Abort> {
        let told = |error: &dyn std::fmt::Display| {
            Abort::lab(format!("the management API at {}: {error}; is `esimlab smdp` running?", self.url))
        };
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).map_err(|error| told(&error))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(|error| told(&error))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|error| told(&error))?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| told(&"no answer"))?;
        let value: Value = serde_json::from_str(body).map_err(|error| told(&error))?;
        match head.split(' ').nth(1) {
            Some("200" | "201") => Ok(value),
            _ => Err(Abort::usage(value["error"].as_str().unwrap_or(head).to_owned())),
        }
    }
}
