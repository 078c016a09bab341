//! The same with a stock and an account in a real PostgreSQL, whose answers are lost on their way.

use deadpool_postgres::tokio_postgres::error::SqlState;
use grading::{Evidence, Finding, SOON, World};
use locks::fencing::{Connections, Error};
use rand::RngExt;
use sagas::orchestration::{Memory, Orchestrator};
use sagas::saga::Patience;
use sagas::{Failure, Outcome, Run, Saga, Step};
use std::sync::Arc;
use std::time::Duration;
use testbed::postgres::{Session, Target};
use testbed::proxy::Proxy;

/// Two books that may not fall below zero, and the keys that have changed them. Written down in the
/// statement of the change itself, or a key would be known and its change be lost.
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

const WAS_TAKEN: &str = "SELECT key FROM taken WHERE key = $1";

const PRICE: i64 = 30;

/// Real time passes here, so the pauses are short.
const PATIENCE: Patience = Patience {
    attempts: 4,
    first: Duration::from_millis(2),
    longest: Duration::from_millis(20),
    deadline: Duration::from_secs(3),
};

/// What a call of the database comes to. Where it has said nothing, it may have been done.
fn failure(error: &Error) -> Failure {
    let said = error.to_string();
    match error {
        Error::Postgres(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
            Failure::Refused(said)
        }
        _ => Failure::Unclear(said),
    }
}

fn taking(database: &Connections, step: &'static str, book: &'static str, amount: i64) -> Step<()> {
    let (take, give, look) = (database.clone(), database.clone(), database.clone());
    Step::new(step, move |run: Run<()>| {
        let database = take.clone();
        async move {
            let taken = database.row(TAKE, &[&run.key, &book, &amount]).await;
            taken.map(drop).map_err(|error| failure(&error))
        }
    })
    .undo(move |run: Run<()>| {
        let database = give.clone();
        async move {
            let given = database.row(GIVE_BACK, &[&run.key, &book, &amount]).await;
            given.map(drop).map_err(|error| failure(&error))
        }
    })
    .ask(move |run: Run<()>| {
        let database = look.clone();
        async move {
            let found = database.row(WAS_TAKEN, &[&run.key]).await;
            found.map(|row| row.is_some()).map_err(|error| failure(&error))
        }
    })
    .patience(PATIENCE)
}

/// The books of a shop, and the orchestrator's way to them.
struct Shop {
    world: World,
    proxy: Proxy,
    units: i64,
    balance: i64,
    id: String,
}

impl Shop {
    async fn open(world: World, balance: i64) -> Result<Shop, Finding> {
        let mut random = world.random();
        let (units, number) = (random.random_range(5..50), random.random_range(100..1_000));
        let proxy = world.postgres_client("orchestrator").await?;
        let shop = Shop { world, proxy, units, balance, id: format!("order-{number}") };
        shop.ask(SCHEMA.to_owned()).await?;
        let books = format!("('units', {units}), ('account', {balance})");
        shop.ask(format!("INSERT INTO books VALUES {books}")).await?;
        Ok(shop)
    }

    async fn ask(&self, sql: String) -> Result<i64, Finding> {
        let url = self.world.postgres().await?.url().to_owned();
        let asked = move || {
            let failed = |error: &dyn std::fmt::Display| {
                Finding::inconclusive(format!("PostgreSQL failed the check itself: {error}"))
            };
            let target = Target::read(&url).map_err(Finding::inconclusive)?;
            let mut session = Session::open(&target, SOON).map_err(|error| failed(&error))?;
            let rows = session.query(&sql).map_err(|error| failed(&error))?;
            session.close();
            let first = rows.into_iter().flatten().flatten().next();
            Ok(first.and_then(|text| text.parse().ok()).unwrap_or_default())
        };
        tokio::task::spawn_blocking(asked).await?
    }

    /// Takes a unit and the price, and sends the order off.
    async fn checks_out<S: Orchestrator>(&self, fault: &str) -> Result<Option<Outcome>, Finding> {
        let _band = self.world.fault(fault);
        let database = Connections::open(self.proxy.url(), SOON)
            .map_err(|error| Finding::inconclusive(error.to_string()))?;
        let saga = Saga::named("checkout")
            .step(taking(&database, "reserve", "units", 1))
            .step(taking(&database, "charge", "account", PRICE))
            .step(taking(&database, "send", "units", 0).pivot());
        let log = Memory::default();
        let run = S::new();
        let run = run.run(&saga, &self.id, Arc::new(()), &log);
        let call = self.world.invoke("orchestrator", format!("run {}", self.id));
        let answer = run.await;
        call.end_with(&answer);
        Ok(answer.ok())
    }

    /// Whether it came to this, and the books agree with it.
    async fn has(
        &self,
        outcome: Option<Outcome>,
        expected: Outcome,
        sold: bool,
    ) -> Result<(), Finding> {
        let of =
            async |book| self.ask(format!("SELECT amount FROM books WHERE name = '{book}'")).await;
        let (units, account) = (of("units").await?, of("account").await?);
        let told = |units: i64, account: i64| format!("{units} units, {account} in the account");
        let saw = told(units, account);
        let line = self.world.history().note("database", format!("holds {saw}"));
        let at = self.world.history().last("orchestrator", "= ");
        let gone = i64::from(sold);
        let right = told(self.units - gone, self.balance - gone * PRICE);
        if saw != right {
            return Err(Evidence::new(right, saw).at(at).at(line).into());
        }
        match outcome {
            Some(outcome) if outcome == expected => Ok(()),
            other => {
                let (expected, saw) = (format!("{expected:?}"), format!("{other:?}"));
                Err(Evidence::new(expected, saw).at(at).into())
            }
        }
    }
}

fn landed(cut: usize, what: &str) -> Result<(), Finding> {
    match cut {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}

pub(super) async fn charged_and_not_told<S: Orchestrator>(world: World) -> Result<(), Finding> {
    let shop = Shop::open(world, 100).await?;
    let cut = shop.proxy.cut_reply(|request| request.is("WITH") && request.mentions("account"));
    let outcome = shop.checks_out::<S>("the first answer to a charge is cut").await?;
    landed(cut.count(), "no answer to a charge was lost")?;
    shop.has(outcome, Outcome::Completed, true).await
}

pub(super) async fn never_reached_it<S: Orchestrator>(world: World) -> Result<(), Finding> {
    let shop = Shop::open(world, 100).await?;
    let cut = shop.proxy.cut_request(|request| request.is("WITH") && request.mentions("account"));
    let outcome = shop.checks_out::<S>("the first charge is cut on its way").await?;
    landed(cut.count(), "no charge was lost on its way")?;
    shop.has(outcome, Outcome::Completed, true).await
}

pub(super) async fn declined<S: Orchestrator>(world: World) -> Result<(), Finding> {
    let shop = Shop::open(world, PRICE - 1).await?;
    // The answer to the release is lost as well: it is released again, and once.
    let gives_back = |request: &testbed::proxy::Request| {
        request.is("WITH")
            && request.mentions("units")
            && request.arguments.iter().any(|text| text.contains("given_back"))
    };
    let cut = shop.proxy.cut_reply(gives_back);
    let outcome = shop.checks_out::<S>("the first answer to a release is cut").await?;
    shop.has(outcome, Outcome::Compensated, false).await?;
    landed(cut.count(), "no answer to a release was lost")
}
