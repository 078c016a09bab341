//! 200 callers of a cold key cause one load: in one process, and in two real ones together.

#[path = "../examples/second_process.rs"]
#[allow(unreachable_pub)]
mod second_process;

use second_process::{Callers, Order, SecondProcess};
use std::time::Duration;
use testbed::redis::Redis;

const ROUNDS: usize = 50;
const CALLERS: usize = 200;

fn order(redis: &Redis, leases: bool, callers: usize) -> Order {
    let (load, lease) = (Duration::from_millis(20), Duration::from_secs(30));
    Order { url: redis.url().to_owned(), leases, callers, load, lease }
}

/// Starts this test once more as the second process; see there.
const SECOND: [&str; 4] = ["the_second_process", "--exact", "--ignored", "--nocapture"];

#[tokio::test]
#[ignore = "is what the tests below start as their second process, and nothing by itself"]
async fn the_second_process() {
    let order = second_process::order().unwrap().expect("an order, from the first process");
    second_process::obey(order).await.unwrap();
}

/// The loads of each round, of both processes together. Every caller must have got the value.
async fn two_processes(leases: bool) -> anyhow::Result<Vec<u64>> {
    let redis = testbed::redis::private().await?;
    let order = order(&redis, leases, CALLERS / 2);
    let mut second = SecondProcess::start(&order, &SECOND).await?;
    let first = Callers::ready(order).await?;
    let mut loads = Vec::new();
    for round in 0..ROUNDS {
        let key = format!("cold:{round}");
        second.call(&key)?;
        let ours = first.call(&key).await?;
        let theirs = second.outcome().await?;
        assert_eq!(ours.answered + theirs.answered, CALLERS, "round {round}");
        loads.push(ours.loads + theirs.loads);
    }
    Ok(loads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_load_in_one_process() {
    let redis = testbed::redis::private().await.unwrap();
    let callers = Callers::ready(order(&redis, false, CALLERS)).await.unwrap();
    for round in 0..ROUNDS {
        let outcome = callers.call(&format!("cold:{round}")).await.unwrap();
        assert_eq!((outcome.loads, outcome.answered), (1, CALLERS), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_load_in_two_processes_with_leases() {
    assert_eq!(two_processes(true).await.unwrap(), [1; ROUNDS]);
}

/// Without this, the test above would also pass if the processes never met.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_without_leases_do_meet() {
    let loads = two_processes(false).await.unwrap();
    // At least two. A caller who comes when its own process has landed and the other, which holds
    // the lease, has not stored yet, rightly loads again.
    assert!(loads.iter().any(|loads| *loads >= 2), "they never met: {loads:?}");
}
