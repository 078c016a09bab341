//! 06.2 · Orchestration: two hundred checkouts, undone by hand and by a saga.
//!
//! ```console
//! $ cargo run --example orchestration
//! ```
//!
//! Ends by itself after some seconds.

use anyhow::Context;
use deadpool_postgres::tokio_postgres::error::SqlState;
use locks::fencing::{Connections, Error};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sagas::orchestration::{Conductor, Memory, Orchestrator};
use sagas::saga::Patience;
use sagas::{Entry, Failure, Outcome, Run, Saga, Step};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::{Proxy, Request};

const CHECKOUTS: u32 = 200;
const UNITS: i64 = 1_000;
const PRICE: i64 = 30;
const TIMEOUT: Duration = Duration::from_secs(5);

const PATIENCE: Patience = Patience {
    attempts: 4,
    first: Duration::from_millis(2),
    longest: Duration::from_millis(50),
    deadline: Duration::from_secs(2),
};

/// Books that may not fall below zero, and the keys that have changed them.
const SCHEMA: &str = "
    CREATE TABLE books (name text PRIMARY KEY, amount bigint NOT NULL CHECK (amount >= 0));
    CREATE TABLE taken (key text PRIMARY KEY, name text NOT NULL);
    CREATE TABLE given_back (key text PRIMARY KEY);";

const TAKE: &str = "
    WITH mine AS (INSERT INTO taken VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING key)
    UPDATE books SET amount = amount - $3 WHERE name = $2 AND EXISTS (SELECT FROM mine)
    RETURNING amount";

const GIVE_BACK: &str = "
    WITH mine AS (INSERT INTO given_back SELECT key FROM taken WHERE key = $1
                  ON CONFLICT DO NOTHING RETURNING key)
    UPDATE books SET amount = amount + $3 WHERE name = $2 AND EXISTS (SELECT FROM mine)
    RETURNING amount";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("06.2 orchestration · a saga is a value, and so is what became of it");
    let postgres = testbed::postgres::private().await?;
    page::note(postgres.origin());
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    furnish(&postgres).await?;
    let shop = Shop {
        through: Connections::open(proxy.url(), TIMEOUT)?,
        past: Connections::open(postgres.url(), TIMEOUT)?,
        proxy,
    };
    let fates = fates(page::seed()?);

    page::part(1, "Two hundred checkouts, and some go wrong");
    page::note("Reserve a unit, charge the customer, confirm. The units, accounts and orders");
    page::note("are in a real PostgreSQL. One in three meets a card that is declined,");
    page::note("an address that is unknown, a request or an answer that is cut on its way.");
    page::note("The same for both, drawn from one seed.");
    let by_hand = shop.goes_through("by_hand", &fates).await?;
    let saga = shop.goes_through("saga", &fates).await?;
    page::heads(&["by hand", "saga"]);
    let row =
        |what, of: fn(&Books) -> i64| page::row(what, of(&by_hand), &[of(&saga).to_string()], "");
    row("checkouts", |books| books.checkouts);
    row("orders", |books| books.orders);
    row("units lost", |books| books.units_lost);
    row("charged, and no order", |books| books.charged);
    row("orders not paid", |books| books.unpaid);
    row("answer unknown to the shop", |books| books.unknown);
    page::note("By hand: the undoing stands in the branches of the errors, and an error is a");
    page::note("no. A charge whose answer was lost is no refusal, and an undoing that failed");
    page::note("once has not been done.");

    page::part(2, "One of them, as its entries tell it");
    let (number, entries) = shop.one_of(&fates, Fate::NowhereAndRefundCut).await?;
    page::note(format!("order {number}: the address is unknown, and the refund is cut on its way"));
    for entry in &entries {
        page::note(format!("  {}", told(entry)));
    }
    page::next(&[
        ("cargo lab start orchestration", "carry a saga out yourself"),
        ("cargo lab why orchestration", "how the usual mistakes end"),
    ]);
    Ok(())
}

/// What happens to a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    Declined,
    ChargeLost,
    ChargeAnswerLost,
    DeclinedAndReleaseLost,
    NowhereAndRefundCut,
}

/// Two in three are well, drawn from the seed.
fn fates(seed: u64) -> Vec<Fate> {
    let mut random = StdRng::seed_from_u64(seed);
    let draw = |_| match random.random_range(0..15) {
        0 => Fate::Declined,
        1 => Fate::ChargeLost,
        2 => Fate::ChargeAnswerLost,
        3 => Fate::DeclinedAndReleaseLost,
        4 => Fate::NowhereAndRefundCut,
        _ => Fate::Well,
    };
    (0..CHECKOUTS).map(draw).collect()
}

/// What all steps of a checkout know.
struct Order {
    /// Whose books: those of the checkouts by hand, or of the sagas.
    whose: &'static str,
    number: u32,
}

impl Order {
    /// The book that a step changes, and by how much.
    fn book(&self, step: &str) -> (String, i64) {
        let Order { whose, number } = self;
        match step {
            "reserve" => (format!("{whose}/units"), 1),
            "charge" => (format!("{whose}/account/{number}"), PRICE),
            _ => (format!("{whose}/address/{number}"), 1),
        }
    }
}

/// A shop, and the two ways to its database: one on which something is cut, and one past that.
struct Shop {
    through: Connections,
    past: Connections,
    proxy: Proxy,
}

/// How things stand at the end.
struct Books {
    checkouts: i64,
    orders: i64,
    units_lost: i64,
    charged: i64,
    unpaid: i64,
    unknown: i64,
}

/// Where PostgreSQL has said nothing, it may have been done.
fn failure(error: &Error) -> Failure {
    match error {
        Error::Postgres(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
            Failure::Refused("there is not enough in the book".to_owned())
        }
        other => Failure::Unclear(other.to_string()),
    }
}

async fn change(
    database: &Connections,
    sql: &str,
    run: &Run<Order>,
    step: &str,
) -> Result<(), Failure> {
    let (book, amount) = run.context.book(step);
    let changed = database.row(sql, &[&run.key, &book, &amount]).await;
    changed.map(drop).map_err(|error| failure(&error))
}

// ANCHOR: by_hand
/// One after the other, and the undoing in the branches of the errors.
async fn by_hand(database: &Connections, order: Arc<Order>) -> Result<(), Failure> {
    let run = |step: &str| {
        let key = format!("by_hand/{step}/{}", order.number);
        Run { id: order.number.to_string(), key, attempt: 1, context: Arc::clone(&order) }
    };
    change(database, TAKE, &run("reserve"), "reserve").await?;
    if let Err(error) = change(database, TAKE, &run("charge"), "charge").await {
        let _ = change(database, GIVE_BACK, &run("reserve"), "reserve").await;
        return Err(error);
    }
    if let Err(error) = change(database, TAKE, &run("confirm"), "confirm").await {
        let _ = change(database, GIVE_BACK, &run("charge"), "charge").await;
        let _ = change(database, GIVE_BACK, &run("reserve"), "reserve").await;
        return Err(error);
    }
    Ok(())
}
// ANCHOR_END: by_hand

// ANCHOR: saga
/// The same as a value.
fn checkout(database: &Connections) -> Saga<Order> {
    Saga::named("saga")
        .step(step(database, "reserve"))
        .step(step(database, "charge"))
        .step(step(database, "confirm").pivot())
}

fn step(database: &Connections, name: &'static str) -> Step<Order> {
    let (take, give, look) = (database.clone(), database.clone(), database.clone());
    Step::new(name, move |run| {
        let database = take.clone();
        async move { change(&database, TAKE, &run, name).await }
    })
    .undo(move |run| {
        let database = give.clone();
        async move { change(&database, GIVE_BACK, &run, name).await }
    })
    .ask(move |run| {
        let database = look.clone();
        async move {
            let found = database.row("SELECT key FROM taken WHERE key = $1", &[&run.key]).await;
            found.map(|row| row.is_some()).map_err(|error| failure(&error))
        }
    })
    .patience(PATIENCE)
}
// ANCHOR_END: saga

impl Shop {
    /// All checkouts, one after the other, with these fates.
    async fn goes_through(&self, whose: &'static str, fates: &[Fate]) -> anyhow::Result<Books> {
        self.put(format!("{whose}/units"), UNITS).await?;
        let mut unknown = 0;
        for (number, fate) in (0..).zip(fates) {
            let ended = self.meets(whose, number, *fate).await?;
            unknown += i64::from(ended.is_none());
        }
        let many = async |what: &str| -> anyhow::Result<i64> {
            let sql = format!("SELECT count(*) FROM taken AS this WHERE {what}");
            Ok(self.past.row(&sql, &[&format!("{whose}/%")]).await?.context("a row")?.get(0))
        };
        let stands = "key LIKE $1 AND NOT EXISTS (SELECT FROM given_back WHERE key = this.key)";
        let of = |step: &str| format!("{stands} AND key LIKE '%/{step}/%'");
        let without = |step: &str, other: &str| {
            let key = format!("replace(this.key, '/{step}/', '/{other}/')");
            let back = format!("NOT EXISTS (SELECT FROM given_back WHERE key = {key})");
            let there = format!("EXISTS (SELECT FROM taken WHERE key = {key} AND {back})");
            format!("{} AND NOT {there}", of(step))
        };
        Ok(Books {
            checkouts: fates.len() as i64,
            orders: many(&of("confirm")).await?,
            units_lost: many(&without("reserve", "confirm")).await?,
            charged: many(&without("charge", "confirm")).await?,
            unpaid: many(&without("confirm", "charge")).await?,
            unknown,
        })
    }

    /// One checkout that meets its fate; the entries of its saga. `None`: nobody in the shop can tell
    /// what became of it.
    async fn meets(
        &self,
        whose: &'static str,
        number: u32,
        fate: Fate,
    ) -> anyhow::Result<Option<Vec<Entry>>> {
        let declined = matches!(fate, Fate::Declined | Fate::DeclinedAndReleaseLost);
        let nowhere = fate == Fate::NowhereAndRefundCut;
        let order = Arc::new(Order { whose, number });
        self.put(order.book("charge").0, if declined { PRICE - 1 } else { 10 * PRICE }).await?;
        self.put(order.book("confirm").0, i64::from(!nowhere)).await?;
        self.proxy.clear_rules();
        let this = |step: &str, undo: bool| {
            let key = format!("{whose}/{step}/{number}");
            move |request: &Request| {
                let gives = request.arguments.iter().any(|text| text.contains("given_back"));
                request.is("WITH") && request.mentions(&key) && gives == undo
            }
        };
        match fate {
            Fate::Well | Fate::Declined => {}
            Fate::ChargeLost => drop(self.proxy.cut_request(this("charge", false))),
            Fate::ChargeAnswerLost => drop(self.proxy.cut_reply(this("charge", false))),
            Fate::DeclinedAndReleaseLost => drop(self.proxy.cut_request(this("reserve", true))),
            Fate::NowhereAndRefundCut => drop(self.proxy.cut_request(this("charge", true))),
        }
        if whose == "by_hand" {
            return Ok(match by_hand(&self.through, order).await {
                Err(Failure::Unclear(_)) => None,
                _ => Some(Vec::new()),
            });
        }
        let (saga, log, id) = (checkout(&self.through), Memory::default(), number.to_string());
        let outcome = Conductor::new().run(&saga, &id, order, &log).await?;
        Ok((outcome != Outcome::Parked).then(|| log.entries(&id)))
    }

    /// One more of this fate, by a saga.
    async fn one_of(&self, fates: &[Fate], fate: Fate) -> anyhow::Result<(u32, Vec<Entry>)> {
        let number = fates.len() as u32;
        let entries = self.meets("saga", number, fate).await?;
        Ok((number, entries.context("it was parked")?))
    }

    async fn put(&self, book: String, amount: i64) -> anyhow::Result<()> {
        let put = "INSERT INTO books VALUES ($1, $2)";
        Ok(self.past.row(put, &[&book, &amount]).await.map(drop)?)
    }
}

fn told(entry: &Entry) -> String {
    match entry {
        Entry::Done { step } => format!("done     {step}"),
        Entry::Refused { step, reason } => format!("refused  {step}: {reason}"),
        Entry::Unknown { step, reason } => format!("unknown  {step}: {reason}"),
        Entry::Undone { step } => format!("undone   {step}"),
        Entry::Parked { step, reason } => format!("parked   {step}: {reason}"),
        Entry::Resumed => "resumed".to_owned(),
    }
}

/// The tables, as a migration makes them.
async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let made = move || Session::open(&target, TIMEOUT)?.query(SCHEMA);
    tokio::task::spawn_blocking(made).await?.context("the tables of the shop")?;
    Ok(())
}
