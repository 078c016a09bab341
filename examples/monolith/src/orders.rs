//! What was bought. Orders are made by the [checkout](crate::checkout), and only read here.

use axum::Json;
use axum::extract::State;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::orders::{Order, State as Stage, Took};
use shop_contracts::{Kind, Money};
use shop_service::{Answer, Failure, Path};
use shop_storage::sqlx::any::AnyRow;
use shop_storage::sqlx::{self, Row};
use std::collections::HashMap;

use crate::Monolith;
use crate::accounts::Caller;
use crate::carts::line;
use crate::catalog::id;

/// `GET /api/orders`
pub(crate) async fn all(
    State(shop): State<Monolith>,
    Caller(customer): Caller,
) -> Answer<Vec<Order>> {
    let rows =
        sqlx::query("SELECT * FROM orders WHERE customer = $1 ORDER BY placed_at DESC, id DESC")
            .bind(customer.to_string())
            .fetch_all(shop.database.reader())
            .await?;
    let mut orders = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let rows = sqlx::query(
        "SELECT order_lines.* FROM order_lines JOIN orders ON orders.id = order_lines.order_id
         WHERE customer = $1 ORDER BY product",
    )
    .bind(customer.to_string())
    .fetch_all(shop.database.reader())
    .await?;
    let mut lines: HashMap<OrderId, Vec<_>> = HashMap::new();
    for row in &rows {
        lines.entry(id(row, "order_id")?).or_default().push(line(row)?);
    }
    for order in &mut orders {
        order.lines = lines.remove(&order.id).unwrap_or_default();
    }
    Ok(Json(orders))
}

/// `GET /api/orders/{id}`
pub(crate) async fn one(
    State(shop): State<Monolith>,
    Caller(customer): Caller,
    Path(id): Path<OrderId>,
) -> Answer<Order> {
    let row = sqlx::query("SELECT * FROM orders WHERE id = $1 AND customer = $2")
        .bind(id.to_string())
        .bind(customer.to_string())
        .fetch_optional(shop.database.reader())
        .await?;
    let row = row.ok_or_else(|| Failure::new(Kind::NotFound, format!("you have no order {id}")))?;
    let lines = sqlx::query("SELECT * FROM order_lines WHERE order_id = $1 ORDER BY product")
        .bind(id.to_string())
        .fetch_all(shop.database.reader())
        .await?;
    let lines = lines.iter().map(line).collect::<Result<_, _>>()?;
    Ok(Json(Order { lines, ..read(&row)? }))
}

/// The order without its lines, which are in a table of their own.
fn read(row: &AnyRow) -> Result<Order, sqlx::Error> {
    let customer: CustomerId = id(row, "customer")?;
    Ok(Order {
        id: id(row, "id")?,
        customer,
        state: Stage::Confirmed,
        lines: Vec::new(),
        total: Money::euros(row.try_get("total")?),
        reason: None,
        placed_at: row.try_get("placed_at")?,
        took: Took {
            reserving: row.try_get("reserving")?,
            paying: row.try_get("paying")?,
            confirmed: row.try_get("confirmed")?,
            notifying: row.try_get("notifying")?,
        },
    })
}
