//! The shop with the learner's own leases under its stock: `cargo lab shop --mine lease`.

use std::process::ExitCode;

use shop::command::Patterns;
use shop_inventory::leases::Leases;

// The lab puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/02-locks/lease.rs"]
mod lease;

#[tokio::main]
async fn main() -> ExitCode {
    let leases = Leases::open::<lease::MyLease>;
    shop::command::main(Patterns { leases, called: "cargo lab shop --mine lease" }).await
}
