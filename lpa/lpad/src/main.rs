//! The `lpad` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    lpad::main_with(std::env::args_os())
}
