//! What a cache beside a database must withstand.

mod elsewhere;
mod entries;
mod outages;
mod refills;

use crate::scene::{Client, Price, Scene};
use caching::cache_aside::{CacheAside, Error, Options};
use elsewhere::{writer, writer_elsewhere};
use entries::{
    error_is_not_cached, hit_is_one_round_trip, no_entry_without_ttl, only_its_key, short_ttl,
    ttl_is_spread, unreadable_entry,
};
use grading::{Evidence, Finding, SOON, World, comes_to};
use outages::{invalidate_tells, redis_down, redis_stalls};
use redis::AsyncCommands;
use refills::{
    after_a_write, cancelled_reader, late_refill, lost_lookup, redis_forgets, slow_reader,
    two_readers,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testbed::origin::OriginDown;
use tokio::task::JoinHandle;

const PAGE: &str = "docs/lessons/cache_aside.md";

/// Long enough that a busy machine does not make Redis look slow; checks about slowness set less.
const PATIENT: Options = Options {
    ttl: Duration::from_secs(60),
    jitter: 0.1,
    timeout: Duration::from_secs(1),
    lease: Duration::from_millis(500),
};

grading::checks! { S: CacheAside; read(PAGE);
    hit_is_one_round_trip: "a hit costs one round trip and no load",
    ttl_is_spread: "every entry has a TTL, and entries written together expire apart",
    short_ttl: "a TTL below a second is kept to the millisecond",
    no_entry_without_ttl:
        "wherever the connection breaks, the caller is served and every key expires",
    redis_down: "with Redis down the database answers, and the cache comes back by itself",
    redis_stalls: "a Redis that hangs delays a read and does not stop it",
    slow_reader: "a reader whose load is slow does not put the old value back",
    writer_elsewhere:
        "a writer in another process is heard of by a reader that is slow"
        .process(writer::<S>),
    late_refill: "a refill that is held up on its way does not put the old value back",
    two_readers: "a late reader does not store under the next reader's lease",
    lost_lookup: "a reader whose question to Redis was lost does not put the old value back",
    redis_forgets: "a Redis that lost its memory lets no late reader put the old value back",
    after_a_write: "after a write every reader gets the new value, and it is cached again",
    only_its_key: "an invalidation forgets its own key and no other",
    invalidate_tells: "an invalidation that never reached Redis is not reported as done",
    error_is_not_cached: "a failed load is reported, forgotten, and keeps nobody from caching",
    unreadable_entry: "an entry that cannot be read is a miss, and is replaced",
    cancelled_reader: "a reader that goes away in the middle keeps nobody from caching",
}

impl Scene {
    async fn cache<S: CacheAside>(
        &self,
        lane: &'static str,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        self.client(lane, |url| S::open(url, options)).await
    }
}

type Answer = Result<Price, Error<OriginDown>>;

async fn get<S: CacheAside>(client: &Client<S>, key: &str) -> Answer {
    let answer = client.cache.get(key, client.load(key));
    client.call(format!("get({key})"), answer).await
}

async fn invalidate<S: CacheAside>(client: &Client<S>, key: &str) -> Result<(), redis::RedisError> {
    client.call(format!("invalidate({key})"), client.cache.invalidate(key)).await
}

fn start_get<S: CacheAside>(client: &Arc<Client<S>>, key: &str) -> JoinHandle<Answer> {
    let (client, key) = (Arc::clone(client), key.to_owned());
    tokio::spawn(async move { get(&client, &key).await })
}

/// The writer commits a new price and tells the cache.
async fn change<S: CacheAside>(scene: &Scene, writer: &Client<S>) -> Result<(), Finding> {
    scene.database.write(&scene.key, scene.new);
    invalidate(writer, &scene.key).await.map_err(|error| {
        let expected = "invalidate() to work, for Redis is up";
        Evidence::new(expected, error.to_string()).at(writer.last_answer()).into()
    })
}

/// The write was acknowledged: whoever reads from now on reads the new price.
async fn no_old_value<S: CacheAside>(
    scene: &Scene,
    writer: &Client<S>,
    reader: &Client<S>,
) -> Result<(), Finding> {
    let written = scene.last("database", "write");
    let acknowledged = writer.last_answer();
    for client in [writer, reader, writer] {
        let answer = get(client, &scene.key).await;
        if !matches!(answer, Ok(price) if price == scene.new) {
            let expected =
                format!("{:?}: the write was acknowledged before this read began", scene.new);
            let saw = match answer {
                Ok(price) => format!("{price:?}: the reader's copy outlived the write"),
                Err(error) => error.to_string(),
            };
            let evidence = Evidence::new(expected, saw).at(written).at(acknowledged);
            return Err(evidence.at(client.last_answer()).into());
        }
    }
    Ok(())
}
