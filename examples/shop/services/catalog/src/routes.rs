//! The catalogue's HTTP API.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use shop_contracts::catalog::{
    Browse, Category, Counters, List, NewPrice, Product, Quote, QuotesFor,
};
use shop_contracts::id::ProductId;
use shop_contracts::page::Page;
use shop_contracts::{Kind, Problem};
use shop_service::{Answer, Body, Failure, Path, Query, operate};
use shop_storage::Error;

use crate::{Catalog, store};

/// The longest list that is taken in, in bytes: some thirty thousand products.
const LONGEST_LIST: usize = 16 << 20;

/// The most products of one request for quotes.
const MOST_QUOTES: usize = 1000;

pub(crate) fn router(catalog: Arc<Catalog>) -> Router {
    let database = catalog.database.clone();
    let routes = Router::new()
        .route("/categories", get(categories))
        .route("/products", get(browse))
        .route("/products", post(take_in).layer(DefaultBodyLimit::max(LONGEST_LIST)))
        .route("/products/{id}", get(product))
        .route("/products/{id}/price", put(set_price))
        .route("/quotes", post(quotes).layer(DefaultBodyLimit::max(64 << 10)))
        .route("/counters", get(counters))
        .with_state(catalog);
    operate::complete(routes, database)
}

async fn categories(State(catalog): State<Arc<Catalog>>) -> Answer<Vec<Category>> {
    Ok(Json(store::categories(&catalog.database).await?))
}

async fn browse(
    State(catalog): State<Arc<Catalog>>,
    Query(browse): Query<Browse>,
) -> Answer<Page<Product>> {
    Ok(Json(store::browse(&catalog.database, &browse).await?))
}

async fn product(
    State(catalog): State<Arc<Catalog>>,
    Path(id): Path<ProductId>,
) -> Result<Response, Failure> {
    let document = catalog.product(id).await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], document).into_response())
}

async fn quotes(
    State(catalog): State<Arc<Catalog>>,
    Body(wanted): Body<QuotesFor>,
) -> Answer<Vec<Quote>> {
    if wanted.products.len() > MOST_QUOTES {
        let detail = format!("at most {MOST_QUOTES} products at a time");
        return Err(Problem::new(Kind::Invalid, detail.clone()).at("body.products", detail).into());
    }
    Ok(Json(store::quotes(&catalog.database, &wanted.products).await?))
}

async fn set_price(
    State(catalog): State<Arc<Catalog>>,
    Path(id): Path<ProductId>,
    Body(new): Body<NewPrice>,
) -> Answer<Product> {
    let changed = store::set_price(&catalog.database, id, new.price.money()).await?;
    let product =
        changed.ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no product {id}")))?;
    // After the commit, and before anybody is told: lesson 01.2.
    catalog.forget(id).await;
    Ok(Json(product))
}

async fn take_in(
    State(catalog): State<Arc<Catalog>>,
    Body(list): Body<List>,
) -> Result<StatusCode, Failure> {
    if list.products.iter().any(|product| product.price.amount < 1) {
        return Err(Failure::new(Kind::Invalid, "every product has a price above nothing"));
    }
    let known = store::count(&catalog.database).await?;
    store::take_in(&catalog.database, &list).await.map_err(|error| match error {
        Error::Rule(_) => Failure::new(Kind::Invalid, "a product is of a category that is not"),
        error => error.into(),
    })?;
    // Nobody can have a copy of what was not there before.
    if known > 0 {
        for product in &list.products {
            catalog.forget(product.id).await;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn counters(State(catalog): State<Arc<Catalog>>) -> Answer<Counters> {
    Ok(Json(catalog.counters().await?))
}
