//! The chain's container step, against a Docker engine. `scripts/container-path.sh` provides
//! one and runs these; by hand: `cargo test -p testbed --test container -- --ignored`.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::{AsyncCommands, Client, Commands};
use testbed::postgres::{Session, Target};

/// An engine may take its time to remove a container.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// Set only for the child processes of these tests.
const PART: &str = "TESTBED_TEST_PART";

fn gone(url: &str) {
    let client = Client::open(url).unwrap();
    let start = Instant::now();
    while client.get_connection_with_timeout(Duration::from_secs(1)).is_ok() {
        assert!(start.elapsed() < GONE_WITHIN, "within {GONE_WITHIN:?} the container is gone");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine: scripts/container-path.sh"]
async fn a_lesson_works_in_a_container_that_goes_with_it() {
    let redis = testbed::redis::private().await.unwrap();
    let origin = redis.origin().to_string();
    assert!(origin.ends_with("· private, in a container"), "{origin}");

    let client = Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let before: usize = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(before, 0);
    let _: () = AsyncCommands::set(&mut connection, "key", "value").await.unwrap();
    redis.flush_all().await.unwrap();
    assert_eq!(
        AsyncCommands::get::<_, Option<String>>(&mut connection, "key").await.unwrap(),
        None
    );
    assert_eq!(redis.kill_clients().await.unwrap(), 1);
    assert!(AsyncCommands::get::<_, Option<String>>(&mut connection, "key").await.is_err());

    // Every fault that a process of our own allows.
    let _: () = client.get_connection().unwrap().set("key", "value").unwrap();
    redis.stop_process().await.unwrap();
    let patience = Duration::from_millis(500);
    assert!(
        client
            .get_connection_with_timeout(patience)
            .and_then(|mut frozen| {
                frozen.set_read_timeout(Some(patience))?;
                frozen.get::<_, String>("key")
            })
            .is_err()
    );
    redis.continue_process().await.unwrap();
    assert_eq!(client.get_connection().unwrap().get::<_, String>("key").unwrap(), "value");

    redis.kill().await.unwrap();
    redis.kill().await.expect("killing a dead server is fine");
    assert!(client.get_connection_with_timeout(patience).is_err());
    redis.restart().await.unwrap();
    assert_eq!(client.get_connection().unwrap().get::<_, Option<String>>("key").unwrap(), None);
    redis.stop_process().await.unwrap();
    redis.restart().await.expect("a frozen server is killed all the same");

    let url = redis.url().to_owned();
    drop(redis);
    gone(&url);
}

#[tokio::test]
#[ignore = "the owner's part, played for the test below"]
async fn owner() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let redis = testbed::redis::private().await.unwrap();
    println!("\nready {}", redis.url());
    std::thread::sleep(Duration::from_secs(60));
}

#[tokio::test]
#[ignore = "needs a Docker engine: scripts/container-path.sh"]
async fn a_lesson_has_a_postgres_in_a_container_that_goes_with_it() {
    let postgres = testbed::postgres::process().await.unwrap();
    let origin = postgres.origin().to_string();
    assert!(origin.ends_with("· private, in a container"), "{origin}");
    let target = Target::read(postgres.url()).unwrap();
    let enter = |patience| Session::open(&target, patience);
    let patience = Duration::from_secs(20);

    let mut session = enter(patience).unwrap();
    session.query("CREATE TABLE goods (id bigint)").unwrap();
    session.query("INSERT INTO goods VALUES (7)").unwrap();
    assert_eq!(postgres.terminate_clients().await.unwrap(), 1);
    assert!(session.query("SELECT 1").is_err());
    assert_eq!(postgres.waiting().await.unwrap(), 0);

    postgres.stop_process().await.unwrap();
    assert!(enter(Duration::from_millis(500)).is_err());
    postgres.continue_process().await.unwrap();
    postgres.kill().await.unwrap();
    postgres.kill().await.expect("killing a dead server is fine");
    assert!(enter(Duration::from_millis(500)).is_err());
    postgres.restart().await.unwrap();
    let kept = enter(patience).unwrap().number("SELECT id FROM goods").unwrap();
    assert_eq!(kept, 7, "what was committed is there");
    drop(postgres);
    let start = Instant::now();
    while enter(Duration::from_secs(1)).is_ok() {
        assert!(start.elapsed() < GONE_WITHIN, "within {GONE_WITHIN:?} the container is gone");
        std::thread::sleep(Duration::from_millis(20));
    }

    // All databases of a program are on one server, in one container.
    let (one, other) = tokio::join!(testbed::postgres::private(), testbed::postgres::private());
    assert_eq!(one.unwrap().address(), other.unwrap().address());
}

#[test]
#[ignore = "needs a Docker engine: scripts/container-path.sh"]
fn the_container_is_gone_after_its_owner_was_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .env(PART, "owner")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| Some(line.ok()?.strip_prefix("ready ")?.to_owned()));
    let url = url.expect("the owner has a container");
    Client::open(url.as_str()).unwrap().get_connection().expect("the server answers");
    owner.kill().unwrap();
    owner.wait().unwrap();
    gone(&url);
}
