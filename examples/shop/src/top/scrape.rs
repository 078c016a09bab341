//! Asking everybody what they have counted.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use observability::metrics::text::{Sample, samples};
use shop_contracts::{Peer, Peers};
use tokio::task::JoinSet;

/// The least that one service may take. One that hangs must not keep the others from being seen.
const PATIENCE: Duration = Duration::from_secs(2);

/// Only this format has exemplars.
const FORMAT: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Those who are asked: the gateway, and the services behind it.
pub(crate) struct Watched(Vec<Peer>);

/// What they answered.
pub(crate) struct Scrape(pub(crate) Vec<Answer>);

/// What one of them answered.
pub(crate) struct Answer {
    pub(crate) service: &'static str,
    pub(crate) at: Instant,
    /// Or why there are none.
    pub(crate) samples: Result<Vec<Sample>, String>,
}

impl Watched {
    /// The shop behind `gateway`. Who has not answered by the time of the next look, `every` so often,
    /// is away.
    pub(crate) fn shop(gateway: &Peer, peers: &Peers, every: Duration) -> Watched {
        let all = std::iter::once(gateway).chain(peers.all()).cloned();
        Watched(all.map(|peer| peer.patience(every.max(PATIENCE))).collect())
    }

    /// Asks all of them at the same time.
    pub(crate) async fn scrape(&self) -> Scrape {
        let mut asked = JoinSet::new();
        for (at, peer) in self.0.iter().cloned().enumerate() {
            asked.spawn(async move { (at, Answer::of(&peer).await) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(at, _)| *at);
        Scrape(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

impl Answer {
    async fn of(peer: &Peer) -> Answer {
        let accept = [(header::ACCEPT, FORMAT)];
        let asked = peer.forward(Method::GET, "/metrics", Bytes::new(), &accept);
        let samples = match asked.await {
            Err(problem) => Err(problem.detail.unwrap_or(problem.title)),
            Ok(answer) if !answer.status().is_success() => {
                Err(format!("{} has no /metrics: {}", peer.base(), answer.status()))
            }
            Ok(answer) => samples(&String::from_utf8_lossy(answer.body()))
                .map_err(|malformed| format!("{} is no shop: {malformed}", peer.base())),
        };
        Answer { service: peer.name(), at: Instant::now(), samples }
    }
}

impl Scrape {
    /// Somebody answered.
    ///
    /// # Errors
    /// Nobody did: there is nothing to look at.
    pub(crate) fn is_of_a_shop(&self) -> Result<()> {
        let why = self.0.iter().map(|answer| answer.samples.as_ref().err());
        let Some(why) = why.collect::<Option<Vec<_>>>() else { return Ok(()) };
        let why = why.first().map_or("", |why| why.as_str());
        bail!(
            "no shop is open there: {why}\n\
             next: cargo run -p shop -- up, in another terminal, or --port PORT"
        )
    }
}
