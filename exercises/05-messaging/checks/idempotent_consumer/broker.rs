//! A real broker that delivers again, for it has heard nothing.

use super::scene::{CONSUMER, booking};
use super::*;
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use messaging::broker::{self, Broker};
use messaging::idempotent_consumer::settle;
use messaging::{Queue, Topology};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use testbed::proxy::Proxy;

const MESSAGES: usize = 100;
const PREFETCH: u16 = 10;
/// How often the connections are killed with work that is done and not acknowledged.
const KILLS: usize = 3;

type Failed = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn redelivered<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let _ = scene.message();
    let failed = |error: Failed| Finding::inconclusive(format!("the broker: {error}"));
    fill(&scene).await.map_err(failed)?;
    let postgres = scene.world.postgres().await?.url().to_owned();
    let inbox = S::open(&postgres, CONSUMER, PATIENT)
        .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
    let (inbox, seen) = (Arc::new(inbox), Arc::new(AtomicUsize::new(0)));
    let proxy = Proxy::before_rabbitmq(scene.world.rabbit().await?.url()).await?;

    let mut done = 0;
    for kill in 1..=KILLS {
        // What is done is not acknowledged, and then the connection is gone.
        let held = proxy.hold(|said| said.is("basic.ack"));
        let (url, lane) = (proxy.url().to_owned(), Arc::clone(&inbox));
        let consumer = tokio::spawn(consume(lane, url, Arc::clone(&seen)));
        let enough = done + usize::from(PREFETCH);
        let consumer = booked(&scene, enough, consumer).await?;
        held.arrived(1, SOON).await?;
        landed(scene.world.rabbit().await?.kill_connections().await?, "there was no connection")?;
        scene.world.history().note("broker", format!("kill {kill}: {enough} done, none told"));
        consumer.abort();
        let _ = consumer.await;
        proxy.clear_rules();
        held.open();
        done = enough;
    }
    let consumer = tokio::spawn(consume(inbox, proxy.url().to_owned(), Arc::clone(&seen)));
    let consumer = booked(&scene, MESSAGES, consumer).await?;
    let rabbit = scene.world.rabbit().await?;
    let empty = |queue: Option<testbed::rabbitmq::Queue>| {
        queue.is_some_and(|queue| queue.ready + queue.unacked == 0)
    };
    let began = Instant::now();
    while !empty(rabbit.queue(CONSUMER).await.map_err(|e| failed(e.into()))?) {
        if began.elapsed() > A_WHILE {
            return Err(Evidence::new("an empty queue", "messages that stay in it").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    consumer.abort();
    let again = seen.load(Ordering::SeqCst);
    scene.world.history().note("broker", format!("{again} came again, and were seen"));
    let wrong = "SELECT count(*) FROM (
                     SELECT FROM ledger GROUP BY message HAVING count(*) <> 2) wrong";
    match scene.count(wrong.to_owned()).await? {
        0 => landed(again, "no message came again"),
        wrong => {
            let saw = format!("{wrong} of them otherwise");
            Err(Evidence::new(format!("{MESSAGES} messages with one effect each"), saw).into())
        }
    }
}

/// Waits until so many have had an effect. A consumer that ends has panicked.
async fn booked(
    scene: &Scene,
    enough: usize,
    consumer: tokio::task::JoinHandle<()>,
) -> Result<tokio::task::JoinHandle<()>, Finding> {
    let began = Instant::now();
    loop {
        let found = scene.count("SELECT count(DISTINCT message) FROM ledger".to_owned()).await?;
        if found >= enough as u64 {
            return Ok(consumer);
        }
        if consumer.is_finished() {
            consumer.await?;
            return Err(Finding::inconclusive("the consumer came to an end"));
        }
        if began.elapsed() > 2 * A_WHILE {
            return Err(Evidence::new(format!("{enough} messages done"), found.to_string()).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Declares the consumer's queue, and puts the messages into it.
async fn fill(scene: &Scene) -> Result<(), Failed> {
    let url = scene.world.rabbit().await.map_err(|_| "none")?.url().to_owned();
    let broker = Broker::open(&url, broker::Options::default())?;
    let channel = broker.channel().await?;
    let mut queue = Queue::new(CONSUMER, &["payment.#"]);
    // No message here is poison.
    queue.deliveries = 1000;
    Topology { exchange: "shop".to_owned(), queues: vec![queue] }.declare(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = Vec::new();
    for _ in 0..MESSAGES {
        let message = scene.one_more();
        let (key, options) = (message.key.as_str().into(), BasicPublishOptions::default());
        let properties = message.properties();
        let publish = channel.basic_publish("shop".into(), key, options, &message.body, properties);
        confirms.push(publish.await?);
    }
    for confirm in confirms {
        confirm.await?;
    }
    broker.close().await;
    Ok(())
}

/// Consumes until it is aborted, and begins again whenever the connection is lost.
async fn consume<S: Inbox>(inbox: Arc<S>, url: String, seen: Arc<AtomicUsize>) {
    loop {
        let _ = session(&*inbox, &url, &seen).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn session<S: Inbox>(inbox: &S, url: &str, seen: &AtomicUsize) -> Result<(), Failed> {
    let broker = Broker::open(url, broker::Options::default())?;
    let channel = broker.channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel.basic_consume(CONSUMER.into(), "".into(), options, none).await?;
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        let message = Message::delivered(&delivery);
        let effect = booking(CONSUMER, &message.id, Middle::Goes);
        let outcome = inbox.once(&message, effect).await;
        seen.fetch_add(usize::from(matches!(outcome, Ok(Once::Seen))), Ordering::SeqCst);
        settle(&delivery, &outcome, Duration::from_millis(20)).await?;
    }
    Ok(())
}
