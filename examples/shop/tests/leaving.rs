//! The shop as a program that is told to leave, or whose servers hang: nobody is lost, and it says how
//! it is.

mod program;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use program::{PATIENCE, Program, adds_up, customer, first_product, placed, ports};
use serde_json::Value;
use shop_contracts::Peer;
use shop_contracts::id::OrderId;
use tokio::task::JoinHandle;

/// Customers who are in the middle of a checkout, which takes three seconds.
async fn checkouts(program: &Program, number: i64) -> Vec<JoinHandle<OrderId>> {
    let before = placed(&program.peers()).await;
    let mut buying = Vec::new();
    for nth in 0..number {
        let ada = customer(program.gateway(), &format!("ada-{nth}")).await;
        ada.put(first_product(3000), 1).await.expect("in the cart");
        buying.push(tokio::spawn(async move {
            ada.buy("while-it-closes").await.expect("whoever was let in is served").id
        }));
    }
    while placed(&program.peers()).await < before + number {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    buying
}

/// Status and body of `path`, on a connection of its own; `None` where nobody listens.
async fn ask(gateway: &Peer, path: &str) -> Option<(u16, Value)> {
    let fresh = Peer::new("gateway", gateway.base()).patience(PATIENCE);
    let answer = fresh.forward(Method::GET, path, Bytes::new(), &[]).await.ok()?;
    Some((answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_is_served_before_the_shop_is_gone() {
    const INSIDE: i64 = 12;
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up"]);
    let buying = checkouts(&program, INSIDE).await;
    program.signal("TERM");
    for order in buying {
        order.await.expect("an order");
    }
    let (status, _, last) = program.ends();
    assert!(status.success());
    let told = format!("{INSIDE} requests were under way: {INSIDE} finished, 0 lost");
    assert!(last.contains(&told), "{last}");
    let program = Program::open(folder.path(), &["up"]);
    adds_up(&program.peers()).await;
}

/// Customers keep coming while the shop closes, and go in where it says that it is ready, as a
/// balancer does. Between the question and the step over the threshold the answer may change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_load_loses_nobody() {
    const BEFORE: usize = 12;
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up", "--lame-duck", "1s"]);
    let mut crowd = Vec::new();
    for nth in 0..2 * BEFORE {
        let ada = customer(program.gateway(), &format!("ada-{nth}")).await;
        ada.put(first_product(3000), 1).await.expect("in the cart");
        crowd.push(ada);
    }
    let (mut inside, mut clock) = (Vec::new(), tokio::time::interval(Duration::from_millis(50)));
    for (nth, ada) in crowd.into_iter().enumerate() {
        clock.tick().await;
        if nth == BEFORE {
            program.signal("TERM");
        }
        if ask(&program.gateway(), "/health/ready").await.is_some_and(|(ready, _)| ready == 200) {
            inside.push(tokio::spawn(async move { ada.buy("at-the-threshold").await }));
        }
    }
    let inside_at_all = inside.len();
    assert!((BEFORE..2 * BEFORE).contains(&inside_at_all), "{inside_at_all} went in");
    for buying in inside {
        buying.await.expect("no panic").expect("whoever was let in is served");
    }
    let (status, _, last) = program.ends();
    assert!(status.success() && last.contains(" 0 lost"), "{last}");
    let told = last.split_whitespace().skip_while(|word| !word.ends_with(';')).nth(1);
    let under_way: usize = told.and_then(|number| number.parse().ok()).expect("a number");
    assert!((1..=inside_at_all).contains(&under_way), "{last}");
    let program = Program::open(folder.path(), &["up"]);
    adds_up(&program.peers()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_fails_first_and_who_has_not_heard_of_it_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up", "--lame-duck", "2s"]);
    let (gateway, buying) = (program.gateway(), checkouts(&program, 1).await);
    assert_eq!(ask(&gateway, "/health/ready").await.expect("it listens").0, 200);
    program.signal("TERM");
    // An open load: a request each 20 ms, as long as somebody listens.
    let (begun, mut heard, mut after) = (Instant::now(), None, 0);
    while begun.elapsed() < PATIENCE {
        let Some((ready, _)) = ask(&gateway, "/health/ready").await else {
            break;
        };
        if ready == 503 {
            heard.get_or_insert(begun.elapsed());
            // Alive, and served as ever, behind the gateway as well.
            let Some((live, _)) = ask(&gateway, "/health/live").await else {
                break;
            };
            let Some((served, _)) = ask(&gateway, "/api/products").await else {
                break;
            };
            assert_eq!((live, served), (200, 200));
            after += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = heard.expect("it said that it is not ready, while it listened");
    assert!(begun.elapsed() - heard > Duration::from_secs(1), "and went on to listen");
    assert!(after > 5, "{after} requests that had not heard of it were served");
    for order in buying {
        order.await.expect("an order");
    }
    let (status, _, last) = program.ends();
    assert!(status.success() && last.contains(" 0 lost"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_service_that_leaves_finishes_what_it_has_begun() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = ports();
    let mut services: Vec<_> = shop_contracts::Peers::NAMES
        .iter()
        .chain(&["gateway"])
        .map(|name| Program::at(port, folder.path(), &["run", name]))
        .collect();
    let goods = shop::goods::take_in(&services[0].peers(), 1, 20).await.expect("goods");
    let ada = customer(services[0].gateway(), "ada").await;
    ada.put(goods[0], 1).await.expect("in the cart");
    let buying = tokio::spawn(async move { ada.buy("while-they-leave").await });
    while placed(&services[0].peers()).await < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let at = |name| shop_contracts::Peers::NAMES.iter().position(|peer| *peer == name);
    let gateway = services.pop().expect("the last one");
    let orders = services.remove(at("orders").expect("a service"));
    for leaving in [&gateway, &orders] {
        leaving.signal("TERM");
    }
    buying.await.expect("no panic").expect("confirmed");
    for leaving in [gateway, orders] {
        let (status, _, last) = leaving.ends();
        assert!(status.success());
        assert!(last.contains("1 request was under way: 1 finished, 0 lost"), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_time_cuts_short_is_said_and_finished_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up", "--drain", "0.2s"]);
    let buying = checkouts(&program, 2).await;
    program.signal("TERM");
    let (status, _, last) = program.ends();
    assert!(status.success());
    assert!(last.contains("2 requests were under way: 0 finished, 2 lost"), "{last}");
    for order in buying {
        assert!(order.await.is_err(), "nobody was left to answer");
    }
    let program = Program::open(folder.path(), &["up"]);
    adds_up(&program.peers()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_twice_does_not_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up"]);
    let buying = checkouts(&program, 1).await;
    program.signal("INT");
    while ask(&program.gateway(), "/health/live").await.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    program.signal("INT");
    let (status, _, _) = program.ends();
    assert_eq!(status.code(), Some(130));
    for order in buying {
        assert!(order.await.is_err(), "nobody was left to answer");
    }
    let program = Program::open(folder.path(), &["up"]);
    adds_up(&program.peers()).await;
}

/// Of one service: what liveness and readiness say, and how the dependency `name` is.
async fn health(peer: &Peer, name: &str) -> (u16, u16, String) {
    let (live, _) = ask(peer, "/health/live").await.expect("it listens");
    let (ready, report) = ask(peer, "/health/ready").await.expect("it listens");
    let seen = &report["checks"][format!("{name}:responseTime")][0];
    if seen.is_object() {
        assert!(seen["observedValue"].as_f64().expect("milliseconds") > 0.0, "{report}");
    }
    (live, ready, seen["status"].as_str().unwrap_or("not named").to_owned())
}

async fn becomes(peer: &Peer, name: &str, expected: (u16, u16, &str)) {
    let begun = Instant::now();
    loop {
        let (live, ready, seen) = health(peer, name).await;
        if (live, ready, seen.as_str()) == expected {
            return;
        }
        let told = (live, ready, seen);
        let who = peer.name();
        assert!(begun.elapsed() < PATIENCE, "{who}, {name}: {told:?}, and not {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_named_and_takes_out_only_who_needs_it() {
    let postgres = testbed::postgres::process().await.expect("a PostgreSQL of our own");
    let redis = testbed::redis::process().await.expect("a Redis of our own");
    let folder = tempfile::tempdir().expect("a folder");
    let program =
        Program::open(folder.path(), &["up", "--storage", postgres.url(), "--cache", redis.url()]);
    let (peers, gateway) = (program.peers(), program.gateway());
    let (catalog, inventory) = (&peers.catalog.0, &peers.inventory.0);
    let all_is_well = async || {
        for peer in peers.all() {
            becomes(peer, "database", (200, 200, "pass")).await;
        }
        becomes(catalog, "cache", (200, 200, "pass")).await;
        becomes(inventory, "locks", (200, 200, "pass")).await;
        becomes(&gateway, "limits", (200, 200, "pass")).await;
        becomes(&gateway, "orders", (200, 200, "pass")).await;
    };
    all_is_well().await;

    redis.stop_process().await.expect("it is ours");
    becomes(catalog, "cache", (200, 200, "warn")).await;
    becomes(inventory, "locks", (200, 200, "warn")).await;
    becomes(&gateway, "limits", (200, 200, "warn")).await;
    assert_eq!(ask(&gateway, "/api/products").await.expect("it listens").0, 200);
    redis.continue_process().await.expect("it is ours");
    all_is_well().await;

    redis.kill().await.expect("it is ours");
    becomes(catalog, "cache", (200, 200, "warn")).await;
    redis.restart().await.expect("it is ours");
    all_is_well().await;

    postgres.stop_process().await.expect("it is ours");
    for peer in peers.all() {
        becomes(peer, "database", (200, 503, "fail")).await;
    }
    // Who asks the others is not taken out by what takes out them.
    becomes(&gateway, "orders", (200, 200, "pass")).await;
    postgres.continue_process().await.expect("it is ours");
    all_is_well().await;
}
