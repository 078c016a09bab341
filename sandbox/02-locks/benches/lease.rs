//! What a turn with a lease costs, acquire and release, beside two raw round trips and another crate.
//!
//! ```console
//! $ cargo bench -p locks --bench lease
//! ```
//!
//! One turn at a time, on the runtime of `#[tokio::main]`, as programs run. After criterion's own
//! figures come the ratios and counts of this run. It fails if a turn costs more than 1.10 times the
//! same two scripts sent by hand, which keep no token, no end and no guard.
//!
//! Beside SET NX PX and DEL, which compare nothing and draw no token, and beside rslock, which draws
//! none, the scripts themselves can be seen: some 4 µs of Redis's time. How much that is depends on
//! the round trip. On one thread and a unix socket it is 16 µs, over a network ten times as much or
//! more.

use criterion::Criterion;
use locks::connection;
use locks::lease::{Held, Lease, Options, RedisLease};
use redis::Script;
use redis::aio::ConnectionManager;
use rslock::LockManager;
use std::sync::LazyLock;
use std::time::Duration;
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};
use testbed::redis::Redis;
use tokio::runtime::Runtime;

/// Nothing is to end or to be given up for lost while it is measured.
const OPTIONS: Options = Options { ttl: Duration::from_secs(60), timeout: Duration::from_secs(5) };

/// What a lease does in Redis, and no more.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
         return redis.call('INCR', KEYS[2])",
    )
});
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         return redis.call('DEL', KEYS[1])",
    )
});

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
        subjects.by_hand().await;
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

    async fn by_hand(&self) {
        const OWNER: &str = "0123456789abcdef0123456789abcdef";
        let mut redis = self.raw.clone();
        let mut acquire = ACQUIRE.key("by hand");
        acquire.key("by hand:token").arg(OWNER).arg(60_000);
        let token: u64 = acquire.invoke_async(&mut redis).await.expect("Redis answers");
        let mut release = RELEASE.key("by hand");
        let freed: bool = release.arg(OWNER).invoke_async(&mut redis).await.expect("Redis answers");
        assert!(token > 0 && freed);
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
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
    let mut ratios = Ratios::of("lease");
    runtime.block_on(async {
        let (raw, turn) = (async || subjects.raw().await, async || subjects.turn().await);
        let (by_hand, rslock) =
            (async || subjects.by_hand().await, async || subjects.rslock().await);
        ratios.at_most(1.10, "a turn / the same scripts by hand", by_hand, turn).await;
        ratios.compare("a turn / SET NX PX and DEL", raw, turn).await;
        ratios.compare("a turn / lock and unlock of rslock", rslock, turn).await;
    });
    let alone = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let turn_trips = alone.block_on(async {
        let subjects = Subjects::warm(redis).await?;
        let (raw, turn) = (async || subjects.raw().await, async || subjects.turn().await);
        let (by_hand, rslock) =
            (async || subjects.by_hand().await, async || subjects.rslock().await);
        ratios.compare("on one thread: / by hand", by_hand, turn).await;
        ratios.compare("on one thread: / SET NX PX and DEL", raw, turn).await;
        ratios.compare("on one thread: / rslock", rslock, turn).await;
        round_trips(redis).await
    })?;
    println!("\n  {:<40}{turn_trips:>12}", "round trips of a turn");
    ratios.end();
    Ok(())
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
