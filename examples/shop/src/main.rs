//! `shop`: the reference shop, as a command.

use std::process::ExitCode;

use shop::command::Patterns;

#[tokio::main]
async fn main() -> ExitCode {
    shop::command::main(Patterns::default()).await
}
