//! The HTTP API.

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use shop_calls::{Context, named};
use shop_contracts::Problem;
use shop_contracts::event::Said;
use shop_contracts::id::OrderId;
use shop_contracts::payments::{Books, Charge, Payment};
use shop_service::{Answer, Body, Failure, Path, operate};

use crate::Payments;

pub(crate) fn routes(payments: Payments) -> Router {
    let database = payments.store.database.clone();
    let routes = Router::new()
        .route("/payments/{order}", put(charge).get(payment))
        .route("/payments/{order}/refund", post(refund))
        .route("/events/{order}", get(events))
        .route("/books", get(books))
        .with_state(payments);
    operate::complete(routes, database)
}

async fn charge(
    State(payments): State<Payments>,
    Path(order): Path<OrderId>,
    Body(charge): Body<Charge>,
) -> Answer<Payment> {
    let context = Context::now();
    to_its_end(async move { payments.charge(order, &charge, &context).await }).await
}

async fn payment(State(payments): State<Payments>, Path(order): Path<OrderId>) -> Answer<Payment> {
    payments.payment(order).await.map(Json)
}

async fn refund(State(payments): State<Payments>, Path(order): Path<OrderId>) -> Answer<Payment> {
    to_its_end(async move { payments.refund(order).await }).await
}

async fn events(State(payments): State<Payments>, Path(order): Path<OrderId>) -> Answer<Vec<Said>> {
    Ok(Json(payments.store.outbox.said(&order.to_string()).await?))
}

async fn books(State(payments): State<Payments>) -> Answer<Books> {
    // The provider's side is read from the provider, so that the two can differ.
    let at_provider = payments.provider.books().kept();
    Ok(Json(payments.store.books(at_provider).await?))
}

/// Runs `work` in a task of its own. When a caller hangs up, or its deadline comes, axum drops the handler, wherever it
/// stands: between the provider's booking and our row, if it comes to that. Dropping the handle of
/// a task lets the task go on.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Answer<T> {
    match tokio::spawn(named(work)).await {
        Ok(done) => done.map(Json),
        Err(lost) => {
            tracing::error!(%lost, "a payment's task broke down");
            Err(Failure(Problem::internal()))
        }
    }
}
