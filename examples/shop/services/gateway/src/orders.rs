//! One's own orders, and the checkout.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use http::StatusCode;
use http::request::Parts;
use shop_contracts::id::OrderId;
use shop_contracts::orders::{Checkout, Order, Place};
use shop_contracts::text::IdempotencyKey;
use shop_contracts::{Kind, Problem};
use shop_service::{Body, Path};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::docs::Refused;
use crate::identity::Who;

pub(crate) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(checkout)).routes(routes!(orders)).routes(routes!(order))
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
/// Answers when the order is confirmed and the customer has been told. The same key again is the
/// same order.
#[utoipa::path(post, path = "/api/orders/checkout", tag = "orders",
    params(("idempotency-key" = String, Header,
        description = "One for each wish to buy; the same again when it is tried again",
        min_length = 8, max_length = 64, pattern = "^[!-~]+$")),
    request_body = Checkout,
    responses((status = 201, description = "The order, confirmed", body = Order), Refused),
    security(("bearer" = [])),
)]
async fn checkout(
    State(gateway): State<Arc<Gateway>>,
    Who(customer): Who,
    Key(key): Key,
    Body(Checkout { card }): Body<Checkout>,
) -> Result<(StatusCode, Json<Order>), Problem> {
    let order = gateway.peers.orders.place(&Place { customer, card, key }).await?;
    Ok((StatusCode::CREATED, Json(order)))
}

/// All orders, the latest first
#[utoipa::path(get, path = "/api/orders", tag = "orders",
    responses((status = 200, description = "All of them", body = Vec<Order>), Refused),
    security(("bearer" = [])),
)]
async fn orders(
    State(gateway): State<Arc<Gateway>>,
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
    State(gateway): State<Arc<Gateway>>,
    Who(who): Who,
    Path(id): Path<OrderId>,
) -> Result<Json<Order>, Problem> {
    gateway.peers.orders.order(who, id).await.map(Json)
}
