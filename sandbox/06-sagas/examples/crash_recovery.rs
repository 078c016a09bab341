//! 06.7 · Crash recovery: twenty checkouts, and the process that drives them is killed.
//!
//! ```console
//! $ cargo run --example crash_recovery
//! ```
//!
//! Ends by itself after some three seconds.

use anyhow::Context as _;
use deadpool_postgres::tokio_postgres::types::ToSql;
use locks::lease::RedisLease;
use page::{count, millis};
use sagas::crash_recovery::{Driver, Options, Recovery};
use sagas::journal::{PgJournal, SCHEMA, Tables};
use sagas::orchestration::{Conductor, Memory, Orchestrator};
use sagas::saga::Patience;
use sagas::{Failure, Run, Saga, Step};
use std::io::{BufRead, BufReader, Write};
use std::pin::Pin;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::redis::Redis;

const PATIENCE: Duration = Duration::from_secs(5);
const CHECKOUTS: usize = 20;
/// Set in the process that is going to be killed: what its state is kept in.
const KEPT: &str = "CRASH_EXAMPLE_KEPT";
const OPTIONS: Options = Options { ttl: Duration::from_secs(1), timeout: PATIENCE };

/// What is done for an order, each with how it is undone.
const STEPS: [(&str, Option<&str>); 5] = [
    ("place", Some("cancel")),
    ("reserve", Some("release")),
    ("charge", Some("refund")),
    ("approve", None),
    ("mail", None),
];

/// Where the process dies, one checkout after the other: before or after each of these effects. The
/// second half are buyers whom the shop does not trust, and who get everything back.
const GOOD: [&str; 5] = ["place", "reserve", "charge", "approve", "mail"];
const REFUSED: [&str; 5] = ["reserve", "charge", "refund", "release", "cancel"];

/// An effect, and whether it is done.
type Point = (&'static str, bool);

fn point(checkout: usize) -> Point {
    let at = if is_refused(checkout) { REFUSED } else { GOOD };
    (at[checkout / 2 % 5], checkout % 2 == 1)
}

fn is_refused(checkout: usize) -> bool {
    checkout >= CHECKOUTS / 2
}

fn id(checkout: usize) -> String {
    format!("order-{checkout:02}")
}

#[tokio::main]
async fn main() -> ExitCode {
    page::end(match std::env::var(KEPT) {
        Ok(kept) => doomed(&kept).await,
        Err(_) => run().await,
    })
}

async fn run() -> anyhow::Result<()> {
    page::title("06.7 crash_recovery · killed at any step, it goes on from there");
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    let [memory, again, journal] = killed(&redis).await?;

    page::part(1, "Twenty checkouts, and kill -9");
    page::note("A process drives twenty checkouts of five steps. Half of the buyers are not");
    page::note("trusted, and get everything back. Each stands still at a point of its own,");
    page::note("before or after an effect; there the process is killed. Another comes after.");
    page::heads(&["in memory", "from the start", "journal"]);
    let row = |what: &str, of: fn(&Ends) -> i64| {
        let (a, b, c) = (of(&memory), of(&again), of(&journal));
        page::row(what, a, &[b.to_string(), c.to_string()], "");
    };
    row("neither sent nor cancelled", |ends| ends.stuck);
    row("charged without an order", |ends| ends.charged);
    row("units held for nobody", |ends| ends.held);
    row("charged twice", |ends| ends.twice);
    row("effects done or tried again", |ends| ends.again);
    page::gap();
    page::figure("all ended, with a journal, after", millis(journal.after));
    page::note("The lease of who was killed lasts for a second; then another may drive.");

    price(&redis).await?;
    page::next(&[
        ("cargo lab start crash_recovery", "write it yourself, and have it killed"),
        ("cargo run --example fencing", "who was stopped, and wakes"),
    ]);
    Ok(())
}

/// What was left of the orders.
struct Ends {
    stuck: i64,
    charged: i64,
    held: i64,
    twice: i64,
    again: i64,
    after: Duration,
}

async fn killed(redis: &Redis) -> anyhow::Result<[Ends; 3]> {
    Ok([one("memory", redis).await?, one("again", redis).await?, one("journal", redis).await?])
}

/// A process drives all of them and is killed; another comes after it.
async fn one(kept: &str, redis: &Redis) -> anyhow::Result<Ends> {
    let postgres = testbed::postgres::private().await?;
    furnish(&postgres).await?;
    let mut process = Command::new(std::env::current_exe()?)
        .env(KEPT, kept)
        .env("CRASH_EXAMPLE_POSTGRES", postgres.url())
        .env("CRASH_EXAMPLE_REDIS", redis.url())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting this program once more")?;
    let lines = BufReader::new(process.stdout.take().context("its standard output")?).lines();
    let mut process = Dies(process);
    for line in lines.take(CHECKOUTS) {
        line.context("a word of where it is")?;
    }
    process.0.kill()?;
    process.0.wait()?;

    let began = Instant::now();
    let shop = Shop::open(postgres.url(), None)?;
    let saga = checkout(&shop);
    match kept {
        // Its successor has a memory of its own, and there is nothing in it.
        "memory" => {}
        "again" => {
            for nth in 0..CHECKOUTS {
                if shop.has_ended(&id(nth)).await? {
                    continue;
                }
                let order = Arc::new(is_refused(nth));
                // A new run of the order, as it knows of no other: with keys of its own.
                let run = format!("{}-again", id(nth));
                Conductor.run(&saga, &run, order, &Memory::default()).await?;
            }
        }
        _ => {
            let driver =
                Driver::<PgJournal, RedisLease>::open(postgres.url(), redis.url(), OPTIONS)?;
            let mut ended = 0;
            while !shop.all_ended().await? && began.elapsed() < PATIENCE {
                ended += driver.take_over(&saga).await?.ended;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::ensure!(ended > 0, "nothing was taken over");
        }
    }
    let mut ends = shop.ends().await?;
    ends.after = began.elapsed();
    Ok(ends)
}

/// Killed when it is dropped.
struct Dies(Child);

impl Drop for Dies {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process that is going to be killed: drives all twenty, each up to its point.
async fn doomed(kept: &str) -> anyhow::Result<()> {
    let url = |name| std::env::var(name).context("the other process tells it");
    let postgres = url("CRASH_EXAMPLE_POSTGRES")?;
    let shop = Shop::open(&postgres, Some(point))?;
    let saga = Arc::new(checkout(&shop));
    let options = Options { ttl: OPTIONS.ttl, timeout: PATIENCE };
    let redis = url("CRASH_EXAMPLE_REDIS")?;
    let driver = Driver::<PgJournal, RedisLease>::open(&postgres, &redis, options)?;
    let memory = Arc::new(Memory::default());
    for nth in 0..CHECKOUTS {
        let (saga, driver, memory) = (Arc::clone(&saga), driver.clone(), Arc::clone(&memory));
        let in_journal = kept == "journal";
        tokio::spawn(async move {
            let (id, refused) = (id(nth), is_refused(nth));
            match in_journal {
                true => driver.start(&saga, &id, refused).await.is_ok(),
                false => Conductor.run(&saga, &id, Arc::new(refused), &*memory).await.is_ok(),
            }
        });
    }
    std::future::pending().await
}

/// The services of the shop: each does a thing once for a key.
#[derive(Clone)]
struct Shop {
    tables: Tables,
    /// Where each checkout stands still.
    stop: Option<fn(usize) -> Point>,
}

impl Shop {
    fn open(url: &str, stop: Option<fn(usize) -> Point>) -> anyhow::Result<Shop> {
        Ok(Shop { tables: Tables::open(url, PATIENCE)?, stop })
    }

    async fn does(&self, run: &Run<bool>, what: &'static str) -> Result<(), Failure> {
        self.stands_still(run, (what, false)).await;
        if what == "approve" && *run.context {
            return Err(Failure::Refused("this buyer is not trusted".to_owned()));
        }
        let text = "WITH tried AS (INSERT INTO attempt (saga, what) VALUES ($1, $2))
                    INSERT INTO effect (saga, what, key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let parameters: [&(dyn ToSql + Sync); 3] = [&order(&run.id), &what, &run.key];
        let done = self.tables.rows(text, &parameters).await;
        done.map_err(|error| Failure::Unclear(error.to_string()))?;
        self.stands_still(run, (what, true)).await;
        Ok(())
    }

    async fn stands_still(&self, run: &Run<bool>, at: Point) {
        let nth = order(&run.id)[6..].parse().unwrap_or(usize::MAX);
        if self.stop.is_some_and(|stop| stop(nth) == at) {
            println!("{nth}");
            let _ = std::io::stdout().flush();
            std::future::pending::<()>().await;
        }
    }

    async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let row = self.tables.row(sql, &[]).await?.context("a number")?;
        Ok(row.get(0))
    }

    async fn has_ended(&self, id: &str) -> anyhow::Result<bool> {
        let ended = "SELECT 1 FROM effect WHERE saga = $1 AND what IN ('mail', 'cancel')";
        Ok(self.tables.row(ended, &[&id]).await?.is_some())
    }

    async fn all_ended(&self) -> anyhow::Result<bool> {
        let open = "SELECT count(*) FROM saga WHERE outcome IS NULL";
        Ok(self.number(open).await? == 0)
    }

    async fn ends(&self) -> anyhow::Result<Ends> {
        let net = "(SELECT saga, count(*) FILTER (WHERE what IN ('mail', 'cancel')) AS ended,
                           count(*) FILTER (WHERE what = 'mail') AS sent,
                           count(*) FILTER (WHERE what = 'charge') AS charged,
                           count(*) FILTER (WHERE what = 'refund') AS refunded,
                           count(*) FILTER (WHERE what = 'reserve') AS reserved,
                           count(*) FILTER (WHERE what = 'release') AS released
                    FROM effect GROUP BY saga) AS net";
        let of = |what: &str| format!("SELECT {what}::bigint FROM {net}");
        let ended = self.number(&of("coalesce(sum(least(ended, 1)), 0)")).await?;
        let attempts = "SELECT coalesce(sum(times - 1), 0)::bigint FROM
                        (SELECT count(*) AS times FROM attempt GROUP BY saga, what) AS a";
        Ok(Ends {
            stuck: CHECKOUTS as i64 - ended,
            charged: self
                .number(&of("coalesce(sum(greatest(charged - refunded - least(sent, 1), 0)), 0)"))
                .await?,
            held: self
                .number(&of("coalesce(sum(greatest(reserved - released - least(sent, 1), 0)), 0)"))
                .await?,
            twice: self.number(&of("count(*) FILTER (WHERE charged > 1)")).await?,
            again: self.number(attempts).await?,
            after: Duration::ZERO,
        })
    }
}

/// The order of a run, whatever the run is called.
fn order(id: &str) -> &str {
    id.trim_end_matches("-again")
}

// ANCHOR: checkout
/// The checkout, as a value.
fn checkout(shop: &Shop) -> Saga<bool> {
    let mut saga = Saga::named("checkout");
    // Who stands still at a point is not to be taken for one who does not answer.
    let patience = Patience { deadline: Duration::from_secs(60), ..Patience::default() };
    for (what, undo) in STEPS {
        let mut step = Step::new(what, call(shop, what)).patience(patience);
        if let Some(undo) = undo {
            step = step.undo(call(shop, undo));
        }
        saga = saga.step(step);
    }
    saga
}
// ANCHOR_END: checkout

type Doing = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

fn call(
    shop: &Shop,
    what: &'static str,
) -> impl Fn(Run<bool>) -> Doing + Send + Sync + 'static + use<> {
    let shop = shop.clone();
    move |run| {
        let shop = shop.clone();
        Box::pin(async move { shop.does(&run, what).await })
    }
}

/// Part 2: what it costs.
async fn price(redis: &Redis) -> anyhow::Result<()> {
    const SAGAS: usize = 100;
    page::part(2, "What it costs");
    let postgres = testbed::postgres::private().await?;
    furnish(&postgres).await?;
    let mut saga = Saga::named("nothing");
    for (what, _) in STEPS {
        saga = saga.step(Step::new(what, async |_| Ok(())));
    }
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let [counted, timed] = [proxy.url(), postgres.url()]
        .map(|url| Driver::<PgJournal, RedisLease>::open(url, redis.url(), OPTIONS));
    let (counted, timed) = (counted?, timed?);
    for warm in ["warm", "counted"] {
        proxy.reset_count();
        counted.start(&saga, warm, false).await?;
        timed.start(&saga, &format!("{warm} too"), false).await?;
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for nth in 0..SAGAS {
        let began = Instant::now();
        Conductor.run(&saga, "nth", Arc::new(false), &Memory::default()).await?;
        without.push(began.elapsed());
        let began = Instant::now();
        timed.start(&saga, &nth.to_string(), false).await?;
        with.push(began.elapsed());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    page::heads(&["in memory", "journal"]);
    let statements = count(proxy.counts().round_trips as u64);
    page::row("statements for five steps", 0, &[statements], "");
    let (without, with) = (median(&mut without), median(&mut with));
    page::row("a saga takes (median)", millis(without), &[millis(with)], "");
    page::note("One commit for its beginning, and one for each step; and a lease. The steps");
    page::note("do nothing here. Beside a payment provider that takes 100 ms it is nothing.");
    Ok(())
}

async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let tables = "CREATE TABLE effect (saga text, what text, key text, PRIMARY KEY (what, key));
                  CREATE TABLE attempt (nth bigserial, saga text, what text)";
    let furnish = move || -> anyhow::Result<()> {
        let mut session = Session::open(&target, PATIENCE)?;
        session.query(&format!("{SCHEMA}; {tables}"))?;
        session.close();
        Ok(())
    };
    tokio::task::spawn_blocking(furnish).await?
}
