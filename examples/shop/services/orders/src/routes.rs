//! The HTTP API.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::orders::{self, Books, Order, Place, Trace};
use shop_contracts::{Kind, Problem};
use shop_outbox::Outbox;
use shop_service::progress::progress;
use shop_service::{Answer, Body, Failure, Path, Query, operate};

use crate::checkout::Checkout;
use crate::store::Store;

pub(crate) fn routes(store: Store, checkout: Checkout, outbox: Outbox) -> Router {
    let (database, store_too) = (store.0.clone(), store.clone());
    let reading = Router::new()
        .route("/orders", get(of_customer))
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/progress", get(order_progress))
        .route("/books", get(books))
        .with_state(store);
    let placing = Router::new().route("/orders", post(place)).with_state(checkout);
    let tracing =
        Router::new().route("/traces/{which}", get(traced)).with_state((store_too, outbox));
    operate::complete(reading.merge(placing).merge(tracing), database)
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
    Ok(Json(theirs(&store, id, of.customer).await?))
}

async fn theirs(store: &Store, id: OrderId, customer: CustomerId) -> Result<Order, Failure> {
    let found = store.order(id).await?.map(|kept| kept.order);
    let theirs = found.filter(|order| order.customer == customer);
    theirs.ok_or_else(|| Failure::new(Kind::NotFound, format!("no order {id}")))
}

async fn order_progress(
    State(store): State<Store>,
    Path(id): Path<OrderId>,
    Query(of): Query<Of>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let look = move || {
        let store = store.clone();
        async move { theirs(&store, id, of.customer).await.map_err(|Failure(problem)| problem) }
    };
    progress(&headers, look).await
}

async fn traced(
    State((store, outbox)): State<(Store, Outbox)>,
    Path(which): Path<String>,
) -> Answer<Trace> {
    let unknown = || Failure::new(Kind::NotFound, format!("no order {which}"));
    let id = match which.as_str() {
        "latest" => store.latest().await?.ok_or_else(unknown)?,
        id => id.parse().map_err(|_| unknown())?,
    };
    let order = store.order(id).await?.ok_or_else(unknown)?.order;
    let (saga, mut happened) = store.happened(id).await?;
    happened.extend(outbox.said(&id.to_string()).await?.into_iter().map(orders::Happened::from));
    happened.sort_by_key(|one| one.at);
    let parent = outbox.began(id).await?.parent;
    let trace = parent.as_deref().and_then(|parent| parent.get(3..35)).map(str::to_owned);
    Ok(Json(Trace { order, saga, trace, happened }))
}

async fn books(State(store): State<Store>) -> Answer<Books> {
    Ok(Json(store.books().await?))
}
