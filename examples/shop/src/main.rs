//! `shop`: the reference shop, as a command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    shop::command::main().await
}
