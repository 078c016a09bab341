//! From requests to the work.

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use shop_calls::named;
use shop_contracts::event::Said;
use shop_contracts::id::OrderId;
use shop_contracts::notifications::{Confirmation, Notification};
use shop_contracts::{Kind, Problem};
use shop_service::{Answer, Body, Failure, Path};

use crate::Notifications;

pub(crate) fn routes(notifications: Notifications) -> Router {
    Router::new()
        .route("/notifications/{order}", put(confirm).get(notification))
        .route("/events/{order}", get(events))
        .with_state(notifications)
}

async fn confirm(
    State(notifications): State<Notifications>,
    Path(order): Path<OrderId>,
    Body(confirmation): Body<Confirmation>,
) -> Answer<Notification> {
    // A handler ends where it stands when its caller hangs up. This must not end between the mail
    // and the writing down of it.
    let telling =
        tokio::spawn(named(async move { notifications.tell(order, &confirmation).await }));
    let state = telling.await.unwrap_or_else(|lost| {
        tracing::error!(%order, %lost, "the telling broke off");
        Err(Problem::internal().into())
    })?;
    Ok(Json(Notification { order, state }))
}

async fn notification(
    State(notifications): State<Notifications>,
    Path(order): Path<OrderId>,
) -> Answer<Notification> {
    let found = notifications.find(order).await?;
    let unknown = || Failure::new(Kind::NotFound, format!("nobody was told of order {order}"));
    let (_, state) = found.ok_or_else(unknown)?;
    Ok(Json(Notification { order, state }))
}

async fn events(
    State(notifications): State<Notifications>,
    Path(order): Path<OrderId>,
) -> Answer<Vec<Said>> {
    Ok(Json(notifications.outbox.said(&order.to_string()).await?))
}
