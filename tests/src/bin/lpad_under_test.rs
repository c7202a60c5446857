//! The `lpad` program once more, so that it is built for the end-to-end tests whichever of them are asked for.

use std::process::ExitCode;

fn main() -> ExitCode {
    lpad::main_with(std::env::args_os())
}
