//! One's own orders, and the checkout.

use std::sync::Arc;

use axum::Json;
use axum::extract::{self, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use shop_contracts::id::OrderId;
use shop_contracts::orders::{Checkout, Order, Place, State};
use shop_contracts::text::IdempotencyKey;
use shop_contracts::{Kind, Problem};
use shop_service::progress::progress;
use shop_service::{Body, Path};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::docs::Refused;
use crate::identity::Who;

pub(crate) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(checkout))
        .routes(routes!(orders))
        .routes(routes!(order))
        .routes(routes!(order_progress))
}

/// `Idempotency-Key`: made anew by the customer's program for each wish to buy, and sent again
/// when it tries again, as <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
/// describes. It is required: without it, who never got an answer can only buy twice or not at all.
struct Key(IdempotencyKey);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Key, Problem> {
        let header = parts.headers.get("idempotency-key");
        let key = header.map(|value| value.to_str().unwrap_or_default().to_owned());
        let key = key.ok_or_else(|| "make one up for each wish to buy, such as a UUID".to_owned());
        key.and_then(IdempotencyKey::try_from).map(Key).map_err(|detail| {
            Problem::new(Kind::Invalid, format!("Idempotency-Key: {detail}"))
                .at("header.idempotency-key", detail)
        })
    }
}

/// Buy what is in the cart
///
/// Answers when the order is confirmed and the customer has been told; or, with `pattern.async` on, at
/// once with 202 and the order as it stands: look at it, or at its progress. The same key again is the
/// same order.
#[utoipa::path(post, path = "/api/orders/checkout", tag = "orders",
    params(("idempotency-key" = String, Header,
        description = "One for each wish to buy; the same again when it is tried again",
        min_length = 8, max_length = 64, pattern = "^[!-~]+$")),
    request_body = Checkout,
    responses(
        (status = 201, description = "The order, confirmed", body = Order,
            headers(("Location" = String, description = "Where it is"))),
        (status = 202, description = "The order, under way", body = Order,
            headers(("Location" = String, description = "Where it is"))),
        Refused),
    security(("bearer" = [])),
)]
async fn checkout(
    extract::State(gateway): extract::State<Arc<Gateway>>,
    Who(customer): Who,
    Key(key): Key,
    Body(Checkout { card }): Body<Checkout>,
) -> Result<Response, Problem> {
    let order = gateway.peers.orders.place(&Place { customer, card, key }).await?;
    let status = match order.state {
        State::Confirmed => StatusCode::CREATED,
        _ => StatusCode::ACCEPTED,
    };
    let location = [(header::LOCATION, format!("/api/orders/{}", order.id))];
    Ok((status, location, Json(order)).into_response())
}

/// All orders, the latest first
#[utoipa::path(get, path = "/api/orders", tag = "orders",
    responses((status = 200, description = "All of them", body = Vec<Order>), Refused),
    security(("bearer" = [])),
)]
async fn orders(
    extract::State(gateway): extract::State<Arc<Gateway>>,
    Who(who): Who,
) -> Result<Json<Vec<Order>>, Problem> {
    gateway.peers.orders.orders(who).await.map(Json)
}

/// One order
#[utoipa::path(get, path = "/api/orders/{id}", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses((status = 200, description = "The order", body = Order), Refused),
    security(("bearer" = [])),
)]
async fn order(
    extract::State(gateway): extract::State<Arc<Gateway>>,
    Who(who): Who,
    Path(id): Path<OrderId>,
) -> Result<Json<Order>, Problem> {
    gateway.peers.orders.order(who, id).await.map(Json)
}

/// How one order comes along
///
/// Its states, one after the other, as server-sent events: `id` is the state, `data` the order. Ends
/// with the order's end. `Last-Event-ID` says what is known already.
#[utoipa::path(get, path = "/api/orders/{id}/progress", tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses(
        (status = 200, description = "Its states", body = String, content_type = "text/event-stream"),
        (status = 204, description = "It has come to its end, and that is known already"),
        Refused),
    security(("bearer" = [])),
)]
async fn order_progress(
    extract::State(gateway): extract::State<Arc<Gateway>>,
    Who(who): Who,
    Path(id): Path<OrderId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let look = move || {
        let orders = gateway.peers.orders.clone();
        async move { orders.order(who, id).await }
    };
    progress(&headers, look).await
}
