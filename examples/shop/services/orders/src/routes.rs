//! The HTTP API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use shop_contracts::Kind;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::orders::{self, Books, Order, Place};
use shop_service::{Answer, Body, Failure, Path, Query, operate};

use crate::checkout::Checkout;
use crate::store::Store;

pub(crate) fn routes(store: Store, checkout: Checkout) -> Router {
    let database = store.0.clone();
    let reading = Router::new()
        .route("/orders", get(of_customer))
        .route("/orders/{id}", get(order))
        .route("/books", get(books))
        .with_state(store);
    let placing = Router::new().route("/orders", post(place)).with_state(checkout);
    reading.merge(placing).merge(operate::routes(database))
}

async fn place(
    State(checkout): State<Checkout>,
    Body(wish): Body<Place>,
) -> Result<Response, Failure> {
    let order = checkout.place(wish).await?;
    let status = match order.state {
        orders::State::Confirmed => StatusCode::CREATED,
        _ => StatusCode::ACCEPTED,
    };
    Ok((status, [(LOCATION, format!("/orders/{}", order.id))], Json(order)).into_response())
}

/// Whose orders.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    customer: CustomerId,
}

async fn of_customer(State(store): State<Store>, Query(of): Query<Of>) -> Answer<Vec<Order>> {
    let orders = store.orders(of.customer).await?;
    Ok(Json(orders.into_iter().map(|kept| kept.order).collect()))
}

/// Another's order is not found: to say "forbidden" would say that there is one.
async fn order(
    State(store): State<Store>,
    Path(id): Path<OrderId>,
    Query(of): Query<Of>,
) -> Answer<Order> {
    let found = store.order(id).await?.map(|kept| kept.order);
    let theirs = found.filter(|order| order.customer == of.customer);
    let order = theirs.ok_or_else(|| Failure::new(Kind::NotFound, format!("no order {id}")))?;
    Ok(Json(order))
}

async fn books(State(store): State<Store>) -> Answer<Books> {
    Ok(Json(store.books().await?))
}
