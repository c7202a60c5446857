//! What becomes of each element of a profile package, told to people. No key, PIN or content of a file is in it.

use std::fmt;

use rsp::Iccid;
use rsp::es10::download::StoreMetadata;
use rsp::es10::profiles::ProfileClass;
use rsp::ids::to_hex;
use rsp::saip::{Kind, ProfileHeader, split};

use super::image::{FileRef, Image, MF, Record, Structure};
use super::template;
use crate::config::CardConfig;
use crate::package::{Demands, Interpreter, is_supported};
use rsp::aka::AlgorithmId;

/// A profile package as a card would install it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageReport {
    /// The ICCID in its header.
    pub iccid: Iccid,
    /// The type of the profile, in words.
    pub profile_type: Option<String>,
    /// The version of SAIP that it is written in.
    pub version: (u8, u8),
    /// Its elements, in their order.
    pub elements: Vec<ElementReport>,
    /// How many files it makes, directories included.
    pub files: usize,
    /// The memory that they take, in bytes.
    pub memory: usize,
    /// Why it cannot be installed; `None` when it can.
    pub failure: Option<String>,
}

/// One element of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementReport {
    /// What it is.
    pub kind: Kind,
    /// Its number, which the profile header does not have.
    pub number: Option<u16>,
    /// Whether a card that does not support it has to refuse the package.
    pub mandated: bool,
    /// Its length in bytes.
    pub length: usize,
    /// What became of it.
    pub outcome: Outcome,
    /// What it has made, a line each.
    pub details: Vec<String>,
}

/// What became of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Executed: what it describes works.
    Executed,
    /// Kept as a record: it can be read here, and does nothing.
    Kept,
    /// Not supported and not mandated: passed over.
    PassedOver,
    /// The installation ends here.
    Refused(String),
    /// The installation ended before.
    NotReached,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Executed => f.write_str("executed"),
            Outcome::Kept => f.write_str("kept as a record"),
            Outcome::PassedOver => f.write_str("passed over: not supported, not mandated"),
            Outcome::Refused(problem) => write!(f, "refused: {problem}"),
            Outcome::NotReached => f.write_str("not reached"),
        }
    }
}

impl PackageReport {
    /// Takes a package apart as a card like this would install it. An error says why it is no package at all.
    pub fn of(package: &[u8], card: &CardConfig) -> Result<Self, String> {
        let header = ProfileHeader::of_package(package).map_err(|error| error.to_string())?;
        let metadata = StoreMetadata {
            iccid: header.iccid,
            service_provider_name: String::new(),
            profile_name: String::new(),
            icon_type: None,
            icon: None,
            profile_class: ProfileClass::Operational,
            notification_configuration: Vec::new(),
            profile_owner: None,
            profile_policy_rules: None,
        };
        let demands = Demands {
            uicc_capability: card.uicc_capability,
            profile_version: card.profile_version,
            memory: card.memory,
        };
        let mut interpreter = Interpreter::new(metadata, demands, package.len());
        let mut failure: Option<String> = None;
        let mut elements = Vec::new();
        for element in split(package) {
            let element = element.map_err(|error| error.to_string())?;
            let head = element.header();
            let before = Made::of(interpreter.installer().image());
            let outcome = match failure {
                Some(_) => Outcome::NotReached,
                None => match interpreter.feed(element.raw()) {
                    Err(problem) => {
                        failure = Some(problem.to_string());
                        Outcome::Refused(problem.to_string())
                    }
                    Ok(()) if !is_supported(element.kind(), card.uicc_capability) => Outcome::PassedOver,
                    Ok(()) => match element.kind() {
                        Kind::SecurityDomain | Kind::Rfm | Kind::Application | Kind::CdmaParameter => Outcome::Kept,
                        _ => Outcome::Executed,
                    },
                },
            };
            let made = matches!(outcome, Outcome::Executed | Outcome::Kept)
                .then(|| (before, Made::of(interpreter.installer().image())));
            let report = ElementReport {
                kind: element.kind(),
                number: head.map(|head| head.identification),
                mandated: head.is_some_and(|head| head.mandated),
                length: element.raw().len(),
                outcome,
                details: Vec::new(),
            };
            elements.push((report, made));
        }
        // Told in the end, when it is known where links lead.
        let image = interpreter.installer().image();
        let elements = elements
            .into_iter()
            .map(|(report, made)| {
                let details = made.map_or(Vec::new(), |(before, after)| before.details(&after, image));
                ElementReport { details, ..report }
            })
            .collect();
        let (files, memory) = (interpreter.installer().image().files.len(), interpreter.installer().size());
        if failure.is_none() {
            failure = interpreter.finish().err().map(|problem| problem.to_string());
        }
        Ok(PackageReport {
            iccid: header.iccid,
            profile_type: header.profile_type,
            version: (header.major, header.minor),
            elements,
            files,
            memory,
            failure,
        })
    }
}

/// How much had been made before an element.
struct Made {
    files: usize,
    pins: usize,
    puks: usize,
    shared_pins: usize,
    authentications: usize,
    shared_authentications: usize,
    records: usize,
}

impl Made {
    fn of(image: &Image) -> Self {
        Made {
            files: image.files.len(),
            pins: image.pins.len(),
            puks: image.puks.len(),
            shared_pins: image.shared_pins.len(),
            authentications: image.authentications.len(),
            shared_authentications: image.shared_authentications.len(),
            records: image.records.len(),
        }
    }

    /// What has been made from here up to `after`.
    fn details(&self, after: &Made, image: &Image) -> Vec<String> {
        let files = image.references().take(after.files).skip(self.files).map(|file| describe_file(image, file));
        let pins = image.pins[self.pins..after.pins].iter().map(|pin| {
            let state = if pin.enabled { "enabled" } else { "disabled" };
            let puk =
                pin.puk.map_or(String::new(), |puk| format!(", unblocked by {:02X}", image.puks[usize::from(puk)].key));
            let place = path(image, pin.directory);
            format!("key {:02X} of {place}: {state}, {} of {} tries{puk}", pin.key, pin.tries.left, pin.tries.most)
        });
        let puks = image.puks[self.puks..after.puks]
            .iter()
            .map(|puk| format!("unblocking code {:02X}: {} of {} tries", puk.key, puk.tries.left, puk.tries.most));
        let shared_pins = image.shared_pins[self.shared_pins..after.shared_pins]
            .iter()
            .map(|(from, to)| format!("{} has the keys of {}", path(image, *from), path(image, *to)));
        let authentications = image.authentications[self.authentications..after.authentications].iter().map(|entry| {
            let algorithm = match entry.aka.algorithm() {
                AlgorithmId::Milenage => "Milenage".to_owned(),
                AlgorithmId::Tuak { key_bits } => format!("TUAK, {key_bits} bits"),
                AlgorithmId::Test => "the test algorithm of TS 34.108".to_owned(),
            };
            format!("{}: {algorithm}", path(image, entry.application))
        });
        let shared = image.shared_authentications[self.shared_authentications..after.shared_authentications]
            .iter()
            .map(|(from, to)| {
                format!(
                    "{} authenticates like {}",
                    path(image, *from),
                    path(image, image.authentications[*to].application)
                )
            });
        let records = image.records[self.records..after.records].iter().map(describe_record);
        files.chain(pins).chain(puks).chain(shared_pins).chain(authentications).chain(shared).chain(records).collect()
    }
}

/// The path of a file as people write it: identifiers from the MF, or from the application.
fn path(image: &Image, file: FileRef) -> String {
    let mut parts: Vec<String> = image
        .ancestry(file)
        .filter(|part| *part != MF || file == MF)
        .map(|part| match &image.file(part).structure {
            Structure::Application { kind, .. } => format!("ADF.{}", kind.to_string().to_uppercase()),
            _ if part == MF => "MF".to_owned(),
            _ => format!("{:04X}", image.file(part).id),
        })
        .collect();
    if let Some(application) = parts.iter().position(|part| part.starts_with("ADF")) {
        parts.truncate(application + 1);
    }
    parts.reverse();
    parts.join("/")
}

fn describe_file(image: &Image, file: FileRef) -> String {
    let own = image.file(file);
    let kind = image.application_of(file).and_then(|application| match image.file(application).structure {
        Structure::Application { kind, .. } => Some(kind),
        _ => None,
    });
    let parent = image.file(own.parent);
    let inside = (own.parent != MF && !matches!(parent.structure, Structure::Application { .. })).then_some(parent.id);
    let name = template::name(own.id, inside, kind).map_or(String::new(), |name| format!(" {name}"));
    let length = own.content.len();
    let link = own.link.map(|target| format!(", shows {}", path(image, target)));
    let rules = format!("rules {:04X}/{:02X}", own.access.0, own.access.1);
    let short_id = own.short_id.map_or(String::new(), |id| format!(", short id {id:02X}"));
    let what = match &own.structure {
        Structure::Directory => "directory".to_owned(),
        Structure::Application { aid, .. } => format!("application {}", to_hex(aid.as_bytes())),
        Structure::Transparent => format!("transparent, {}", count(length, "byte")),
        Structure::LinearFixed { length: record } => format!("linear fixed, {}", records(length, *record)),
        Structure::Cyclic { length: record } => format!("cyclic, {}", records(length, *record)),
        Structure::BerTlv => format!("BER-TLV, {}", count(length, "byte")),
    };
    let what = if own.link.is_some() { "link".to_owned() } else { what };
    format!("{}{name}: {what}{}, {rules}{short_id}", path(image, file), link.unwrap_or_default())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn records(length: usize, record: u8) -> String {
    let record = usize::from(record);
    format!("{} of {}", count(length / record, "record"), count(record, "byte"))
}

fn describe_record(record: &Record) -> String {
    match record {
        Record::SecurityDomain { aid, keys } => {
            let keys: Vec<String> = keys.iter().map(|(version, id)| format!("{version:02X}/{id:02X}")).collect();
            format!("security domain {}, keys (version/identifier) {}", to_hex(aid), keys.join(" "))
        }
        Record::Application { package, code, instances } => {
            let package =
                package.as_ref().map_or(String::new(), |aid| format!("load file {} of {code} bytes, ", to_hex(aid)));
            let instances: Vec<String> = instances.iter().map(|aid| to_hex(aid)).collect();
            format!("{package}instances: {}", instances.join(" "))
        }
        Record::RemoteFileManagement { aid, tars, minimum_security, application } => {
            let tars: Vec<String> = tars.iter().map(|tar| to_hex(tar)).collect();
            let place = application
                .as_ref()
                .map_or("the UICC's files".to_owned(), |aid| format!("application {}", to_hex(aid)));
            format!(
                "remote management {} of {place}, TAR {}, minimum security {minimum_security:02X}",
                to_hex(aid),
                tars.join(" ")
            )
        }
        Record::Cdma => "CDMA authentication key".to_owned(),
    }
}
