//! What a customer means to buy.

use axum::Json;
use axum::extract::State;
use shop_contracts::carts::{Cart, Line, MOST_LINES, Put};
use shop_contracts::id::{CustomerId, ProductId};
use shop_contracts::{Kind, Money, Quantity};
use shop_service::{Answer, Body, Failure, Path};
use shop_storage::Database;
use shop_storage::sqlx::any::AnyRow;
use shop_storage::sqlx::{self, Any, AnyConnection, Executor, Row};

use crate::Monolith;
use crate::accounts::{self, Caller};
use crate::catalog::{self, id};

/// `GET /api/cart`
pub(crate) async fn show(State(shop): State<Monolith>, Caller(customer): Caller) -> Answer<Cart> {
    Ok(Json(cart(shop.database.reader(), customer).await?))
}

/// `PUT /api/cart/items/{product}`
pub(crate) async fn put(
    State(shop): State<Monolith>,
    Caller(customer): Caller,
    Path(product): Path<ProductId>,
    Body(Put { quantity }): Body<Put>,
) -> Answer<Cart> {
    let mut change = shop.database.begin().await?;
    lock(&shop.database, &mut change, customer).await?;
    let known: Option<i64> = sqlx::query_scalar("SELECT price FROM products WHERE id = $1")
        .bind(product.to_string())
        .fetch_optional(&mut *change)
        .await?;
    known.ok_or_else(|| catalog::unknown(product))?;
    sqlx::query(
        "INSERT INTO cart_items (customer, product, quantity) VALUES ($1, $2, $3)
         ON CONFLICT (customer, product) DO UPDATE SET quantity = excluded.quantity",
    )
    .bind(customer.to_string())
    .bind(product.to_string())
    .bind(i64::from(quantity))
    .execute(&mut *change)
    .await?;
    let cart = cart(&mut *change, customer).await?;
    if cart.lines.len() > MOST_LINES {
        let full = format!("a cart holds {MOST_LINES} different products, and this one is full");
        return Err(Failure::new(Kind::Conflict, full));
    }
    change.commit().await?;
    Ok(Json(cart))
}

/// `DELETE /api/cart/items/{product}`. What is not in the cart is out of it already.
pub(crate) async fn remove(
    State(shop): State<Monolith>,
    Caller(customer): Caller,
    Path(product): Path<ProductId>,
) -> Answer<Cart> {
    let mut change = shop.database.begin().await?;
    lock(&shop.database, &mut change, customer).await?;
    sqlx::query("DELETE FROM cart_items WHERE customer = $1 AND product = $2")
        .bind(customer.to_string())
        .bind(product.to_string())
        .execute(&mut *change)
        .await?;
    let cart = cart(&mut *change, customer).await?;
    change.commit().await?;
    Ok(Json(cart))
}

/// Whoever changes a cart goes through here: one at a time, and nobody while it is checked out.
pub(crate) async fn lock(
    database: &Database,
    change: &mut AnyConnection,
    customer: CustomerId,
) -> Result<(), Failure> {
    let lock = database.for_update();
    let cart: Option<String> =
        sqlx::query_scalar(&format!("SELECT customer FROM carts WHERE customer = $1{lock}"))
            .bind(customer.to_string())
            .fetch_optional(change)
            .await?;
    cart.map(|_| ()).ok_or_else(accounts::gone)
}

/// The cart, as it would be paid now.
pub(crate) async fn cart<'c>(
    at: impl Executor<'c, Database = Any>,
    customer: CustomerId,
) -> Result<Cart, Failure> {
    let rows = sqlx::query(
        "SELECT product, name, quantity, price
         FROM cart_items JOIN products ON products.id = cart_items.product
         WHERE customer = $1 ORDER BY product",
    )
    .bind(customer.to_string())
    .fetch_all(at)
    .await?;
    let lines = rows.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    let total = total(&lines)?;
    Ok(Cart { lines, total })
}

/// A line of a cart or of an order, by the names of the columns that both have.
pub(crate) fn line(row: &AnyRow) -> Result<Line, sqlx::Error> {
    let quantity: i64 = row.try_get("quantity")?;
    Ok(Line {
        product: id(row, "product")?,
        name: row.try_get("name")?,
        quantity: Quantity::try_from(quantity)
            .map_err(|wrong| sqlx::Error::Decode(wrong.into()))?,
        price: Money::euros(row.try_get("price")?),
    })
}

/// What all of it costs.
pub(crate) fn total(lines: &[Line]) -> Result<Money, Failure> {
    let sum = lines
        .iter()
        .try_fold(Money::euros(0), |sum, line| sum.plus(line.price.times(line.quantity.get())?));
    sum.ok_or_else(|| Failure::new(Kind::Conflict, "no bank has this much money"))
}
