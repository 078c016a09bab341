//! What a key costs: the same work with one and without.
//!
//! ```console
//! $ cargo bench -p sagas --bench idempotency_keys
//! ```
//!
//! One thread, one request at a time. It fails if a first request makes more than two round trips
//! more than its work alone, or a repeated one more than its work: those are counted. The times are
//! for people to read.

use criterion::Criterion;
use deadpool_postgres::Pool;
use sagas::idempotency_keys::{
    Keys, Options, PgKeys, Request, Response, SCHEMA, Scope, Work, pool,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};

const PATIENCE: Duration = Duration::from_secs(5);
/// The same connection for all. Each of two would have a process of PostgreSQL's to itself, and the
/// one that happens to share our processor is told from the other by a factor of two.
const OPTIONS: Options =
    Options { wait: PATIENCE, timeout: PATIENCE, keep: Duration::from_secs(3600), connections: 1 };

struct Subjects {
    pool: Pool,
    keys: PgKeys,
    next: AtomicU64,
}

impl Subjects {
    async fn warm(url: &str) -> anyhow::Result<Subjects> {
        let pool = pool(url, OPTIONS.timeout, OPTIONS.connections)?;
        let keys = PgKeys::on(pool.clone(), OPTIONS);
        let subjects = Subjects { pool, keys, next: AtomicU64::new(0) };
        subjects.plain().await;
        subjects.first().await;
        subjects.pay("0").await;
        Ok(subjects)
    }

    async fn plain(&self) {
        let mut connection = self.pool.get().await.expect("PostgreSQL is there");
        let transaction = connection.transaction().await.expect("PostgreSQL answers");
        let scope = Scope { transaction: &transaction, key: String::new() };
        charge(scope).await.expect("PostgreSQL answers");
        transaction.commit().await.expect("PostgreSQL answers");
    }

    async fn first(&self) {
        let key = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        assert!(!self.pay(&key).await, "a new key");
    }

    async fn again(&self) {
        assert!(self.pay("0").await, "an old key");
    }

    async fn pay(&self, key: &str) -> bool {
        let (method, path, body) = ("POST", "/payments", b"{\"amount\":1999}".as_slice());
        let request = Request { caller: "ann", key, method, path, body };
        self.keys.once(&request, charge).await.expect("PostgreSQL answers").replayed
    }
}

fn charge(scope: Scope<'_>) -> Work<'_> {
    Box::pin(async move {
        let charge = "INSERT INTO charges (amount) VALUES (1999) RETURNING id";
        let charge = scope.transaction.prepare_cached(charge).await?;
        let id: i64 = scope.transaction.query_one(&charge, &[]).await?.get(0);
        Ok(Response::new(201, format!("receipt {id} for {}", scope.key)))
    })
}

/// Requests to PostgreSQL that a caller waits for: without key, for the first time, and again.
async fn trips(postgres: &Postgres) -> anyhow::Result<[usize; 3]> {
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let subjects = Subjects::warm(proxy.url()).await?;
    let waited_for = || {
        let counts = proxy.counts();
        // What was only read is rolled back when the answer has been given.
        counts.requests - counts.commands.get("ROLLBACK").copied().unwrap_or(0)
    };
    // The last one of the warm-up may still be on its way.
    subjects.plain().await;
    proxy.reset_count();
    subjects.plain().await;
    let plain = waited_for();
    subjects.first().await;
    let first = waited_for() - plain;
    subjects.again().await;
    Ok([plain, first, waited_for() - plain - first])
}

async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let charges = "CREATE TABLE charges (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount bigint NOT NULL)";
    let tables = format!("{SCHEMA}; {charges}");
    let made = move || Session::open(&target, PATIENCE)?.query(&tables);
    tokio::task::spawn_blocking(made).await??;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    runtime.block_on(furnish(&postgres))?;
    let [plain, first, again] = runtime.block_on(trips(&postgres))?;
    runtime.block_on(async {
        let delete = "TRUNCATE idempotency_keys";
        let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
        let deleted = move || Session::open(&target, PATIENCE)?.query(delete);
        tokio::task::spawn_blocking(deleted).await??;
        anyhow::Ok(())
    })?;
    let subjects = runtime.block_on(Subjects::warm(postgres.url()))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("idempotency_keys");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("work alone", |b| b.to_async(at).iter(|| subject.plain()));
    group.bench_function("first time", |b| b.to_async(at).iter(|| subject.first()));
    group.bench_function("again", |b| b.to_async(at).iter(|| subject.again()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("idempotency_keys");
            let work = async || subject.plain().await;
            let (once, twice) = (async || subject.first().await, async || subject.again().await);
            ratios.compare("first request / its work alone", work, once).await;
            ratios.compare("repeated request / its work alone", work, twice).await;
            println!("  requests to PostgreSQL: {plain} alone, {first} first, {again} again");
            ratios.judge(2.0, "requests more, the first time", (first - plain) as f64);
            ratios.judge(1.0, "repeated requests / work alone", again as f64 / plain as f64);
            ratios.end();
        });
    }
    Ok(())
}
