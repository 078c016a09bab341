//! A Redis of one's own: every order that a check may give it, against a real server.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use testbed::redis::Redis;

async fn connect(redis: &Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn size(redis: &Redis) -> u64 {
    redis::cmd("DBSIZE").query_async(&mut connect(redis).await).await.unwrap()
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
    let deadline = Instant::now() + Duration::from_secs(2);
    while !holds() {
        assert!(Instant::now() < deadline, "within two seconds: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn two_are_strangers_and_empty() {
    let (one, other) = tokio::join!(testbed::redis::process(), testbed::redis::process());
    let (one, other) = (one.unwrap(), other.unwrap());
    let _: () = connect(&one).await.set("key", "value").await.unwrap();
    assert_eq!(size(&one).await, 1);
    assert_eq!(size(&other).await, 0);
    assert!(one.origin().to_string().contains(" · private, "), "{}", one.origin());
}

#[tokio::test]
async fn gone_when_dropped() {
    let redis = testbed::redis::process().await.unwrap();
    let (pid, room) = (redis.pid().unwrap(), redis.room().unwrap());
    assert!(running(pid) && room.is_dir());
    let clone = redis.clone();
    drop(redis);
    assert!(running(pid), "a clone still holds it");
    let start = Instant::now();
    drop(clone);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(500), "dropping took {took:?}");
    eventually("the process is gone", || !running(pid)).await;
    eventually("the room is gone", || !room.exists()).await;
}

#[tokio::test]
async fn killed_and_restarted_on_the_same_address_with_nothing_kept() {
    let redis = testbed::redis::process().await.unwrap();
    let _: () = connect(&redis).await.set("key", "value").await.unwrap();
    let first = redis.pid().unwrap();
    redis.kill().await.unwrap();
    redis.kill().await.expect("killing a dead server is fine");
    assert_eq!(redis.pid(), None);
    let client = redis::Client::open(redis.url()).unwrap();
    assert!(client.get_multiplexed_async_connection().await.is_err());
    assert!(redis.stop_process().await.is_err(), "there is nothing to stop");

    redis.restart().await.unwrap();
    assert_ne!(redis.pid(), Some(first));
    assert_eq!(size(&redis).await, 0);
    // From alive to alive, in a hurry: the supervisor must not mix up its orders.
    for _ in 0..10 {
        redis.restart().await.unwrap();
    }
    assert_eq!(size(&redis).await, 0);
}

#[tokio::test]
async fn a_stopped_process_is_silent_and_comes_back() {
    let redis = testbed::redis::process().await.unwrap();
    let mut connection = connect(&redis).await;
    redis.stop_process().await.unwrap();
    let silent = connection.set::<_, _, ()>("key", "value").await.unwrap_err();
    assert!(silent.is_timeout(), "{silent}");
    redis.continue_process().await.unwrap();
    // The command that timed out is carried out nevertheless.
    let value: String = connection.get("key").await.unwrap();
    assert_eq!(value, "value");
}

#[tokio::test]
async fn a_pause_holds_commands_back() {
    let redis = testbed::redis::process().await.unwrap();
    let mut connection = connect(&redis).await;
    let start = Instant::now();
    redis.pause(Duration::from_millis(200)).await.unwrap();
    let _: Option<String> = connection.get("key").await.unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(200), "answered after {took:?}");
}

#[tokio::test]
async fn killed_clients_find_their_connection_closed() {
    let redis = testbed::redis::process().await.unwrap();
    let mut connection = connect(&redis).await;
    let _: () = connection.set("key", "value").await.unwrap();
    assert_eq!(redis.kill_clients().await.unwrap(), 1);
    assert!(connection.get::<_, String>("key").await.is_err());
    assert_eq!(size(&redis).await, 1, "a new connection is welcome");
}

#[tokio::test]
async fn flushes_forget_keys_and_scripts() {
    let redis = testbed::redis::process().await.unwrap();
    let mut connection = connect(&redis).await;
    let _: () = connection.set("key", "value").await.unwrap();
    redis.flush_all().await.unwrap();
    assert_eq!(size(&redis).await, 0);

    let digest: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg("return 1")
        .query_async(&mut connection)
        .await
        .unwrap();
    redis.script_flush().await.unwrap();
    let forgotten = redis::cmd("EVALSHA").arg(digest).arg(0).exec_async(&mut connection).await;
    assert_eq!(forgotten.unwrap_err().code(), Some("NOSCRIPT"));
}

#[tokio::test]
async fn commands_are_counted() {
    let redis = testbed::redis::process().await.unwrap();
    let mut connection = connect(&redis).await;
    let before = redis.command_stats().await.unwrap();
    for _ in 0..7 {
        let _: Option<String> = connection.get("key").await.unwrap();
    }
    let after = redis.command_stats().await.unwrap();
    assert_eq!(before.get("get"), None);
    assert_eq!(after["get"], 7);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_run_away_while_a_server_starts() {
    let before = tokio::time::Instant::now();
    let redis = testbed::redis::process().await.unwrap();
    redis.restart().await.unwrap();
    redis.flush_all().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}
