//! The proxy before a real PostgreSQL: what it holds is not done, what it cuts is or is not.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use testbed::postgres::{Postgres, Session, Target, private};
use testbed::proxy::{Observation, Proxy};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(url: &str) -> Session {
    Session::open(&Target::read(url).unwrap(), PATIENCE).unwrap()
}

/// Whether the session could say it and get an answer.
async fn say(mut session: Session, sql: &'static str) -> (Session, bool) {
    tokio::task::spawn_blocking(move || {
        let said = session.query(sql).is_ok();
        (session, said)
    })
    .await
    .unwrap()
}

async fn units(postgres: &Postgres) -> String {
    let url = postgres.url().to_owned();
    tokio::task::spawn_blocking(move || {
        let rows = open(&url).query("SELECT units FROM stock").unwrap();
        rows.into_iter().flatten().flatten().next().unwrap_or_default()
    })
    .await
    .unwrap()
}

async fn stock() -> Postgres {
    let postgres = private().await.unwrap();
    let session = open(postgres.url());
    say(session, "CREATE TABLE stock (units int); INSERT INTO stock VALUES (1)").await;
    postgres
}

async fn connect(proxy: &Proxy) -> Session {
    let url = proxy.url().to_owned();
    tokio::task::spawn_blocking(move || open(&url)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_held_is_not_done_until_it_may_pass() {
    let postgres = stock().await;
    let proxy = Proxy::before_postgres(postgres.url()).await.unwrap();
    let session = connect(&proxy).await;
    let gate = proxy.hold(|request| request.is("UPDATE") && request.arguments[0].contains("stock"));
    let writing = tokio::spawn(say(session, "UPDATE stock SET units = 2"));
    gate.arrived(1, PATIENCE).await.unwrap();
    assert_eq!(units(&postgres).await, "1");
    gate.open();
    assert!(writing.await.unwrap().1);
    assert_eq!(units(&postgres).await, "2");
    assert_eq!((proxy.counts().requests, proxy.counts().commands["UPDATE"]), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_cut_is_not_done_and_one_whose_reply_is_cut_is() {
    let postgres = stock().await;
    let proxy = Proxy::before_postgres(postgres.url()).await.unwrap();
    let cut = proxy.cut_request(|request| request.is("UPDATE"));
    let (_, said) = say(connect(&proxy).await, "UPDATE stock SET units = 2").await;
    assert_eq!((said, cut.count(), units(&postgres).await.as_str()), (false, 1, "1"));

    let (session, _) = say(connect(&proxy).await, "BEGIN").await;
    let (session, _) = say(session, "UPDATE stock SET units = 3").await;
    let cut = proxy.cut_reply(|request| request.is("COMMIT"));
    let (_, said) = say(session, "COMMIT").await;
    assert_eq!((said, cut.count(), units(&postgres).await.as_str()), (false, 1, "3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_held_is_of_what_was_done() {
    let postgres = stock().await;
    let proxy = Proxy::before_postgres(postgres.url()).await.unwrap();
    let gate = proxy.hold_reply(|request| request.is("UPDATE"));
    let mut writing =
        tokio::spawn(say(connect(&proxy).await, "UPDATE stock SET units = 2 RETURNING units"));
    gate.arrived(1, PATIENCE).await.unwrap();
    assert_eq!(units(&postgres).await, "2");
    let early = tokio::time::timeout(Duration::from_millis(20), &mut writing).await;
    assert!(early.is_err(), "the reply came through a gate that is shut");
    gate.open();
    assert!(writing.await.unwrap().1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_told_and_what_is_killed_is_lost() {
    let postgres = stock().await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let proxy = Proxy::observed_postgres(postgres.url(), {
        let told = Arc::clone(&told);
        move |observation| {
            told.lock().unwrap().push(match observation {
                Observation::Request { request, .. } => request.command,
                Observation::Reply { reply, .. } => reply,
                Observation::Lost { .. } => "lost".to_owned(),
                other => format!("{other:?}"),
            });
        }
    })
    .await
    .unwrap();
    let (session, _) = say(connect(&proxy).await, "SELECT units FROM stock").await;
    let sleeping = tokio::spawn(say(session, "SELECT pg_sleep(60)"));
    let began = std::time::Instant::now();
    while proxy.counts().requests < 2 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.kill_connections();
    assert!(!sleeping.await.unwrap().1);
    proxy.refuse();
    let url = Target::read(proxy.url()).unwrap();
    let refused = tokio::task::spawn_blocking(move || Session::open(&url, PATIENCE).is_err());
    assert!(refused.await.unwrap());
    proxy.accept().await.unwrap();
    assert!(say(connect(&proxy).await, "SELECT 1").await.1);
    assert_eq!(told.lock().unwrap()[..3], ["SELECT", "1", "SELECT"]);
    assert!(!told.lock().unwrap().iter().any(String::is_empty));
}
