//! 05.1 · Publish and consume: one of three workers is killed, and another loses its connection.
//!
//! ```console
//! $ cargo run --example publish_consume
//! ```
//!
//! Ends by itself after some five seconds; the first time, RabbitMQ takes some seconds to start.

use anyhow::Context;
use futures_util::{StreamExt, future};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use messaging::publish_consume::{Courier, Delivered, Options, RabbitCourier, attempt};
use messaging::{Broker, Message, Queue, Topology};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;
use testbed::rabbitmq::Rabbit;
use tokio::sync::{Semaphore, mpsc};

const ORDERS: usize = 300;
const WORKERS: usize = 3;
/// Emails that a worker is at, at once.
const PLACES: u16 = 10;
/// What an email takes.
const WORK: Duration = Duration::from_millis(30);
/// After so many emails of its own the one worker is killed, and the other's connection cut.
const EACH: usize = 30;
const PATIENCE: Duration = Duration::from_secs(10);
/// In the process of a worker: how it acknowledges.
const WORKER: &str = "PUBLISH_CONSUME_EXAMPLE_WORKER";
const URL: &str = "PUBLISH_CONSUME_EXAMPLE_URL";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(match std::env::var(WORKER) {
        Ok(way) => worker(&way).await,
        Err(_) => run().await,
    })
}

async fn run() -> anyhow::Result<()> {
    page::title("05.1 publish_consume · acknowledge after the work");
    let rabbit = testbed::rabbitmq::private().await?;
    page::note(rabbit.origin());
    page::part(1, "A worker is killed, another loses its connection");
    page::note("300 orders, an email each. Three workers, each a process of its own, with ten");
    page::note("emails at once. After 30 emails the first is killed (kill -9), and the second");
    page::note("one's connection is cut, with its next acknowledgement; it connects again.");
    let mut runs = Vec::new();
    for way in ["automatic", "before", "after"] {
        runs.push(sent(&testbed::rabbitmq::private().await?, way).await?);
    }
    page::heads(&["automatic", "before", "after"]);
    let row = |what, figure: fn(&Sent) -> usize| {
        let [auto, before, after] = [0, 1, 2].map(|run| figure(&runs[run]).to_string());
        page::row(what, auto, &[before, after], "");
    };
    row("orders", |_| ORDERS);
    row("emails lost", |sent| sent.lost);
    row("emails sent twice", |sent| sent.twice);
    row("emails sent once", |sent| ORDERS - sent.lost - sent.twice);
    page::note("When each message is acknowledged: when it is sent, and the first worker is");
    page::note("sent all of them; before its work; after it. Only the last loses nothing.");
    page::note("What was done and could not be acknowledged is done again: see lesson 05.6.");

    page::part(2, "How soon another has what a dead one left");
    page::gap();
    let [_, _, after] = runs.as_slice() else { anyhow::bail!("three ways were tried") };
    let soon = after.soon.context("nothing of the killed worker came again")?;
    page::figure("first email of its orders, after the kill", page::millis(soon));
    page::note("The broker sees the connection of a killed process end. That one stands still");
    page::note("it learns when two heartbeats are missing, which here takes twenty seconds.");
    page::next(&[
        ("cargo lab start publish_consume", "write it yourself, and have it killed"),
        ("cargo lab why publish_consume", "how others got it wrong, one by one"),
    ]);
    Ok(())
}

/// What came of the orders.
struct Sent {
    lost: usize,
    twice: usize,
    /// From the kill to the first email that was sent for an order of the dead worker's.
    soon: Option<Duration>,
}

fn topology() -> Topology {
    // No order is poison.
    let queue = Queue { deliveries: 100, ..Queue::new("mailer", &["order.placed.*"]) };
    Topology { exchange: "shop".to_owned(), queues: vec![queue] }
}

/// Has the orders worked off by three workers, of whom two are met by misfortune.
async fn sent(rabbit: &Rabbit, way: &str) -> anyhow::Result<Sent> {
    let courier = RabbitCourier::open(rabbit.url(), topology(), Options::default())?;
    let orders: Vec<_> = (0..ORDERS)
        .map(|order| Message::new(format!("order-{order}"), "order.placed.v1", "an email, please"))
        .collect();
    for placed in future::join_all(orders.iter().map(|order| courier.publish(order))).await {
        placed?;
    }
    courier.close().await;

    let cut = Proxy::before_rabbitmq(rabbit.url()).await?;
    let (tell, mut emails) = mpsc::unbounded_channel();
    let mut workers = Vec::new();
    for nth in 0..WORKERS {
        let url = if nth == 1 { cut.url() } else { rabbit.url() };
        workers.push(Some(start(nth, way, url, tell.clone())?));
        if nth == 0 {
            // As it is with workers: one is the first.
            rabbit.wait_for("mailer", PATIENCE, |queue| queue.consumers > 0).await?;
        }
    }
    let mut by_order: HashMap<String, usize> = HashMap::new();
    let mut by_worker = [0; WORKERS];
    let (mut killed, mut soon, mut lost) = (None::<Instant>, None, None);
    let began = Instant::now();
    loop {
        let email = tokio::time::timeout(Duration::from_millis(400), emails.recv()).await;
        anyhow::ensure!(began.elapsed() < 2 * PATIENCE, "the orders are not worked off");
        let Ok(Some((worker, order, attempt))) = email else {
            let queue = rabbit.queue("mailer").await?.context("the queue")?;
            // All is said, or lost.
            if queue.ready + queue.unacked == 0 && killed.is_some() {
                break;
            }
            continue;
        };
        *by_order.entry(order).or_default() += 1;
        by_worker[worker] += 1;
        if let (true, Some(killed), None) = (attempt > 1, killed.as_ref(), soon) {
            soon = Some(killed.elapsed());
        }
        if (worker, by_worker[0]) == (0, EACH) && killed.is_none() {
            killed = Some(Instant::now());
            // Dropped, it is killed.
            drop(workers[0].take());
        }
        if way == "after" {
            // At the one moment in which something is done and nobody knows. And not before the dead
            // worker's orders have come again: these would come again as well.
            if soon.is_some() && by_worker[1] >= EACH && lost.is_none() {
                lost = Some(cut.cut_request(|request| request.is("basic.ack")));
            }
        } else if (worker, by_worker[1]) == (1, EACH) {
            cut.kill_connections();
        }
    }
    if way == "after" {
        let lost = lost.is_some_and(|acknowledgement| acknowledgement.count() == 1);
        anyhow::ensure!(lost, "no acknowledgement was lost");
    }
    let twice = by_order.values().filter(|times| **times > 1).count();
    Ok(Sent { lost: ORDERS - by_order.len(), twice, soon })
}

/// A worker's process. Killed when it is dropped.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An email that was sent: by whom, for which order, at which attempt.
type Email = (usize, String, u32);

fn start(
    nth: usize,
    way: &str,
    url: &str,
    tell: mpsc::UnboundedSender<Email>,
) -> anyhow::Result<Ends> {
    let mut process = Command::new(std::env::current_exe()?)
        .env(WORKER, way)
        .env(URL, url)
        .stdout(Stdio::piped())
        .spawn()
        .context("starting this program once more")?;
    let lines = BufReader::new(process.stdout.take().context("its standard output")?).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((order, attempt)) = line.split_once(' ') {
                let _ = tell.send((nth, order.to_owned(), attempt.parse().unwrap_or(1)));
            }
        }
    });
    Ok(Ends(process))
}

/// The process of a worker. Its standard output is where the emails go.
async fn worker(way: &str) -> anyhow::Result<()> {
    let url = std::env::var(URL).context("the other process tells it")?;
    if way == "after" {
        let courier = RabbitCourier::open(&url, topology(), Options::default())?;
        courier.consume("mailer", PLACES, mail, std::future::pending()).await?;
        return Ok(());
    }
    let broker = Broker::open(&url, Options::default())?;
    loop {
        let _ = too_early(&broker, way == "automatic").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

// ANCHOR: too_early
/// Consumes, and has each message acknowledged when it is sent, or when it has come.
async fn too_early(broker: &Broker, no_ack: bool) -> anyhow::Result<()> {
    let channel = broker.channel().await?;
    channel.basic_qos(PLACES, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions { no_ack, ..BasicConsumeOptions::default() };
    let (queue, none) = ("mailer".into(), FieldTable::default());
    let mut deliveries = channel.basic_consume(queue, "".into(), options, none).await?;
    let places = Arc::new(Semaphore::new(PLACES.into()));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let Some(delivery) = deliveries.next().await else { return Ok(()) };
        let delivery = delivery?;
        if !no_ack {
            delivery.ack(BasicAckOptions::default()).await?;
        }
        let delivered =
            Delivered { message: Message::delivered(&delivery), attempt: attempt(&delivery) };
        tokio::spawn(async move {
            let _ = mail(delivered).await;
            drop(place);
        });
    }
}
// ANCHOR_END: too_early

/// The work.
async fn mail(order: Delivered) -> Result<(), messaging::publish_consume::Failed> {
    tokio::time::sleep(WORK).await;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{} {}", order.message.id, order.attempt);
    let _ = out.flush();
    Ok(())
}
