//! The `lpad` program.
fn main() {}
