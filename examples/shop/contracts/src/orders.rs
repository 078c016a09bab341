//! Orders, and how far they are.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /orders` | checks the customer's cart out: 201 and the [`Order`], confirmed; or 202 and the [`Order`], under way |
//! | `GET /orders?customer` | the customer's [`Order`]s, the latest first |
//! | `GET /orders/{id}?customer` | the [`Order`], if it is theirs |
//! | `GET /orders/{id}/progress?customer` | its states, as server-sent events, until it ends |
//! | `GET /traces/{id}`, `GET /traces/latest` | its [`Trace`], for who runs the shop |
//! | `GET /books` | [`Books`] |

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Peer;
use crate::carts::Line;
use crate::event::Said;
use crate::id::{CustomerId, OrderId};
use crate::money::Money;
use crate::problem::Problem;
use crate::text::{Card, IdempotencyKey};

/// How far an order is. Which may follow which is the orders service's own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Placed; nothing has been done for it.
    Pending,
    /// All of it is held in the warehouse.
    StockReserved,
    /// Charged.
    Paid,
    /// The customer's.
    Confirmed,
    /// There was not enough in stock, or nobody could be asked for it.
    Rejected,
    /// It did not work out; what was done for it is being undone.
    Cancelling,
    /// It did not work out, and nothing is left of it.
    Cancelled,
}

impl State {
    /// All of them, by the names that they have in JSON.
    const NAMES: [(State, &'static str); 7] = [
        (State::Pending, "pending"),
        (State::StockReserved, "stock_reserved"),
        (State::Paid, "paid"),
        (State::Confirmed, "confirmed"),
        (State::Rejected, "rejected"),
        (State::Cancelling, "cancelling"),
        (State::Cancelled, "cancelled"),
    ];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        State::NAMES.iter().find(|line| line.0 == self).map_or("", |line| line.1)
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<State> {
        State::NAMES.iter().find(|line| line.1 == name).map(|line| line.0)
    }

    /// Whether nothing follows it.
    pub fn is_end(self) -> bool {
        matches!(self, State::Confirmed | State::Rejected | State::Cancelled)
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Whose it is.
    pub customer: CustomerId,
    /// How far it is.
    pub state: State,
    /// What was bought, at the prices of that moment.
    pub lines: Vec<Line>,
    /// What it comes to.
    pub total: Money,
    /// Why it did not work out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was placed: microseconds since 1970, UTC.
    pub placed_at: i64,
    /// How long each step took.
    pub took: Took,
}

/// How long the steps of a checkout took, in microseconds, where they came to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Took {
    /// Holding the stock.
    pub reserving: Option<i64>,
    /// Charging.
    pub paying: Option<i64>,
    /// From the order's placing to its confirmation.
    pub confirmed: Option<i64>,
    /// Telling the customer.
    pub notifying: Option<i64>,
}

/// A wish to buy what is in the cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    /// What to charge: a token of the payment provider's.
    pub card: Card,
}

/// A wish to buy, by whom, and for the how-manieth time it is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Who buys.
    pub customer: CustomerId,
    /// What to charge.
    pub card: Card,
    /// The same key is the same wish: the answer is the order that it led to.
    pub key: IdempotencyKey,
}

/// What has happened for an order, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The order.
    pub order: Order,
    /// Whether it is a saga's: then how that stands, or `under way`.
    pub saga: Option<String>,
    /// In which trace it was placed: its id, in hexadecimal digits.
    pub trace: Option<String>,
    /// One after the other.
    pub happened: Vec<Happened>,
}

/// One thing that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When it began: microseconds since 1970, UTC.
    pub at: i64,
    /// How long it took, in microseconds, where it took any time.
    pub took: Option<i64>,
    /// `do`, `ask`, `undo`: an attempt of a step; `journal`: an entry; `event`: what others were told.
    pub what: String,
    /// Of which step, or of which type.
    pub of: String,
    /// What came of it.
    pub said: String,
}

impl From<Said> for Happened {
    fn from(Said { event, sent_at }: Said) -> Happened {
        let took = sent_at.map(|sent| sent - event.time);
        let said = if took.is_some() { "told" } else { "waits in the outbox" };
        Happened {
            at: event.time,
            took,
            what: "event".to_owned(),
            of: event.kind,
            said: said.to_owned(),
        }
    }
}

/// Sums over all orders, for those who check that they add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// How many are confirmed.
    pub confirmed: i64,
    /// What those come to, in minor units.
    pub revenue: i64,
    /// How many things were sold in them.
    pub units: i64,
    /// How many came to nothing.
    pub failed: i64,
    /// How many are still under way.
    pub open: i64,
}

/// Asks the orders service.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn place(&self, wish: &Place) -> Result<Order, Problem> {
        self.0.call(Method::POST, "/orders", Some(wish)).await
    }

    pub async fn orders(&self, customer: CustomerId) -> Result<Vec<Order>, Problem> {
        self.0.get(&format!("/orders?customer={customer}")).await
    }

    pub async fn order(&self, customer: CustomerId, id: OrderId) -> Result<Order, Problem> {
        self.0.get(&format!("/orders/{id}?customer={customer}")).await
    }

    /// Of the order `which`, or of the `latest`.
    pub async fn trace(&self, which: &str) -> Result<Trace, Problem> {
        self.0.get(&format!("/traces/{which}")).await
    }

    pub async fn books(&self) -> Result<Books, Problem> {
        self.0.get("/books").await
    }
}
