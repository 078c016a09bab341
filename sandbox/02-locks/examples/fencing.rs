//! 02.4 · Fencing tokens: a holder that is stopped wakes, and believes that it holds.
//!
//! ```console
//! $ cargo run --example fencing
//! ```
//!
//! Ends by itself after some five seconds.

use anyhow::Context;
use locks::fencing::{Connections, Error, FencedStock, Options, PgStock, SCHEMA};
use locks::lease::{self, Held, Lease, RedisLease};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::redis::Redis;

const PATIENCE: Duration = Duration::from_secs(5);
const ROUNDS: usize = 20;
/// Of the lease that is held too long.
const TTL: Duration = Duration::from_secs(1);
/// Set in the process that is going to be stopped: with fence, or without.
const STOPPED: &str = "FENCING_EXAMPLE_HOLDER";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(match std::env::var(STOPPED) {
        Ok(stock) if stock == "fenced" => holder::<PgStock>().await,
        Ok(_) => holder::<Polite>().await,
        Err(_) => run().await,
    })
}

async fn run() -> anyhow::Result<()> {
    page::title("02.4 fencing · the resource refuses who is late");
    let redis = testbed::redis::private().await?;
    let postgres = testbed::postgres::private().await?;
    page::note(redis.origin());
    page::note(postgres.origin());
    furnish(&postgres).await?;

    stopped_holder(&redis, &postgres).await?;
    late_writes(&postgres).await?;
    price(&postgres).await?;

    page::next(&[
        ("cargo lab start fencing", "write it yourself, and have it stopped"),
        ("cargo run --example lock_free", "the same stock, and no lock at all"),
    ]);
    Ok(())
}

// ANCHOR: polite
/// A stock whose holders look before they write: only while the lease is good.
struct Polite(Connections);

impl FencedStock for Polite {
    fn open(url: &str, options: Options) -> Result<Polite, Error> {
        Connections::open(url, options.timeout).map(Polite)
    }

    async fn read(&self, product: &str, _: &impl Held) -> Result<u32, Error> {
        let read = "SELECT units FROM fenced_stock WHERE product = $1";
        let row = self.0.row(read, &[&product]).await?.ok_or(Error::NoSuchProduct)?;
        Ok(row.get::<_, i64>(0) as u32)
    }

    async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
        let token = lease.token();
        if tokio::time::timeout(Duration::ZERO, lease.lost()).await.is_ok() {
            return Err(Error::Fenced { token, newest: token + 1 });
        }
        // Whoever is stopped here writes when it wakes.
        pause();
        let write = "UPDATE fenced_stock SET units = $2 WHERE product = $1";
        self.0.row(write, &[&product, &i64::from(units)]).await?;
        Ok(())
    }
}
// ANCHOR_END: polite

/// In the process that is going to be stopped: here.
fn pause() {
    if std::env::var_os(STOPPED).is_some() {
        say("about to write");
        // Until the other process has said so, which it does when this one has been stopped.
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
}

fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

/// The process that is stopped: acquires, reads, and writes one less.
async fn holder<S: FencedStock>() -> anyhow::Result<()> {
    let url = |name| std::env::var(name).context("the other process tells it");
    let options = lease::Options { ttl: TTL, ..lease::Options::default() };
    let leases = RedisLease::open(&url("HOLDER_REDIS")?, options)?;
    let stock = S::open(&url("HOLDER_POSTGRES")?, Options::default())?;
    let product = url("HOLDER_PRODUCT")?;
    let _ = stock.read("connects", &leases.acquire("connects", PATIENCE).await?).await;
    let lease = leases.acquire(&product, PATIENCE).await?;
    let units = stock.read(&product, &lease).await?;
    if std::env::var(STOPPED)? == "fenced" {
        // Its statement holds its check, so there is no better moment than any other.
        pause();
    }
    match stock.write(&product, units - 1, &lease).await {
        Ok(()) => say("written"),
        Err(error) => say(&error.to_string()),
    }
    Ok(())
}

/// Part 1: a real process, really stopped.
async fn stopped_holder(redis: &Redis, postgres: &Postgres) -> anyhow::Result<()> {
    page::part(1, "A holder is stopped, and wakes");
    page::note("Another process holds the lease for a second, has read 10 units, and has seen");
    page::note("that its lease is good. There it is stopped (SIGSTOP). Meanwhile we get the");
    page::note("lease, read 10, and write 9: one sold. Then it wakes (SIGCONT), and writes 9.");
    let (looked, after_look) = wake("polite", redis, postgres).await?;
    let (fenced, after_fence) = wake("fenced", redis, postgres).await?;
    page::gap();
    page::figure("it looked at the clock: its write was", &looked);
    page::figure("units sold, and units gone", format!("2 and {}", 10 - after_look));
    let refused = fenced.contains("refused");
    page::figure("with a fence: its write was", if refused { "refused" } else { &fenced });
    let sold = if refused { 1 } else { 2 };
    page::figure("units sold, and units gone", format!("{sold} and {}", 10 - after_fence));
    Ok(())
}

/// What became of the stopped holder's write, and how many units there are.
async fn wake(stock: &str, redis: &Redis, postgres: &Postgres) -> anyhow::Result<(String, i64)> {
    let database = Connections::open(postgres.url(), PATIENCE)?;
    put(&database, stock).await?;
    let mut process = Command::new(std::env::current_exe()?)
        .env(STOPPED, stock)
        .env("HOLDER_REDIS", redis.url())
        .env("HOLDER_POSTGRES", postgres.url())
        .env("HOLDER_PRODUCT", stock)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting this program once more")?;
    let mut input = process.stdin.take().context("its standard input")?;
    let mut lines = BufReader::new(process.stdout.take().context("its standard output")?).lines();
    let process = Ends(process);
    anyhow::ensure!(lines.next().context("a word")?? == "about to write", "it says something else");
    testbed::process::freeze(process.0.id())?;

    let lease = RedisLease::open(redis.url(), lease::Options::default())?;
    let lease = lease.acquire(stock, PATIENCE).await?;
    match stock {
        "fenced" => sell::<PgStock>(postgres, stock, &lease).await?,
        _ => sell::<Polite>(postgres, stock, &lease).await?,
    }
    writeln!(input, "go on")?;
    testbed::process::thaw(process.0.id())?;
    let said = lines.next().context("a word of what it did")??;
    Ok((said, units(&database, stock).await?))
}

/// Killed when it is dropped: a stopped process would not end by itself.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn sell<S: FencedStock>(
    postgres: &Postgres,
    product: &str,
    lease: &impl Held,
) -> anyhow::Result<()> {
    let stock = S::open(postgres.url(), Options::default())?;
    let units = stock.read(product, lease).await?;
    Ok(stock.write(product, units - 1, lease).await?)
}

/// Part 2: a write that is on its way, before and after the later holder's.
async fn late_writes(postgres: &Postgres) -> anyhow::Result<()> {
    page::part(2, "The write that is on its way");
    page::note("Both have read 10, and each sells one. The earlier holder's write is held up");
    page::note("between its process and PostgreSQL, where no clock of its own can help.");
    let after = [
        held_up::<Polite>(postgres, true).await?,
        held_up::<WritesOnly>(postgres, true).await?,
        held_up::<PgStock>(postgres, true).await?,
    ];
    let between = [
        held_up::<Polite>(postgres, false).await?,
        held_up::<WritesOnly>(postgres, false).await?,
        held_up::<PgStock>(postgres, false).await?,
    ];
    page::heads(&["no fence", "on writes", "on reads too"]);
    let of = |wrong: usize| format!("{wrong} of {ROUNDS}");
    for (what, [none, writes, both]) in
        [("it lands after the later write", after), ("between later read and write", between)]
    {
        page::row(what, of(none), &[of(writes), of(both)], "");
    }
    page::note("Rounds in which more was sold than is gone from the stock. Where only writes");
    page::note("meet the fence, the late one passes before the later one, which undoes it.");
    Ok(())
}

// ANCHOR: writes_only
/// The fence as it is mostly drawn: writes are compared, and reads leave no mark.
struct WritesOnly(Connections);

impl FencedStock for WritesOnly {
    fn open(url: &str, options: Options) -> Result<WritesOnly, Error> {
        Connections::open(url, options.timeout).map(WritesOnly)
    }

    async fn read(&self, product: &str, _: &impl Held) -> Result<u32, Error> {
        let read = "SELECT units FROM fenced_stock WHERE product = $1";
        let row = self.0.row(read, &[&product]).await?.ok_or(Error::NoSuchProduct)?;
        Ok(row.get::<_, i64>(0) as u32)
    }

    async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
        let write = "UPDATE fenced_stock SET units = $2, written = $3
                     WHERE product = $1 AND written < $3 RETURNING units";
        let (units, token) = (i64::from(units), lease.token());
        let row = self.0.row(write, &[&product, &units, &(token as i64)]).await?;
        row.map(drop).ok_or(Error::Fenced { token, newest: token + 1 })
    }
}
// ANCHOR_END: writes_only

/// How often of [`ROUNDS`] the late write did harm, when it came `after` the later one or before.
async fn held_up<S: FencedStock>(postgres: &Postgres, after: bool) -> anyhow::Result<usize> {
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let early = std::sync::Arc::new(S::open(proxy.url(), Options::default())?);
    let late = S::open(postgres.url(), Options::default())?;
    let database = Connections::open(postgres.url(), PATIENCE)?;
    let mut wrong = 0;
    for round in 0..ROUNDS {
        let product = format!("round {round} {after} {}", std::any::type_name::<S>());
        put(&database, &product).await?;
        let (a, b) = (Paper(1), Paper(2));
        early.read(&product, &a).await?;
        // Its statement, and nothing that is only prepared.
        let gate = proxy.hold(|request| request.is("UPDATE") && request.mentions("9"));
        let writing = tokio::spawn({
            let (early, product) = (early.clone(), product.clone());
            async move { early.write(&product, 9, &a).await }
        });
        gate.arrived(1, PATIENCE).await?;
        late.read(&product, &b).await?;
        let mut sold = 0;
        if after {
            sold += u32::from(late.write(&product, 9, &b).await.is_ok());
        }
        gate.open();
        proxy.clear_rules();
        sold += u32::from(writing.await?.is_ok());
        if !after {
            sold += u32::from(late.write(&product, 9, &b).await.is_ok());
        }
        wrong += usize::from(i64::from(sold) != 10 - units(&database, &product).await?);
    }
    Ok(wrong)
}

/// A lease that is nothing but its token, and never known to be lost.
struct Paper(u64);

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

/// Part 3: what it costs.
async fn price(postgres: &Postgres) -> anyhow::Result<()> {
    const WRITES: u64 = 200;
    page::part(3, "What it costs");
    let stock = PgStock::open(postgres.url(), Options::default())?;
    let plain = Connections::open(postgres.url(), PATIENCE)?;
    put(&plain, "priced").await?;
    let write = "UPDATE fenced_stock SET units = $2 WHERE product = $1 RETURNING units";
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for token in 1..=WRITES {
        let began = Instant::now();
        plain.row(write, &[&"priced", &(token as i64)]).await?;
        without.push(began.elapsed());
        let began = Instant::now();
        stock.write("priced", token as u32, &Paper(token)).await?;
        with.push(began.elapsed());
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (without, with) = (median(without), median(with));
    page::heads(&["no fence", "fence"]);
    let ratio = format!("× {:.2}", with.as_secs_f64() / without.as_secs_f64());
    page::row("one write takes (median)", page::millis(without), &[page::millis(with)], &ratio);
    page::note("The comparison costs nothing that one could measure. A read that leaves its");
    page::note("mark is a write, though: it is for those who are about to write.");
    Ok(())
}

async fn put(database: &Connections, product: &str) -> anyhow::Result<()> {
    let put = "INSERT INTO fenced_stock (product, units) VALUES ($1, 10)";
    Ok(database.row(put, &[&product]).await.map(drop)?)
}

async fn units(database: &Connections, product: &str) -> anyhow::Result<i64> {
    let look = "SELECT units FROM fenced_stock WHERE product = $1";
    Ok(database.row(look, &[&product]).await?.context("the product")?.get(0))
}

/// The table, as a migration makes it.
async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let made = move || Session::open(&target, PATIENCE)?.query(SCHEMA);
    tokio::task::spawn_blocking(made).await?.context("the table of the stock")?;
    Ok(())
}
