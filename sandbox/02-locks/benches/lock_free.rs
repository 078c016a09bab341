//! What a take costs in each of the three ways, alone and under contention.
//!
//! ```console
//! $ cargo bench -p locks --bench lock_free
//! ```
//!
//! First one caller on one thread: the times are those of a round trip, or of several. Then eight
//! callers who want the same product, on two threads. It fails if a take by script costs more than
//! 1.15 of the same script sent by hand, or if `WATCH` outruns the script under contention.

use criterion::Criterion;
use locks::lock_free::{
    Answer, Error, Options, SCHEMA, ScriptStock, Stock, UpdateStock, WatchStock,
};
use redis::Script;
use redis::aio::ConnectionManager;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};
use testbed::ratios::{self, Ratios};
use testbed::redis::Redis;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Nothing is to be given up for lost while it is measured.
const OPTIONS: Options =
    Options { timeout: Duration::from_secs(5), attempts: 1_000, connections: 8 };
const CALLERS: usize = 8;
const WINDOW: Duration = Duration::from_millis(1_500);

/// What a take does in Redis, and no more: no order is looked up, no answer has a name.
const RAW: &str = "local had = redis.call('HGET', KEYS[1], ARGV[1])
    if had then return 1 end
    if tonumber(redis.call('HGET', KEYS[1], 'left')) < tonumber(ARGV[2]) then return 0 end
    redis.call('HINCRBY', KEYS[1], 'left', -ARGV[2])
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    return 1";

/// Each take is another order's.
fn order() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("order-{:09}", NEXT.fetch_add(1, Ordering::Relaxed))
}

struct Subjects {
    redis: ConnectionManager,
    hash: String,
    script: ScriptStock,
    watch: WatchStock,
    update: UpdateStock,
}

impl Subjects {
    async fn furnish(redis: &Redis, postgres: &Postgres) -> anyhow::Result<Subjects> {
        let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
        let made = move || Session::open(&target, OPTIONS.timeout)?.query(SCHEMA);
        tokio::task::spawn_blocking(made).await??;
        let mut connection = locks::connection::open(redis.url(), OPTIONS.timeout)?;
        let subjects = Subjects {
            hash: Script::new(RAW).load_async(&mut connection).await?,
            redis: connection,
            script: ScriptStock::open(redis.url(), OPTIONS)?,
            watch: WatchStock::open(redis.url(), OPTIONS)?,
            update: UpdateStock::open(postgres.url(), OPTIONS)?,
        };
        for product in ["raw", "script", "watch"] {
            subjects.script.put(product, u32::MAX).await?;
        }
        subjects.update.put("update", u32::MAX).await?;
        Ok(subjects)
    }

    async fn raw(&self) {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(1).arg("stock:raw").arg(format!("order:{}", order())).arg(1);
        let taken: u32 = call.query_async(&mut self.redis.clone()).await.expect("Redis answers");
        assert_eq!(taken, 1);
    }

    async fn script(&self) {
        take(&self.script, "script").await;
    }

    async fn watch(&self) {
        take(&self.watch, "watch").await;
    }

    async fn update(&self) {
        take(&self.update, "update").await;
    }
}

async fn take<S: Stock>(stock: &S, product: &str) {
    let answer = stock.take(product, &order(), 1).await.expect("the server answers");
    assert_eq!(answer, Answer::Taken(1));
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    let subjects = runtime.block_on(Subjects::furnish(&redis, &postgres))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("lock_free");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("raw EVALSHA", |b| b.to_async(at).iter(|| subject.raw()));
    group.bench_function("take, script", |b| b.to_async(at).iter(|| subject.script()));
    group.bench_function("take, WATCH", |b| b.to_async(at).iter(|| subject.watch()));
    group.bench_function("take, UPDATE", |b| b.to_async(at).iter(|| subject.update()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        let mut ratios = Ratios::of("lock_free");
        runtime.block_on(async {
            let (raw, script) = (async || subject.raw().await, async || subject.script().await);
            ratios.at_most(1.15, "take, script / raw EVALSHA", raw, script).await;
            let watch = async || subject.watch().await;
            ratios.compare("take, WATCH / take, script", script, watch).await;
            let update = async || subject.update().await;
            ratios.compare("take, UPDATE / take, script", script, update).await;
        });
        // Its connections belong to the runtime of one thread.
        drop((subjects, runtime));
        contention(&redis, &postgres, &mut ratios)?;
        ratios.end();
    }
    Ok(())
}

/// Takes a second, and commits for each take.
struct Rate {
    takes: f64,
    commits: f64,
}

fn contention(redis: &Redis, postgres: &Postgres, ratios: &mut Ratios) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("\nlock_free, {CALLERS} callers of one product for {WINDOW:?} each\n");
    println!("  {:<28}{:>14}{:>18}{:>14}", "", "takes/s", "commits a take", "gave up");
    let script = crowd::<ScriptStock>(&runtime, redis.url(), redis, "script")?;
    let watch = crowd::<WatchStock>(&runtime, redis.url(), redis, "WATCH")?;
    crowd::<UpdateStock>(&runtime, postgres.url(), redis, "UPDATE")?;
    println!("\n  script / WATCH: {:.1} times as many", script.takes / watch.takes);
    println!("  WATCH commits {:.2} times for each take", watch.commits);
    ratios.judge(1.0, "takes a second, WATCH / script", watch.takes / script.takes);
    Ok(())
}

fn crowd<S: Stock>(
    runtime: &Runtime,
    url: &str,
    redis: &Redis,
    name: &'static str,
) -> anyhow::Result<Rate> {
    runtime.block_on(async {
        let stock = Arc::new(S::open(url, Options { attempts: 16, ..OPTIONS })?);
        stock.put(name, u32::MAX).await?;
        let before = commits(redis).await?;
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let stock = stock.clone();
            callers.spawn(async move {
                let (mut taken, mut gave_up) = (0_u64, 0_u64);
                while began.elapsed() < WINDOW {
                    match stock.take(name, &order(), 1).await {
                        Ok(_) => taken += 1,
                        Err(Error::Contended { .. }) => gave_up += 1,
                        Err(error) => return Err(error),
                    }
                }
                Ok((taken, gave_up))
            });
        }
        let (mut taken, mut gave_up) = (0, 0);
        while let Some(caller) = callers.join_next().await {
            let (one, other) = caller??;
            taken += one;
            gave_up += other;
        }
        let takes = taken as f64 / began.elapsed().as_secs_f64();
        let commits = match commits(redis).await? - before {
            0 => 1.0,
            commits => commits as f64 / taken as f64,
        };
        println!("  {name:<28}{takes:>14.0}{commits:>18.2}{gave_up:>14}");
        Ok(Rate { takes, commits })
    })
}

/// How often Redis has been told to commit, whether or not it did.
async fn commits(redis: &Redis) -> anyhow::Result<u64> {
    Ok(redis.command_stats().await?.get("exec").copied().unwrap_or(0))
}
