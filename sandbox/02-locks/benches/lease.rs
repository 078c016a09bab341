//! What a turn with a lease costs, acquire and release, beside two raw round trips and another crate.
//!
//! ```console
//! $ cargo bench -p locks --bench lease
//! ```
//!
//! One thread, one turn at a time: the times are those of two round trips. After criterion's own
//! figures come the ratios and counts of this run. It fails if a turn costs more than 1.10 times two
//! raw round trips, or more than a turn with rslock, which draws no fencing token.

use criterion::Criterion;
use locks::connection;
use locks::lease::{Held, Lease, Options, RedisLease};
use redis::aio::ConnectionManager;
use rslock::LockManager;
use std::time::Duration;
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};
use testbed::redis::Redis;
use tokio::runtime::Runtime;

/// Nothing is to end or to be given up for lost while it is measured.
const OPTIONS: Options = Options { ttl: Duration::from_secs(60), timeout: Duration::from_secs(5) };

struct Subjects {
    raw: ConnectionManager,
    leases: RedisLease,
    rslock: LockManager,
}

impl Subjects {
    async fn warm(redis: &Redis) -> anyhow::Result<Subjects> {
        let subjects = Subjects {
            raw: connection::open(redis.url(), OPTIONS.timeout)?,
            leases: RedisLease::open(redis.url(), OPTIONS)?,
            rslock: LockManager::new(vec![redis.url()]),
        };
        subjects.raw().await;
        subjects.turn().await;
        subjects.rslock().await;
        Ok(subjects)
    }

    /// The least that a lock can be: take it, and delete it. No token is compared, none is drawn.
    async fn raw(&self) {
        let mut redis = self.raw.clone();
        let mut set = redis::cmd("SET");
        set.arg("raw").arg("locked").arg("NX").arg("PX").arg(60_000);
        let taken: bool = set.query_async(&mut redis).await.expect("Redis answers");
        let freed: bool =
            redis::cmd("DEL").arg("raw").query_async(&mut redis).await.expect("Redis answers");
        assert!(taken && freed);
    }

    async fn turn(&self) {
        let held =
            self.leases.acquire("stock", Duration::ZERO).await.expect("nobody else wants it");
        held.release().await.expect("it is ours");
    }

    async fn rslock(&self) {
        let lock = self.rslock.lock("rslock", OPTIONS.ttl).await.expect("nobody else wants it");
        self.rslock.unlock(&lock).await;
    }
}

fn main() -> anyhow::Result<()> {
    // One thread: a turn is then two round trips and nothing of the scheduler's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let subjects = runtime.block_on(Subjects::warm(&redis))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("lease");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("SET NX PX, DEL", |b| b.to_async(at).iter(|| subject.raw()));
    group.bench_function("acquire, release", |b| b.to_async(at).iter(|| subject.turn()));
    group.bench_function("rslock", |b| b.to_async(at).iter(|| subject.rslock()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        summary(&runtime, &redis, &subjects)?;
    }
    Ok(())
}

fn summary(runtime: &Runtime, redis: &Redis, subjects: &Subjects) -> anyhow::Result<()> {
    runtime.block_on(async {
        let mut ratios = Ratios::of("lease");
        let raw = async || subjects.raw().await;
        let turn = async || subjects.turn().await;
        let rslock = async || subjects.rslock().await;
        ratios.at_most(1.10, "a turn / two raw round trips", raw, turn).await;
        ratios.at_most(1.00, "a turn / lock and unlock of rslock", rslock, turn).await;
        println!("\n  {:<40}{:>12}", "round trips of a turn", round_trips(redis).await?);
        ratios.end();
        Ok(())
    })
}

async fn round_trips(redis: &Redis) -> anyhow::Result<usize> {
    let proxy = Proxy::before(redis.url()).await?;
    let leases = RedisLease::open(proxy.url(), OPTIONS)?;
    // The first scripts cost one more each: Redis must learn them.
    leases.acquire("first", Duration::ZERO).await?.release().await?;
    proxy.reset_count();
    leases.acquire("counted", Duration::ZERO).await?.release().await?;
    Ok(proxy.counts().round_trips)
}
