//! What a cache beside a database must withstand.

use caching::cache_aside::{CacheAside, Error, Options};
use grading::{Check, Evidence, Finding, World};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};
use testbed::origin::{Origin, OriginDown};
use testbed::proxy::Proxy;

const PAGE: &str = "docs/lessons/cache_aside.md";
const KEY: &str = "product:7";
const OLD: Price = Price { cents: 1_000 };
const NEW: Price = Price { cents: 2_000 };

/// Long enough that a busy machine does not make Redis look slow; checks about slowness set less.
const PATIENT: Options = Options {
    ttl: Duration::from_secs(60),
    jitter: 0.1,
    timeout: Duration::from_secs(1),
    lease: Duration::from_millis(500),
};

/// How soon something that "comes back by itself" has to be back.
const SOON: Duration = Duration::from_secs(3);

/// The checks, on any cache that fulfils the contract.
pub fn checks<S: CacheAside>() -> Vec<Check> {
    vec![
        Check::new(
            "hit_is_one_round_trip",
            "a hit costs one round trip and no load",
            hit_is_one_round_trip::<S>,
        ),
        Check::new(
            "ttl_is_spread",
            "every entry has a TTL, and entries written together expire apart",
            ttl_is_spread::<S>,
        ),
        Check::new(
            "no_entry_without_ttl",
            "wherever the connection breaks, the caller is served and no entry lives for ever",
            no_entry_without_ttl::<S>,
        ),
        Check::new(
            "redis_down",
            "with Redis down the database answers, and the cache comes back by itself",
            redis_down::<S>,
        ),
        Check::new(
            "redis_stalls",
            "a Redis that hangs delays a read and does not stop it",
            redis_stalls::<S>,
        ),
        Check::new(
            "slow_reader",
            "a reader whose load is slow does not put the old value back",
            slow_reader::<S>,
        ),
        Check::new(
            "late_refill",
            "a refill that is held up on its way does not put the old value back",
            late_refill::<S>,
        ),
        Check::new(
            "error_is_not_cached",
            "a failed load is reported, forgotten, and keeps nobody from caching",
            error_is_not_cached::<S>,
        ),
        Check::new(
            "invalidate_tells",
            "an invalidation that never reached Redis is not reported as done",
            invalidate_tells::<S>,
        ),
        Check::new(
            "unreadable_entry",
            "an entry that cannot be read is a miss, and is replaced",
            unreadable_entry::<S>,
        ),
        Check::new(
            "cancelled_reader",
            "a reader that goes away in the middle keeps nobody from caching",
            cancelled_reader::<S>,
        ),
    ]
    .into_iter()
    .map(|check| check.read(PAGE))
    .collect()
}

/// What the checks cache. Its Debug form is what the timeline shows.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Price {
    cents: u32,
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

type Answer = Result<Price, Error<OriginDown>>;

/// One client of the shop: its own cache, its own connection, its own lane in the timeline.
struct Client<S> {
    lane: &'static str,
    cache: S,
    proxy: Proxy,
    database: Origin<Price>,
    world: grading::History,
}

impl<S: CacheAside> Client<S> {
    async fn new(
        world: &World,
        lane: &'static str,
        options: Options,
        database: &Origin<Price>,
    ) -> Result<Client<S>, Finding> {
        let proxy = world.client(lane).await?;
        let cache = S::open(proxy.url(), options)
            .map_err(|error| Evidence::new("open() to work", format!("{error}")))?;
        let (database, world) = (database.clone(), world.history().clone());
        Ok(Client { lane, cache, proxy, database, world })
    }

    async fn get(&self, key: &str) -> Answer {
        let call = self.world.invoke(self.lane, format!("get({key})"));
        let load = async { Ok(self.database.load(key).await?.expect("the check wrote the row")) };
        let answer = self.cache.get(key, load).await;
        call.end_with(&answer);
        answer
    }

    /// A `get` that has to answer `expected`, whatever goes on.
    async fn get_expecting(&self, key: &str, expected: Price) -> Result<(), Finding> {
        match self.get(key).await {
            Ok(price) if price == expected => Ok(()),
            other => Err(Evidence::new(
                format!("{expected:?}, which the database holds"),
                format!("{other:?}"),
            )
            .at(self.world.last(self.lane, "= "))
            .into()),
        }
    }

    async fn invalidate(&self, key: &str) -> Result<(), redis::RedisError> {
        let call = self.world.invoke(self.lane, format!("invalidate({key})"));
        let result = self.cache.invalidate(key).await;
        call.end_with(&result);
        result
    }

    /// Reads until a read needs no load, or says what had to come back by itself.
    async fn becomes_cached(&self, key: &str, expected: &str) -> Result<(), Finding> {
        let began = Instant::now();
        loop {
            let before = self.database.loads();
            self.get(key).await.map_err(|error| {
                Evidence::new(expected, format!("an error: {error}")).at(self.world.last(self.lane, "= "))
            })?;
            if self.database.loads() == before {
                return Ok(());
            }
            if began.elapsed() > SOON {
                return Err(Evidence::new(
                    expected,
                    format!("every read for {SOON:?} still went to the database"),
                )
                .at(self.world.last("database", "load"))
                .into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn hit_is_one_round_trip<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    reader.get_expecting(KEY, OLD).await?;
    reader.proxy.reset_count();
    let loads = database.loads();
    reader.get_expecting(KEY, OLD).await?;
    if database.loads() > loads {
        return Err(Evidence::new("the second read from the cache", "it was loaded again")
            .at(world.history().last("database", "load"))
            .into());
    }
    let counts = reader.proxy.counts();
    if counts.round_trips != 1 {
        let commands: Vec<_> = counts.commands.keys().map(String::as_str).collect();
        return Err(Evidence::new(
            "one round trip for a hit",
            format!("{}: {}", counts.round_trips, commands.join(", ")),
        )
        .at(world.history().last("reader", "= "))
        .into());
    }
    Ok(())
}

async fn ttl_is_spread<S: CacheAside>(world: World) -> Result<(), Finding> {
    const ENTRIES: usize = 100;
    let options = Options { jitter: 0.5, ..PATIENT };
    let database = world.database();
    let reader = Client::<S>::new(&world, "reader", options, &database).await?;
    for n in 0..ENTRIES {
        let key = format!("product:{n}");
        database.write(&key, OLD);
        reader.get_expecting(&key, OLD).await?;
    }
    let mut look = world.look().await?;
    let keys = entries(&mut look).await?;
    if keys.len() < ENTRIES {
        return Err(Evidence::new(format!("{ENTRIES} entries"), format!("{}", keys.len())).into());
    }
    let mut seconds = BTreeSet::new();
    for key in keys {
        let millis: i64 = look.pttl(&key).await?;
        let life = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        // What passed since the first entry was written is not jitter.
        let least = options.ttl.mul_f64(1.0 - options.jitter).saturating_sub(SOON);
        if millis < 0 || life > options.ttl || life < least {
            return Err(Evidence::new(
                format!("a life between {least:?} and {:?} for {key}", options.ttl),
                if millis < 0 { "none: it lives for ever".to_owned() } else { format!("{life:?}") },
            )
            .at(world.history().last("reader", &key))
            .into());
        }
        seconds.insert(millis / 1_000);
    }
    // 100 draws from 30 seconds leave 29 of them filled on average; fewer than 10 has a
    // probability below 1e-20.
    if seconds.len() < 10 {
        return Err(Evidence::new(
            format!("{ENTRIES} entries, written together, to expire apart"),
            format!("they expire in {} of 30 possible seconds", seconds.len()),
        )
        .into());
    }
    Ok(())
}

async fn no_entry_without_ttl<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    let mut look = world.look().await?;
    let mut landed = 0;
    // Every step of a miss, one after the other: first its request is lost, then its reply.
    'steps: for step in 1..=12 {
        for reply in [false, true] {
            let key = format!("product:{step}{}", if reply { "b" } else { "a" });
            database.write(&key, OLD);
            let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
            let cut = match reply {
                false => reader.proxy.cut_request(move |request| request.nth == step),
                true => reader.proxy.cut_reply(move |request| request.nth == step),
            };
            reader.get_expecting(&key, OLD).await?;
            if cut.count() == 0 {
                break 'steps;
            }
            landed += 1;
            // What the subject does behind its caller's back belongs to the step as well.
            tokio::time::sleep(Duration::from_millis(5)).await;
            for left in entries(&mut look).await? {
                if look.pttl::<_, i64>(&left).await? == -1 {
                    return Err(Evidence::new(
                        "every key to have a TTL, wherever the connection breaks",
                        format!("{left} lives for ever"),
                    )
                    .at(world.history().last("reader", "✂"))
                    .into());
                }
            }
        }
    }
    if landed < 4 {
        return Err(Finding::inconclusive(format!(
            "a miss that fills the cache asks Redis twice at least; {landed} cuts landed, 4 were needed"
        )));
    }
    Ok(())
}

async fn redis_down<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    reader.get_expecting(KEY, OLD).await?;
    let down = world.fault("Redis is down");
    reader.proxy.refuse();
    for _ in 0..3 {
        reader.get_expecting(KEY, OLD).await?;
    }
    // A program that starts now must start.
    let late = Client::<S>::new(&world, "newcomer", PATIENT, &database).await?;
    late.proxy.refuse();
    late.get_expecting(KEY, OLD).await?;
    reader.proxy.accept().await?;
    late.proxy.accept().await?;
    drop(down);
    reader.becomes_cached(KEY, "hits again soon after Redis came back").await?;
    late.becomes_cached(KEY, "hits soon after Redis came up").await
}

async fn redis_stalls<S: CacheAside>(world: World) -> Result<(), Finding> {
    let options = Options { timeout: Duration::from_millis(100), ..PATIENT };
    // A read may meet the stall when it connects, when it asks, and when it fills.
    let patience = options.timeout * 10;
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", options, &database).await?;
    reader.get_expecting(KEY, OLD).await?;
    let stall = world.fault("Redis hangs: connections stay open, nothing comes back");
    reader.proxy.stall();
    for _ in 0..2 {
        match tokio::time::timeout(patience, reader.get_expecting(KEY, OLD)).await {
            Ok(answered) => answered?,
            Err(_) => {
                return Err(Evidence::new(
                    format!("the database's answer within {patience:?}"),
                    "the reader still waits for Redis",
                )
                .at(world.history().last("reader", "get("))
                .into());
            }
        }
    }
    reader.proxy.resume();
    drop(stall);
    reader.becomes_cached(KEY, "hits again soon after Redis woke").await
}

async fn slow_reader<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    let writer = Client::<S>::new(&world, "writer", PATIENT, &database).await?;

    let slow = world.fault("the reader has read the old row, and its answer is slow");
    let gate = database.hold_loads();
    let reading = tokio::spawn(async move {
        let _ = reader.get(KEY).await;
        reader
    });
    gate.arrived(1, SOON).await?;
    database.stop_holding();
    change(&database, &writer).await?;
    gate.open();
    drop(slow);
    let reader = reading.await?;

    no_old_value(&world, &writer, &reader).await
}

async fn late_refill<S: CacheAside>(world: World) -> Result<(), Finding> {
    let mut held = 0;
    // The first request after the load is held, then the second, until there is none to hold.
    for step in 1..=6 {
        let database = world.database();
        database.write(KEY, OLD);
        let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
        let writer = Client::<S>::new(&world, "writer", PATIENT, &database).await?;
        // Forget the step before.
        let _: () = redis::cmd("FLUSHDB").query_async(&mut world.look().await?).await?;

        let (loaded, before) = (database.clone(), database.loads());
        let after_load = std::sync::atomic::AtomicUsize::new(0);
        let gate = reader.proxy.hold(move |_| {
            loaded.loads() > before
                && after_load.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == step
        });
        let mut reading = tokio::spawn(async move {
            let _ = reader.get(KEY).await;
            reader
        });
        let reader = tokio::select! {
            came = gate.arrived(1, SOON) => {
                came?;
                change(&database, &writer).await?;
                gate.open();
                held += 1;
                (&mut reading).await?
            }
            reader = &mut reading => {
                drop(reader?);
                break;
            }
        };
        no_old_value(&world, &writer, &reader).await?;
    }
    if held == 0 {
        return Err(Finding::inconclusive("the reader stored nothing after its load: nothing to hold"));
    }
    Ok(())
}

/// The writer commits a new price and tells the cache.
async fn change<S: CacheAside>(database: &Origin<Price>, writer: &Client<S>) -> Result<(), Finding> {
    database.write(KEY, NEW);
    writer.invalidate(KEY).await.map_err(|error| {
        Evidence::new("invalidate() to work, for Redis is up", format!("{error}"))
            .at(writer.world.last(writer.lane, "= "))
            .into()
    })
}

/// The write was acknowledged: whoever reads from now on reads the new price.
async fn no_old_value<S: CacheAside>(
    world: &World,
    writer: &Client<S>,
    reader: &Client<S>,
) -> Result<(), Finding> {
    for client in [writer, reader, writer] {
        let answer = client.get(KEY).await;
        if !matches!(answer, Ok(NEW)) {
            let history = world.history();
            return Err(Evidence::new(
                format!("{NEW:?}: the write was acknowledged before this read began"),
                format!("{answer:?}: the reader's copy outlived the write"),
            )
            .at(history.last("database", "write"))
            .at(history.last("writer", "= ()"))
            .at(history.last(client.lane, "= "))
            .into());
        }
    }
    Ok(())
}

async fn error_is_not_cached<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    let down = world.fault("the database is down");
    database.fail(true);
    let failed = reader.get(KEY).await;
    if !matches!(failed, Err(Error::Load(OriginDown))) {
        return Err(Evidence::new("the load's own error", format!("{failed:?}"))
            .at(world.history().last("reader", "= "))
            .into());
    }
    database.fail(false);
    drop(down);
    reader.get_expecting(KEY, OLD).await?;
    reader.becomes_cached(KEY, "hits again soon after the database came back").await
}

async fn invalidate_tells<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    let writer = Client::<S>::new(&world, "writer", PATIENT, &database).await?;
    reader.get_expecting(KEY, OLD).await?;

    let cut_off = world.fault("the writer cannot reach Redis");
    writer.proxy.refuse();
    database.write(KEY, NEW);
    let told = writer.invalidate(KEY).await;
    drop(cut_off);
    let seen = reader.get(KEY).await;
    if told.is_ok() {
        return Err(Evidence::new(
            "an error, so that the writer knows that the old value may live on",
            format!("Ok, and the next reader got {seen:?}"),
        )
        .at(world.history().last("writer", "= "))
        .at(world.history().last("reader", "= "))
        .into());
    }

    writer.proxy.accept().await?;
    let again = writer.proxy.cut_request(|request| request.nth == 1);
    writer.proxy.reset_count();
    let told = writer.invalidate(KEY).await;
    if again.count() == 0 {
        return Err(Finding::inconclusive("the writer sent no request that could be lost"));
    }
    if told.is_ok() {
        reader.get_expecting(KEY, NEW).await?;
    }
    Ok(())
}

async fn unreadable_entry<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    reader.get_expecting(KEY, OLD).await?;
    let mut look = world.look().await?;
    let keys = entries(&mut look).await?;
    if keys.is_empty() {
        return Err(Finding::inconclusive("the cache holds no entry that could be spoilt"));
    }
    for key in keys {
        // What a newer version of the program, or another program, may have written.
        let mut spoil = redis::cmd("SET");
        spoil.arg(&key).arg("{\"schema\":2}").arg("KEEPTTL");
        let _: () = spoil.query_async(&mut look).await?;
        world.history().note("reader", format!("(spoilt: {key})"));
    }
    reader.get_expecting(KEY, OLD).await?;
    reader.becomes_cached(KEY, "the spoilt entry to be replaced by a good one").await
}

async fn cancelled_reader<S: CacheAside>(world: World) -> Result<(), Finding> {
    let database = world.database();
    database.write(KEY, OLD);
    let reader = Client::<S>::new(&world, "reader", PATIENT, &database).await?;
    let visitor = Client::<S>::new(&world, "visitor", PATIENT, &database).await?;

    let gate = database.hold_loads();
    let reading = tokio::spawn(async move {
        let _ = reader.get(KEY).await;
        reader
    });
    gate.arrived(1, SOON).await?;
    // Its task is dropped in the middle of the load, and its connection with it: not even a
    // farewell reaches Redis.
    let gone = world.fault("the reader is gone");
    reading.abort();
    let _ = reading.await;
    database.stop_holding();
    drop(gone);

    match tokio::time::timeout(SOON, visitor.get_expecting(KEY, OLD)).await {
        Ok(answered) => answered?,
        Err(_) => {
            return Err(Evidence::new("an answer for the next reader", "it waits for the one that is gone")
                .at(world.history().last("visitor", "get("))
                .into());
        }
    }
    visitor.becomes_cached(KEY, "hits again soon: its lease is for half a second").await
}

/// All keys of this world. It is small and ours, so KEYS may be used.
async fn entries(
    look: &mut redis::aio::MultiplexedConnection,
) -> Result<Vec<String>, Finding> {
    let mut keys: Vec<String> = look.keys("*").await?;
    keys.retain(|key| !key.starts_with("testbed:"));
    keys.sort();
    Ok(keys)
}
