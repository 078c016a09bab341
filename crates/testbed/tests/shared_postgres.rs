//! A shared PostgreSQL: a fresh database each, and nothing of others touched.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use testbed::postgres::{Error, Postgres, Session, Target};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that plays the shared one, with something of somebody's on it.
async fn shared() -> Postgres {
    let postgres = testbed::postgres::process().await.unwrap();
    let mut session = enter(&postgres, "postgres", "postgres");
    session.query("CREATE DATABASE shop").unwrap();
    let mut shop = enter(&postgres, "postgres", "shop");
    shop.query("CREATE TABLE goods (id bigint)").unwrap();
    shop.query("INSERT INTO goods VALUES (1)").unwrap();
    postgres
}

fn url(postgres: &Postgres, user: &str, database: &str) -> String {
    format!("postgres://{user}@localhost/{database}?host={}", postgres.room().unwrap().display())
}

fn enter(postgres: &Postgres, user: &str, database: &str) -> Session {
    Session::open(&Target::read(&url(postgres, user, database)).unwrap(), PATIENCE).unwrap()
}

fn databases(postgres: &Postgres) -> Vec<String> {
    let mut session = enter(postgres, "postgres", "postgres");
    let names = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname";
    session.query(names).unwrap().into_iter().flatten().flatten().collect()
}

/// Set only for the child processes below.
const PART: &str = "TESTBED_TEST_PART";

fn lesson_at(url: &str, part: &str) -> Command {
    let mut lesson = Command::new(std::env::current_exe().unwrap());
    lesson
        .args(["--exact", "lesson", "--ignored", "--nocapture"])
        .env(PART, part)
        .env("DATABASE_URL", url)
        .env_remove("TESTBED_ONLY");
    lesson
}

fn play(url: &str) -> Output {
    lesson_at(url, "whole").output().unwrap()
}

#[tokio::test]
#[ignore = "the lesson's part, played for the tests below"]
async fn lesson() {
    let part = std::env::var(PART).unwrap_or_default();
    if part.is_empty() {
        return;
    }
    let postgres = testbed::postgres::private().await;
    let postgres = postgres.unwrap_or_else(|missing| panic!("{missing}"));
    let mut client = Session::open(&Target::read(postgres.url()).unwrap(), PATIENCE).unwrap();
    client.query("CREATE TABLE goods (id text)").unwrap();
    let name = client.query("SELECT current_database()").unwrap().concat();
    println!("\nready {}", name[0].as_deref().unwrap());
    if part == "waiting" {
        drop(client);
        std::thread::sleep(Duration::from_secs(60));
        return;
    }

    let origin = postgres.origin().to_string();
    assert!(origin.ends_with("· shared, from DATABASE_URL · own database"), "{origin}");
    assert!((postgres.pid(), postgres.room()) == (None, None));
    for refused in [postgres.kill().await, postgres.restart().await, postgres.stop_process().await]
    {
        assert!(matches!(refused, Err(Error::NotOurs { .. })), "{refused:?}");
    }
    assert_eq!(postgres.waiting().await.unwrap(), 0);
    assert_eq!(postgres.terminate_clients().await.unwrap(), 1);
    assert!(client.query("SELECT 1").is_err(), "its session was ended");
}

#[tokio::test]
async fn a_lesson_on_a_shared_server_leaves_others_alone() {
    let postgres = shared().await;
    let mut other = enter(&postgres, "postgres", "shop");
    for _ in 0..2 {
        let played = play(&url(&postgres, "postgres", "shop"));
        assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stdout));
    }
    assert_eq!(other.number("SELECT id FROM goods").expect("its session was not ended"), 1);
    assert_eq!(databases(&postgres), ["postgres", "shop"]);
}

/// A lesson that has its database, and the database's name.
fn waiting(url: &str) -> (Child, String) {
    let mut lesson = lesson_at(url, "waiting").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(lesson.stdout.take().unwrap()).lines();
    let name = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
    (lesson, name.expect("the lesson has a database"))
}

#[tokio::test]
async fn what_a_killed_lesson_left_behind_is_dropped_by_the_next() {
    let postgres = shared().await;
    let mut admin = enter(&postgres, "postgres", "postgres");
    // As old as it is when somebody comes a minute later.
    let mut aged = |name: &str| {
        let old = format!("testbed_1000_{}", &name[name.len() - 32..]);
        admin.query(&format!("ALTER DATABASE {name} RENAME TO {old}")).map(|_| old)
    };
    let (mut lesson, name) = waiting(&url(&postgres, "postgres", "shop"));
    aged(&name).expect_err("somebody sits in it while the lesson lives");
    assert!(databases(&postgres).contains(&name));
    lesson.kill().unwrap();
    lesson.wait().unwrap();
    let start = Instant::now();
    let old = loop {
        match aged(&name) {
            Ok(old) => break old,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
    };
    assert!(databases(&postgres).contains(&old));
    let played = play(&url(&postgres, "postgres", "shop"));
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stdout));
    assert_eq!(databases(&postgres), ["postgres", "shop"]);
}

#[tokio::test]
async fn what_is_not_surely_left_behind_is_kept() {
    let postgres = shared().await;
    let mut admin = enter(&postgres, "postgres", "postgres");
    let random = |digit: &str| digit.repeat(32);
    let foreign = format!("testbed_1000_{}", random("a"));
    let busy = format!("testbed_1000_{}", random("b"));
    let young = format!("testbed_99999999999_{}", random("c"));
    let named = ["testbed_1000_shop", "testbed_shop", "testbedx1000x0"];
    for name in [&foreign, &busy, &young].into_iter().map(String::as_str).chain(named) {
        admin.query(&format!("CREATE DATABASE {name}")).unwrap();
    }
    admin.query("CREATE ROLE clerk LOGIN CREATEDB").unwrap();
    admin.query(&format!("ALTER DATABASE {foreign} OWNER TO clerk")).unwrap();
    let _inside = enter(&postgres, "postgres", &busy);
    let before = databases(&postgres);
    let played = play(&url(&postgres, "postgres", "shop"));
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stdout));
    assert_eq!(databases(&postgres), before);
}

#[tokio::test]
async fn lessons_of_two_users_at_once_do_not_meet() {
    let postgres = shared().await;
    let mut admin = enter(&postgres, "postgres", "postgres");
    admin.query("CREATE ROLE clerk LOGIN CREATEDB").unwrap();
    let urls = ["clerk", "postgres"].map(|user| url(&postgres, user, "postgres"));
    let all: Vec<Child> = urls
        .iter()
        .cycle()
        .take(8)
        .map(|url| lesson_at(url, "whole").stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    for lesson in all {
        let played = lesson.wait_with_output().unwrap();
        assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stdout));
    }
    assert_eq!(databases(&postgres), ["postgres", "shop"]);
}

#[tokio::test]
async fn who_may_not_make_a_database_is_told_what_to_ask_for() {
    let postgres = shared().await;
    enter(&postgres, "postgres", "postgres").query("CREATE ROLE guest LOGIN").unwrap();
    let played = play(&url(&postgres, "guest", "shop"));
    assert!(!played.status.success());
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(said.contains("permission denied to create database"), "{said}");
    assert!(said.contains(r#"next: ALTER ROLE "guest" CREATEDB"#), "{said}");
    assert_eq!(databases(&postgres), ["postgres", "shop"]);
}

#[tokio::test]
async fn a_url_that_does_not_answer_is_an_error_and_no_second_best() {
    let played = play("postgres://shop:secret@localhost/shop?host=/nowhere");
    assert!(!played.status.success());
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(said.contains("unset DATABASE_URL"), "{said}");
    assert!(said.contains("/nowhere/.s.PGSQL.5432") && !said.contains("secret"), "{said}");
}
