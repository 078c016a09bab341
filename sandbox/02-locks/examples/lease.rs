//! 02.2 · Lease: a lock that ends by itself, how it goes wrong, and what it cannot promise.
//!
//! ```console
//! $ cargo run --example lease
//! ```
//!
//! Ends by itself after some six seconds.

use anyhow::Context;
use locks::connection;
use locks::lease::{Error, Held, Lease, Options, RedisLease};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;
use testbed::redis::Redis;
use tokio::task::JoinSet;

const ROUNDS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("02.2 lease · a lock that ends by itself");
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());

    late_owners(&redis).await?;
    cancelled_holders(&redis).await?;
    crowd(&redis).await?;
    silence(&redis).await?;

    page::next(&[
        ("cargo lab start lease", "write it yourself, with every reply cut"),
        ("cargo run --example fencing", "a holder that is stopped, and wakes"),
    ]);
    Ok(())
}

// ANCHOR: naive
/// A lock in Redis as it is mostly written.
struct Naive {
    redis: ConnectionManager,
    options: Options,
}

struct NaiveHeld {
    redis: ConnectionManager,
    name: String,
}

impl Lease for Naive {
    type Held = NaiveHeld;

    fn open(url: &str, options: Options) -> Result<Naive, RedisError> {
        Ok(Naive { redis: connection::open(url, options.timeout)?, options })
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<NaiveHeld, Error> {
        let (began, mut redis) = (Instant::now(), self.redis.clone());
        loop {
            let ttl = self.options.ttl.as_millis() as u64;
            let mut set = redis::cmd("SET");
            set.arg(name).arg("locked").arg("NX").arg("PX").arg(ttl);
            if set.query_async(&mut redis).await? {
                return Ok(NaiveHeld { redis, name: name.to_owned() });
            }
            if began.elapsed() > patience {
                return Err(Error::Busy(began.elapsed()));
            }
        }
    }
}

impl Held for NaiveHeld {
    async fn release(mut self) -> Result<(), Error> {
        Ok(self.redis.del(&self.name).await?)
    }
    // ANCHOR_END: naive

    fn token(&self) -> u64 {
        0
    }

    async fn extend(&self) -> Result<(), Error> {
        Err(Error::Lost)
    }

    async fn lost(&self) {
        std::future::pending::<()>().await;
    }
}

/// Part 1: an owner whose time was over comes to release.
async fn late_owners(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "The late owner");
    page::note("owner       acquires for 50 ms, and is at work for longer");
    page::note("successor   acquires when the 50 ms are over");
    page::note("owner       is done, and releases");
    let naive = freed::<Naive>(redis, "naive").await?;
    let lease = freed::<RedisLease>(redis, "lease").await?;
    page::heads(&["SET NX, DEL", "lease"]);
    let of = |times: usize| format!("{times} of {ROUNDS}");
    page::row("a third came in as well", of(naive), &[of(lease)], "");
    page::note("The value is a token that only its owner has, and the release compares it.");
    Ok(())
}

/// How often of [`ROUNDS`] a late release let a third in beside the successor.
async fn freed<L: Lease>(redis: &Redis, prefix: &str) -> anyhow::Result<usize> {
    let brief = Options { ttl: Duration::from_millis(50), ..Options::default() };
    let (owner, others) = (L::open(redis.url(), brief)?, L::open(redis.url(), Options::default())?);
    let mut freed = 0;
    for round in 0..ROUNDS {
        let name = format!("{prefix}:{round}");
        let late = owner.acquire(&name, Duration::ZERO).await?;
        let successor = others.acquire(&name, PATIENCE).await?;
        let _ = late.release().await;
        freed += usize::from(others.acquire(&name, Duration::ZERO).await.is_ok());
        drop(successor);
    }
    Ok(freed)
}

/// Part 2: who holds the lease is dropped: a timeout around it, a `select!`, a panic.
async fn cancelled_holders(redis: &Redis) -> anyhow::Result<()> {
    page::part(2, "The holder that goes away");
    page::note("Its task is aborted while it holds a lease of 300 ms. Who comes next waits.");
    let naive = waited::<Naive>(redis, "gone, naive").await?;
    let lease = waited::<RedisLease>(redis, "gone, lease").await?;
    page::heads(&["SET NX, DEL", "lease"]);
    let less = format!("÷ {:.0}", naive.as_secs_f64() / lease.as_secs_f64());
    page::row("the next one waited (median)", page::millis(naive), &[page::millis(lease)], &less);
    page::note("Dropping a lease gives it back in the background, and waits for nothing.");
    Ok(())
}

async fn waited<L: Lease>(redis: &Redis, name: &str) -> anyhow::Result<Duration> {
    let options = Options { ttl: Duration::from_millis(300), ..Options::default() };
    let leases = Arc::new(L::open(redis.url(), options)?);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let held = leases.acquire(name, PATIENCE).await?;
        let work = tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        work.abort();
        let _ = work.await;
        let began = Instant::now();
        leases.acquire(name, PATIENCE).await?.release().await?;
        waits.push(began.elapsed());
    }
    waits.sort_unstable();
    Ok(waits[waits.len() / 2])
}

/// What a crowd has cost.
struct Crowd {
    counted: u64,
    questions: usize,
    took: Duration,
}

/// Part 3: many want it, one after the other.
async fn crowd(redis: &Redis) -> anyhow::Result<()> {
    page::part(3, "Twenty workers and one counter");
    page::note("Each reads the counter, works for 5 ms, and writes one more.");
    let naive = count::<Naive>(redis, "crowd:naive").await?;
    let lease = count::<RedisLease>(redis, "crowd:lease").await?;
    page::heads(&["busy loop", "lease"]);
    page::row("counted, of 20", naive.counted, &[lease.counted.to_string()], "");
    let fewer = format!("÷ {:.0}", naive.questions as f64 / lease.questions.max(1) as f64);
    let questions = |crowd: &Crowd| page::count(crowd.questions as u64);
    page::row("questions to Redis", questions(&naive), &[questions(&lease)], &fewer);
    page::row("all of them done after", page::millis(naive.took), &[page::millis(lease.took)], "");
    page::note("Pauses that double, each drawn anew between nothing and its limit. What they");
    page::note("save in questions they cost in time: the lease lies idle between two.");
    Ok(())
}

async fn count<L: Lease>(redis: &Redis, name: &str) -> anyhow::Result<Crowd> {
    let proxy = Proxy::before(redis.url()).await?;
    let leases = Arc::new(L::open(proxy.url(), Options::default())?);
    let counter = connection::open(redis.url(), PATIENCE)?;
    leases.acquire("warm-up", PATIENCE).await?.release().await?;
    proxy.reset_count();
    let (key, began) = (format!("{name}:counter"), Instant::now());
    let mut workers = JoinSet::new();
    for _ in 0..20 {
        let (leases, mut counter) = (Arc::clone(&leases), counter.clone());
        let (name, key) = (name.to_owned(), key.clone());
        workers.spawn(async move {
            let held = leases.acquire(&name, PATIENCE).await?;
            let before: Option<u64> = counter.get(&key).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let _: () = counter.set(&key, before.unwrap_or(0) + 1).await?;
            held.release().await?;
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker?.context("a worker")?;
    }
    let counted: u64 = counter.clone().get(&key).await?;
    Ok(Crowd { counted, questions: proxy.counts().requests, took: began.elapsed() })
}

/// Part 4: Redis is silent, and the holder has to know by itself.
async fn silence(redis: &Redis) -> anyhow::Result<()> {
    page::part(4, "Redis falls silent");
    page::note("A lease of 400 ms is held, and Redis cannot be reached any more: nothing is");
    page::note("refused, nothing answered. Then it is back, and has forgotten everything.");
    let options = Options { ttl: Duration::from_millis(400), ..Options::default() };
    let proxy = Proxy::before(redis.url()).await?;
    let leases = RedisLease::open(proxy.url(), options)?;
    let held = leases.acquire("stock", PATIENCE).await?;
    let ends = look(redis, "PTTL", "lock:{stock}").await?;
    let began = Instant::now();
    proxy.stall();
    // ANCHOR: select
    let work = tokio::time::sleep(Duration::from_secs(60));
    let finished = tokio::select! {
        () = work => true,
        // Stop: another may hold it from now on.
        () = held.lost() => false,
    };
    // ANCHOR_END: select
    let heard = began.elapsed();
    anyhow::ensure!(!finished, "a minute has not passed");
    let before = Duration::from_millis(ends).saturating_sub(heard);
    page::gap();
    page::figure("the holder stopped, before Redis forgot the lease, by", page::millis(before));
    let old = held.token();
    proxy.resume();
    redis.flush_all().await?;
    let next = leases.acquire("stock", PATIENCE).await?;
    page::figure("fencing token before Redis forgot everything", old);
    page::figure("and after", next.token());
    page::judged("tokens rise", next.token() > old, "by the server's time, if need be");
    page::note("Stopping in time is courtesy. What if the holder itself stands still?");
    page::note("Then only the resource can refuse it: that is the next lesson, fencing.");
    Ok(())
}

async fn look(redis: &Redis, command: &str, key: &str) -> anyhow::Result<u64> {
    let mut connection = connection::open(redis.url(), PATIENCE)?;
    Ok(redis::cmd(command).arg(key).query_async(&mut connection).await?)
}
