//! What is in the warehouse, and for whom.
//!
//! A reservation is named by its order, so each of these may be asked twice and happens once.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /stock/{product}` | its [`Stock`] |
//! | `POST /stock` | takes in deliveries |
//! | `PUT /reservations/{order}` | all lines held, or `out-of-stock` and none of them |
//! | `GET /reservations/{order}` | the [`Reservation`], whatever has become of it |
//! | `POST /reservations/{order}/commit` | what was held is sold |
//! | `DELETE /reservations/{order}` | what was held is for sale again; 204 |
//! | `GET /events/{order}` | what was said about it: each [`Said`] |
//! | `GET /books` | [`Books`] |

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Said;
use crate::id::{OrderId, ProductId};
use crate::problem::Problem;
use crate::{Peer, Quantity};

/// How much there is of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stock {
    /// The product.
    pub product: ProductId,
    /// Can be bought.
    pub available: i64,
    /// Held for an order that is under way.
    pub reserved: i64,
    /// Sold.
    pub sold: i64,
}

/// So many more of a product. Given again for the same product, `first_stock` changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The product.
    pub product: ProductId,
    /// With how many it begins, where it is not in the warehouse yet.
    pub first_stock: u32,
}

/// What an order needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// One for each product.
    pub lines: Vec<Line>,
}

/// So many of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// How many.
    pub quantity: Quantity,
}

/// What has become of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// For this order only.
    Held,
    /// Sold to this order.
    Sold,
    /// For sale again.
    Released,
}

/// What is held for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The order.
    pub order: OrderId,
    /// What has become of it.
    pub state: State,
}

/// Sums over the warehouse, for those who check that they add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// How many products.
    pub products: i64,
    /// The smallest number available of any.
    pub lowest: i64,
    /// All that can be bought.
    pub available: i64,
    /// All that is held.
    pub reserved: i64,
    /// All that is sold.
    pub sold: i64,
    /// All that was ever delivered.
    pub delivered: i64,
}

/// Asks the warehouse.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn stock(&self, product: ProductId) -> Result<Stock, Problem> {
        self.0.get(&format!("/stock/{product}")).await
    }

    pub async fn deliver(&self, deliveries: &[Delivery]) -> Result<(), Problem> {
        self.0.call(Method::POST, "/stock", Some(&deliveries)).await
    }

    pub async fn reserve(&self, order: OrderId, wanted: &Wanted) -> Result<Reservation, Problem> {
        self.0.call(Method::PUT, &format!("/reservations/{order}"), Some(wanted)).await
    }

    pub async fn reservation(&self, order: OrderId) -> Result<Reservation, Problem> {
        self.0.get(&format!("/reservations/{order}")).await
    }

    pub async fn commit(&self, order: OrderId) -> Result<Reservation, Problem> {
        self.0.call(Method::POST, &format!("/reservations/{order}/commit"), None::<&()>).await
    }

    pub async fn release(&self, order: OrderId) -> Result<(), Problem> {
        self.0.call(Method::DELETE, &format!("/reservations/{order}"), None::<&()>).await
    }

    /// What the service has said about `order`, for as long as it is kept.
    pub async fn events(&self, order: OrderId) -> Result<Vec<Said>, Problem> {
        self.0.get(&format!("/events/{order}")).await
    }

    pub async fn books(&self) -> Result<Books, Problem> {
        self.0.get("/books").await
    }
}
