//! The `esimlab` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    esimlab::cli::main()
}
