//! The wire between orders and another service, on which answers are lost.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{Full, Limited};
use shop_contracts::Peer;
use shop_contracts::inventory;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Of a hundred answers, so many are lost: done, and nobody hears of it.
pub(super) const LOST: u64 = 10;

/// Each so-manieth commit finds that what was held for the order is gone.
pub(super) const GONE: u64 = 8;

/// Longer than anything that the services say.
const LONGEST: usize = 1 << 20;

/// A wire. Dropped, it is cut.
pub(super) struct Wire {
    pub(super) url: String,
    pub(super) lost: Arc<AtomicU64>,
    pub(super) gone: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Toward {
    peer: Peer,
    seed: u64,
    passed: Arc<AtomicU64>,
    commits: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    gone: Arc<AtomicU64>,
}

impl Wire {
    /// To the service of `peer`.
    pub(super) async fn to(peer: &Peer, seed: u64) -> Result<Wire> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let count = Arc::<AtomicU64>::default;
        let (peer, lost, gone) = (peer.clone(), count(), count());
        let toward = Toward {
            peer,
            seed,
            passed: count(),
            commits: count(),
            lost: Arc::clone(&lost),
            gone: Arc::clone(&gone),
        };
        let router = Router::new().fallback(pass).with_state(toward);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "a wire is cut");
            }
        });
        Ok(Wire { url, lost, gone, serving })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(toward): State<Toward>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    toward.mislay(&head.method, &path).await;
    let answer = match toward.peer.forward(head.method, &path, body, &[]).await {
        Ok(answer) => answer.map(Body::from),
        Err(problem) => return problem.into_response(),
    };
    if toward.loses() { toward.broken_off() } else { answer }
}

impl Toward {
    /// What is held for an order may be gone when it is to be sold: somebody has dropped it.
    async fn mislay(&self, method: &Method, path: &str) {
        let held =
            path.strip_prefix("/reservations/").and_then(|rest| rest.strip_suffix("/commit"));
        let Some(order) = held.filter(|_| method == Method::POST) else { return };
        let nth = self.commits.fetch_add(1, Ordering::Relaxed);
        let Ok(order) = order.parse() else { return };
        if !(nth + self.seed).is_multiple_of(GONE) {
            return;
        }
        let warehouse = inventory::Client(self.peer.clone());
        // One that is sold already stays sold.
        let is_held = warehouse.reservation(order).await.map(|one| one.state);
        if is_held.is_ok_and(|state| state == inventory::State::Held)
            && warehouse.release(order).await.is_ok()
        {
            self.gone.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Which ones is drawn from the seed and their number.
    fn loses(&self) -> bool {
        let mut drawn = DefaultHasher::new();
        let nth = self.passed.fetch_add(1, Ordering::Relaxed);
        (self.seed, self.peer.name(), nth).hash(&mut drawn);
        drawn.finish() % 100 < LOST
    }

    /// An answer that is longer than it may be: the server gives up in its middle and closes.
    fn broken_off(&self) -> Response {
        self.lost.fetch_add(1, Ordering::Relaxed);
        Response::new(Body::new(Limited::new(Full::from("{\"lost\": true}"), 5)))
    }
}
