//! 05.6 · Idempotent consumer: the same payments, delivered again.
//!
//! ```console
//! $ cargo run --example idempotent_consumer
//! ```
//!
//! Ends by itself after some four seconds, and some more where RabbitMQ has to be started.

use anyhow::Context;
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{self, Transaction};
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use messaging::broker::{self, Broker};
use messaging::idempotent_consumer::{
    Error, Inbox, Once, Options, PgInbox, SCHEMA, Work, first_time, settle,
};
use messaging::{Message, Queue, Topology};
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use testbed::postgres::{Postgres, Session, Target};
use testbed::proxy::Proxy;
use testbed::rabbitmq::Rabbit;

const PATIENCE: Duration = Duration::from_secs(20);
const PAYMENTS: usize = 300;
const KILLS: usize = 5;
/// What a consumer has done when it is killed, and has not been able to acknowledge.
const UNTOLD: u16 = 10;
/// What it has acknowledged before.
const TOLD: usize = 30;
const MEETINGS: usize = 20;
const EXCHANGE: &str = "shop";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("05.6 idempotent_consumer · each message has one effect");
    let rabbit = testbed::rabbitmq::private().await?;
    let postgres = testbed::postgres::private().await?;
    page::note(rabbit.origin());
    page::note(postgres.origin());
    furnish(&postgres).await?;

    killed(&rabbit, &postgres).await?;
    at_once(&postgres).await?;
    price(&postgres).await?;

    page::next(&[
        ("cargo lab start idempotent_consumer", "write it yourself, and have it killed"),
        ("cargo lab why idempotent_consumer", "what looks right, and is not"),
    ]);
    Ok(())
}

// ANCHOR: ways
/// No inbox: what comes is done.
struct Nothing(Pool);

/// A set of ids in the process.
struct InMemory(Pool, Mutex<HashSet<String>>);

/// Looks, and writes it down when it is done, in one transaction.
struct LooksFirst(Pool, String);
// ANCHOR_END: ways

impl Inbox for Nothing {
    fn open(url: &str, _: &str, options: Options) -> Result<Nothing, Error> {
        Ok(Nothing(database::pool(url, options.timeout, options.connections)?))
    }

    async fn once<E>(&self, _: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let mut connection = self.0.get().await?;
        let transaction = connection.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        transaction.commit().await?;
        Ok(Once::First)
    }

    async fn sweep(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

impl Inbox for InMemory {
    fn open(url: &str, _: &str, options: Options) -> Result<InMemory, Error> {
        let pool = database::pool(url, options.timeout, options.connections)?;
        Ok(InMemory(pool, Mutex::default()))
    }

    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let seen = || self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if seen().contains(&message.id) {
            return Ok(Once::Seen);
        }
        let mut connection = self.0.get().await?;
        let transaction = connection.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        transaction.commit().await?;
        seen().insert(message.id.clone());
        Ok(Once::First)
    }

    async fn sweep(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

impl Inbox for LooksFirst {
    fn open(url: &str, consumer: &str, options: Options) -> Result<LooksFirst, Error> {
        let pool = database::pool(url, options.timeout, options.connections)?;
        Ok(LooksFirst(pool, consumer.to_owned()))
    }

    // ANCHOR: looks_first
    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let mut connection = self.0.get().await?;
        let transaction = connection.transaction().await?;
        let look = "SELECT 1 FROM inbox WHERE consumer = $1 AND message = $2";
        let key = [(&self.1 as _, Type::TEXT), (&message.id as _, Type::TEXT)];
        if !transaction.query_typed(look, &key).await?.is_empty() {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?; // another may be here as well
        first_time(&transaction, &self.1, &message.id).await?;
        transaction.commit().await?;
        Ok(Once::First)
    }
    // ANCHOR_END: looks_first

    async fn sweep(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

/// Books a payment on the transaction that it is given.
async fn book(
    transaction: &Transaction<'_>,
    consumer: &str,
    payment: &str,
) -> Result<(), tokio_postgres::Error> {
    let book = "INSERT INTO booked (consumer, payment, cents) VALUES ($1, $2, 1250)";
    let key = [(&consumer as _, Type::TEXT), (&payment as _, Type::TEXT)];
    transaction.execute_typed(book, &key).await.map(drop)
}

// ANCHOR: handle
async fn handle(inbox: &impl Inbox, consumer: &str, message: &Message) -> Result<Once, Error> {
    // The effect may run while its caller is elsewhere, so it owns what it needs.
    let (consumer, payment) = (consumer.to_owned(), message.id.clone());
    let effect = inbox.once(message, move |transaction| {
        Box::pin(async move { Ok(book(transaction, &consumer, &payment).await?) })
    });
    effect.await
}
// ANCHOR_END: handle

/// Part 1: consumers that are killed with work that is done and not acknowledged.
async fn killed(rabbit: &Rabbit, postgres: &Postgres) -> anyhow::Result<()> {
    page::part(1, "A consumer is killed before its acknowledgement");
    page::note(format!(
        "{PAYMENTS} payments in a queue of RabbitMQ. {KILLS} times the connection is lost"
    ));
    page::note(format!(
        "when {UNTOLD} payments are booked and not acknowledged, and the consumer is"
    ));
    page::note("started anew. RabbitMQ delivers them again: it has heard nothing.");
    let ways = [
        payments::<Nothing>(rabbit, postgres, "nothing").await?,
        payments::<InMemory>(rabbit, postgres, "in memory").await?,
        payments::<LooksFirst>(rabbit, postgres, "looks first").await?,
        payments::<PgInbox>(rabbit, postgres, "inbox").await?,
    ];
    let row = |what: &str, of: fn(&Counted) -> i64| {
        [what.to_owned()].into_iter().chain(ways.iter().map(|way| of(way).to_string())).collect()
    };
    page::grid(
        &["", "nothing", "in memory", "SELECT, INSERT", "inbox"],
        &[
            row("delivered", |way| way.delivered as i64),
            row("booked once", |way| way.once),
            row("booked twice and more", |way| way.more),
            row("not booked", |way| PAYMENTS as i64 - way.once - way.more),
            row("euros too many", |way| way.surplus_cents / 100),
        ],
    );
    Ok(())
}

struct Counted {
    delivered: usize,
    once: i64,
    more: i64,
    surplus_cents: i64,
}

async fn payments<I: Inbox>(
    rabbit: &Rabbit,
    postgres: &Postgres,
    way: &'static str,
) -> anyhow::Result<Counted> {
    fill(rabbit, way).await?;
    let delivered = Arc::new(AtomicUsize::new(0));
    for _ in 0..KILLS {
        let proxy = Proxy::before_rabbitmq(rabbit.url()).await?;
        let acks = AtomicUsize::new(0);
        let untold = proxy
            .hold(move |said| said.is("basic.ack") && acks.fetch_add(1, Ordering::Relaxed) >= TOLD);
        let enough = delivered.load(Ordering::SeqCst) + TOLD + usize::from(UNTOLD);
        let inbox = I::open(postgres.url(), way, Options::default())?;
        let consumer = consume(inbox, proxy.url().to_owned(), way, Arc::clone(&delivered));
        let consumer = tokio::spawn(consumer);
        untold.arrived(1, PATIENCE).await?;
        while delivered.load(Ordering::SeqCst) < enough {
            anyhow::ensure!(!consumer.is_finished(), "the consumer has ended");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rabbit.kill_connections().await?;
        consumer.abort();
        let _ = consumer.await;
    }
    let inbox = I::open(postgres.url(), way, Options::default())?;
    let last = consume(inbox, rabbit.url().to_owned(), way, Arc::clone(&delivered));
    let last = tokio::spawn(last);
    rabbit.wait_for(way, PATIENCE, |queue| queue.ready + queue.unacked == 0).await?;
    last.abort();
    let counted = format!(
        "SELECT count(*) FILTER (WHERE n = 1), count(*) FILTER (WHERE n > 1),
                coalesce(sum(1250 * (n - 1)), 0)::bigint
         FROM (SELECT count(*) AS n FROM booked WHERE consumer = '{way}' GROUP BY payment) each"
    );
    let pool = database::pool(postgres.url(), PATIENCE, 1)?;
    let row = pool.get().await?.query_one(&counted, &[]).await?;
    Ok(Counted {
        delivered: delivered.load(Ordering::SeqCst),
        once: row.get(0),
        more: row.get(1),
        surplus_cents: row.get(2),
    })
}

/// Declares the queue of this way, and publishes the payments into it.
async fn fill(rabbit: &Rabbit, way: &str) -> anyhow::Result<()> {
    let broker = Broker::open(rabbit.url(), broker::Options::default())?;
    let channel = broker.channel().await?;
    let key = format!("payment.{}", way.replace(' ', "_"));
    let mut queue = Queue::new(way, &[key.as_str()]);
    queue.deliveries = 1000; // nothing here is poison
    Topology { exchange: EXCHANGE.to_owned(), queues: vec![queue] }.declare(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = Vec::with_capacity(PAYMENTS);
    for payment in 0..PAYMENTS {
        let message = Message::new(format!("payment-{payment}"), &key, "12.50");
        let (key, options) = (key.as_str().into(), BasicPublishOptions::default());
        let publish = channel.basic_publish(
            EXCHANGE.into(),
            key,
            options,
            &message.body,
            message.properties(),
        );
        confirms.push(publish.await?);
    }
    for confirm in confirms {
        confirm.await?;
    }
    broker.close().await;
    Ok(())
}

/// One consumer, from its start until it is killed.
async fn consume<I: Inbox>(
    inbox: I,
    url: String,
    way: &'static str,
    delivered: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let broker = Broker::open(&url, broker::Options::default())?;
    let channel = broker.channel().await?;
    channel.basic_qos(UNTOLD, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel.basic_consume(way.into(), "".into(), options, none).await?;
    while let Some(delivery) = deliveries.next().await {
        let Ok(delivery) = delivery else { break };
        let outcome = handle(&inbox, way, &Message::delivered(&delivery)).await;
        delivered.fetch_add(1, Ordering::SeqCst);
        if settle(&delivery, &outcome, Duration::from_millis(100)).await.is_err() {
            break;
        }
    }
    // Its connection is gone, and soon it will be.
    std::future::pending().await
}

/// Part 2: one message, and two consumers that have it at the same moment.
async fn at_once(postgres: &Postgres) -> anyhow::Result<()> {
    page::part(2, "Two have it at the same moment");
    page::note("A publisher that lost its confirm publishes again, and the two copies go to");
    page::note("two consumers. The first one's booking is held on its way to PostgreSQL until");
    page::note("the second one is done, or has to wait.");
    let twice = [
        meet::<Nothing>(postgres, "nothing, at once").await?,
        meet::<InMemory>(postgres, "in memory, at once").await?,
        meet::<LooksFirst>(postgres, "looks first, at once").await?,
        meet::<PgInbox>(postgres, "inbox, at once").await?,
    ];
    let cells = twice.iter().map(|twice| format!("{twice} of {MEETINGS}"));
    page::grid(
        &["", "nothing", "in memory", "SELECT, INSERT", "inbox"],
        &[["booked twice".to_owned()].into_iter().chain(cells).collect()],
    );
    Ok(())
}

/// How often of [`MEETINGS`] a payment was booked twice.
async fn meet<I: Inbox>(postgres: &Postgres, way: &'static str) -> anyhow::Result<i64> {
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let first = Arc::new(I::open(proxy.url(), way, Options::default())?);
    let second = Arc::new(I::open(postgres.url(), way, Options::default())?);
    for meeting in 0..MEETINGS {
        let message = Message::new(format!("payment-{meeting}"), "payment.received.v1", "12.50");
        let gate = Gate::shut();
        let books = |request: &testbed::proxy::Request| request.arguments[0].contains("booked");
        let held = proxy.hold_at(&gate, books);
        let deliver = |inbox: &Arc<I>| {
            let (inbox, message) = (Arc::clone(inbox), message.clone());
            tokio::spawn(async move { handle(&*inbox, way, &message).await })
        };
        let early = deliver(&first);
        gate.arrived(1, PATIENCE).await?;
        let late = deliver(&second);
        while !late.is_finished() && postgres.waiting().await? == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.open();
        early.await??;
        late.await??;
        anyhow::ensure!(held.count() == 1, "nobody was held");
    }
    let twice = "SELECT count(*) FROM (SELECT FROM booked WHERE consumer = $1
                 GROUP BY payment HAVING count(*) > 1) twice";
    let pool = database::pool(postgres.url(), PATIENCE, 1)?;
    Ok(pool.get().await?.query_one(twice, &[&way]).await?.get(0))
}

/// Part 3: what it costs.
async fn price(postgres: &Postgres) -> anyhow::Result<()> {
    const BOOKINGS: usize = 200;
    page::part(3, "What it costs");
    let proxy = Proxy::before_postgres(postgres.url()).await?;
    let plain = Nothing::open(proxy.url(), "plain", Options::default())?;
    let inbox = PgInbox::open(proxy.url(), "priced", Options::default())?;
    let (mut without, mut with, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for payment in 0..BOOKINGS {
        let message = Message::new(format!("payment-{payment}"), "payment.received.v1", "12.50");
        let began = Instant::now();
        handle(&plain, "plain", &message).await?;
        without.push(began.elapsed());
        let began = Instant::now();
        handle(&inbox, "priced", &message).await?;
        with.push(began.elapsed());
        let began = Instant::now();
        handle(&inbox, "priced", &message).await?;
        seen.push(began.elapsed());
    }
    // The rollback after a "seen" is not waited for.
    let mut trips = Vec::new();
    for way in 0..3 {
        let message = Message::new("counted", "payment.received.v1", "12.50");
        proxy.reset_count();
        match way {
            0 => handle(&plain, "plain", &message).await?,
            _ => handle(&inbox, "priced", &message).await?,
        };
        let rollbacks = proxy.counts().commands.get("ROLLBACK").copied().unwrap_or(0);
        trips.push((proxy.counts().requests - rollbacks).to_string());
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (without, with, seen) = (median(without), median(with), median(seen));
    page::heads(&["no inbox", "inbox", "seen before"]);
    page::row(
        "one booking takes (median)",
        page::millis(without),
        &[page::millis(with), page::millis(seen)],
        "",
    );
    page::row("times PostgreSQL is waited for", &trips[0], &trips[1..], "");
    page::note("One more, to write the message down: the price for never asking again.");
    Ok(())
}

/// The tables, as migrations make them.
async fn furnish(postgres: &Postgres) -> anyhow::Result<()> {
    let target = Target::read(postgres.url()).map_err(anyhow::Error::msg)?;
    let booked = "CREATE TABLE booked (consumer text, payment text, cents bigint)";
    let made = move || Session::open(&target, PATIENCE)?.query(&format!("{SCHEMA}; {booked}"));
    tokio::task::spawn_blocking(made).await?.context("the tables")?;
    Ok(())
}
