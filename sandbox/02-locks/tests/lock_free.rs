//! The three stocks under crowds, impatient callers, and servers that stall or die.

use locks::lock_free::{
    Answer, Error, Options, SCHEMA, ScriptStock, Stock, UpdateStock, WatchStock,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::postgres::{Postgres, Session, Target};
use testbed::redis::Redis;
use tokio::task::JoinSet;

const PRODUCT: &str = "espresso-machine";
const BUYERS: u32 = 60;
const UNITS: u32 = 100;
/// Each buyer wants this many; so 33 orders can have them, and one unit is left.
const EACH: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

fn session(server: &Postgres) -> Session {
    let target = Target::read(server.url()).expect("the test bed's own URL");
    Session::open(&target, PATIENCE).expect("the server is up")
}

async fn furnished(server: Postgres) -> Postgres {
    session(&server).query(SCHEMA).expect("the tables are new");
    server
}

fn open<S: Stock>(url: &str) -> Arc<S> {
    Arc::new(S::open(url, Options::default()).expect("the test bed's own URL"))
}

/// Asks until there is an answer, as a caller does who has lost it.
async fn insist<S: Stock>(stock: &S, order: &str, units: u32) -> Answer {
    let began = Instant::now();
    loop {
        match stock.take(PRODUCT, order, units).await {
            Ok(answer) => return answer,
            Err(error) if began.elapsed() > PATIENCE => panic!("{order}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// A crowd in which each asks twice at once, and some lose patience first.
async fn crowd<S: Stock>(url: &str) {
    let stock = open::<S>(url);
    stock.put(PRODUCT, UNITS).await.expect("the server is up");
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let stock = stock.clone();
        buyers.spawn(async move {
            let order = format!("order-{buyer}");
            if buyer % 3 == 0 {
                // Dropped at some step or other; what was to follow may come or not.
                let patience = Duration::from_micros(u64::from(buyer) * 50);
                let _ = tokio::time::timeout(patience, stock.take(PRODUCT, &order, EACH)).await;
            }
            let twice = (insist(&*stock, &order, EACH), insist(&*stock, &order, EACH));
            let (once, again) = tokio::join!(twice.0, twice.1);
            assert_eq!(once, again, "{order} asked twice");
            u32::from(once == Answer::Taken(EACH))
        });
    }
    let mut sold = 0;
    while let Some(buyer) = buyers.join_next().await {
        sold += buyer.expect("every buyer had an answer");
    }
    let left = stock.left(PRODUCT).await.expect("the server is up");
    assert_eq!((sold, left), (UNITS / EACH, Some(UNITS % EACH)));
    stock.put(PRODUCT, UNITS).await.expect("the server is up");
    let late = insist(&*stock, "late", EACH).await;
    assert_eq!(late, Answer::SoldOut, "to put up twice is to put up once");
}

/// A server that does not answer: calls end, and work again when it does.
async fn stall<S: Stock>(url: &str, stop: impl AsyncFn(), go_on: impl AsyncFn()) {
    let stock = open::<S>(url);
    stock.put(PRODUCT, UNITS).await.expect("the server is up");
    stop().await;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    // More than there are connections: those who wait for one must come to an end, too.
    for caller in 0..20 {
        let stock = stock.clone();
        callers.spawn(async move { stock.take(PRODUCT, &caller.to_string(), 1).await });
    }
    while let Some(answer) = callers.join_next().await {
        answer.expect("no panic").expect_err("the server is stopped");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "after {:?}", began.elapsed());
    go_on().await;
    for caller in 0..20 {
        assert_eq!(insist(&*stock, &caller.to_string(), 1).await, Answer::Taken(1));
    }
    assert_eq!(stock.left(PRODUCT).await.expect("the server is up"), Some(UNITS - 20));
}

async fn stalled_redis<S: Stock>() {
    let redis = testbed::redis::process().await.expect("a Redis");
    let stop = async || redis.stop_process().await.expect("it is ours");
    let go_on = async || redis.continue_process().await.expect("it is ours");
    stall::<S>(redis.url(), stop, go_on).await;
}

/// A Redis without a log that died has forgotten stock and orders together, and says so.
async fn killed_redis<S: Stock>(redis: &Redis) {
    let stock = open::<S>(redis.url());
    stock.put(PRODUCT, UNITS).await.expect("Redis is up");
    assert_eq!(insist(&*stock, "first", EACH).await, Answer::Taken(EACH));
    redis.kill().await.expect("it is ours");
    stock.take(PRODUCT, "first", EACH).await.expect_err("Redis is gone");
    redis.restart().await.expect("it comes back");
    assert_eq!(insist(&*stock, "first", EACH).await, Answer::Unknown);
    redis.script_flush().await.expect("it is up");
    stock.put(PRODUCT, EACH).await.expect("Redis is up");
    assert_eq!(insist(&*stock, "second", EACH).await, Answer::Taken(EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_the_script() {
    let redis = testbed::redis::private().await.expect("a Redis");
    crowd::<ScriptStock>(redis.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_the_watch() {
    let redis = testbed::redis::private().await.expect("a Redis");
    crowd::<WatchStock>(redis.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_the_update() {
    let server = furnished(testbed::postgres::private().await.expect("a PostgreSQL")).await;
    crowd::<UpdateStock>(server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stalls_ends_the_calls_to_the_script() {
    stalled_redis::<ScriptStock>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stalls_ends_the_calls_to_the_watch() {
    stalled_redis::<WatchStock>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_stalls_ends_the_calls_to_the_update() {
    let server = furnished(testbed::postgres::process().await.expect("a PostgreSQL")).await;
    let stop = async || server.stop_process().await.expect("it is ours");
    let go_on = async || server.continue_process().await.expect("it is ours");
    stall::<UpdateStock>(server.url(), stop, go_on).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_died_has_forgotten_and_says_so() {
    let redis = testbed::redis::process().await.expect("a Redis");
    killed_redis::<ScriptStock>(&redis).await;
    redis.flush_all().await.expect("it is up");
    killed_redis::<WatchStock>(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_died_remembers() {
    let server = furnished(testbed::postgres::process().await.expect("a PostgreSQL")).await;
    let stock = open::<UpdateStock>(server.url());
    stock.put(PRODUCT, EACH).await.expect("it is up");
    assert_eq!(insist(&*stock, "first", EACH).await, Answer::Taken(EACH));
    server.kill().await.expect("it is ours");
    stock.take(PRODUCT, "first", EACH).await.expect_err("it is gone");
    server.restart().await.expect("it comes back");
    assert_eq!(insist(&*stock, "first", EACH).await, Answer::Taken(EACH));
    assert_eq!(insist(&*stock, "second", EACH).await, Answer::SoldOut);
}

/// Somebody who took the row and then stopped keeps a caller waiting, but not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_held_is_an_error_in_time() {
    let server = furnished(testbed::postgres::private().await.expect("a PostgreSQL")).await;
    let options =
        Options { timeout: Duration::from_millis(500), connections: 1, ..Options::default() };
    let stock = UpdateStock::open(server.url(), options).expect("the test bed's own URL");
    stock.put(PRODUCT, UNITS).await.expect("it is up");
    let mut holder = session(&server);
    holder.query("BEGIN; UPDATE stock SET units = units").expect("nobody else is here");
    let error = stock.take(PRODUCT, "first", EACH).await.expect_err("the row is held");
    assert!(matches!(error, Error::Postgres(_)), "{error}");
    // The same connection, and nothing of the transaction is left on it.
    assert_eq!(stock.left(PRODUCT).await.expect("it is up"), Some(UNITS));
    holder.query("ROLLBACK").expect("it is up");
    assert_eq!(insist(&stock, "first", EACH).await, Answer::Taken(EACH));
}
