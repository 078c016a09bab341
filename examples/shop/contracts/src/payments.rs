//! What was charged.
//!
//! A payment is named by its order, so each of these may be asked twice and happens once.
//!
//! | request | answer |
//! | --- | --- |
//! | `PUT /payments/{order}` | charged: the [`Payment`]; `payment-declined` if the provider says no |
//! | `GET /payments/{order}` | the [`Payment`], whatever has become of it |
//! | `POST /payments/{order}/refund` | over: what was charged is given back, and nothing will be charged |
//! | `GET /events/{order}` | what was said about it: each [`Said`] |
//! | `GET /books` | [`Books`] |

use http::Method;
use serde::{Deserialize, Serialize};

use crate::Peer;
use crate::event::Said;
use crate::id::{CustomerId, OrderId};
use crate::money::{Money, Price};
use crate::problem::Problem;
use crate::text::Card;

/// What to charge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// Whom.
    pub customer: CustomerId,
    /// How much.
    pub amount: Price,
    /// From what.
    pub card: Card,
}

/// What has become of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The provider was asked, and its answer is not known here.
    Pending,
    /// Charged.
    Charged,
    /// The provider said no. Nothing was charged.
    Declined,
    /// Charged, and given back.
    Refunded,
    /// Over before anything was charged: nothing was, and nothing will be.
    Void,
}

/// A payment for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// The order.
    pub order: OrderId,
    /// Who pays. Nobody, where it was over before it was asked for.
    pub customer: Option<CustomerId>,
    /// How much. Nothing is known of it, where it was over before it was asked for.
    pub amount: Option<Money>,
    /// What has become of it.
    pub state: State,
    /// The provider's name for it, once it has one.
    pub reference: Option<String>,
}

/// Sums over all payments, for those who check that they add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// How many payments stand as charged.
    pub payments: i64,
    /// What they come to, in minor units.
    pub charged: i64,
    /// What was given back, in minor units.
    pub refunded: i64,
    /// How many are pending.
    pub pending: i64,
    /// What the provider's own books say was charged and not given back, in minor units.
    pub at_provider: i64,
}

/// Asks the payments service.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn charge(&self, order: OrderId, charge: &Charge) -> Result<Payment, Problem> {
        self.0.call(Method::PUT, &format!("/payments/{order}"), Some(charge)).await
    }

    pub async fn payment(&self, order: OrderId) -> Result<Payment, Problem> {
        self.0.get(&format!("/payments/{order}")).await
    }

    pub async fn refund(&self, order: OrderId) -> Result<Payment, Problem> {
        self.0.call(Method::POST, &format!("/payments/{order}/refund"), None::<&()>).await
    }

    /// What the service has said about `order`, for as long as it is kept.
    pub async fn events(&self, order: OrderId) -> Result<Vec<Said>, Problem> {
        self.0.get(&format!("/events/{order}")).await
    }

    pub async fn books(&self) -> Result<Books, Problem> {
        self.0.get("/books").await
    }
}
