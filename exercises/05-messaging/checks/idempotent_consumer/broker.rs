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
use tokio::task::JoinHandle;

const MESSAGES: usize = 100;
const PREFETCH: u16 = 10;
/// How often the connections are killed with work that is done and not acknowledged.
const KILLS: usize = 3;
/// So many are acknowledged in between.
const ACKNOWLEDGED: usize = 5;

type Failed = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn redelivered<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let _ = scene.message();
    let failed = |error: Failed| Finding::inconclusive(format!("the broker: {error}"));
    fill(&scene).await.map_err(failed)?;
    let postgres = scene.world.postgres().await?.url().to_owned();
    let inbox = S::open(&postgres, CONSUMER, PATIENT)
        .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
    let (inbox, tally) = (Arc::new(inbox), Arc::<Tally>::default());
    let broker = scene.world.rabbit().await?.url().to_owned();

    for kill in 1..=KILLS {
        // Some are acknowledged. What is done after them is not, and then the connection is gone.
        let proxy = Proxy::before_rabbitmq(&broker).await?;
        let acks = AtomicUsize::new(0);
        let held = proxy.hold(move |said| {
            said.is("basic.ack") && acks.fetch_add(1, Ordering::SeqCst) >= ACKNOWLEDGED
        });
        let (url, tally) = (proxy.url().to_owned(), Arc::clone(&tally));
        let enough = tally.done.load(Ordering::SeqCst) + ACKNOWLEDGED + usize::from(PREFETCH);
        let consumer = tokio::spawn(consume(Arc::clone(&inbox), url, Arc::clone(&tally)));
        let consumer = until(&tally, enough, consumer).await?;
        held.arrived(1, SOON).await?;
        landed(scene.world.rabbit().await?.kill_connections().await?, "there was no connection")?;
        let note = format!("kill {kill}: {PREFETCH} done, and not acknowledged");
        scene.world.history().note("broker", note);
        consumer.abort();
        let _ = consumer.await;
    }
    let consumer = consume(inbox, broker, Arc::clone(&tally));
    let consumer = until(&tally, MESSAGES, tokio::spawn(consumer)).await?;
    let empty = |queue: &testbed::rabbitmq::Queue| queue.ready + queue.unacked == 0;
    match scene.world.rabbit().await?.wait_for(CONSUMER, LONG / 3, empty).await {
        Ok(_) => {}
        Err(late @ testbed::rabbitmq::Error::Late { .. }) => {
            return Err(Evidence::new("an empty queue", late.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    }
    consumer.abort();
    let again = tally.seen.load(Ordering::SeqCst);
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

/// What the consumers have said.
#[derive(Default)]
struct Tally {
    done: AtomicUsize,
    seen: AtomicUsize,
}

/// Waits until so many deliveries were answered with `Ok`. A consumer that ends has panicked.
async fn until(
    tally: &Tally,
    enough: usize,
    consumer: JoinHandle<()>,
) -> Result<JoinHandle<()>, Finding> {
    let began = Instant::now();
    loop {
        let found = tally.done.load(Ordering::SeqCst);
        if found >= enough {
            return Ok(consumer);
        }
        if consumer.is_finished() {
            consumer.await?;
            return Err(Finding::inconclusive("the consumer came to an end"));
        }
        if began.elapsed() > LONG / 3 {
            let saw = format!("{found} done");
            return Err(Evidence::new(format!("{enough} deliveries done"), saw).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
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
async fn consume<S: Inbox>(inbox: Arc<S>, url: String, tally: Arc<Tally>) {
    loop {
        let _ = session(&*inbox, &url, &tally).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn session<S: Inbox>(inbox: &S, url: &str, tally: &Tally) -> Result<(), Failed> {
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
        tally.seen.fetch_add(usize::from(matches!(outcome, Ok(Once::Seen))), Ordering::SeqCst);
        tally.done.fetch_add(usize::from(outcome.is_ok()), Ordering::SeqCst);
        settle(&delivery, &outcome, Duration::from_millis(20)).await?;
    }
    Ok(())
}
