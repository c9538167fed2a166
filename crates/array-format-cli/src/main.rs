//! The command `af`.
fn main() {}
