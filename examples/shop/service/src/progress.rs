//! How an order comes along, as server-sent events:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! ```text
//! id: stock_reserved
//! event: state
//! data: {"id":"0199…","state":"stock_reserved", …}
//! ```
//!
//! Each state of an order comes once, so its name is the event's id. Who comes back with
//! `Last-Event-ID` hears what he has not heard. States that follow each other between two looks are
//! told as the last of them. After the order's end the stream ends; a browser then comes back once
//! more, is answered 204, and stays away.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use shop_contracts::Problem;
use shop_contracts::orders::{Order, State};
use tokio::time::{Instant, sleep};

/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(100);

/// How long a stream lasts, so that it holds up no server that wants to leave. A browser comes back
/// by itself, and tells where it was.
const LONGEST: Duration = Duration::from_secs(15);

struct Watch<F> {
    look: F,
    known: Option<State>,
    next: Option<Order>,
    until: Instant,
}

/// Tells each state of the order that `look` finds, from the one behind `Last-Event-ID` on.
///
/// # Errors
/// What the first look says. A later one that fails is made again.
pub async fn progress<F, D>(headers: &HeaderMap, look: F) -> Result<Response, Problem>
where
    F: Fn() -> D + Send + 'static,
    D: Future<Output = Result<Order, Problem>> + Send,
{
    let first = look().await?;
    let known = headers.get("last-event-id").and_then(|id| State::named(id.to_str().ok()?));
    if first.state.is_end() && known == Some(first.state) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let watch = Watch { look, known, next: Some(first), until: Instant::now() + LONGEST };
    let events = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        loop {
            let order = match watch.next.take() {
                Some(order) => Some(order),
                None => (watch.look)().await.ok(),
            };
            if let Some(order) = order
                && watch.known != Some(order.state)
            {
                watch.known = Some(order.state);
                let event = Event::default().id(order.state.name()).event("state");
                let event = event.json_data(&order).unwrap_or_default();
                return Some((
                    Ok::<_, Infallible>(event),
                    (!order.state.is_end()).then_some(watch),
                ));
            }
            if Instant::now() >= watch.until {
                return None;
            }
            sleep(LOOK).await;
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
