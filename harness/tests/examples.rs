//! The examples for other languages work. Skipped where their tools are not installed.

use std::process::{Command, Stdio};

#[test]
fn the_python_example_passes() {
    let python = || {
        let mut command = Command::new("python3");
        command.stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let has_it = python()
        .args(["-c", "import pytest, serial"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_it {
        return eprintln!("skipped: python3 with pytest and pyserial is not there");
    }
    let output = python()
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python"))
        .env("ESIMLAB", env!("CARGO_BIN_EXE_esimlab"))
        .env_remove("ESIMLAB_MODEL")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// What the page of examples shows of the command line is what the command line takes.
#[test]
fn the_commands_of_the_page_are_understood() {
    let page = include_str!("../examples/README.md");
    let mut options: Vec<&str> = page
        .split(|char: char| char.is_whitespace() || "`\"".contains(char))
        .filter(|word| {
            word.strip_prefix("--").is_some_and(|name| name.starts_with(|char: char| char.is_ascii_alphabetic()))
        })
        .map(|word| word.split('=').next().unwrap_or(word).trim_end_matches([',', '.', ':', ';']))
        .collect();
    options.sort_unstable();
    options.dedup();
    let help = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_esimlab")).args([command, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let known = help("run")
        + &help("merge")
        + &help("up")
        + &help("compare")
        + &help("record")
        + &help("replay")
        + "--release --example ";
    for option in options {
        assert!(known.contains(option), "{option}");
    }
}
