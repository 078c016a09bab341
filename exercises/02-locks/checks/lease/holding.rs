//! A second process that holds.

use super::*;
use serde::{Deserialize, Serialize};

/// What the second process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) url: String,
    pub(super) name: String,
    pub(super) ttl: Duration,
}

/// Each time it hears something: acquires and says its token, then releases and says so.
pub(super) async fn holder<L: Lease>(mut child: Child) {
    let Order { url, name, ttl } = child.arguments();
    let leases = L::open(&url, Options { ttl, ..LONG }).expect("the parent's URL can be read");
    loop {
        child.hear().await;
        match leases.acquire(&name, SOON).await {
            Ok(held) => {
                Child::say(&held.token().to_string());
                child.hear().await;
                let _ = held.release().await;
                Child::say("released");
            }
            Err(error) => Child::say(&format!("error: {error}")),
        }
    }
}
