//! What is for sale, and at which price.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /categories` | all [`Category`]s |
//! | `GET /products?category&q&page&size` | a [`Page`] of [`Product`]s, by name |
//! | `GET /products/{id}` | a [`Product`], from the cache where `pattern.cache` says so |
//! | `POST /quotes` | a [`Quote`] for each known product asked for |
//! | `PUT /products/{id}/price` | sets it, and makes the cache forget the old one |
//! | `POST /products` | takes in a supplier's list |

use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::ProductId;
use crate::money::{Money, Price};
use crate::page::Page;
use crate::problem::Problem;
use crate::{Peer, text};

/// A shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Category {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// A thing for sale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The shelf on which it stands.
    pub category: String,
    /// What it is.
    pub name: String,
    /// What one should know of it.
    pub description: String,
    /// What one of it costs.
    pub price: Money,
}

/// Which products.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Browse {
    /// Only of this category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<text::Slug>,
    /// Only those whose name holds this, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<text::Search>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<PageNumber>,
    /// 1 to 100; 20 if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<PageSize>,
}

impl Browse {
    /// As it stands behind the `?`, with what was left out filled in.
    pub fn page(&self) -> (u32, u32) {
        (self.page.map_or(1, |page| page.0), self.size.map_or(20, |size| size.0))
    }
}

macro_rules! bounded {
    ($($(#[$doc:meta])* $name:ident, $least:literal to $most:literal, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "u32", into = "u32")]
        pub struct $name(u32);

        impl TryFrom<u32> for $name {
            type Error = String;

            fn try_from(number: u32) -> Result<$name, String> {
                match number {
                    $least..=$most => Ok($name(number)),
                    _ => Err(format!("{} is {} to {}, not {number}", $what, $least, $most)),
                }
            }
        }

        impl From<$name> for u32 {
            fn from(number: $name) -> u32 {
                number.0
            }
        }
    )*};
}

bounded! {
    /// Which page.
    PageNumber, 1 to 10_000, "a page";
    /// How many on a page.
    PageSize, 1 to 100, "a page's size";
}

/// What a product costs now. For those who sell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// The product.
    pub product: ProductId,
    /// What it is called.
    pub name: String,
    /// What one of it costs.
    pub price: Money,
}

/// For which products a quote is wanted. The unknown ones are left out of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuotesFor {
    /// At most 1,000.
    pub products: Vec<ProductId>,
}

/// A new price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPrice {
    /// What one costs from now on.
    pub price: Price,
}

/// A supplier's list. Products that are there already are brought up to date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// The shelves.
    pub categories: Vec<Category>,
    /// What stands on them.
    pub products: Vec<Product>,
}

/// What the catalogue's database and cache have done since the service started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Questions that the database answered.
    pub database_reads: u64,
    /// Reads of one product that the database answered.
    pub product_loads: u64,
    /// Products in the catalogue.
    pub products: u64,
}

/// Asks the catalogue.
#[derive(Clone, Debug)]
pub struct Client(pub Peer);

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Client {
    pub async fn categories(&self) -> Result<Vec<Category>, Problem> {
        self.0.get("/categories").await
    }

    pub async fn products(&self, query: &str) -> Result<Page<Product>, Problem> {
        self.0.get(&format!("/products?{query}")).await
    }

    pub async fn product(&self, id: ProductId) -> Result<Product, Problem> {
        self.0.get(&format!("/products/{id}")).await
    }

    pub async fn quotes(&self, products: Vec<ProductId>) -> Result<Vec<Quote>, Problem> {
        self.0.call(Method::POST, "/quotes", Some(&QuotesFor { products })).await
    }

    pub async fn set_price(&self, id: ProductId, price: Price) -> Result<Product, Problem> {
        let path = format!("/products/{id}/price");
        self.0.call(Method::PUT, &path, Some(&NewPrice { price })).await
    }

    pub async fn take_in(&self, list: &List) -> Result<(), Problem> {
        self.0.call(Method::POST, "/products", Some(list)).await
    }

    pub async fn counters(&self) -> Result<Counters, Problem> {
        self.0.get("/counters").await
    }
}
