//! The `esimlab` program.
fn main() {}
