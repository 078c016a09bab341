//! What the inbox costs: the same effect with it and without.
//!
//! ```console
//! $ cargo bench -p messaging --bench idempotent_consumer
//! ```
//!
//! One thread, one message at a time. It fails if a message with the inbox waits for PostgreSQL more
//! than once more than the same transaction without, or a message that was seen more than twice; or
//! takes more than 2.5 times as long.
//!
//! What is promised is the count of round trips, which is exact. The time is what one more row and
//! its index cost on a socket of this machine, where a round trip costs next to nothing: 1.83 where
//! nobody disturbs.

use criterion::Criterion;
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::types::Type;
use messaging::Message;
use messaging::idempotent_consumer::{Inbox, Once, Options, PgInbox, SCHEMA};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};

/// Between two measurements nobody runs, so a rollback that was not waited for may lie there for a while.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAY: &str = "INSERT INTO paid VALUES ($1)";

struct Subjects {
    pool: Pool,
    inbox: PgInbox,
}

impl Subjects {
    /// Both on the same connection: each of two would have a process of PostgreSQL's to itself, and
    /// the one that happens to share our processor is told from the other.
    async fn at(url: &str) -> anyhow::Result<Subjects> {
        let pool = database::pool(url, TIMEOUT, 1)?;
        let inbox = PgInbox::on(pool.clone(), "billing", Options::default());
        let subjects = Subjects { pool, inbox };
        subjects.plain().await;
        subjects.new_one().await;
        subjects.seen().await;
        Ok(subjects)
    }

    async fn plain(&self) {
        let mut connection = self.pool.get().await.expect("PostgreSQL answers");
        let transaction = connection.transaction().await.expect("PostgreSQL answers");
        let id = next();
        transaction.execute_typed(PAY, &[(&id, Type::TEXT)]).await.expect("PostgreSQL answers");
        transaction.commit().await.expect("PostgreSQL answers");
    }

    async fn new_one(&self) {
        assert_eq!(self.deliver(next()).await, Once::First);
    }

    async fn seen(&self) {
        self.deliver("always the same".to_owned()).await;
    }

    async fn deliver(&self, id: String) -> Once {
        let message = Message::new(id.clone(), "payment.received.v1", "");
        let effect = self.inbox.once(&message, move |transaction| {
            Box::pin(async move {
                transaction.execute_typed(PAY, &[(&id, Type::TEXT)]).await?;
                Ok(())
            })
        });
        effect.await.expect("PostgreSQL answers")
    }
}

/// An id that there was not before.
fn next() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("payment-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let tables = format!("{SCHEMA}; CREATE TABLE paid (id text)");
    let made = move || Session::open(&target, TIMEOUT)?.query(&tables);
    tokio::task::spawn_blocking(made).await??;
    Ok(())
}

/// How often each waits for PostgreSQL. A rollback that nobody waits for is left out.
async fn trips(postgres: &Postgres) -> anyhow::Result<[usize; 3]> {
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let subjects = Subjects::at(proxy.url()).await?;
    let count = || {
        let counts = proxy.counts();
        proxy.reset_count();
        counts.requests - counts.commands.get("ROLLBACK").copied().unwrap_or(0)
    };
    count();
    subjects.plain().await;
    let plain = count();
    subjects.new_one().await;
    let first = count();
    subjects.seen().await;
    Ok([plain, first, count()])
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    runtime.block_on(furnish(&postgres))?;
    let [plain, first, seen] = runtime.block_on(trips(&postgres))?;
    let subjects = runtime.block_on(Subjects::at(postgres.url()))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("idempotent_consumer");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("transaction", |b| b.to_async(at).iter(|| subject.plain()));
    group.bench_function("with the inbox", |b| b.to_async(at).iter(|| subject.new_one()));
    group.bench_function("seen before", |b| b.to_async(at).iter(|| subject.seen()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("idempotent_consumer");
            println!(
                "  waits for PostgreSQL: {plain} without, {first} with the inbox, {seen} if seen"
            );
            ratios.judge(1.0, "round trips more with the inbox", (first - plain) as f64);
            ratios.judge(2.0, "round trips of one that was seen", seen as f64);
            let plain = || async || subject.plain().await;
            let with = async || subject.new_one().await;
            ratios.at_most(2.5, "with the inbox / the transaction", plain(), with).await;
            ratios
                .compare("seen before / the transaction", plain(), async || {
                    subject.seen().await;
                })
                .await;
            ratios.end();
        });
    }
    Ok(())
}
