//! From requests to the store, and from lines to a cart with prices.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use shop_contracts::carts::{Cart, Line, MOST_LINES, Put};
use shop_contracts::id::{CustomerId, ProductId};
use shop_contracts::{Kind, Money, Problem};
use shop_service::{Answer, Body, Failure, Path};

use crate::Carts;

pub(crate) fn routes(carts: Carts) -> Router {
    Router::new()
        .route("/carts/{customer}", get(cart).delete(clear))
        .route("/carts/{customer}/items/{product}", put(set).delete(remove))
        .with_state(carts)
}

async fn cart(State(carts): State<Carts>, Path(customer): Path<CustomerId>) -> Answer<Cart> {
    view(&carts, customer).await
}

async fn set(
    State(carts): State<Carts>,
    Path((customer, product)): Path<(CustomerId, ProductId)>,
    Body(Put { quantity }): Body<Put>,
) -> Answer<Cart> {
    // The catalogue's own `not-found` goes on to the customer. A product that vanishes after this
    // is one that the view leaves out.
    carts.catalog.product(product).await?;
    if !carts.put(customer, product, quantity).await? {
        let detail = format!("a cart holds at most {MOST_LINES} products: remove one first");
        return Err(Failure::new(Kind::Conflict, detail));
    }
    view(&carts, customer).await
}

async fn remove(
    State(carts): State<Carts>,
    Path((customer, product)): Path<(CustomerId, ProductId)>,
) -> Answer<Cart> {
    carts.remove(customer, product).await?;
    view(&carts, customer).await
}

async fn clear(
    State(carts): State<Carts>,
    Path(customer): Path<CustomerId>,
) -> Result<StatusCode, Failure> {
    carts.clear(customer).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn view(carts: &Carts, customer: CustomerId) -> Answer<Cart> {
    let mut wanted = carts.lines(customer).await?;
    if wanted.is_empty() {
        return Ok(Json(Cart { lines: Vec::new(), total: Money::euros(0) }));
    }
    let quotes = carts.catalog.quotes(wanted.keys().copied().collect()).await?;
    let mut lines: Vec<_> = quotes
        .into_iter()
        .filter_map(|quote| {
            // Taken out, so that a quote given twice is not paid twice.
            let quantity = wanted.remove(&quote.product)?;
            Some(Line { product: quote.product, name: quote.name, quantity, price: quote.price })
        })
        .collect();
    lines.sort_by_key(|line| line.product);
    let total = total(&lines)?;
    Ok(Json(Cart { lines, total }))
}

/// # Errors
/// [`Kind::Conflict`] where the sum is too large to be written down: a wrong sum would be charged.
fn total(lines: &[Line]) -> Result<Money, Problem> {
    let sum = lines
        .iter()
        .try_fold(Money::euros(0), |sum, line| sum.plus(line.price.times(line.quantity.get())?));
    let too_much = "what is in the cart comes to more than can be counted: remove something";
    sum.ok_or_else(|| Problem::new(Kind::Conflict, too_much))
}
