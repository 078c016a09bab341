//! The chain's container step, against a Docker engine. `scripts/container-path.sh` provides
//! one and runs these; by hand: `cargo test -p testbed --test container -- --ignored`.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::{AsyncCommands, Client};
use testbed::redis::Error;

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
    let _: () = connection.set("key", "value").await.unwrap();
    redis.flush_all().await.unwrap();
    assert_eq!(connection.get::<_, Option<String>>("key").await.unwrap(), None);
    assert_eq!(redis.kill_clients().await.unwrap(), 1);
    assert!(connection.get::<_, Option<String>>("key").await.is_err());

    // Its port would be another after a restart.
    assert!(matches!(redis.kill().await, Err(Error::NotOurs { .. })));

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
