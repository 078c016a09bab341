//! A shared Redis: one logical database each, and nothing of others touched.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::process::Command;

use redis::{Commands, Connection, IntoConnectionInfo};
use testbed::redis::lease::{Lease, OWNER, Refused};
use testbed::redis::{Error, Redis};

/// A server that plays the shared one.
async fn shared() -> Redis {
    testbed::redis::process().await.unwrap()
}

fn at(redis: &Redis, database: i64) -> Connection {
    let info = redis.url().into_connection_info().unwrap();
    let settings = info.redis_settings().clone().set_db(database);
    let client = redis::Client::open(info.set_redis_settings(settings)).unwrap();
    client.get_connection().unwrap()
}

fn lease(redis: &Redis, database: i64) -> Result<Lease, Refused> {
    let info = redis.url().into_connection_info().unwrap();
    let settings = info.redis_settings().clone().set_db(database);
    Lease::take(&info.set_redis_settings(settings))
}

fn size(redis: &Redis, database: i64) -> u64 {
    redis::cmd("DBSIZE").query(&mut at(redis, database)).unwrap()
}

#[tokio::test]
async fn each_lease_is_another_empty_database_and_is_emptied_at_its_end() {
    let redis = shared().await;
    let _: () = at(&redis, 0).set("somebody's", "data").unwrap();
    let one = lease(&redis, 0).unwrap();
    let two = lease(&redis, 0).unwrap();
    assert_eq!((one.database(), two.database()), (1, 2));
    let _: () = at(&redis, 1).set("a lesson's", "data").unwrap();
    drop(one);
    assert_eq!(size(&redis, 1), 0, "emptied");
    assert_eq!(lease(&redis, 0).unwrap().database(), 1, "and free again");
    assert_eq!(size(&redis, 0), 1, "never touched");
    assert_eq!(size(&redis, 2), 1, "still leased");
}

#[tokio::test]
async fn many_at_once_never_share_a_database() {
    let redis = shared().await;
    let leases: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| lease(&redis, 0).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut databases: Vec<i64> = leases.iter().map(Lease::database).collect();
    databases.sort_unstable();
    assert_eq!(databases, (0..16).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_killed_test_left_behind_is_taken_over() {
    let redis = shared().await;
    let mut left = at(&redis, 5);
    let _: () = left.set("a lesson's", "data").unwrap();
    let _: () = left.set(OWNER, "a-dead-token 1000").unwrap();
    let taken = lease(&redis, 5).unwrap();
    assert_eq!(taken.database(), 5);
    assert_eq!(size(&redis, 5), 1, "only the lease is in it");
}

#[tokio::test]
async fn a_named_database_that_is_in_use_is_refused_and_kept() {
    let redis = shared().await;
    let _: () = at(&redis, 3).set("somebody's", "data").unwrap();
    // Looks like the test bed's key, and is not.
    let _: () = at(&redis, 4).set(OWNER, "somebody").unwrap();
    let _held = lease(&redis, 6).unwrap();
    for database in [3, 4, 6] {
        let refused = lease(&redis, database).unwrap_err();
        assert!(matches!(refused, Refused::InUse(named) if named == database), "{refused}");
        assert_eq!(size(&redis, database), 1);
    }
}

#[tokio::test]
async fn a_server_without_a_free_database_is_refused() {
    let redis = shared().await;
    for database in 0..64 {
        let _: () = at(&redis, database).set("somebody's", "data").unwrap();
    }
    let full = lease(&redis, 0).unwrap_err();
    assert_eq!(full.to_string(), "all 64 databases are in use; only an empty one is taken");
}

/// Set only for the child process below.
const PART: &str = "TESTBED_TEST_PART";

#[tokio::test]
#[ignore = "the lesson's part, played for the test below"]
async fn lesson() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let redis = testbed::redis::private().await.unwrap();
    let origin = redis.origin().to_string();
    assert!(origin.ends_with("· shared, from REDIS_URL · database 1"), "{origin}");
    for refused in [redis.kill().await, redis.restart().await, redis.stop_process().await] {
        assert!(matches!(refused, Err(Error::NotOurs { .. })), "{refused:?}");
    }

    let open = || redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut client = open();
    let _: () = client.set("a lesson's", "data").unwrap();
    assert_eq!(redis.kill_clients().await.unwrap(), 1);
    assert!(client.get::<_, String>("a lesson's").is_err(), "its connection was cut");

    redis.flush_all().await.unwrap();
    let left: Vec<String> = open().keys("*").unwrap();
    assert_eq!(left, [OWNER], "the lease outlives a flush");
    let _: () = open().set("a lesson's", "data").unwrap();
}

#[tokio::test]
async fn a_lesson_on_a_shared_server_leaves_others_alone() {
    let redis = shared().await;
    let mut other = at(&redis, 0);
    let _: () = other.set("somebody's", "data").unwrap();
    let played = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lesson", "--ignored"])
        .env(PART, "lesson")
        .env("REDIS_URL", redis.url())
        .env_remove("TESTBED_ONLY")
        .output()
        .unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stdout));
    let kept: String = other.get("somebody's").expect("the connection was not cut");
    assert_eq!(kept, "data");
    assert_eq!(size(&redis, 1), 0, "the lesson's database was emptied");
}

#[tokio::test]
async fn a_url_that_does_not_answer_is_an_error_and_no_second_best() {
    let played = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lesson", "--ignored"])
        .env(PART, "lesson")
        .env("REDIS_URL", "redis+unix:///nowhere/redis.sock")
        .env_remove("TESTBED_ONLY")
        .output()
        .unwrap();
    assert!(!played.status.success());
    let said = String::from_utf8_lossy(&played.stdout);
    assert!(said.contains("unset REDIS_URL"), "{said}");
}
