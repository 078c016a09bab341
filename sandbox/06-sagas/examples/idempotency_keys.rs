//! 06.6 · Idempotency keys: a client that does not know whether it has paid.
//!
//! ```console
//! $ cargo run --example idempotency_keys
//! ```
//!
//! Ends by itself after some five seconds.

use anyhow::Context;
use deadpool_postgres::Pool;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sagas::idempotency_keys::{
    Cause, Keys, Options, PgKeys, Request, Response, SCHEMA, Scope, Work, pool,
};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;

const SEED: u64 = 6;
const PAYMENTS: usize = 300;
const ATTEMPTS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(5);
const CHARGES: &str = "CREATE TABLE charges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shop text, payment text)";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("06.6 idempotency_keys · the same request twice, one effect, one answer");
    let postgres = testbed::postgres::private().await?;
    page::note(postgres.origin());
    ask(&postgres, &format!("{SCHEMA}; {CHARGES}")).await?;

    retries(&postgres).await?;
    at_once(&postgres).await?;
    price(&postgres).await?;

    page::next(&[
        ("cargo lab start idempotency_keys", "write it yourself, and have it killed"),
        ("cargo lab why idempotency_keys", "how the wrong ones charge twice"),
    ]);
    Ok(())
}

/// A shop that charges cards.
enum Shop {
    /// Each request is a new one.
    NoKey(Pool),
    /// Looks for the key, does the work, and keeps the answer when that is done.
    Apart(Pool),
    /// The key and the answer in the transaction of the charge.
    Together(PgKeys),
}

impl Shop {
    fn all(url: &str) -> anyhow::Result<[Shop; 3]> {
        let options = Options::default();
        let pool = || pool(url, options.timeout, options.connections);
        Ok([
            Shop::NoKey(pool()?),
            Shop::Apart(pool()?),
            Shop::Together(PgKeys::open(url, options)?),
        ])
    }

    fn name(&self) -> &'static str {
        match self {
            Shop::NoKey(_) => "no key",
            Shop::Apart(_) => "key apart",
            Shop::Together(_) => "key with it",
        }
    }

    async fn pay(&self, payment: &str) -> Result<Response, Cause> {
        let key = format!("{} {payment}", self.name());
        let (method, path) = ("POST", "/payments");
        let request = Request { caller: "ann", key: &key, method, path, body: payment.as_bytes() };
        let charge = charge(self.name(), payment);
        match self {
            Shop::NoKey(pool) => {
                let mut connection = pool.get().await?;
                let transaction = connection.transaction().await?;
                let key = String::new();
                let response = charge(Scope { transaction: &transaction, key }).await?;
                transaction.commit().await?;
                Ok(response)
            }
            Shop::Apart(pool) => apart(pool, &request, charge).await,
            Shop::Together(keys) => Ok(keys.once(&request, charge).await?.response),
        }
    }
}

/// What is to be done once.
fn charge(shop: &'static str, payment: &str) -> impl for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send {
    let payment = payment.to_owned();
    move |scope: Scope<'_>| {
        Box::pin(async move {
            let charge = "INSERT INTO charges (shop, payment) VALUES ($1, $2) RETURNING id";
            let charge = scope.transaction.prepare_cached(charge).await?;
            let row = scope.transaction.query_one(&charge, &[&shop, &payment]).await?;
            Ok(Response::new(201, format!("receipt {}", row.get::<_, i64>(0))))
        })
    }
}

// ANCHOR: apart
/// What a middleware does that wraps a handler.
async fn apart<W>(pool: &Pool, request: &Request<'_>, work: W) -> Result<Response, Cause>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t>,
{
    let mut connection = pool.get().await?;
    let look = "SELECT body FROM idempotency_keys WHERE caller = $1 AND key = $2";
    let look = connection.prepare_cached(look).await?;
    if let Some(row) = connection.query_opt(&look, &[&request.caller, &request.key]).await? {
        return Ok(Response::new(201, row.get::<_, Vec<u8>>(0)));
    }
    let transaction = connection.transaction().await?;
    let scope = Scope { transaction: &transaction, key: String::new() };
    let response = work(scope).await?;
    transaction.commit().await?; // the card is charged,
    let keep = "INSERT INTO idempotency_keys (caller, key, fingerprint, body, expires_at)
                VALUES ($1, $2, $3, $4, now() + interval '1 day') ON CONFLICT DO NOTHING";
    let keep = connection.prepare_cached(keep).await?; // and nobody knows it yet
    let (fingerprint, body) = (request.fingerprint(), &response.body);
    connection.execute(&keep, &[&request.caller, &request.key, &fingerprint, body]).await?;
    Ok(response)
}
// ANCHOR_END: apart

/// What happens to the first attempt of a payment.
#[derive(Clone, Copy)]
enum Fate {
    Well,
    /// It is answered, and the client never hears of it.
    AnswerLost,
    /// At this statement the connection to PostgreSQL is lost, before it or after.
    Cut {
        statement: usize,
        reply: bool,
    },
    /// The client's timeout is too short: its second attempt comes while the first is under way.
    Impatient,
}

impl Fate {
    fn draw(random: &mut StdRng) -> Fate {
        match random.random_range(0..100) {
            0..60 => Fate::Well,
            60..75 => Fate::AnswerLost,
            75..90 => Fate::Cut {
                statement: random.random_range(1..=5),
                reply: random.random_range(0..3) > 0,
            },
            _ => Fate::Impatient,
        }
    }
}

/// Part 1: payments by a client that tries again.
async fn retries(postgres: &Postgres) -> anyhow::Result<()> {
    page::part(1, "A client that tries again");
    page::note(format!(
        "{PAYMENTS} payments. Of each hundred, 15 lose the shop's answer, 15 lose the"
    ));
    page::note("shop's connection to PostgreSQL at some statement, before it or after, and 10");
    page::note("come twice at the same time. The client tries until it is answered.");
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let mut columns = Vec::new();
    for shop in Shop::all(proxy.url())? {
        columns.push(column(&shop, &proxy, postgres).await?);
    }
    page::heads(&["no key", "key apart", "key with it"]);
    let rows =
        ["payments", "answered", "charged once", "charged twice or more", "answers that differ"];
    for (nth, what) in rows.into_iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|column| column[nth].to_string()).collect();
        page::row(what, &cells[0], &cells[1..], "");
    }
    page::note("Kept apart, the key helps those whose answer was lost on its way. It helps");
    page::note("nobody who comes, or whose shop dies, between the charge and the key.");
    Ok(())
}

async fn column(shop: &Shop, proxy: &Proxy, postgres: &Postgres) -> anyhow::Result<[usize; 5]> {
    let mut random = StdRng::seed_from_u64(SEED);
    // Connected, and all statements prepared.
    for warm in ["warm 1", "warm 2"] {
        let (one, two) = tokio::join!(shop.pay(warm), shop.pay(warm));
        anyhow::ensure!(one.is_ok() && two.is_ok(), "the shop does not even open");
    }
    let (mut answered, mut differ) = (0, 0);
    for nth in 0..PAYMENTS {
        let payment = format!("payment {nth}");
        let mut answers = Vec::new();
        let mut heard = false;
        match Fate::draw(&mut random) {
            Fate::Well => {}
            Fate::AnswerLost => answers.extend(shop.pay(&payment).await.ok()),
            Fate::Cut { statement, reply } => {
                proxy.reset_count();
                match reply {
                    true => proxy.cut_reply(move |request| request.nth == statement),
                    false => proxy.cut_request(move |request| request.nth == statement),
                };
                let answer = shop.pay(&payment).await.ok();
                proxy.clear_rules();
                heard = answer.is_some();
                answers.extend(answer);
            }
            Fate::Impatient => {
                let (one, two) = tokio::join!(shop.pay(&payment), shop.pay(&payment));
                answers.extend(one.ok());
                answers.extend(two.ok());
            }
        }
        for _ in 0..ATTEMPTS {
            if heard {
                break;
            }
            let answer = shop.pay(&payment).await.ok();
            heard = answer.is_some();
            answers.extend(answer);
        }
        answered += usize::from(heard);
        differ += usize::from(answers.windows(2).any(|two| two[0].body != two[1].body));
    }
    let of = format!("shop = '{}' AND payment LIKE 'payment %'", shop.name());
    let counts = |times: &str| {
        format!(
            "SELECT count(*) FROM (SELECT payment FROM charges WHERE {of}
             GROUP BY payment HAVING count(*) {times}) AS payments"
        )
    };
    let (once, more) = (ask(postgres, &counts("= 1")).await?, ask(postgres, &counts("> 1")).await?);
    Ok([PAYMENTS, answered, once, more, differ])
}

/// Part 2: a hundred at once.
async fn at_once(postgres: &Postgres) -> anyhow::Result<()> {
    page::part(2, "A hundred at once");
    page::note("The button was pressed a hundred times: a hundred requests with one key.");
    let mut cells = Vec::new();
    for shop in Shop::all(postgres.url())? {
        let shop = std::sync::Arc::new(shop);
        let pressed = (0..100).map(|_| {
            let shop = std::sync::Arc::clone(&shop);
            async move { shop.pay("pressed").await.map_err(|error| error.to_string()) }
        });
        let mut answers = Vec::new();
        for answer in testbed::together(pressed).await {
            answers.push(answer.map_err(anyhow::Error::msg)?.body);
        }
        answers.sort();
        answers.dedup();
        let count = format!(
            "SELECT count(*) FROM charges WHERE shop = '{}' AND payment = 'pressed'",
            shop.name()
        );
        cells.push((ask(postgres, &count).await?.to_string(), answers.len().to_string()));
    }
    page::heads(&["no key", "key apart", "key with it"]);
    page::row("cards charged", &cells[0].0, &[cells[1].0.clone(), cells[2].0.clone()], "");
    page::row("different answers", &cells[0].1, &[cells[1].1.clone(), cells[2].1.clone()], "");
    Ok(())
}

/// Part 3: what it costs.
async fn price(postgres: &Postgres) -> anyhow::Result<()> {
    const ROUNDS: usize = 100;
    page::part(3, "What it costs");
    let mut cells = Vec::new();
    let [plain, _, keyed] = Shop::all(postgres.url())?;
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let [plain_trips, _, keyed_trips] = Shop::all(proxy.url())?;
    let ways =
        [(&plain, &plain_trips, true), (&keyed, &keyed_trips, true), (&keyed, &keyed_trips, false)];
    let failed = |error: Cause| anyhow::anyhow!("a payment: {error}");
    // In turns, so that what slows the machine for a while slows all.
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for ((shop, _, fresh), times) in ways.iter().zip(&mut times) {
            let payment = format!("priced {}", if *fresh { round } else { 0 });
            let began = Instant::now();
            shop.pay(&payment).await.map_err(failed)?;
            times.push(began.elapsed());
        }
    }
    for ((_, counted, fresh), mut times) in ways.into_iter().zip(times) {
        counted.pay("priced 0").await.map_err(failed)?;
        counted.pay("counted, to warm up").await.map_err(failed)?;
        proxy.reset_count();
        counted.pay(if fresh { "counted" } else { "priced 0" }).await.map_err(failed)?;
        // One after the other, and none is waited for in vain: what was only read is rolled back when
        // the answer has been given.
        let counts = proxy.counts();
        let trips = counts.requests - counts.commands.get("ROLLBACK").copied().unwrap_or(0);
        times.sort_unstable();
        cells.push((trips, times[ROUNDS / 2]));
    }
    page::heads(&["no key", "first time", "again"]);
    let trips: Vec<String> = cells.iter().map(|(trips, _)| trips.to_string()).collect();
    page::row("round trips to PostgreSQL", &trips[0], &trips[1..], "");
    let times: Vec<String> = cells.iter().map(|(_, time)| page::millis(*time)).collect();
    page::row("one payment takes (median)", &times[0], &times[1..], "");
    page::note("Two round trips more than the work alone: one takes the key, one keeps the");
    page::note("answer. They belong to a transaction that there was anyway.");
    Ok(())
}

/// One statement past every proxy, and the number that it answers, if it does.
async fn ask(postgres: &Postgres, sql: &str) -> anyhow::Result<usize> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let sql = sql.to_owned();
    let asked = move || Session::open(&target, PATIENCE)?.query(&sql);
    let rows = tokio::task::spawn_blocking(asked).await?.context("PostgreSQL refuses")?;
    let number = rows.into_iter().flatten().flatten().next();
    Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
}
