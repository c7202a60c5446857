//! `esimlab profile`: what is in a profile package and what a card makes of it; packages from descriptions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use euicc::{CardConfig, ElementReport, Outcome, PackageReport};
use rsp::Eid;
use smdp::profile::{Profile, ProfileError, ProfileSpec};

use crate::cli::{Abort, print};
use crate::runner::result::exit;
use crate::scenario::error::Mistakes;
use crate::toml_file::{self, Wrong};

/// The commands of `esimlab profile`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Tell what is in an unprotected profile package, and what becomes of each element on the card of the lab
    Show {
        /// The package (DER)
        #[arg(value_name = "FILE")]
        file: PathBuf,

        /// Name every file, key and record that an element makes
        #[arg(short, long)]
        verbose: bool,

        /// Print one JSON object instead, with everything that `--verbose` tells
        #[arg(long)]
        json: bool,
    },
    /// Make packages of descriptions: one profile, or a table for each under its name
    #[command(after_help = "A description has at least name, provider, iccid, imsi, ki and opc:\n\n  \
        name = \"Operator\"\n  provider = \"Operator\"\n  iccid = \"8999901000000000013\"\n  imsi = \"001010000000101\"\n  \
        ki = \"465B5CE8B199B49FAA5F0A2EE238A6BC\"\n  opc = \"CD63CB71954A9F4E48A5994E37A02BAF\"")]
    Build {
        /// The description (TOML)
        #[arg(value_name = "FILE.toml")]
        file: PathBuf,

        /// Where the package goes; a folder when the description has several profiles
        #[arg(short, long, value_name = "OUT")]
        out: PathBuf,
    },
}

pub(crate) fn run(command: &ProfileCommand) -> Result<u8, Abort> {
    match command {
        ProfileCommand::Show { file, verbose, json } => show(file, *verbose, *json),
        ProfileCommand::Build { file, out } => build(file, out),
    }
}

/// The card whose capabilities packages are held against: the lab's.
fn card() -> Result<CardConfig, Abort> {
    let eid =
        Eid::with_check_digits("890490321234512345123456789012").map_err(|error| Abort::lab(error.to_string()))?;
    Ok(CardConfig::new(eid, Vec::new()))
}

fn show(file: &Path, verbose: bool, json: bool) -> Result<u8, Abort> {
    let package =
        std::fs::read(file).map_err(|error| Abort::usage(format!("cannot read {}: {error}", file.display())))?;
    let report = PackageReport::of(&package, &card()?).map_err(|error| {
        let hint = match &package[..] {
            [0xBF, 0x36, ..] => {
                "it is a bound one, sealed for one eUICC; what is in it is in the package it was made of"
            }
            _ if std::str::from_utf8(&package).is_ok_and(|text| text.contains('=')) => {
                "it is a description; `esimlab profile build` makes a package of it"
            }
            _ => "a package is DER, and begins with a profile header, A0",
        };
        Abort::usage(format!("{} is no unprotected profile package: {error}; {hint}", file.display()))
    })?;
    let text = if json { describe_json(&report, package.len()) } else { describe(&report, package.len(), verbose) };
    print(&text);
    Ok(if report.failure.is_none() { exit::PASSED } else { exit::FAILED })
}

fn describe(report: &PackageReport, length: usize, verbose: bool) -> String {
    let mut text = String::new();
    let (major, minor) = report.version;
    let name = report.profile_type.as_deref().unwrap_or("A profile without a name");
    // Writing to a string does not fail.
    let _ = writeln!(text, "{name}");
    let _ = writeln!(text, "ICCID {}, SAIP {major}.{minor}, {length} bytes\n", report.iccid);
    let kinds: Vec<String> = report.elements.iter().map(|element| element.kind.to_string()).collect();
    let width = kinds.iter().map(String::len).max().unwrap_or(0);
    for (element, kind) in report.elements.iter().zip(kinds) {
        let number = element.number.map_or(String::new(), |number| number.to_string());
        let mandated = if element.mandated { "mandated" } else { "" };
        let _ = write!(text, "{number:>5}  {kind:<width$}  {:>6} bytes  {mandated:<8}  ", element.length);
        let _ = writeln!(text, "{}", in_short(element));
        // A single thing stands in the line already.
        if verbose && element.details.len() > 1 {
            for line in &element.details {
                let _ = writeln!(text, "         {line}");
            }
        }
    }
    let _ = match &report.failure {
        None => {
            writeln!(text, "\ninstalls: {} files and directories, {} bytes of memory", report.files, report.memory)
        }
        Some(problem) => writeln!(text, "\ndoes not install: {problem}"),
    };
    text
}

/// The same for programs, in one line.
fn describe_json(report: &PackageReport, length: usize) -> String {
    let element = |element: &ElementReport| {
        serde_json::json!({
            "kind": element.kind.to_string(),
            "number": element.number,
            "mandated": element.mandated,
            "length": element.length,
            "outcome": match &element.outcome {
                Outcome::Executed => "executed",
                Outcome::Kept => "kept",
                Outcome::PassedOver => "passedOver",
                Outcome::Refused(_) => "refused",
                Outcome::NotReached => "notReached",
            },
            "details": element.details,
        })
    };
    let object = serde_json::json!({
        "iccid": report.iccid.to_string(),
        "type": report.profile_type,
        "saip": format!("{}.{}", report.version.0, report.version.1),
        "length": length,
        "installs": report.failure.is_none(),
        "failure": report.failure,
        "files": report.files,
        "memory": report.memory,
        "elements": report.elements.iter().map(element).collect::<Vec<_>>(),
    });
    format!("{object}\n")
}

/// What became of an element, in one line: a single thing by itself, several counted.
fn in_short(element: &ElementReport) -> String {
    let outcome = element.outcome.to_string();
    match &element.details[..] {
        [] => outcome,
        [only] => format!("{outcome}; {only}"),
        details if element.outcome == Outcome::Kept => format!("{outcome}; {} records", details.len()),
        details => {
            let kinds = [
                ("application", "applications", ": application"),
                ("directory", "directories", ": directory"),
                ("link", "links", ": link"),
                ("unblocking code", "unblocking codes", "unblocking code "),
                ("key", "keys", "key "),
            ];
            let mut rest = details.len();
            let mut counts: Vec<String> = Vec::new();
            for (one, many, mark) in kinds {
                let is =
                    |line: &&String| if mark.starts_with(':') { line.contains(mark) } else { line.starts_with(mark) };
                let count = details.iter().filter(is).count();
                rest -= count;
                if count > 0 {
                    counts.push(format!("{count} {}", if count == 1 { one } else { many }));
                }
            }
            if rest > 0 {
                counts.push(format!("{rest} {}", if rest == 1 { "file" } else { "files" }));
            }
            format!("{outcome}; {}", counts.join(", "))
        }
    }
}

fn build(file: &Path, out: &Path) -> Result<u8, Abort> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Abort::usage(format!("cannot read {}: {error}", file.display())))?;
    let (packages, is_list) = described(&file.display().to_string(), &text, out)?;
    let failed = |path: &Path, error: std::io::Error| Abort::usage(format!("cannot write {}: {error}", path.display()));
    if is_list {
        std::fs::create_dir_all(out).map_err(|error| failed(out, error))?;
    }
    for (path, profile) in &packages {
        std::fs::write(path, profile.package()).map_err(|error| failed(path, error))?;
        let (name, iccid) = (profile.name(), profile.iccid());
        print(&format!("{}: {name}, ICCID {iccid}, {} bytes\n", path.display(), profile.package().len()));
    }
    Ok(exit::PASSED)
}

/// The profiles of a description, each with the file that it goes to, and whether they are a list.
fn described(file: &str, text: &str, out: &Path) -> Result<(Vec<(PathBuf, Profile)>, bool), Mistakes> {
    // A profile has values at the top, a list of profiles tables alone.
    let is_list = |text: &str| {
        let table: Option<toml::Table> = text.parse().ok();
        table.is_some_and(|table| !table.is_empty() && table.values().all(toml::Value::is_table))
    };
    let is_list = is_list(text);
    let packages: Vec<(PathBuf, Profile)> = match is_list {
        true => toml_file::read(file, text, |text| {
            let list: BTreeMap<String, ProfileSpec> = toml::from_str(text)?;
            list.iter().map(|(key, spec)| Ok((out.join(format!("{key}.der")), built(key, spec)?))).collect()
        })?,
        false => toml_file::read(file, text, |text| {
            let spec: ProfileSpec = toml::from_str(text)?;
            Ok(vec![(out.to_owned(), Profile::build(&spec).map_err(|error| refused(&[], error))?)])
        })?,
    };
    Ok((packages, is_list))
}

/// A profile of a list.
fn built(key: &str, spec: &ProfileSpec) -> Result<Profile, Wrong> {
    if key.contains(['/', '\\']) || key.starts_with('.') {
        return Err(Wrong::at([key], format!("{key:?} cannot be the name of a file")));
    }
    Profile::build(spec).map_err(|error| refused(&[key], error))
}

/// What is wrong with the description of a profile that is found at this path of a file.
pub(crate) fn refused(path: &[&str], error: ProfileError) -> Wrong {
    match error {
        ProfileError::Value { field, rule, .. } => Wrong::at(path.iter().chain([&field]), format!("`{field}` {rule}")),
        other => Wrong::at(path, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_descriptions_are_told_at_their_places() {
        let told = |text: &str| match described("profile.toml", text, Path::new("out")) {
            Ok(_) => String::new(),
            Err(mistakes) => mistakes.render(false, 100),
        };
        let one = "\
name = 'Mine'
provider = 'Me'
iccid = '8999901000000000013'
imsi = '00101'
clas = 'test'
class = 'tset'
ki = 'xyz'
opc = '00'
algorithm = 'milenag'
";
        let list = "\
[first]
name = 'One'
provider = 'Me'
iccid = '8999901000000000013'
imsi = '001010000000001'
ki = '000102030405060708090A0B0C0D0E0F'
opc = '000102030405060708090A0B0C0D0E0F'
msisdn = 'what'

['../second']
name = 'Two'
provider = 'Me'
iccid = '8999901000000000021'
imsi = '001010000000002'
ki = '000102030405060708090A0B0C0D0E0F'
";
        insta::assert_snapshot!([told(one), told(list)].concat());
    }
}
