//! What is for sale: open to everybody, but for setting prices.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shop_contracts::Problem;
use shop_contracts::catalog::{Category, NewPrice, Product};
use shop_contracts::id::ProductId;
use shop_contracts::page::Page;
use shop_service::{Body, Path};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::docs::Refused;
use crate::identity::Staff;
use crate::{Gateway, pass};

pub(crate) fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(categories))
        .routes(routes!(products))
        .routes(routes!(product))
        .routes(routes!(availability))
        .routes(routes!(set_price))
}

/// All categories, by name
#[utoipa::path(get, path = "/api/categories", tag = "catalogue", responses(
    (status = 200, description = "All of them", body = Vec<Category>), Refused,
))]
async fn categories(State(gateway): State<Arc<Gateway>>) -> Result<Response, Problem> {
    pass::get(&gateway.peers.catalog.0, "/categories").await
}

/// Products, by name, a page at a time
#[utoipa::path(get, path = "/api/products", tag = "catalogue",
    params(
        ("category" = Option<String>, Query, description = "Only of this category, by its slug",
            min_length = 1, max_length = 40, pattern = "^[a-z0-9-]+$"),
        ("q" = Option<String>, Query, description = "Only those whose name holds this, in any case",
            min_length = 1, max_length = 100,
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"),
        ("page" = Option<u32>, Query, description = "From 1", minimum = 1, maximum = 10_000),
        ("size" = Option<u32>, Query, description = "How many on a page; 20 if it is not said",
            minimum = 1, maximum = 100),
    ),
    responses((status = 200, description = "One page of them", body = Page<Product>), Refused),
)]
async fn products(
    State(gateway): State<Arc<Gateway>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    // The catalogue says what is wrong with a query: it is the one who understands it.
    let query = query.unwrap_or_default();
    pass::get(&gateway.peers.catalog.0, &format!("/products?{query}")).await
}

/// One product
#[utoipa::path(get, path = "/api/products/{id}", tag = "catalogue",
    params(("id" = ProductId, Path, description = "The product")),
    responses((status = 200, description = "The product", body = Product), Refused),
)]
async fn product(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<ProductId>,
) -> Result<Response, Problem> {
    pass::get(&gateway.peers.catalog.0, &format!("/products/{id}")).await
}

/// Whether a product can be had.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Availability {
    /// The product.
    product: ProductId,
    /// How many can be bought now.
    available: i64,
}

/// How many of a product can be bought now
#[utoipa::path(get, path = "/api/products/{id}/availability", tag = "catalogue",
    params(("id" = ProductId, Path, description = "The product")),
    responses((status = 200, description = "As of this moment", body = Availability), Refused),
)]
async fn availability(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<ProductId>,
) -> Result<Json<Availability>, Problem> {
    let stock = gateway.peers.inventory.stock(id).await?;
    Ok(Json(Availability { product: id, available: stock.available }))
}

/// Set a product's price. For staff
#[utoipa::path(put, path = "/api/products/{id}/price", tag = "catalogue",
    params(("id" = ProductId, Path, description = "The product")),
    request_body = NewPrice,
    responses((status = 200, description = "The product as it is now", body = Product), Refused),
    security(("bearer" = [])),
)]
async fn set_price(
    State(gateway): State<Arc<Gateway>>,
    _staff: Staff,
    Path(id): Path<ProductId>,
    Body(new): Body<NewPrice>,
) -> Result<Json<Product>, Problem> {
    gateway.peers.catalog.set_price(id, new.price).await.map(Json)
}
