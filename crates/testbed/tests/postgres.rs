//! A PostgreSQL of one's own: every order that a check may give it, against a real server.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::time::{Duration, Instant};

use testbed::postgres::{Error, Postgres, Session, Target, private, process};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(postgres: &Postgres) -> Session {
    Session::open(&Target::read(postgres.url()).unwrap(), PATIENCE).unwrap()
}

/// The first value of an answer, or nothing.
fn ask(session: &mut Session, sql: &str) -> String {
    let rows = session.query(sql).unwrap();
    rows.into_iter().flatten().flatten().next().unwrap_or_default()
}

fn running(pid: u32) -> bool {
    std::process::Command::new("kill")
        .args(["-0", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn each_has_a_database_of_its_own_on_one_server() {
    let (one, other) = tokio::join!(private(), private());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one.origin().to_string().contains(" · private, "), "{}", one.origin());
    assert_eq!(one.pid(), other.pid());
    open(&one).query("CREATE TABLE goods (id bigint)").unwrap();
    open(&other).query("CREATE TABLE goods (name text)").unwrap();

    let name = ask(&mut open(&one), "SELECT current_database()");
    let known = |name: &str| {
        let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        ask(&mut open(&other), &sql)
    };
    assert_eq!(known(&name), "1");
    let clone = one.clone();
    drop(one);
    assert_eq!(known(&name), "1", "a clone still holds it");
    let held = open(&clone);
    drop(clone);
    assert_eq!(known(&name), "0", "dropped, though a client is connected");
    drop(held);
}

#[tokio::test]
async fn a_database_among_others_is_never_killed_with_them() {
    let postgres = private().await.unwrap();
    for refused in [
        postgres.kill().await,
        postgres.restart().await,
        postgres.stop_process().await,
        postgres.continue_process().await,
    ] {
        let Err(Error::NotOurs { .. }) = refused else { panic!("{refused:?}") };
    }
}

#[tokio::test]
async fn a_server_is_gone_when_dropped() {
    let postgres = process().await.unwrap();
    let (pid, room) = (postgres.pid().unwrap(), postgres.room().unwrap());
    assert!(running(pid) && room.is_dir());
    let start = Instant::now();
    drop(postgres);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(500), "dropping took {took:?}");
    eventually("the process is gone", || !running(pid)).await;
    eventually("the room is gone", || !room.exists()).await;
}

#[tokio::test]
async fn killed_and_restarted_it_has_what_was_committed() {
    let postgres = process().await.unwrap();
    let mut session = open(&postgres);
    session.query("CREATE TABLE goods (id bigint)").unwrap();
    session.query("INSERT INTO goods VALUES (1)").unwrap();
    session.query("BEGIN").unwrap();
    session.query("INSERT INTO goods VALUES (2)").unwrap();
    let first = postgres.pid().unwrap();

    postgres.kill().await.unwrap();
    postgres.kill().await.expect("killing a dead server is fine");
    assert_eq!(postgres.pid(), None);
    assert!(session.query("COMMIT").is_err());
    let target = Target::read(postgres.url()).unwrap();
    assert!(Session::open(&target, PATIENCE).is_err());
    assert!(postgres.stop_process().await.is_err(), "there is nothing to stop");

    postgres.restart().await.unwrap();
    assert_ne!(postgres.pid(), Some(first));
    assert_eq!(ask(&mut open(&postgres), "SELECT string_agg(id::text, ',') FROM goods"), "1");
    // From alive to alive, in a hurry, with a client that is at work.
    for round in 2..7 {
        let mut busy = open(&postgres);
        let busy =
            std::thread::spawn(move || busy.query("SELECT count(*) FROM generate_series(1, 1e12)"));
        open(&postgres).query(&format!("INSERT INTO goods VALUES ({round})")).unwrap();
        postgres.restart().await.unwrap();
        assert!(busy.join().unwrap().is_err());
    }
    assert_eq!(ask(&mut open(&postgres), "SELECT count(*) FROM goods"), "6");
}

#[tokio::test]
async fn a_stopped_server_is_silent_and_comes_back() {
    let postgres = process().await.unwrap();
    let target = Target::read(postgres.url()).unwrap();
    let patience = Duration::from_millis(200);
    let mut session = Session::open(&target, patience).unwrap();
    session.query("CREATE TABLE goods (id bigint)").unwrap();
    let mut waiting = open(&postgres);
    postgres.stop_process().await.unwrap();
    // A session that was open is as silent as a new one.
    session.query("SELECT 1").unwrap_err();
    assert!(Session::open(&target, patience).is_err());
    let written = std::thread::spawn(move || waiting.query("INSERT INTO goods VALUES (1)"));
    postgres.continue_process().await.unwrap();
    written.join().unwrap().expect("what was sent meanwhile is carried out");
    assert_eq!(ask(&mut open(&postgres), "SELECT count(*) FROM goods"), "1");

    postgres.stop_process().await.unwrap();
    postgres.restart().await.expect("a frozen server is killed all the same");
    assert_eq!(ask(&mut open(&postgres), "SELECT count(*) FROM goods"), "1");
}

#[tokio::test]
async fn terminated_clients_find_out_at_their_next_word() {
    for postgres in [private().await.unwrap(), process().await.unwrap()] {
        let neighbour = private().await.unwrap();
        let mut bystander = open(&neighbour);
        let mut clients = [open(&postgres), open(&postgres), open(&postgres)];
        assert_eq!(postgres.terminate_clients().await.unwrap(), 3);
        for client in &mut clients {
            assert!(client.query("SELECT 1").is_err());
        }
        assert_eq!(postgres.terminate_clients().await.unwrap(), 0);
        assert_eq!(ask(&mut bystander, "SELECT 1"), "1", "another database's client is let alone");
        assert_eq!(ask(&mut open(&postgres), "SELECT 1"), "1", "a new session is welcome");
    }
}

#[tokio::test]
async fn those_who_wait_for_a_lock_are_counted() {
    for postgres in [private().await.unwrap(), process().await.unwrap()] {
        let mut holder = open(&postgres);
        holder.query("CREATE TABLE goods (id bigint, stock bigint)").unwrap();
        holder.query("INSERT INTO goods VALUES (1, 10)").unwrap();
        holder.query("BEGIN").unwrap();
        holder.query("SELECT stock FROM goods WHERE id = 1 FOR UPDATE").unwrap();
        assert_eq!(postgres.waiting().await.unwrap(), 0);
        let mut waiters = Vec::new();
        for expected in 1..=3 {
            let mut waiter = open(&postgres);
            waiters.push(std::thread::spawn(move || {
                waiter.query("UPDATE goods SET stock = stock - 1 WHERE id = 1")
            }));
            let deadline = Instant::now() + PATIENCE;
            while postgres.waiting().await.unwrap() != expected {
                assert!(Instant::now() < deadline, "{expected} wait");
            }
        }
        holder.query("COMMIT").unwrap();
        waiters.into_iter().for_each(|waiter| drop(waiter.join().unwrap().unwrap()));
        assert_eq!(postgres.waiting().await.unwrap(), 0);
        assert_eq!(ask(&mut holder, "SELECT stock FROM goods"), "7");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_run_away_while_a_server_starts() {
    let before = tokio::time::Instant::now();
    let postgres = process().await.unwrap();
    postgres.restart().await.unwrap();
    drop(private().await.unwrap());
    postgres.waiting().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_refusal_names_what_the_server_said() {
    let postgres = private().await.unwrap();
    let refused = open(&postgres).query("SELECT nonsense").unwrap_err();
    assert_eq!(refused.to_string(), "column \"nonsense\" does not exist");
    let mut session = open(&postgres);
    session.query("SELECT nonsense").unwrap_err();
    assert_eq!(ask(&mut session, "SELECT 'still here'"), "still here");
}
