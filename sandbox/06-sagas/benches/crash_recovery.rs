//! What it costs that a saga survives its driver: a saga of five steps that do nothing.
//!
//! ```console
//! $ cargo bench -p sagas --bench crash_recovery
//! ```
//!
//! One thread, one saga at a time. It fails if a saga of five steps is more than six round trips to
//! PostgreSQL, one for its beginning and one for each step, or, with both servers a millisecond away,
//! takes more than one and a half times what six bare commits take: the lease is two round trips more.
//! Beside a server that is near and syncs nothing, what is compared is JSON and tasks with a commit of
//! 30 µs, and that is another figure on each machine: it is shown, and held to nothing.

use criterion::Criterion;
use database::pool;
use deadpool_postgres::Pool;
use locks::lease::RedisLease;
use sagas::crash_recovery::{Driver, Options, Recovery};
use sagas::journal::{PgJournal, SCHEMA};
use sagas::orchestration::{Conductor, Memory, Orchestrator};
use sagas::{Saga, Step};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};
use testbed::redis::Redis;

const TIMEOUT: Duration = Duration::from_secs(5);
const STEPS: [&str; 5] = ["place", "reserve", "charge", "approve", "mail"];
/// What a saga has to be told in its journal: that it begins, and that each step is done.
const COMMITS: usize = STEPS.len() + 1;

type PgDriver = Driver<PgJournal, RedisLease>;

/// The tables of both.
async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let furnish = move || {
        let mut session = Session::open(&target, TIMEOUT)?;
        let floor = "CREATE TABLE floor (id bigint, position integer, entry text,
                                         PRIMARY KEY (id, position))";
        session.query(&format!("{SCHEMA}; {floor}"))
    };
    tokio::task::spawn_blocking(furnish).await??;
    Ok(())
}

struct Subjects {
    plain: Pool,
    driver: PgDriver,
    saga: Saga<String>,
    next: AtomicU64,
}

impl Subjects {
    /// Those that count their sagas from `first`.
    async fn warm(postgres: &str, redis: &str, first: u64) -> anyhow::Result<Subjects> {
        let mut saga = Saga::named("nothing");
        for name in STEPS {
            saga = saga.step(Step::new(name, async |_| Ok(())));
        }
        let options = Options { ttl: Duration::from_secs(30), timeout: TIMEOUT };
        let driver = PgDriver::open(postgres, redis, options)?;
        let plain = pool(postgres, TIMEOUT, 1)?;
        let subjects = Subjects { plain, driver, saga, next: AtomicU64::new(first) };
        subjects.floor().await;
        subjects.journal().await;
        Ok(subjects)
    }

    fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// As many rows, each with a commit of its own.
    async fn floor(&self) {
        let id = self.id() as i64;
        let connection = self.plain.get().await.expect("PostgreSQL answers");
        let write = "INSERT INTO floor (id, position, entry) VALUES ($1, $2, $3)";
        let write = connection.prepare_cached(write).await.expect("PostgreSQL answers");
        let entry = r#"{"entry":"done","step":"reserve"}"#;
        for position in 0..COMMITS as i32 {
            let done = connection.execute(&write, &[&id, &position, &entry]).await;
            assert_eq!(done.expect("PostgreSQL answers"), 1);
        }
    }

    async fn journal(&self) {
        let order = "an order".to_owned();
        let done = self.driver.start(&self.saga, &self.id().to_string(), order).await;
        done.expect("nobody else drives it");
    }

    async fn memory(&self) {
        let order = Arc::new("an order".to_owned());
        let done = Conductor.run(&self.saga, "nth", order, &Memory::default()).await;
        done.expect("memory keeps it");
    }
}

/// Round trips to PostgreSQL for one saga, on connections that are warm.
async fn round_trips(postgres: &Postgres, redis: &Redis, saga: &Saga<String>) -> usize {
    let proxy = Proxy::before_postgres(postgres.url()).await.expect("a socket");
    let options = Options { ttl: Duration::from_secs(30), timeout: TIMEOUT };
    let driver = PgDriver::open(proxy.url(), redis.url(), options).expect("URLs of the test bed");
    for id in ["warm", "counted"] {
        proxy.reset_count();
        driver.start(saga, id, "an order".to_owned()).await.expect("nobody else drives it");
    }
    proxy.counts().round_trips
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    let redis = runtime.block_on(testbed::redis::private())?;
    runtime.block_on(furnish(&postgres))?;
    let subjects = runtime.block_on(Subjects::warm(postgres.url(), redis.url(), 0))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .configure_from_args();
    let mut group = criterion.benchmark_group("crash_recovery");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("six commits", |b| b.to_async(at).iter(|| subject.floor()));
    group.bench_function("five steps, journal", |b| b.to_async(at).iter(|| subject.journal()));
    group.bench_function("five steps, memory", |b| b.to_async(at).iter(|| subject.memory()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("crash_recovery");
            let (floor, journal) =
                (async || subject.floor().await, async || subject.journal().await);
            ratios.compare("five steps / six commits", floor, journal).await;
            let proxies =
                [Proxy::before_postgres(postgres.url()).await?, Proxy::before(redis.url()).await?];
            let [postgres_far, redis_far] = &proxies;
            let far = Subjects::warm(postgres_far.url(), redis_far.url(), 1 << 32).await?;
            proxies.iter().for_each(|proxy| proxy.set_delay(Duration::from_millis(1)));
            let (floor, journal) = (async || far.floor().await, async || far.journal().await);
            ratios.at_most_far(1.5, "1 ms away: five steps / six commits", floor, journal).await;
            let trips = round_trips(&postgres, &redis, &subjects.saga).await;
            println!("  {:<40}{trips:>12}{COMMITS:>12}", "round trips to PostgreSQL");
            ratios.judge(1.0, "round trips / commits", trips as f64 / COMMITS as f64);
            ratios.end();
            anyhow::Ok(())
        })?;
    }
    Ok(())
}
