//! Messages under all that can happen to them at once: brokers killed and restarted, connections
//! closed, consumers killed. Every confirmed message has its effect once, and nothing is stuck.
//!
//! `MESSAGES=100000 cargo test -p messaging --test nothing_is_lost -- --nocapture` does more of it.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use deadpool_postgres::Pool;
use futures_util::{StreamExt, stream};
use messaging::publish_consume::{Courier, Delivered, Failed, Options, RabbitCourier};
use messaging::{Message, Queue, Topology};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;
use testbed::rabbitmq::{self, Rabbit};

const CONSUMERS: usize = 3;
/// How many are on their way to the broker at once.
const WINDOW: usize = 64;
const PREFETCH: u16 = 50;

const BROKER_RESTARTS: usize = 2;
const CONNECTIONS_KILLED: usize = 10;
const CONSUMERS_KILLED: usize = 5;
/// A machine that builds beside it is no reason to fail.
const PATIENCE: Duration = Duration::from_secs(240);

/// Both tables are changed in one transaction, so that a message that comes again is seen to have
/// been done. Lesson 05.6 is about that.
const SCHEMA: &str = "
    CREATE TABLE inbox (message text PRIMARY KEY, times integer NOT NULL);
    CREATE TABLE effects (message text NOT NULL)";

fn topology() -> Topology {
    // The limit counts what was handed out, and not what failed: each kill costs every message in
    // its consumers' hands one delivery. No message here is poison.
    let queue = Queue { deliveries: 100, ..Queue::new("effects", &["order.#"]) };
    Topology { exchange: "shop".to_owned(), queues: vec![queue] }
}

fn options() -> Options {
    let (timeout, heartbeat) = (Duration::from_secs(5), Duration::from_secs(5));
    Options { name: "stress".to_owned(), timeout, heartbeat }
}

fn messages() -> usize {
    std::env::var("MESSAGES").map_or(10_000, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_confirmed_message_has_its_effect_once() {
    let rabbit = rabbitmq::process().await.unwrap();
    let postgres = testbed::postgres::private().await.unwrap();
    let pool = database::pool(postgres.url(), Duration::from_secs(10), 4).unwrap();
    pool.get().await.unwrap().batch_execute(SCHEMA).await.unwrap();
    let courier = RabbitCourier::open(rabbit.url(), topology(), options()).unwrap();
    let (count, began) = (messages(), Instant::now());

    let publishing = async {
        let repeats = stream::iter(0..count)
            .map(|order| until_confirmed(&courier, order))
            .buffer_unordered(WINDOW);
        repeats.fold(0, async |all, repeats| all + repeats).await
    };
    let mut consumers: Vec<_> =
        (0..CONSUMERS).map(|_| Consumer::start(rabbit.url(), postgres.url())).collect();
    let breaking = async {
        let (mut connections, mut restarts, mut kills) = (0, 0, 0);
        let steps = BROKER_RESTARTS + CONSUMERS_KILLED + CONNECTIONS_KILLED / CONSUMERS;
        for step in 0..steps {
            // Spread over the work, so that each meets some under way.
            comes_to(&pool, count * (step + 1) / (steps + 2)).await;
            match step % 4 {
                2 => {
                    rabbit.restart().await.unwrap();
                    restarts += 1;
                }
                1 if connections < CONNECTIONS_KILLED => {
                    connections += rabbit.kill_connections().await.unwrap();
                }
                _ => {
                    let nth = step % CONSUMERS;
                    consumers[nth] = Consumer::start(rabbit.url(), postgres.url());
                    kills += 1;
                }
            }
        }
        while connections < CONNECTIONS_KILLED {
            connections += rabbit.kill_connections().await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        comes_to(&pool, count).await;
        assert!(restarts >= BROKER_RESTARTS && kills >= CONSUMERS_KILLED);
        format!("{restarts} restarts, {kills} consumers and {connections} connections killed")
    };
    let (repeats, faults) = tokio::join!(publishing, breaking);
    drained(&rabbit).await;
    let took = began.elapsed();

    let effects = number(&pool, "SELECT count(*) FROM effects").await;
    let distinct = number(&pool, "SELECT count(DISTINCT message) FROM effects").await;
    let again = number(&pool, "SELECT coalesce(sum(times - 1), 0) FROM inbox").await;
    println!(
        "{count} messages in {took:.1?}: {distinct} have their effect, {} of them twice; {faults}; \
         {repeats} attempts to publish in vain, {again} deliveries of what was done",
        effects - distinct
    );
    assert_eq!((distinct, effects), (count as i64, count as i64));
    let dead = rabbit.queue("effects.dlq").await.unwrap().unwrap();
    assert_eq!(dead.ready, 0, "dead letters, and no message was poison");
    drop(consumers);
}

/// Publishes until it is confirmed; how often that was in vain.
async fn until_confirmed(courier: &RabbitCourier, order: usize) -> usize {
    let message = Message::new(format!("m{order}"), "order.placed.v1", format!("order {order}"));
    let mut repeats = 0;
    while courier.publish(&message).await.is_err() {
        repeats += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    repeats
}

async fn number(pool: &Pool, sql: &str) -> i64 {
    pool.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until so many messages have had their effect.
async fn comes_to(pool: &Pool, effects: usize) {
    let began = Instant::now();
    loop {
        let found = number(pool, "SELECT count(*) FROM effects").await;
        if found >= effects as i64 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "stuck: {found} effects, and {effects} were to come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything was acknowledged.
async fn drained(rabbit: &Rabbit) {
    let empty = |queue: &rabbitmq::Queue| queue.ready + queue.unacked == 0;
    rabbit.wait_for("effects", Duration::from_secs(30), empty).await.unwrap();
}

/// A consumer in a process of its own. Dropped, it is killed (kill -9).
struct Consumer(Child);

impl Consumer {
    fn start(rabbit: &str, postgres: &str) -> Consumer {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "consumer_process", "--ignored", "--nocapture"])
            .env("STRESS_RABBIT", rabbit)
            .env("STRESS_POSTGRES", postgres)
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn();
        Consumer(process.unwrap())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process of a consumer, which the test above starts"]
async fn consumer_process() {
    let Ok(rabbit) = std::env::var("STRESS_RABBIT") else { return };
    let postgres = std::env::var("STRESS_POSTGRES").unwrap();
    let pool = database::pool(&postgres, Duration::from_secs(5), 8).unwrap();
    let courier = RabbitCourier::open(&rabbit, topology(), options()).unwrap();
    let work = move |delivered: Delivered| {
        let pool = pool.clone();
        async move {
            let done = effect(&pool, &delivered.message.id).await;
            done.map_err(|error| Failed(error.to_string()))
        }
    };
    // Whoever starts this kills it; if that was killed itself, this ends all the same.
    let until = tokio::time::sleep(PATIENCE * 2);
    courier.consume("effects", PREFETCH, work, until).await.unwrap();
}

async fn effect(pool: &Pool, message: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = pool.get().await?;
    let both = connection.transaction().await?;
    let times: i32 = both
        .query_one(
            "INSERT INTO inbox (message, times) VALUES ($1, 1)
             ON CONFLICT (message) DO UPDATE SET times = inbox.times + 1 RETURNING times",
            &[&message],
        )
        .await?
        .get(0);
    if times == 1 {
        both.execute("INSERT INTO effects (message) VALUES ($1)", &[&message]).await?;
    }
    Ok(both.commit().await?)
}

/// Dropped in the middle, a consumer gives back what it had: nobody waits for its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_dropped_gives_back_what_it_had() {
    let rabbit = rabbitmq::private().await.unwrap();
    let courier = RabbitCourier::open(rabbit.url(), topology(), options()).unwrap();
    for order in 0..5 {
        assert_eq!(until_confirmed(&courier, order).await, 0);
    }
    let never = |_: Delivered| std::future::pending();
    let consuming = courier.consume("effects", 3, never, std::future::pending());
    let soon = Duration::from_secs(10);
    tokio::select! {
        over = consuming => panic!("{over:?}"),
        taken = rabbit.wait_for("effects", soon, |queue| queue.unacked == 3) => taken.unwrap(),
    };
    let back = |queue: &rabbitmq::Queue| (queue.ready, queue.unacked, queue.consumers) == (5, 0, 0);
    rabbit.wait_for("effects", soon, back).await.unwrap();
}

/// And also when it is dropped while the answer to its subscription is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_dropped_early_gives_back_what_it_had() {
    let rabbit = rabbitmq::private().await.unwrap();
    let proxy = Proxy::before_rabbitmq(rabbit.url()).await.unwrap();
    let courier = RabbitCourier::open(proxy.url(), topology(), options()).unwrap();
    for order in 0..5 {
        assert_eq!(until_confirmed(&courier, order).await, 0);
    }
    let answer = proxy.hold_reply(|request| request.is("basic.consume"));
    let never = |_: Delivered| std::future::pending();
    let consuming = courier.consume("effects", 3, never, std::future::pending());
    let soon = Duration::from_secs(10);
    tokio::select! {
        over = consuming => panic!("{over:?}"),
        taken = rabbit.wait_for("effects", soon, |queue| queue.unacked == 3) => taken.unwrap(),
    };
    answer.open();
    let back = |queue: &rabbitmq::Queue| (queue.ready, queue.unacked, queue.consumers) == (5, 0, 0);
    rabbit.wait_for("effects", soon, back).await.unwrap();
}

/// A queue that is there and otherwise is an error, and not tried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_otherwise_is_an_error() {
    let rabbit = rabbitmq::private().await.unwrap();
    let courier = RabbitCourier::open(rabbit.url(), topology(), options()).unwrap();
    assert_eq!(until_confirmed(&courier, 1).await, 0);
    let mut other = topology();
    other.queues[0].deliveries = 7;
    let courier = RabbitCourier::open(rabbit.url(), other, options()).unwrap();
    let well = |_: Delivered| async { Ok(()) };
    let consuming = courier.consume("effects", 3, well, std::future::pending());
    let refused = tokio::time::timeout(Duration::from_secs(10), consuming).await.unwrap();
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("PRECONDITION"), "{words}");
}

/// Work that ends when its subscription is over, and its connection is not, hurts nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_for_a_queue_that_is_gone_hurts_nobody() {
    let rabbit = rabbitmq::private().await.unwrap();
    let courier = RabbitCourier::open(rabbit.url(), topology(), options()).unwrap();
    assert_eq!(until_confirmed(&courier, 1).await, 0);
    let gate = testbed::gate::Gate::shut();
    let held = gate.clone();
    let work = move |delivered: Delivered| {
        let held = held.clone();
        async move {
            if delivered.message.id == "m1" {
                held.pass().await;
            }
            Ok(())
        }
    };
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let (soon, consumers) =
        (Duration::from_secs(10), |queue: &rabbitmq::Queue| queue.consumers == 1);
    let breaking = async {
        gate.arrived(1, soon).await.unwrap();
        let broker = messaging::Broker::open(rabbit.url(), options()).unwrap();
        let channel = broker.channel().await.unwrap();
        channel.queue_delete("effects".into(), Default::default()).await.unwrap();
        rabbit.wait_for("effects", soon, consumers).await.unwrap();
        gate.open();
        for order in 2..5 {
            until_confirmed(&courier, order).await;
        }
        drained(&rabbit).await;
        assert_eq!(rabbit.queue("effects").await.unwrap().unwrap().consumers, 1);
        tell.send(()).unwrap();
    };
    let until = async { told.await.unwrap() };
    let (drained, ()) = tokio::join!(courier.consume("effects", 3, work, until), breaking);
    assert_eq!(drained.unwrap().done, 4);
}
