//! 05.5 · Dead letters: five orders that nobody can read, and one that kills whoever reads it.
//!
//! ```console
//! $ cargo run --example dead_letters
//! ```
//!
//! Ends by itself after some five seconds, and some more where RabbitMQ has to be started.

use anyhow::Context;
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
    ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use messaging::broker::{self, Broker};
use messaging::dead_letters::{Delivered, Options, RabbitWard, Reason, Verdict, Ward};
use messaging::{Message, Queue, Topology};
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testbed::rabbitmq::Rabbit;
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_secs(20);
const ORDERS: usize = 200;
/// The first of them have a price of -1, and one in the middle kills its consumer.
const POISON: usize = 5;
const KILLER: usize = 150;
const PREFETCH: u16 = 4;
const DELIVERIES: u32 = 3;
/// How long is looked at what never ends.
const LOOK: Duration = Duration::from_millis(1_200);
const PAUSE: Duration = Duration::from_millis(50);
const EXCHANGE: &str = "shop";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("05.5 dead_letters · what cannot be dealt with is put aside, with its reason");
    let rabbit = testbed::rabbitmq::private().await?;
    page::note(rabbit.origin());

    poison(&rabbit).await?;
    collateral(&rabbit).await?;

    page::next(&[
        ("cargo lab start dead_letters", "write it yourself, and have it cut"),
        ("cargo lab why dead_letters", "what looks right, and is not"),
    ]);
    Ok(())
}

/// The shop's mailer, and what it did.
#[derive(Default)]
struct Mailer {
    done: Mutex<HashSet<String>>,
    wasted: AtomicU64,
    crashes: AtomicU64,
    last: Mutex<Option<Instant>>,
    /// Somebody has mended it.
    mended: AtomicBool,
    /// It has met the order that kills it.
    dies: Notify,
}

impl Mailer {
    async fn send(&self, message: &Message) -> Verdict {
        let mended = self.mended.load(Ordering::SeqCst);
        match message.text().as_ref() {
            "a price of -1" if !mended => {
                self.wasted.fetch_add(1, Ordering::SeqCst);
                Verdict::Again("a price of -1".to_owned())
            }
            "fatal" if !mended => {
                self.wasted.fetch_add(1, Ordering::SeqCst);
                self.dies.notify_one();
                std::future::pending().await
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                hold(&self.done).insert(message.id.clone());
                *hold(&self.last) = Some(Instant::now());
                Verdict::Done
            }
        }
    }

    fn done(&self) -> u64 {
        hold(&self.done).len() as u64
    }
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a consumer without a ward says of a message that fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    RequeuesForEver,
    AcksAndLogs,
}

struct Outcome {
    done: u64,
    lost: u64,
    waiting: u64,
    dead: u64,
    wasted: u64,
    crashes: u64,
    last: String,
}

/// Part 1: three ways to deal with it.
async fn poison(rabbit: &Rabbit) -> anyhow::Result<()> {
    page::part(1, "Five orders with a price of -1, and one that is fatal");
    page::note(format!(
        "{ORDERS} orders, the five at the head of the queue, the fatal one in the middle."
    ));
    page::note(format!(
        "The mailer works at {PREFETCH} at once, and is started again when it has died."
    ));
    let for_ever = by_hand(rabbit, "for-ever", Way::RequeuesForEver).await?;
    let logged = by_hand(rabbit, "logged", Way::AcksAndLogs).await?;
    let (before, after) = warded(rabbit).await?;
    let ways = [&for_ever, &logged, &before, &after];
    let row = |what: &str, of: fn(&Outcome) -> String| {
        [what.to_owned()].into_iter().chain(ways.iter().map(|way| of(way))).collect()
    };
    page::grid(
        &["", "requeue", "ack and log", "ward", "mended, redriven"],
        &[
            row("mails sent", |way| way.done.to_string()),
            row("lost", |way| way.lost.to_string()),
            row("dead letters", |way| way.dead.to_string()),
            row("still waiting", |way| way.waiting.to_string()),
            row("deliveries wasted", |way| page::count(way.wasted)),
            row("crashes", |way| way.crashes.to_string()),
            row("last of the others", |way| way.last.clone()),
        ],
    );
    page::note("The first two were looked at for 1.2 s, and go on like that for ever.");
    Ok(())
}

/// A consumer on lapin, of a queue without a limit.
async fn by_hand(rabbit: &Rabbit, queue: &str, way: Way) -> anyhow::Result<Outcome> {
    let broker = Broker::open(rabbit.url(), broker::Options::default())?;
    let channel = broker.channel().await?;
    Topology { exchange: EXCHANGE.to_owned(), queues: Vec::new() }.declare(&channel).await?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    // From RabbitMQ 4.0 on this has to be said; before, there was no limit where none was set.
    quorum.insert("x-delivery-limit".into(), AMQPValue::LongUInt(u32::MAX));
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), quorum).await?;
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), EXCHANGE.into(), queue.into(), options, none).await?;
    fill(rabbit, queue, orders(queue)).await?;
    let mailer = Arc::new(Mailer::default());
    let began = Instant::now();
    let lives = async {
        loop {
            let consumer =
                tokio::spawn(consume(rabbit.url().into(), queue.into(), way, mailer.clone()));
            mailer.dies.notified().await;
            dies(rabbit, &mailer, &consumer).await?;
        }
    };
    match tokio::time::timeout(LOOK, lives).await {
        Err(_) => {}
        Ok(ended) => {
            let ended: anyhow::Result<()> = ended;
            ended?;
        }
    }
    rabbit.kill_connections().await?;
    let done = mailer.done();
    let waiting = rabbit.wait_for(queue, PATIENCE, |queue| queue.unacked == 0).await?.ready;
    let lost = if way == Way::AcksAndLogs { POISON as u64 } else { 0 };
    let last = if waiting > 1 { "never".to_owned() } else { since(&mailer, began) };
    Ok(Outcome {
        done,
        lost,
        waiting,
        dead: 0,
        wasted: mailer.wasted.load(Ordering::SeqCst),
        crashes: mailer.crashes.load(Ordering::SeqCst),
        last,
    })
}

// ANCHOR: by_hand
async fn consume(url: String, queue: String, way: Way, mailer: Arc<Mailer>) -> anyhow::Result<()> {
    let broker = Broker::open(&url, broker::Options::default())?;
    let channel = broker.channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let deliveries = channel.basic_consume(queue.as_str().into(), "".into(), options, none).await?;
    let at_once = usize::from(PREFETCH);
    let work = deliveries.for_each_concurrent(at_once, async |delivery| {
        let Ok(delivery) = delivery else { return };
        let verdict = mailer.send(&Message::delivered(&delivery)).await;
        let _ = match (verdict, way) {
            (Verdict::Done, _) | (_, Way::AcksAndLogs) => {
                delivery.ack(BasicAckOptions::default()).await
            }
            (_, Way::RequeuesForEver) => {
                delivery.reject(BasicRejectOptions { requeue: true }).await
            }
        };
    });
    work.await;
    Ok(())
}
// ANCHOR_END: by_hand

/// The program is gone, with its connections.
async fn dies<T>(
    rabbit: &Rabbit,
    mailer: &Mailer,
    consumer: &tokio::task::JoinHandle<T>,
) -> anyhow::Result<()> {
    mailer.crashes.fetch_add(1, Ordering::SeqCst);
    consumer.abort();
    rabbit.kill_connections().await?;
    Ok(())
}

/// The same with a ward, before the mailer is mended and after.
async fn warded(rabbit: &Rabbit) -> anyhow::Result<(Outcome, Outcome)> {
    let queue = Queue { deliveries: DELIVERIES, ..Queue::new("warded", &["warded"]) };
    // So that the example shows its fate alone: see part 2 for those beside it.
    let mailer = Arc::new(Mailer::default());
    let ward = open(rabbit, &queue, PREFETCH)?;
    ward.dead_letters().await?;
    fill(rabbit, "warded", orders("warded")).await?;
    let began = Instant::now();
    let healthy = (ORDERS - POISON - 1) as u64;
    let all = async {
        loop {
            let dead = rabbit.queue(&queue.dead()).await?.map_or(0, |queue| queue.ready);
            let left = rabbit.queue(&queue.name).await?;
            if mailer.done() + dead == ORDERS as u64 && left.is_some_and(|left| left.ready == 0) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let lives = async {
        loop {
            let ward = Arc::new(open(rabbit, &queue, PREFETCH)?);
            let consumer = tokio::spawn(serve(ward, Arc::clone(&mailer)));
            mailer.dies.notified().await;
            // Those beside it are done: they take a millisecond.
            tokio::time::sleep(Duration::from_millis(20)).await;
            dies(rabbit, &mailer, &consumer).await?;
        }
    };
    tokio::select! {
        settled = tokio::time::timeout(PATIENCE, all) => settled.context("the ward")??,
        ended = lives => { let ended: anyhow::Result<()> = ended; ended? }
    }
    rabbit.kill_connections().await?;
    let ward = Arc::new(open(rabbit, &queue, PREFETCH)?);
    let dead = ward.dead_letters().await?.len() as u64;
    let outcome = |dead: u64, began: Instant| Outcome {
        done: mailer.done(),
        lost: ORDERS as u64 - mailer.done() - dead,
        waiting: 0,
        dead,
        wasted: mailer.wasted.load(Ordering::SeqCst),
        crashes: mailer.crashes.load(Ordering::SeqCst),
        last: since(&mailer, began),
    };
    let before = outcome(dead, began);
    anyhow::ensure!(before.done <= healthy, "poison was worked off");

    mailer.mended.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let consumer = tokio::spawn(serve(Arc::clone(&ward), Arc::clone(&mailer)));
    ward.redrive(|_| true).await?;
    let all = async {
        while mailer.done() < ORDERS as u64 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.context("what was sent back")?;
    consumer.abort();
    Ok((before, outcome(0, began)))
}

fn open(rabbit: &Rabbit, queue: &Queue, prefetch: u16) -> anyhow::Result<RabbitWard> {
    let options = Options { prefetch, pause: PAUSE, ..Options::default() };
    Ok(RabbitWard::open(rabbit.url(), EXCHANGE, queue.clone(), options)?)
}

// ANCHOR: warded
async fn serve(ward: Arc<RabbitWard>, mailer: Arc<Mailer>) -> anyhow::Result<()> {
    let work = move |delivered: Delivered| {
        let mailer = Arc::clone(&mailer);
        async move { mailer.send(&delivered.message).await }
    };
    ward.consume(work, std::future::pending()).await?;
    Ok(())
}
// ANCHOR_END: warded

/// Part 2: whom a crash takes along.
async fn collateral(rabbit: &Rabbit) -> anyhow::Result<()> {
    page::part(2, "Whom a crash takes along");
    page::note("A crash counts for each message that its process had been sent. Ten orders");
    page::note("that take long, the first of them fatal.");
    let (one, ten) = (crashes(rabbit, 1).await?, crashes(rabbit, 10).await?);
    let row = |what: &str, of: fn(&Crashed) -> usize| {
        vec![what.to_owned(), of(&one).to_string(), of(&ten).to_string()]
    };
    page::grid(
        &["", "prefetch 1", "prefetch 10"],
        &[
            row("consumers killed", |_| DELIVERIES as usize),
            row("dead letters", |crashed| crashed.dead),
            row("of them innocent", |crashed| crashed.innocent),
            row("sent back, all but the fatal one", |crashed| crashed.sent_back),
        ],
    );
    page::note("Nobody has said why: the reason is the broker's `delivery_limit`. So look");
    page::note("before you send back, and give a small prefetch to work that may crash.");
    Ok(())
}

struct Crashed {
    dead: usize,
    innocent: usize,
    sent_back: usize,
}

async fn crashes(rabbit: &Rabbit, prefetch: u16) -> anyhow::Result<Crashed> {
    let name = format!("crashes-{prefetch}");
    let queue = Queue { deliveries: DELIVERIES, ..Queue::new(&name, &[name.as_str()]) };
    open(rabbit, &queue, prefetch)?.dead_letters().await?;
    let order = |nth: usize| Message::new(format!("order-{nth}"), &name, "long");
    fill(rabbit, &name, (0..10).map(order).collect()).await?;
    for _ in 0..DELIVERIES {
        let ward = open(rabbit, &queue, prefetch)?;
        let begun = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&begun);
        let consumer = tokio::spawn(async move {
            let work = move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::pending()
            };
            ward.consume(work, std::future::pending()).await
        });
        let all = async {
            while begun.load(Ordering::SeqCst) < u64::from(prefetch) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.context("work that begins")?;
        consumer.abort();
        rabbit.kill_connections().await?;
        rabbit.wait_for(&name, PATIENCE, |queue| queue.unacked == 0).await?;
    }
    let many = u64::from(prefetch);
    rabbit.wait_for(&queue.dead(), PATIENCE, move |queue| queue.ready == many).await?;
    let ward = open(rabbit, &queue, prefetch)?;
    let letters = ward.dead_letters().await?;
    let limit = letters.iter().all(|letter| letter.reason == Reason::DeliveryLimit);
    anyhow::ensure!(limit, "the broker put them aside");
    let is_innocent = |id: &str| id != "order-0";
    let innocent = letters.iter().filter(|letter| is_innocent(&letter.message.id)).count();
    let sent_back = ward.redrive(|letter| is_innocent(&letter.message.id)).await?;
    Ok(Crashed { dead: letters.len(), innocent, sent_back: usize::try_from(sent_back)? })
}

fn orders(key: &str) -> Vec<Message> {
    let body = |nth: usize| match nth {
        _ if nth < POISON => "a price of -1",
        KILLER => "fatal",
        _ => "thank you",
    };
    (0..ORDERS).map(|nth| Message::new(format!("order-{nth}"), key, body(nth))).collect()
}

async fn fill(rabbit: &Rabbit, key: &str, messages: Vec<Message>) -> anyhow::Result<()> {
    let broker = Broker::open(rabbit.url(), broker::Options::default())?;
    let channel = broker.channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = Vec::with_capacity(messages.len());
    for message in &messages {
        let (options, properties) = (BasicPublishOptions::default(), message.properties());
        let publish =
            channel.basic_publish(EXCHANGE.into(), key.into(), options, &message.body, properties);
        confirms.push(publish.await?);
    }
    for confirm in confirms {
        confirm.await?;
    }
    broker.close().await;
    Ok(())
}

fn since(mailer: &Mailer, began: Instant) -> String {
    let last = hold(&mailer.last).unwrap_or(began);
    page::millis(last.saturating_duration_since(began))
}
