//! What of the inbox the exercise's checks do not ask: the caller's own transaction, the words of
//! its errors, and what it costs.

use deadpool_postgres::tokio_postgres::{IsolationLevel, types::Type};
use messaging::Message;
use messaging::idempotent_consumer::{
    BATCH, Error, Inbox, Once, Options, PgInbox, REMEMBER, SCHEMA, first_time,
};
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;

const PATIENCE: Duration = Duration::from_secs(10);

async fn furnished() -> Postgres {
    let postgres = testbed::postgres::private().await.expect("a server");
    furnish(&postgres).await;
    postgres
}

async fn furnish(postgres: &Postgres) {
    let target = Target::read(postgres.url()).expect("a URL");
    let tables = format!("{SCHEMA}; CREATE TABLE paid (id text)");
    let make = move || Session::open(&target, PATIENCE)?.query(&tables).map(drop);
    tokio::task::spawn_blocking(make).await.expect("no panic").expect("PostgreSQL is up");
}

fn payment(id: &str) -> Message {
    Message::new(id, "payment.received.v1", "12.50")
}

async fn pay(inbox: &PgInbox, id: &str) -> Result<Once, Error> {
    let message = payment(id);
    let id = id.to_owned();
    let effect = inbox.once(&message, move |transaction| {
        Box::pin(async move {
            let pay = "INSERT INTO paid VALUES ($1)";
            transaction.execute_typed(pay, &[(&id, Type::TEXT)]).await?;
            Ok(())
        })
    });
    effect.await
}

async fn paid(postgres: &Postgres) -> i64 {
    let pool = database::pool(postgres.url(), PATIENCE, 1).expect("a URL");
    let connection = pool.get().await.expect("PostgreSQL is up");
    let count = connection.query_one("SELECT count(*) FROM paid", &[]).await;
    count.expect("PostgreSQL is up").get(0)
}

#[tokio::test]
async fn a_transaction_of_the_callers_own_is_asked_in_the_same_way() {
    let postgres = furnished().await;
    let pool = database::pool(postgres.url(), PATIENCE, 2).unwrap();
    let (mut first, mut second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    {
        let lost = first.transaction().await.unwrap();
        assert!(first_time(&lost, "stock", "order-1").await.unwrap());
        assert!(!first_time(&lost, "stock", "order-1").await.unwrap(), "seen by itself");
    }
    let kept = first.transaction().await.unwrap();
    assert!(first_time(&kept, "stock", "order-1").await.unwrap(), "that one was rolled back");
    let none = first_time(&kept, "stock", "").await.unwrap_err();
    assert!(matches!(none, Error::NoId), "{none}");
    kept.commit().await.unwrap();
    let other = second.transaction().await.unwrap();
    assert!(!first_time(&other, "stock", "order-1").await.unwrap());
    assert!(first_time(&other, "email", "order-1").await.unwrap());
    // And by whoever has another driver.
    assert_eq!(other.execute(REMEMBER, &[&"email", &"order-1"]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_database_that_is_stricter_by_default_is_none_for_the_inbox() {
    let postgres = furnished().await;
    let pool = database::pool(postgres.url(), PATIENCE, 1).unwrap();
    let strict = "ALTER DATABASE :db SET default_transaction_isolation = 'serializable'";
    let connection = pool.get().await.unwrap();
    let name: String =
        connection.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
    connection.batch_execute(&strict.replace(":db", &format!("\"{name}\""))).await.unwrap();

    let inbox = PgInbox::open(postgres.url(), "billing", Options::default()).unwrap();
    let (first, second) = tokio::join!(pay(&inbox, "payment-1"), pay(&inbox, "payment-1"));
    let mut answers = [first.unwrap(), second.unwrap()];
    answers.sort_by_key(|once| *once == Once::Seen);
    assert_eq!(answers, [Once::First, Once::Seen]);
    // Whoever asks for more in a transaction of their own gets an error in the place of a `false`.
    let mut strict = connection;
    let early = strict.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let early = early.start().await.unwrap();
    early.batch_execute("SELECT 1 FROM paid").await.unwrap();
    pay(&inbox, "payment-2").await.unwrap();
    assert!(first_time(&early, "billing", "payment-2").await.is_err());
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let postgres = testbed::postgres::private().await.unwrap();
    let inbox = PgInbox::open(postgres.url(), "billing", Options::default()).unwrap();
    let no_table = pay(&inbox, "payment-1").await.unwrap_err().to_string();
    assert!(no_table.contains("inbox"), "{no_table}");
    furnish(&postgres).await;
    let no_id = pay(&inbox, "").await.unwrap_err().to_string();
    assert_eq!(no_id, "the message has no id");
    let message = payment("payment-1");
    let closed = inbox.once(&message, |_| Box::pin(async { Err("closed".into()) }));
    assert_eq!(closed.await.unwrap_err().to_string(), "the effect failed: closed");
    let hidden = inbox.once(&message, |transaction| {
        Box::pin(async move {
            let _ = transaction.batch_execute("SELECT 1 / 0").await;
            Ok(())
        })
    });
    assert!(matches!(hidden.await, Err(Error::Hidden)));
    assert_eq!(pay(&inbox, "payment-1").await.unwrap(), Once::First);
    assert!(PgInbox::open("no URL at all", "billing", Options::default()).is_err());
}

#[tokio::test]
async fn a_panic_in_an_effect_leaves_nothing() {
    let postgres = furnished().await;
    let single = Options { connections: 1, ..Options::default() };
    let inbox = PgInbox::open(postgres.url(), "billing", single).unwrap();
    let panics = tokio::spawn({
        let inbox = inbox.clone();
        async move {
            let message = payment("payment-1");
            let effect = inbox.once(&message, |transaction| {
                Box::pin(async move {
                    transaction.batch_execute("INSERT INTO paid VALUES ('half')").await?;
                    panic!("on purpose");
                })
            });
            effect.await
        }
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(paid(&postgres).await, 0);
    assert_eq!(pay(&inbox, "payment-1").await.unwrap(), Once::First);
    assert_eq!(paid(&postgres).await, 1);
}

#[tokio::test]
async fn it_costs_one_more_round_trip_and_a_repetition_costs_two() {
    let postgres = furnished().await;
    let proxy = Proxy::before_postgres(postgres.url()).await.unwrap();
    let single = Options { connections: 1, ..Options::default() };
    let inbox = PgInbox::open(proxy.url(), "billing", single).unwrap();
    pay(&inbox, "warm-up").await.unwrap();
    proxy.reset_count();
    pay(&inbox, "payment-1").await.unwrap();
    // Begin, remember, the effect, commit: three without the inbox.
    assert_eq!(proxy.counts().round_trips, 4, "{:?}", proxy.counts());
    proxy.reset_count();
    assert_eq!(pay(&inbox, "payment-1").await.unwrap(), Once::Seen);
    let counts = proxy.counts();
    // Its rollback is on its way, and nobody waits for it.
    let waited = counts.requests - counts.commands.get("ROLLBACK").unwrap_or(&0);
    assert_eq!(waited, 2, "{counts:?}");
}

#[tokio::test]
async fn two_sweeps_at_once_share_the_work() {
    let postgres = furnished().await;
    let pool = database::pool(postgres.url(), PATIENCE, 1).unwrap();
    let fill = "INSERT INTO inbox SELECT 'billing', n::text, now() - interval '2 hours'
                FROM generate_series(1, 1200) n";
    pool.get().await.unwrap().batch_execute(fill).await.unwrap();
    let hour = Options { keep: Duration::from_secs(3600), ..Options::default() };
    let inbox = PgInbox::open(postgres.url(), "billing", hour).unwrap();
    let (one, two) = tokio::join!(inbox.sweep(), inbox.sweep());
    assert!(one.unwrap() <= u64::from(BATCH) && two.unwrap() <= u64::from(BATCH));
    while inbox.sweep().await.unwrap() > 0 {}
    let left = pool.get().await.unwrap().query_one("SELECT count(*) FROM inbox", &[]).await;
    assert_eq!(left.unwrap().get::<_, i64>(0), 0);
    // As long as one likes, and longer than PostgreSQL knows dates for.
    let ever = Options { keep: Duration::MAX, ..Options::default() };
    let ever = PgInbox::open(postgres.url(), "billing", ever).unwrap();
    pay(&ever, "payment-1").await.unwrap();
    assert_eq!(ever.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_hangs_or_restarts_is_an_error_in_time_and_nothing_is_done_twice() {
    let postgres = testbed::postgres::process().await.unwrap();
    furnish(&postgres).await;
    let options = Options { timeout: Duration::from_millis(500), ..Options::default() };
    let inbox = PgInbox::open(postgres.url(), "billing", options).unwrap();
    let soon = Instant::now() + 3 * PATIENCE;
    while let Err(error) = pay(&inbox, "payment-1").await {
        assert!(Instant::now() < soon, "{error}");
    }
    postgres.stop_process().await.unwrap();
    let began = Instant::now();
    assert!(pay(&inbox, "payment-2").await.is_err());
    assert!(began.elapsed() < PATIENCE, "{:?} for an error", began.elapsed());
    postgres.continue_process().await.unwrap();
    postgres.restart().await.unwrap();
    for id in ["payment-1", "payment-2"] {
        while let Err(error) = pay(&inbox, id).await {
            assert!(Instant::now() < soon, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(pay(&inbox, id).await.unwrap(), Once::Seen);
    }
    assert_eq!(paid(&postgres).await, 2);
}
