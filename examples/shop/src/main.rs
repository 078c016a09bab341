//! The shop, as a command.

fn main() {}
