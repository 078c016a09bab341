//! What is counted, at the door and between the services.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shop_calls::{Book, Line};

use crate::{Gateway, limit, places};

/// What `GET /counters` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Counters {
    #[serde(flatten)]
    limiter: limit::Counters,
    places: places::Counts,
    /// A line for each pair of caller and callee. Whoever does not answer is left out.
    calls: Vec<Line>,
}

pub(crate) async fn counters(State(gateway): State<Arc<Gateway>>) -> Json<Counters> {
    let mut calls = gateway.calls.book().0;
    // Those who ask others in their turn.
    let bare = &gateway.bare;
    for peer in [&bare.orders.0, &bare.carts.0, &bare.notifications.0] {
        if let Ok(Book(lines)) = peer.get("/calls").await {
            calls.extend(lines);
        }
    }
    let limiter = gateway.limits.limiter.counters();
    Json(Counters { limiter, places: gateway.places.counts(), calls })
}
