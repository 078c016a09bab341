//! What a fence costs: the same write with the comparison and without.
//!
//! ```console
//! $ cargo bench -p locks --bench fencing
//! ```
//!
//! One thread, one statement at a time. It fails if a fenced write costs more than 1.10 times the
//! same `UPDATE` without a fence.

use criterion::Criterion;
use locks::fencing::{Connections, FencedStock, PgStock, SCHEMA};
use locks::lease::{self, Held};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::postgres::{Postgres, Session, Target};
use testbed::ratios::{self, Ratios};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A lease that is nothing but its token.
struct Paper(u64);

impl Paper {
    /// Later than all before it.
    fn next() -> Paper {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Paper(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Held for Paper {
    fn token(&self) -> u64 {
        self.0
    }

    async fn extend(&self) -> Result<(), lease::Error> {
        Ok(())
    }

    async fn lost(&self) {
        std::future::pending::<()>().await;
    }

    async fn release(self) -> Result<(), lease::Error> {
        Ok(())
    }
}

struct Subjects {
    plain: Connections,
    stock: PgStock,
}

impl Subjects {
    async fn warm(postgres: &Postgres) -> anyhow::Result<Subjects> {
        let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
        let fill = move || {
            let mut session = Session::open(&target, TIMEOUT)?;
            session.query(SCHEMA)?;
            let put = "INSERT INTO fenced_stock (product, units) VALUES ('plain', 10), ('pen', 10)";
            session.query(put)
        };
        tokio::task::spawn_blocking(fill).await??;
        // The same connection for both. Each of two would have a process of PostgreSQL's to itself,
        // and the one that happens to share our processor is told from the other by a factor of two.
        let plain = Connections::open(postgres.url(), TIMEOUT)?;
        let subjects = Subjects { stock: PgStock::on(plain.clone()), plain };
        subjects.select().await;
        subjects.read().await;
        subjects.update().await;
        subjects.write().await;
        Ok(subjects)
    }

    async fn select(&self) {
        let select = "SELECT units FROM fenced_stock WHERE product = $1";
        let row = self.plain.row(select, &[&"plain"]).await.expect("PostgreSQL answers");
        assert!(row.is_some());
    }

    async fn read(&self) {
        self.stock.read("pen", &Paper::next()).await.expect("PostgreSQL answers");
    }

    async fn update(&self) {
        let update = "UPDATE fenced_stock SET units = $2 WHERE product = $1 RETURNING units";
        let row = self.plain.row(update, &[&"plain", &9_i64]).await.expect("PostgreSQL answers");
        assert!(row.is_some());
    }

    async fn write(&self) {
        self.stock.write("pen", 9, &Paper::next()).await.expect("the token is the highest");
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    let subjects = runtime.block_on(Subjects::warm(&postgres))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("fencing");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("UPDATE", |b| b.to_async(at).iter(|| subject.update()));
    group.bench_function("fenced write", |b| b.to_async(at).iter(|| subject.write()));
    group.bench_function("fenced read", |b| b.to_async(at).iter(|| subject.read()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("fencing");
            let (update, write) = (async || subject.update().await, async || subject.write().await);
            let (select, read) = (async || subject.select().await, async || subject.read().await);
            ratios.at_most(1.10, "fenced write / the same UPDATE", update, write).await;
            ratios.compare("fenced read / SELECT", select, read).await;
            ratios.end();
        });
    }
    Ok(())
}
