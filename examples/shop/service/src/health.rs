//! How a service is, for those who run it, by lesson 04.9.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health/live` | 200 while the process can answer; asks nobody |
//! | `GET /health/ready` | 200 where requests should be sent here, 503 where not, each dependency by name |
//!
//! What all instances share is critical only where nothing can be answered without it. That is each
//! service's own database. The rest is optional, reported as `warn`, and takes nobody out:
//!
//! - Redis. The catalogue goes on without its cache, and the gateway's limiter is open or closed as
//!   it was told to be. Under the stock's `pattern.lock` it is needed by three variants of five,
//!   and only to sell: what is reserved is still confirmed, released and counted, and the switch
//!   can be set to `conditional` on the spot, which a service that is taken out cannot.
//! - Other services. Who asks them has answers of its own for their absence. And if readiness
//!   followed readiness, one lost database would take out all who stand before it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use circuit_breakers::health_checks::{Config, DrainLayer, Health, Report, Vitals};
use http::Method;
use shop_contracts::Peer;
use shop_storage::Database;

pub use circuit_breakers::health_checks::{Dependency, Drained};

/// How long Redis gets to connect, and then to answer. The health's own limit is above it.
const REDIS: Duration = Duration::from_millis(300);

/// What a service answers, and how it is. Clones are the same.
#[derive(Clone, Debug)]
pub struct Healthy {
    pub(crate) router: Router,
    pub(crate) health: Arc<Vitals>,
}

impl Healthy {
    /// A service with this API that leans on `needs`. What it has under way is counted, but for
    /// the questions how it is.
    pub fn new(router: Router, needs: Vec<Dependency>) -> Healthy {
        let health = Arc::new(Vitals::new(Config::default(), needs));
        let counted = router.layer(DrainLayer::new(Arc::clone(&health)));
        Healthy { router: counted.merge(routes(&health)), health }
    }

    /// All that it answers: to be asked in this process, see [`here`](crate::here).
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

/// One that leans on nothing, as tests have it.
impl From<Router> for Healthy {
    fn from(router: Router) -> Healthy {
        Healthy::new(router, Vec::new())
    }
}

fn routes(health: &Arc<Vitals>) -> Router {
    let (alive, ready) = (Arc::clone(health), Arc::clone(health));
    let answer = |report: &Report| Vitals::answer(report).map(Body::from);
    Router::new()
        .route("/health/live", get(move || std::future::ready(answer(&alive.live()))))
        .route("/health/ready", get(move || async move { answer(&ready.ready().await) }))
}

/// The service's own database, without which it can answer nothing.
pub fn database(database: &Database) -> Dependency {
    let database = database.clone();
    Dependency::critical("database", move || {
        let database = database.clone();
        async move { Ok(database.ping().await?) }
    })
}

/// A Redis without which the service goes on. `name` is what it is used for.
///
/// # Errors
/// The URL is none.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn redis(name: &'static str, url: &str) -> redis::RedisResult<Dependency> {
    let connection = connection::open(url, REDIS)?;
    Ok(Dependency::optional(name, move || {
        let mut connection = connection.clone();
        async move {
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok(())
        }
    }))
}

/// Another service: whether it lives. Whether it is ready is for those to ask who send it requests
/// by that.
pub fn peer(peer: &Peer) -> Dependency {
    let peer = peer.clone();
    Dependency::optional(peer.name(), move || {
        let peer = peer.clone();
        async move {
            let answer = peer.forward(Method::GET, "/health/live", Bytes::new(), &[]).await;
            match answer.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => Ok(()),
                Ok(status) => Err(format!("it answers {status}").into()),
                Err(problem) => {
                    Err(problem.detail.unwrap_or_else(|| problem.title.to_string()).into())
                }
            }
        }
    })
}
