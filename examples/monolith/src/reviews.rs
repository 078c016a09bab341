//! What customers think of a product: one review by each.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shop_contracts::Kind;
use shop_contracts::catalog::{PageNumber, PageSize};
use shop_contracts::id::ProductId;
use shop_contracts::page::Page;
use shop_service::{Answer, Body, Failure, Path, Query};
use shop_storage::{Database, Error, now, sqlx};

use crate::accounts::{self, Caller};
use crate::{Monolith, catalog};

/// A review, as everybody may read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// How its author wants to be called.
    pub by: String,
    /// One to five.
    pub stars: Stars,
    /// Why.
    pub words: Words,
    /// Microseconds since 1970, UTC.
    pub written_at: i64,
}

/// What a customer writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opinion {
    /// One to five.
    pub stars: Stars,
    /// Why.
    pub words: Words,
}

/// One to five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Stars(i64);

impl TryFrom<i64> for Stars {
    type Error = String;

    fn try_from(number: i64) -> Result<Stars, String> {
        match number {
            1..=5 => Ok(Stars(number)),
            _ => Err(format!("a review has 1 to 5 stars, not {number}")),
        }
    }
}

impl From<Stars> for i64 {
    fn from(stars: Stars) -> i64 {
        stars.0
    }
}

/// 1 to 2,000 characters, in as many lines as it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Words(String);

impl TryFrom<String> for Words {
    type Error = String;

    fn try_from(typed: String) -> Result<Words, String> {
        let words = typed.trim();
        // PostgreSQL cannot store NUL, and of the others only the line's end is of use.
        if words.chars().any(|c| c.is_control() && c != '\n') {
            return Err("control characters are not allowed, but for the end of a line".into());
        }
        match words.chars().count() {
            1..=2000 => Ok(Words(words.to_owned())),
            length => Err(format!("1 to 2000 characters are allowed, not {length}")),
        }
    }
}

impl From<Words> for String {
    fn from(words: Words) -> String {
        words.0
    }
}

/// Which reviews.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Which {
    page: Option<PageNumber>,
    size: Option<PageSize>,
}

/// `GET /api/products/{id}/reviews`
pub(crate) async fn read(
    State(shop): State<Monolith>,
    Path(product): Path<ProductId>,
    Query(which): Query<Which>,
) -> Answer<Page<Review>> {
    let (page, size) = (which.page.map_or(1, u32::from), which.size.map_or(20, u32::from));
    must_exist(&shop.database, product).await?;
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM reviews WHERE product = $1")
        .bind(product.to_string())
        .fetch_one(shop.database.reader())
        .await?;
    let rows: Vec<(String, i64, String, i64)> = sqlx::query_as(
        "SELECT users.name, stars, words, written_at
         FROM reviews JOIN users ON users.id = reviews.customer
         WHERE product = $1 ORDER BY written_at DESC, users.id LIMIT $2 OFFSET $3",
    )
    .bind(product.to_string())
    .bind(i64::from(size))
    .bind(i64::from(page - 1) * i64::from(size))
    .fetch_all(shop.database.reader())
    .await?;
    let items = rows.into_iter().map(|(by, stars, words, written_at)| Review {
        by,
        stars: Stars(stars),
        words: Words(words),
        written_at,
    });
    Ok(Json(Page { items: items.collect(), total: total.unsigned_abs(), page, size }))
}

/// `POST /api/products/{id}/reviews`
pub(crate) async fn write(
    State(shop): State<Monolith>,
    Caller(customer): Caller,
    Path(product): Path<ProductId>,
    Body(Opinion { stars, words }): Body<Opinion>,
) -> Result<(StatusCode, Json<Review>), Failure> {
    must_exist(&shop.database, product).await?;
    let mut change = shop.database.begin().await?;
    let by: Option<String> = sqlx::query_scalar("SELECT name FROM users WHERE id = $1")
        .bind(customer.to_string())
        .fetch_optional(&mut *change)
        .await?;
    let review = Review { by: by.ok_or_else(accounts::gone)?, stars, words, written_at: now() };
    let insert = "INSERT INTO reviews (product, customer, stars, words, written_at)
                  VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(insert)
        .bind(product.to_string())
        .bind(customer.to_string())
        .bind(i64::from(review.stars))
        .bind(&review.words.0)
        .bind(review.written_at)
        .execute(&mut *change)
        .await
        .map_err(|error| match Error::from(error) {
            Error::Taken(_) => Failure::new(Kind::Taken, "you have reviewed this product already"),
            other => other.into(),
        })?;
    change.commit().await?;
    Ok((StatusCode::CREATED, Json(review)))
}

/// Products are never deleted, so one look is enough.
async fn must_exist(database: &Database, product: ProductId) -> Result<(), Failure> {
    let found: Option<i64> = sqlx::query_scalar("SELECT price FROM products WHERE id = $1")
        .bind(product.to_string())
        .fetch_optional(database.reader())
        .await?;
    found.map(|_| ()).ok_or_else(|| catalog::unknown(product))
}
