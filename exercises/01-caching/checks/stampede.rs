//! What a cache must withstand that protects its database from its own readers.

mod leaders;
mod other_shop;
mod refreshing;
mod sharing;
mod writes;

use crate::scene::{Client, Price, Scene};
use caching::stampede::{Error, Options, ProtectedCache, Scope};
use grading::{Child, Evidence, Finding, SOON, World, comes_to};
use leaders::{cancelled_leader, failed_load, killed_leader};
use other_shop::{OtherShop, other_shop};
use redis::AsyncCommands;
use refreshing::{early_formula, early_refresh, failed_refresh, hard_end, stale_while_revalidate};
use serde::{Deserialize, Serialize};
use sharing::{
    hit_is_one_round_trip, one_load_in_fleet, one_load_in_process, redis_down, redis_stalls,
};
use std::sync::Arc;
use std::time::Duration;
use testbed::gate::Gate;
use testbed::origin::OriginDown;
use tokio::task::JoinHandle;
use writes::{invalidate_tells, two_readers, write_during_load, write_during_refresh};

const PAGE: &str = "docs/lessons/stampede.md";

/// How long a load is held to see whether a second one comes. Those that come, come at once.
const WINDOW: Duration = Duration::from_millis(250);

/// No stale answers, no early refresh, unless a check asks for them.
const PLAIN: Options = Options {
    ttl: Duration::from_secs(60),
    stale: Duration::ZERO,
    beta: 0.0,
    scope: Scope::Fleet,
    lease: Duration::from_millis(500),
    timeout: Duration::from_secs(1),
};

/// For checks that count loads while they hold one: the lease outlives the window in which a
/// second load may show itself, on a busy machine too.
const LONG_LEASE: Options = Options { lease: Duration::from_secs(30), ..PLAIN };

/// Serves for an instant, and may then be served stale for as long as a check takes.
const STALE: Options =
    Options { ttl: Duration::from_millis(100), stale: Duration::from_secs(60), ..PLAIN };

grading::checks! { S: ProtectedCache; read(PAGE);
    hit_is_one_round_trip: "a hit costs one round trip and no load",
    one_load_in_process: "200 callers of a cold key in one process make one load",
    one_load_in_fleet:
        "200 callers of a cold key in two processes make one load".process(other_shop::<S>),
    redis_down: "with Redis down, the callers in one process still share one load",
    redis_stalls: "a Redis that hangs delays a read and does not stop it",
    cancelled_leader: "a leader that is cancelled or panics hangs nobody",
    killed_leader: "a leader whose process is killed hangs nobody".process(other_shop::<S>),
    failed_load: "a failed load is told to all who waited, and is not remembered",
    write_during_load: "who comes after a write does not wait for a load that began before it",
    two_readers: "a late load is not stored under the next reader's lease",
    write_during_refresh: "a refresh that began before a write does not put the old value back",
    failed_refresh:
        "a refresh that fails or panics is nobody's error, and the next reader's task",
    invalidate_tells: "an invalidation that never reached Redis is not reported as done",
    stale_while_revalidate:
        "readers of a stale value get it at once, and one load refreshes it",
    hard_end: "after ttl and stale, the old value is gone",
    early_formula:
        "the share of readers that refresh early is exp(-remaining / (beta * load_took))",
    early_refresh:
        "an eager cache refreshes a slow load early; without beta or a slow load, none does",
}

impl Scene {
    async fn protected<S: ProtectedCache>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        self.client(lane, |url| S::open(url, options)).await
    }
}

type Answer = Result<Price, Error<OriginDown>>;

async fn get<S: ProtectedCache>(client: &Client<S>, key: &str) -> Answer {
    let answer = client.cache.get(key, client.load(key));
    client.call(format!("get({key})"), answer).await
}

/// Many callers at once. The timeline shows them in one line; what they ask Redis and the
/// database it shows in full.
struct Crowd {
    callers: Vec<JoinHandle<Answer>>,
    asked: String,
}

impl Crowd {
    fn gather<S: ProtectedCache>(size: usize, client: &Arc<Client<S>>, key: &str) -> Crowd {
        let asked = format!("{size} times get({key})");
        client.history.note(client.lane, &asked);
        let caller = || {
            let (client, key) = (Arc::clone(client), key.to_owned());
            async move { client.cache.get(&key, client.load(&key)).await }
        };
        Crowd { callers: (0..size).map(|_| tokio::spawn(caller())).collect(), asked }
    }

    /// All answers, if they come soon.
    async fn answers<S>(self, client: &Client<S>) -> Result<Vec<Answer>, Finding> {
        let total = self.callers.len();
        let mut answers = Vec::new();
        let deadline = tokio::time::Instant::now() + SOON;
        for caller in self.callers {
            match tokio::time::timeout_at(deadline, caller).await {
                Ok(answer) => answers.push(answer?),
                Err(_) => {
                    let expected = format!("{total} answers within {SOON:?}");
                    let saw = format!("after {} of them, a caller that hangs", answers.len());
                    let asked = client.history.last(client.lane, &self.asked);
                    return Err(Evidence::new(expected, saw).at(asked).into());
                }
            }
        }
        client.history.note(client.lane, format!("{total} answers"));
        Ok(answers)
    }

    /// All get `expected`, soon.
    async fn all_get<S>(self, client: &Client<S>, expected: Price) -> Result<(), Finding> {
        for answer in self.answers(client).await? {
            client.judge(answer, expected)?;
        }
        Ok(())
    }
}

/// Holds the first load and looks whether a second one comes to the gate as well.
async fn only_one_comes(scene: &Scene, gate: &Gate) -> Result<(), Finding> {
    if gate.arrived(2, WINDOW).await.is_err() {
        return Ok(());
    }
    // Let the rest come too, to say how many they are.
    let _ = gate.arrived(usize::MAX, Duration::from_millis(50)).await;
    Err(too_many(scene, scene.database.loads()))
}

fn too_many(scene: &Scene, loads: u64) -> Finding {
    let evidence = Evidence::new("one load for all callers", format!("{loads} loads"));
    evidence.at(scene.last("database", "load")).into()
}

fn start_get<S: ProtectedCache>(client: &Arc<Client<S>>, key: &str) -> JoinHandle<Answer> {
    let (client, key) = (Arc::clone(client), key.to_owned());
    tokio::spawn(async move { get(&client, &key).await })
}

/// The writer commits a new price and tells the cache.
async fn change<S: ProtectedCache>(scene: &Scene, writer: &Client<S>) -> Result<(), Finding> {
    scene.database.write(&scene.key, scene.new);
    let told = writer.call("invalidate", writer.cache.invalidate(&scene.key)).await;
    told.map_err(|error| {
        let expected = "invalidate() to work, for Redis is up";
        Evidence::new(expected, error.to_string()).at(writer.last_answer()).into()
    })
}
