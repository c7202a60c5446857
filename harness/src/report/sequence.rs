//! The timeline as a sequence diagram: who told whom what, one row per exchange.
//!
//! An exchange with the card often takes many commands: the blocks of a STORE DATA and the GET RESPONSEs that fetch
//! its answer are folded into one row, and so are the AT lines that carry them. Everything that was folded stands in
//! the row's details: the bytes as they were sent, and what they mean.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsp::ids::to_hex;
use serde_json::Value;

use super::decode::{self, Side};
use super::html::escaped;
use super::printable;
use crate::runner::at::is_final_result;
use crate::timeline::{Direction, Event, Http, Kind, Role};

/// A row of the diagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When it began, since the start of the timeline.
    pub at: Duration,
    /// What it is.
    pub shape: Shape,
    /// What stands at it.
    pub label: String,
    /// What came of it, in short; empty when there is nothing to tell.
    pub result: String,
    /// Whether it went wrong.
    pub bad: bool,
    /// Everything about it, in lines.
    pub detail: String,
}

/// How a row is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An arrow from one to the other, and back.
    Exchange(Role, Role),
    /// An arrow one way.
    Message(Role, Role),
    /// Something that happened at one.
    Note(Role),
    /// A fault that has fired.
    Fault,
}

/// An exchange with the card that may go on.
struct Open {
    row: usize,
    channel: u8,
    /// The data of the command, blocks joined.
    command: Vec<u8>,
    /// The data of the answer, parts joined.
    answer: Vec<u8>,
    blocks: usize,
    first: Vec<u8>,
    /// Whether the last block has been sent.
    complete: bool,
    status: [u8; 2],
    raw: String,
}

/// The rows of a timeline.
pub fn rows(events: &[Event]) -> Vec<Row> {
    let mut reader = Reader::default();
    for event in events {
        reader.event(event);
    }
    reader.close();
    reader.rows
}

#[derive(Default)]
struct Reader {
    rows: Vec<Row>,
    open: Option<Open>,
    /// The row of the AT command that is being answered, by port.
    at: BTreeMap<usize, usize>,
    /// A command line that carries an APDU, until it is answered: its port and text.
    carrier: Option<(usize, String)>,
    /// Whether the APDU of the carrier has been seen.
    carried: bool,
}

impl Reader {
    fn push(&mut self, event: &Event, shape: Shape, label: impl Into<String>) -> usize {
        self.rows.push(Row {
            at: event.at,
            shape,
            label: label.into(),
            result: String::new(),
            bad: false,
            detail: String::new(),
        });
        self.rows.len() - 1
    }

    fn event(&mut self, event: &Event) {
        match &event.kind {
            Kind::At { port, direction: Direction::Command, text } => self.command_line(event, *port, text),
            Kind::At { port, direction: Direction::Response, text } => self.response_line(event, *port, text),
            Kind::Apdu { command, response } => self.apdu(event, command, response),
            Kind::Http(http) => {
                let row = self.push(event, Shape::Exchange(Role::Assistant, Role::Server), name_of(http));
                let row = &mut self.rows[row];
                // The event is told when the answer is ready.
                row.at = event.at.saturating_sub(http.duration);
                row.result = match (http.status, &http.subject, &http.reason) {
                    (0, ..) => "no answer".to_owned(),
                    (status, Some(subject), Some(reason)) => format!("{status}, {subject}/{reason}"),
                    (status, ..) => status.to_string(),
                };
                row.bad = http.subject.is_some() || !(200..300).contains(&http.status);
                row.detail = http_detail(http);
            }
            Kind::Note { text, fields } => {
                let row = self.push(event, Shape::Note(event.role), printable(text));
                let fields: String =
                    fields.iter().map(|(name, value)| format!("{name}: {}\n", printable(value))).collect();
                self.rows[row].bad = ["failed", "not authenticated", "rejected"].iter().any(|bad| text.contains(bad));
                self.rows[row].detail = format!("{}\n{fields}", printable(text));
            }
            Kind::Fault { layer, text } => {
                let row = self.push(event, Shape::Fault, format!("{layer}: {}", printable(text)));
                self.rows[row].detail = format!("a fault of the layer {layer} has fired: {}\n", printable(text));
            }
            Kind::Lpa { step } if step.get("request").is_some() => {
                // A request that the LPA tells of, where nobody sees it.
                let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let came = match (step.get("http"), step.get("curl")) {
                    (Some(status), _) => format!("{} -> {status}", text("request")),
                    (_, Some(code)) => format!("{} -> curl {code}", text("request")),
                    _ => text("request"),
                };
                let row = self.push(event, Shape::Exchange(Role::Assistant, Role::Server), printable(&came));
                self.rows[row].bad = step.get("http").is_none_or(|status| *status != 200 && *status != 204);
                self.rows[row].detail = serde_json::to_string_pretty(step).unwrap_or_default() + "\n";
            }
            Kind::Lpa { step } => {
                let label = ["step", "outcome"].iter().find_map(|key| Some((*key, step.get(*key)?.as_str()?)));
                let label = match label {
                    Some(("outcome", outcome)) => format!("outcome: {outcome}"),
                    Some((_, step)) => step.to_owned(),
                    None => "a line of JSON".to_owned(),
                };
                let row = self.push(event, Shape::Note(Role::Assistant), printable(&label));
                self.rows[row].bad = step.get("ok") == Some(&Value::Bool(false))
                    || step.get("outcome").and_then(Value::as_str) == Some("failure");
                self.rows[row].detail = serde_json::to_string_pretty(step).unwrap_or_default() + "\n";
            }
            Kind::Process { text } => {
                let row = self.push(event, Shape::Note(Role::Assistant), printable(text));
                self.rows[row].detail = printable(text) + "\n";
            }
        }
    }

    fn command_line(&mut self, event: &Event, port: usize, text: &str) {
        let head = text.get(..8).unwrap_or_default().to_ascii_uppercase();
        if matches!(&*head, "AT+CGLA=" | "AT+CSIM=") && !text.ends_with('?') {
            self.carrier = Some((port, text.to_owned()));
            self.carried = false;
            return;
        }
        let row = self.push(event, Shape::Exchange(Role::Assistant, Role::Modem), printable(text));
        self.rows[row].detail = format!("port {port}\n> {}\n", printable(text));
        self.at.insert(port, row);
    }

    fn response_line(&mut self, event: &Event, port: usize, text: &str) {
        let is_final = is_final_result(text);
        if let Some((_, command)) = self.carrier.clone().filter(|(carrier, _)| *carrier == port) {
            if self.carried {
                if is_final {
                    self.carrier = None;
                }
                return;
            }
            // The modem has answered by itself.
            let row = self.push(event, Shape::Exchange(Role::Assistant, Role::Modem), printable(&command));
            self.rows[row].detail = format!("port {port}\n> {}\n", printable(&command));
            self.at.insert(port, row);
            self.carrier = None;
        }
        let line = format!("< {}\n", printable(text));
        match self.at.get(&port).copied() {
            Some(row) => {
                let row_of_command = &mut self.rows[row];
                row_of_command.detail.push_str(&line);
                if is_final {
                    if row_of_command.result.is_empty() || text != "OK" {
                        row_of_command.result = printable(text);
                    }
                    row_of_command.bad = text == "ERROR" || text.contains("ERROR:");
                    self.at.remove(&port);
                } else if row_of_command.result.is_empty() {
                    row_of_command.result = printable(text);
                }
            }
            None => {
                let row = self.push(event, Shape::Message(Role::Modem, Role::Assistant), printable(text));
                self.rows[row].detail = format!("port {port}, unsolicited\n{line}");
            }
        }
    }

    fn apdu(&mut self, event: &Event, command: &[u8], response: &[u8]) {
        let channel = command.first().copied().map_or(0, channel);
        let split = response.len().saturating_sub(2);
        let (answer, status) = (&response[..split], &response[split..]);
        let status = <[u8; 2]>::try_from(status).unwrap_or_default();
        let data = data_of(command);
        let is_store = command.get(1) == Some(&0xE2);
        let goes_on = self.open.as_ref().is_some_and(|open| {
            open.channel == channel
                && match command.get(1) {
                    Some(0xE2) => !open.complete && command.get(3).is_some_and(|block| *block != 0),
                    Some(0xC0) => open.complete && open.status[0] == 0x61,
                    _ => false,
                }
        });
        if !goes_on {
            self.close();
            let from = if self.carrier.is_some() { Role::Assistant } else { Role::Modem };
            let row = self.push(event, Shape::Exchange(from, Role::Card), "");
            self.open = Some(Open {
                row,
                channel,
                command: Vec::new(),
                answer: Vec::new(),
                blocks: 0,
                first: command.to_vec(),
                complete: false,
                status,
                raw: String::new(),
            });
        }
        if let Some((_, line)) = &self.carrier
            && !self.carried
        {
            let carrier = line.split('=').next().unwrap_or_default().to_owned();
            self.carried = true;
            if let Some(open) = &mut self.open {
                let _ = write!(open.raw, "{carrier}: ");
            }
        }
        let Some(open) = &mut self.open else { return };
        let _ = writeln!(open.raw, "> {}\n< {}", to_hex(command), to_hex(response));
        if command.get(1) != Some(&0xC0) || open.blocks == 0 {
            open.command.extend_from_slice(data);
            open.blocks += 1;
            // GlobalPlatform 11.11: bit 8 of P1 is the last block.
            open.complete = !is_store || command.get(2).is_some_and(|p1| p1 & 0x80 != 0);
        }
        open.answer.extend_from_slice(answer);
        open.status = status;
    }

    /// Writes what an exchange with the card has come to.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Some(row) = self.rows.get_mut(open.row) else { return };
        let instruction = decode::instruction(&open.first);
        let is_store = open.first.get(1) == Some(&0xE2);
        let tag =
            |bytes: &[u8]| <[u8; 2]>::try_from(bytes.get(..2)?).ok().map(|two| u32::from(u16::from_be_bytes(two)));
        row.label = match (is_store, tag(&open.command).and_then(decode::function_name)) {
            (true, Some(name)) => name.to_owned(),
            (true, None) => match open.command.first() {
                Some(0x86) => "segment of the profile".to_owned(),
                Some(0x87) => "segment with a command".to_owned(),
                Some(0x88) => "segment with metadata".to_owned(),
                Some(0xA0..=0xA3) => "segments of the package".to_owned(),
                _ => instruction.to_owned(),
            },
            (false, _) => instruction.to_owned(),
        };
        if open.blocks > 1 {
            let _ = write!(row.label, " ({} blocks)", open.blocks);
        }
        row.result = to_hex(&open.status);
        row.bad = !matches!(open.status[0], 0x90 | 0x91 | 0x61);
        let words = decode::status_words(open.status);
        let mut detail = format!("{instruction} on channel {}, {}", open.channel, to_hex(&open.status));
        if !words.is_empty() {
            let _ = write!(detail, " ({words})");
        }
        detail.push('\n');
        let is_tlv = |bytes: &[u8]| bytes.first().is_some_and(|byte| *byte >= 0x5A || *byte == 0x30);
        for (what, bytes, side) in [("command", &open.command, Side::Request), ("answer", &open.answer, Side::Response)]
        {
            // Data that is no TLV (an AID to select, a PIN) is in the bytes below.
            let is_selection = open.first.get(1) == Some(&0xA4) && side == Side::Request;
            if !bytes.is_empty() && (is_store || is_tlv(bytes)) && !is_selection {
                let _ = write!(detail, "\n{what}, {} bytes\n{}", bytes.len(), decode::tree(bytes, side));
            }
        }
        let _ = write!(detail, "\nbytes\n{}", open.raw);
        row.detail = detail;
    }
}

/// The logical channel in a class byte (ETSI TS 102 221 §10.1.1).
fn channel(cla: u8) -> u8 {
    if cla & 0x40 == 0 { cla & 0x03 } else { 4 + (cla & 0x0F) }
}

/// The data of a short command.
fn data_of(command: &[u8]) -> &[u8] {
    let Some(length) = command.get(4).copied().map(usize::from) else { return &[] };
    command.get(5..5 + length).unwrap_or_else(|| command.get(5..).unwrap_or_default())
}

fn name_of(http: &Http) -> String {
    printable(if http.function.is_empty() { &http.path } else { &http.function })
}

fn http_detail(http: &Http) -> String {
    let mut detail = format!(
        "POST {} -> {}\n{} bytes, answered by {} bytes after {:.1} ms\n",
        printable(&http.path),
        http.status,
        http.request_bytes,
        http.response_bytes,
        http.duration.as_secs_f64() * 1e3
    );
    for (what, body, side) in [("request", &http.request, Side::Request), ("response", &http.response, Side::Response)]
    {
        let Some(body) = body else { continue };
        let _ = writeln!(detail, "\n{what}");
        match serde_json::from_str::<Value>(body) {
            Ok(Value::Object(fields)) => fields.iter().for_each(|(name, value)| field(&mut detail, name, value, side)),
            _ => detail.push_str(&(printable(body) + "\n")),
        }
    }
    detail
}

/// A field of a JSON message; the binary ones of ES9+ are TLVs in base64 (SGP.22 §6.5.2).
fn field(detail: &mut String, name: &str, value: &Value, side: Side) {
    let Some(text) = value.as_str() else {
        let _ = writeln!(detail, "{name}: {}", serde_json::to_string_pretty(value).unwrap_or_default());
        return;
    };
    let binary = BASE64.decode(text).ok().filter(|_| text.len() > 3 && !text.contains('.'));
    match (name, binary) {
        ("transactionId" | "smdpAddress" | "matchingId", _) | (_, None) => {
            let _ = writeln!(detail, "{name}: {}", printable(text));
        }
        (name, Some(bytes)) => {
            // What ES9+ hands over is an answer of the card where the LPA sends it, and a request to it where the
            // server does.
            let side = match (side, name) {
                (_, "euiccInfo1" | "pendingNotification") | (Side::Request, _) => Side::Response,
                (Side::Response, _) => Side::Request,
            };
            // Neither is a TLV: a certificate has no tag of SGP.22's, a challenge none at all.
            if let Some(words) = decode::plain_field(name, &bytes) {
                let _ = writeln!(detail, "{name}: {words}");
                return;
            }
            let _ = writeln!(detail, "{name}, {} bytes", bytes.len());
            for line in decode::tree(&bytes, side).lines() {
                let _ = writeln!(detail, "  {line}");
            }
        }
    }
}

const WIDTH: usize = 860;
const ROW: usize = 26;
const HEAD: usize = 34;
const LANES: [(Role, usize); 4] = [(Role::Assistant, 90), (Role::Modem, 350), (Role::Card, 580), (Role::Server, 800)];

fn lane(role: Role) -> usize {
    // What the operators see is of the modem.
    let role = if role == Role::Network { Role::Modem } else { role };
    LANES.iter().find(|(of, _)| *of == role).map_or(LANES[0].1, |(_, x)| *x)
}

/// The rows as SVG, below one with the names of the parts, which stays in sight. Each row is a button with the class
/// `row`; its number is in `data-row`.
pub fn svg(rows: &[Row], title: &str) -> String {
    let height = rows.len() * ROW + 12;
    let mut svg = format!(
        "<svg class=\"seq head\" viewBox=\"0 0 {WIDTH} {HEAD}\" width=\"{WIDTH}\" height=\"{HEAD}\" \
         aria-hidden=\"true\">\n"
    );
    for (role, x) in LANES {
        let _ = writeln!(svg, "<text class=\"who\" x=\"{x}\" y=\"20\">{}</text>", role.name());
    }
    let _ = write!(
        svg,
        "</svg>\n<svg class=\"seq\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"group\" \
         aria-label=\"{}\">\n",
        escaped(title)
    );
    for (_, x) in LANES {
        let _ = writeln!(svg, "<line class=\"lane\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{height}\"/>");
    }
    for (index, row) in rows.iter().enumerate() {
        let y = index * ROW + 18;
        let bad = if row.bad { " bad" } else { "" };
        let _ = write!(
            svg,
            "<g class=\"row{bad}\" data-row=\"{index}\" tabindex=\"0\" role=\"button\">\
             <rect class=\"hit\" x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"{ROW}\"/>\
             <text class=\"time\" x=\"4\" y=\"{y}\">{:.1}</text>",
            y - 18,
            row.at.as_secs_f64() * 1e3
        );
        draw(&mut svg, row, y);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// As much of a text as has room; the rest is in the details.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn draw(svg: &mut String, row: &Row, y: usize) {
    let fitted = |text: &str, width: usize| escaped(&cut(text, width * 10 / 66));
    match row.shape {
        Shape::Exchange(from, to) | Shape::Message(from, to) => {
            let (start, end) = (lane(from), lane(to));
            let (left, right) = (start.min(end), start.max(end));
            let (tip, back) = if end > start { (end - 7, 'l') } else { (end + 7, 'r') };
            let points = match back {
                'l' => format!("{end},{} {tip},{} {tip},{}", y + 2, y - 2, y + 6),
                _ => format!("{end},{} {tip},{} {tip},{}", y + 2, y - 2, y + 6),
            };
            let _ = write!(
                svg,
                "<line class=\"arrow\" x1=\"{start}\" y1=\"{0}\" x2=\"{end}\" y2=\"{0}\"/><polygon points=\"{points}\"/>",
                y + 2
            );
            let text = match (&*row.result, row.shape) {
                ("", _) | (_, Shape::Message(..)) => row.label.clone(),
                (result, _) => {
                    // The command is worth more than its answer: it keeps half of the room at least.
                    let room = (right - left) * 10 / 66;
                    let label = cut(&row.label, room.saturating_sub(result.chars().count() + 3).max(room / 2));
                    let result = cut(result, room.saturating_sub(label.chars().count() + 3));
                    format!("{label} → {result}")
                }
            };
            let _ = write!(
                svg,
                "<text class=\"label\" x=\"{}\" y=\"{}\">{}</text>",
                (left + right) / 2,
                y - 3,
                fitted(&text, right - left)
            );
        }
        Shape::Note(role) => {
            let x = lane(role);
            let role = role.name();
            // A note stands to the right of its lane, the server's to the left.
            let (class, at, room) =
                if x > WIDTH - 200 { ("left", x - 10, x - 120) } else { ("right", x + 10, WIDTH - x - 20) };
            let _ = write!(
                svg,
                "<circle class=\"dot {role}\" cx=\"{x}\" cy=\"{}\" r=\"4\"/><text class=\"note {class}\" x=\"{at}\" y=\"{y}\">{}</text>",
                y - 4,
                fitted(&row.label, room)
            );
        }
        Shape::Fault => {
            let _ = write!(
                svg,
                "<rect class=\"fault\" x=\"70\" y=\"{}\" width=\"{}\" height=\"20\" rx=\"4\"/>\
                 <text class=\"faulttext\" x=\"80\" y=\"{}\">fault, {}</text>",
                y - 14,
                WIDTH - 80,
                y,
                fitted(&row.label, WIDTH - 140)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use rsp::ids::from_hex;

    fn event(micros: u64, role: Role, kind: Kind) -> Event {
        Event { at: Duration::from_micros(micros), role, kind }
    }

    fn at(micros: u64, direction: Direction, text: &str) -> Event {
        event(micros, Role::Modem, Kind::At { port: 0, direction, text: text.to_owned() })
    }

    fn apdu(micros: u64, command: &str, response: &str) -> Event {
        let bytes = |text: &str| from_hex(text).unwrap();
        event(micros, Role::Card, Kind::Apdu { command: bytes(command), response: bytes(response) })
    }

    /// Reports come from files, which may say anything.
    #[test]
    fn any_number_of_a_port_is_taken() {
        let line = |direction, text: &str| {
            event(1, Role::Modem, Kind::At { port: usize::MAX, direction, text: text.to_owned() })
        };
        let rows = rows(&[line(Direction::Command, "AT"), line(Direction::Response, "OK")]);
        assert_eq!((rows.len(), rows[0].result.as_str()), (1, "OK"));
    }

    /// What an LPA does to read the EID in two blocks, with the answer in two parts.
    fn timeline() -> Vec<Event> {
        vec![
            at(100, Direction::Command, "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\""),
            apdu(110, "0070000001", "019000"),
            apdu(120, "01A4040010A0000005591010FFFFFFFF8900000100", "9000"),
            at(130, Direction::Response, "+CCHO: 1"),
            at(140, Direction::Response, "OK"),
            at(200, Direction::Command, "AT+CGLA=1,14,\"80E2110002BF3E\""),
            apdu(210, "81E2110002BF3E", "9000"),
            at(220, Direction::Response, "+CGLA: 4,\"9000\""),
            at(221, Direction::Response, "OK"),
            event(225, Role::Card, Kind::Note { text: "thinking".to_owned(), fields: Default::default() }),
            at(230, Direction::Command, "AT+CGLA=1,18,\"80E2910104035C015A\""),
            apdu(240, "81E2910104035C015A", "610D"),
            at(241, Direction::Response, "+CGLA: 4,\"610D\""),
            at(242, Direction::Response, "OK"),
            at(250, Direction::Command, "AT+CGLA=1,10,\"80C000000D\""),
            apdu(260, "81C000000D", "BF3E125A1089049032123451236108"),
            at(261, Direction::Response, "+CGLA: 30,\"BF3E125A1089049032123451236108\""),
            at(262, Direction::Response, "OK"),
            at(270, Direction::Command, "AT+CGLA=1,10,\"80C0000008\""),
            apdu(280, "81C0000008", "45123456789012359000"),
            at(290, Direction::Response, "+CGLA: 20,\"45123456789012359000\""),
            at(291, Direction::Response, "OK"),
            at(300, Direction::Response, "+QUSIM: 1"),
            event(310, Role::Lab, Kind::Fault { layer: "tls".into(), text: "closed <&>".to_owned() }),
        ]
    }

    /// Where nobody sees the requests, those that the LPA tells of are drawn.
    #[test]
    fn a_request_that_the_lpa_tells_of_is_an_exchange_with_the_server() {
        let told = |step| event(1, Role::Assistant, Kind::Lpa { step });
        let rows = rows(&[
            told(json!({ "request": "authenticateClient", "server": "smdp.example.com", "http": 200 })),
            told(json!({ "request": "handleNotification", "server": "smdp.example.com", "curl": 7 })),
        ]);
        assert!(rows.iter().all(|row| row.shape == Shape::Exchange(Role::Assistant, Role::Server)));
        assert_eq!((rows[0].label.as_str(), rows[0].bad), ("authenticateClient -> 200", false));
        assert_eq!((rows[1].label.as_str(), rows[1].bad), ("handleNotification -> curl 7", true));
    }

    #[test]
    fn blocks_and_answers_are_folded_into_one_row() {
        let text: String =
            rows(&timeline()).iter().map(|row| format!("{:?} {} -> {}\n", row.shape, row.label, row.result)).collect();
        insta::assert_snapshot!(text, @r#"
        Exchange(Assistant, Modem) AT+CCHO="A0000005591010FFFFFFFF8900000100" -> +CCHO: 1
        Exchange(Modem, Card) MANAGE CHANNEL -> 9000
        Exchange(Modem, Card) SELECT -> 9000
        Exchange(Assistant, Card) getEuiccData (2 blocks) -> 9000
        Note(Card) thinking -> 
        Message(Modem, Assistant) +QUSIM: 1 -> 
        Fault tls: closed <&> -> 
        "#);
    }

    #[test]
    fn the_details_have_every_byte_and_what_it_means() {
        let rows = rows(&timeline());
        insta::assert_snapshot!(rows[3].detail);
    }

    #[test]
    fn a_command_that_the_modem_answers_by_itself_is_an_exchange_with_it() {
        let rows = rows(&[
            at(1, Direction::Command, "AT+CGLA=9,10,\"80C0000008\""),
            at(2, Direction::Response, "+CME ERROR: 50"),
        ]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].shape, Shape::Exchange(Role::Assistant, Role::Modem));
        assert_eq!(rows[0].result, "+CME ERROR: 50");
        assert!(rows[0].bad);
    }

    #[test]
    fn the_body_of_a_request_is_decoded() {
        let info = BASE64.encode(from_hex("BF2E0380010A").unwrap());
        let http = Http {
            function: "initiateAuthentication".to_owned(),
            path: "/x".to_owned(),
            status: 200,
            subject: Some("8.2.6".to_owned()),
            reason: Some("3.8".to_owned()),
            request: Some(format!("{{\"euiccChallengeTlv\":\"{info}\",\"smdpAddress\":\"127.0.0.1\"}}")),
            response: Some("no JSON\u{7}".to_owned()),
            ..Http::default()
        };
        let rows = rows(&[event(5000, Role::Server, Kind::Http(http))]);
        assert_eq!(rows[0].result, "200, 8.2.6/3.8");
        assert!(rows[0].bad);
        insta::assert_snapshot!(rows[0].detail);
    }

    #[test]
    fn nothing_that_was_seen_becomes_markup() {
        let svg = svg(&rows(&timeline()), "a \"case\" <b>");
        assert!(svg.contains("closed &lt;&amp;&gt;"));
        assert!(!svg.contains("<b>"));
        assert_eq!(svg.matches("class=\"row").count(), 7);
    }
}
