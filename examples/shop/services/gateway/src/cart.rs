//! One's own cart.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shop_contracts::Problem;
use shop_contracts::carts::{Cart, Put};
use shop_contracts::id::ProductId;
use shop_service::{Body, Path};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::docs::Refused;
use crate::identity::Who;

pub(crate) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(cart)).routes(routes!(put)).routes(routes!(remove))
}

/// What is in the cart, at today's prices
#[utoipa::path(get, path = "/api/cart", tag = "cart",
    responses((status = 200, description = "The cart", body = Cart), Refused),
    security(("bearer" = [])),
)]
async fn cart(State(gateway): State<Arc<Gateway>>, Who(who): Who) -> Result<Json<Cart>, Problem> {
    gateway.peers.carts.cart(who).await.map(Json)
}

/// So many of a product from now on
#[utoipa::path(put, path = "/api/cart/items/{product}", tag = "cart",
    params(("product" = ProductId, Path, description = "The product")),
    request_body = Put,
    responses((status = 200, description = "The cart as it is now", body = Cart), Refused),
    security(("bearer" = [])),
)]
async fn put(
    State(gateway): State<Arc<Gateway>>,
    Who(who): Who,
    Path(product): Path<ProductId>,
    Body(put): Body<Put>,
) -> Result<Json<Cart>, Problem> {
    gateway.peers.carts.put(who, product, put.quantity).await.map(Json)
}

/// None of a product
#[utoipa::path(delete, path = "/api/cart/items/{product}", tag = "cart",
    params(("product" = ProductId, Path, description = "The product")),
    responses((status = 200, description = "The cart as it is now", body = Cart), Refused),
    security(("bearer" = [])),
)]
async fn remove(
    State(gateway): State<Arc<Gateway>>,
    Who(who): Who,
    Path(product): Path<ProductId>,
) -> Result<Json<Cart>, Problem> {
    gateway.peers.carts.remove(who, product).await.map(Json)
}
