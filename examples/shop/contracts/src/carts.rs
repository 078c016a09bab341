//! What a customer means to buy.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /carts/{customer}` | the [`Cart`], at today's prices |
//! | `PUT /carts/{customer}/items/{product}` | so many of it from now on, and the [`Cart`] |
//! | `DELETE /carts/{customer}/items/{product}` | none of it, and the [`Cart`] |
//! | `DELETE /carts/{customer}` | 204, empty |

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{CustomerId, ProductId};
use crate::money::Money;
use crate::problem::Problem;
use crate::{Peer, Quantity};

/// A cart, as it would be paid now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cart {
    /// One for each product, in the order of their ids.
    pub lines: Vec<Line>,
    /// What all of it costs now.
    pub total: Money,
}

/// So many of one product, at its price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// What it is called.
    pub name: String,
    /// How many.
    pub quantity: Quantity,
    /// What one costs.
    pub price: Money,
}

/// How many from now on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// How many.
    pub quantity: Quantity,
}

/// The most different products in a cart.
pub const MOST_LINES: usize = 100;

/// Asks the carts service.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn cart(&self, customer: CustomerId) -> Result<Cart, Problem> {
        self.0.get(&format!("/carts/{customer}")).await
    }

    pub async fn put(
        &self,
        customer: CustomerId,
        product: ProductId,
        quantity: Quantity,
    ) -> Result<Cart, Problem> {
        let path = format!("/carts/{customer}/items/{product}");
        self.0.call(Method::PUT, &path, Some(&Put { quantity })).await
    }

    pub async fn remove(&self, customer: CustomerId, product: ProductId) -> Result<Cart, Problem> {
        let path = format!("/carts/{customer}/items/{product}");
        self.0.call(Method::DELETE, &path, None::<&()>).await
    }

    pub async fn clear(&self, customer: CustomerId) -> Result<(), Problem> {
        self.0.call(Method::DELETE, &format!("/carts/{customer}"), None::<&()>).await
    }
}
