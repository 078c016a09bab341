//! Whether it all adds up: what must be true of the shop after any load, asked of each service's
//! own books.

use std::fmt::Display;
use std::time::{Duration, Instant};

use serde::Serialize;
use shop_contracts::{Money, Peers, Problem};

/// One thing that must be true.
#[derive(Clone, Debug, Serialize)]
pub struct Invariant {
    /// What, in words.
    pub what: &'static str,
    /// The figures by which it was judged.
    pub figures: String,
    /// Whether it is.
    pub holds: bool,
}

/// How long to wait for orders that are under way.
const SETTLE: Duration = Duration::from_secs(20);

/// Waits until no order is under way, and judges.
///
/// # Errors
/// A service that does not answer.
pub async fn audit(peers: &Peers) -> Result<Vec<Invariant>, Problem> {
    let begun = Instant::now();
    let orders = loop {
        let books = peers.orders.books().await?;
        if books.open == 0 || begun.elapsed() > SETTLE {
            break books;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (stock, payments) = (peers.inventory.books().await?, peers.payments.books().await?);
    let euros = Money::euros;
    let counted = stock.available + stock.reserved + stock.sold;
    Ok(vec![
        equal("every order came to an end", [("open", orders.open), ("should be", 0)]),
        Invariant {
            what: "nothing is oversold",
            figures: format!("lowest stock {}", stock.lowest),
            holds: stock.lowest >= 0,
        },
        equal(
            "nothing is lost in the warehouse",
            [("counted", counted), ("delivered", stock.delivered)],
        ),
        equal("nothing is held for nobody", [("held", stock.reserved), ("should be", 0)]),
        equal("sold is what was ordered", [("sold", stock.sold), ("ordered", orders.units)]),
        equal(
            "charged is what was ordered",
            [("charged", euros(payments.charged)), ("ordered", euros(orders.revenue))],
        ),
        equal(
            "the payment provider agrees",
            [("charged", euros(payments.charged)), ("provider", euros(payments.at_provider))],
        ),
    ])
}

fn equal<T: PartialEq + Display>(what: &'static str, named: [(&str, T); 2]) -> Invariant {
    let [(left, a), (right, b)] = named;
    Invariant { what, figures: format!("{left} {a}, {right} {b}"), holds: a == b }
}
