//! From requests to the store, and from its outcomes to answers.

use std::collections::BTreeMap;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use shop_contracts::event::Said;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{self, Books, Delivery, Reservation, Stock, Wanted};
use shop_contracts::{Kind, Problem, Quantity};
use shop_service::{Answer, Body, Failure, Path};

use crate::Inventory;
use crate::store::{Ended, Reserved};

/// Deliveries of thousands of products.
const LONGEST_DELIVERY: usize = 8 << 20;

pub(crate) fn routes(inventory: Inventory) -> Router {
    let deliveries = post(deliver).layer(DefaultBodyLimit::max(LONGEST_DELIVERY));
    Router::new()
        .route("/stock", deliveries)
        .route("/stock/{product}", get(stock))
        .route("/reservations/{order}", get(reservation).put(reserve).delete(release))
        .route("/reservations/{order}/commit", post(commit))
        .route("/events/{order}", get(events))
        .route("/books", get(books))
        .with_state(inventory)
}

async fn stock(
    State(inventory): State<Inventory>,
    Path(product): Path<ProductId>,
) -> Answer<Stock> {
    let stock = inventory.stock(product).await?;
    Ok(Json(stock.ok_or_else(|| unknown(product))?))
}

async fn deliver(
    State(inventory): State<Inventory>,
    Body(deliveries): Body<Vec<Delivery>>,
) -> Result<StatusCode, Failure> {
    inventory.deliver(deliveries).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reserve(
    State(inventory): State<Inventory>,
    Path(order): Path<OrderId>,
    Body(wanted): Body<Wanted>,
) -> Answer<Reservation> {
    let lines = each_once(&wanted)?;
    let state = match inventory.reserve(order, &lines).await? {
        Reserved::As(state) => state,
        Reserved::TooFew { product, available } => {
            let wanted = u32::from(lines[&product]);
            let detail = format!("{wanted} of product {product} are wanted, {available} are left");
            return Err(Failure::new(Kind::OutOfStock, detail));
        }
        Reserved::Unknown(product) => return Err(unknown(product).into()),
        Reserved::Otherwise => {
            let detail = format!("other lines are reserved for order {order}");
            return Err(Failure::new(Kind::Conflict, detail));
        }
        Reserved::Over => return Err(over(order).into()),
        Reserved::Late => {
            let detail = "somebody else came in between; ask again";
            return Err(Failure::new(Kind::Unavailable, detail));
        }
    };
    Ok(Json(Reservation { order, state }))
}

async fn reservation(
    State(inventory): State<Inventory>,
    Path(order): Path<OrderId>,
) -> Answer<Reservation> {
    let unknown = || Failure::new(Kind::NotFound, format!("nothing is held for order {order}"));
    let state = inventory.reservation(order).await?.ok_or_else(unknown)?;
    Ok(Json(Reservation { order, state }))
}

async fn commit(
    State(inventory): State<Inventory>,
    Path(order): Path<OrderId>,
) -> Answer<Reservation> {
    match inventory.commit(order).await? {
        Ended::Done => Ok(Json(Reservation { order, state: inventory::State::Sold })),
        Ended::Otherwise => Err(over(order).into()),
        Ended::Unknown => {
            Err(Failure::new(Kind::NotFound, format!("nothing is held for order {order}")))
        }
    }
}

async fn release(
    State(inventory): State<Inventory>,
    Path(order): Path<OrderId>,
) -> Result<StatusCode, Failure> {
    if let Some(lines) = inventory.release(order).await? {
        inventory.recount(&lines).await;
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::new(Kind::Conflict, format!("what was held for order {order} is sold")))
}

async fn events(
    State(inventory): State<Inventory>,
    Path(order): Path<OrderId>,
) -> Answer<Vec<Said>> {
    Ok(Json(inventory.outbox.said(&order.to_string()).await?))
}

async fn books(State(inventory): State<Inventory>) -> Answer<Books> {
    Ok(Json(inventory.books().await?))
}

/// The lines in the order of their products, which is the order in which their rows are taken.
fn each_once(wanted: &Wanted) -> Result<BTreeMap<ProductId, Quantity>, Problem> {
    let wrong = |at: String, detail: &str| {
        Problem::new(Kind::Invalid, format!("{at}: {detail}")).at(at, detail)
    };
    if wanted.lines.is_empty() {
        return Err(wrong("body.lines".into(), "a reservation has at least one line"));
    }
    let mut lines = BTreeMap::new();
    for (at, line) in wanted.lines.iter().enumerate() {
        if lines.insert(line.product, line.quantity).is_some() {
            return Err(wrong(format!("body.lines[{at}].product"), "it is in an earlier line"));
        }
    }
    Ok(lines)
}

fn unknown(product: ProductId) -> Problem {
    Problem::new(Kind::NotFound, format!("the warehouse does not know product {product}"))
}

fn over(order: OrderId) -> Problem {
    Problem::new(Kind::Conflict, format!("the reservation for order {order} is over"))
}
