//! 05.4 · Publisher confirms: what was published, what is there, and who knows the difference.
//!
//! ```console
//! $ cargo run --example confirms
//! ```
//!
//! Ends by itself after some seconds.

use anyhow::Context as _;
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, ExchangeKind};
use messaging::confirms::{Confirmed, NotConfirmed, Options, Publisher};
use messaging::{Broker, Message, broker};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;
use testbed::rabbitmq::Rabbit;

const MESSAGES: usize = 2_000;
const BATCH: usize = 100;
const KILLS: usize = 3;
/// One in so many is of a kind for which nobody has bound a queue.
const UNBOUND: usize = 50;

const EXCHANGE: &str = "shop";
const QUEUE: &str = "stock";
const PATIENT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("05.4 confirms · a publish that has succeeded is in a queue");
    let rabbit = testbed::rabbitmq::private().await?;
    page::note(rabbit.origin());
    under_kills(&rabbit).await?;
    how_fast(&rabbit).await?;
    page::next(&[
        ("cargo lab start confirms", "write it yourself, and lose no confirm"),
        ("cargo lab why confirms", "how the wrong ones are found out"),
    ]);
    Ok(())
}

/// What a publisher says about its messages.
#[derive(Default)]
struct Said {
    ok: BTreeSet<String>,
    /// Nobody wants them, and the publisher knows.
    nowhere: BTreeSet<String>,
    /// Publishes that did not end well, and were repeated.
    repeated: usize,
}

/// Part 1: three ways to publish through a connection that is killed.
async fn under_kills(rabbit: &Rabbit) -> anyhow::Result<()> {
    page::part(1, "The connection is killed three times, and one key has no queue");
    page::note(format_args!(
        "{} orders; one in {UNBOUND} is `order.returned`, for which nobody has",
        page::count(MESSAGES as u64)
    ));
    page::note("bound a queue. Who is told of an error publishes the same message again.");
    let mut told = Vec::new();
    for way in [Way::Forget, Way::Confirm, Way::Mandatory] {
        let look = declare(rabbit).await?;
        let proxy = Arc::new(Proxy::before_rabbitmq(rabbit.url()).await?);
        let killer = tokio::spawn(kill(Arc::clone(&proxy)));
        let said = match way {
            Way::Forget => forget(proxy.url()).await?,
            Way::Confirm => confirm(proxy.url()).await?,
            Way::Mandatory => mandatory(proxy.url()).await?,
        };
        killer.abort();
        told.push((said, found(rabbit, &look).await?));
    }
    page::heads(&["no confirms", "confirms", "and mandatory"]);
    let row = |what: &str, number: &dyn Fn(&Said, &BTreeMap<String, usize>) -> usize| {
        let cell = |nth: usize| {
            let (said, found) = &told[nth];
            page::count(number(said, found) as u64)
        };
        page::row(what, cell(0), &[cell(1), cell(2)], "");
    };
    row("said ok", &|said, _| said.ok.len());
    row("said ok, and in the queue", &|said, found| {
        said.ok.iter().filter(|id| found.contains_key(*id)).count()
    });
    row("said ok, and nowhere", &|said, found| {
        said.ok.iter().filter(|id| !found.contains_key(*id)).count()
    });
    row("said that nobody wants it", &|said, _| said.nowhere.len());
    row("publishes repeated", &|said, _| said.repeated);
    row("in the queue twice", &|_, found| found.values().filter(|times| **times > 1).count());
    page::note("What is there twice has the same id: that is for the consumer's inbox, 05.6.");
    Ok(())
}

#[derive(Clone, Copy)]
enum Way {
    Forget,
    Confirm,
    Mandatory,
}

fn orders() -> Vec<Message> {
    let order = |nth: usize| {
        let key = if nth % UNBOUND == UNBOUND / 2 { "order.returned" } else { "order.placed" };
        Message::new(format!("order-{nth}"), key, format!("order {nth}: 3 notebooks"))
    };
    (0..MESSAGES).map(order).collect()
}

/// The network hangs for a moment, and then the connection is gone with all that was on it.
async fn kill(proxy: Arc<Proxy>) {
    for nth in 1..=KILLS {
        let enough = MESSAGES * nth / (KILLS + 1);
        let seen = || proxy.counts().commands.get("basic.publish").copied().unwrap_or_default();
        while seen() < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.stall();
        tokio::time::sleep(Duration::from_millis(30)).await;
        proxy.kill_connections();
        proxy.resume();
    }
}

/// Without confirm mode. What can be written into a socket has been published.
async fn forget(url: &str) -> anyhow::Result<Said> {
    let (broker, mut said) = (open(url)?, Said::default());
    let mut channel = broker.channel().await?;
    for message in orders() {
        while publish(&broker, &channel, &message, false).await.is_err() {
            said.repeated += 1;
            channel = again(&broker).await?;
        }
        said.ok.insert(message.id);
    }
    // What was written last is to arrive before somebody counts.
    broker.close().await;
    Ok(said)
}

/// In confirm mode, a batch at a time, and no word of `mandatory`.
async fn confirm(url: &str) -> anyhow::Result<Said> {
    let (broker, mut said) = (open(url)?, Said::default());
    let mut channel = again(&broker).await?;
    confirm_mode(&broker, &channel).await?;
    for batch in orders().chunks(BATCH) {
        let mut left: Vec<&Message> = batch.iter().collect();
        while !left.is_empty() {
            let mut confirms = Vec::new();
            for message in &left {
                confirms.push(publish(&broker, &channel, message, false).await);
            }
            let mut unknown = Vec::new();
            for (message, confirm) in left.into_iter().zip(confirms) {
                let confirmation = match confirm {
                    Ok(confirm) => broker.answer(confirm).await,
                    Err(error) => Err(error),
                };
                match confirmation {
                    Ok(Confirmation::Ack(_)) => drop(said.ok.insert(message.id.clone())),
                    _ => unknown.push(message),
                }
            }
            said.repeated += unknown.len();
            if !unknown.is_empty() {
                channel = again(&broker).await?;
                confirm_mode(&broker, &channel).await?;
            }
            left = unknown;
        }
    }
    Ok(said)
}

/// The pattern.
async fn mandatory(url: &str) -> anyhow::Result<Said> {
    let options = Options { timeout: PATIENT, window: BATCH };
    let (publisher, mut said) = (Confirmed::open(url, options)?, Said::default());
    for batch in orders().chunks(BATCH) {
        let mut left = batch.to_vec();
        while !left.is_empty() {
            let outcomes = publisher.publish_all(EXCHANGE, &left).await;
            let mut unknown = Vec::new();
            for (message, outcome) in left.into_iter().zip(outcomes) {
                match outcome {
                    Ok(()) => drop(said.ok.insert(message.id)),
                    Err(NotConfirmed::Unroutable { .. }) => drop(said.nowhere.insert(message.id)),
                    Err(NotConfirmed::Refused | NotConfirmed::Unknown(_)) => unknown.push(message),
                }
            }
            said.repeated += unknown.len();
            left = unknown;
        }
    }
    Ok(said)
}

/// Part 2: what it costs.
async fn how_fast(rabbit: &Rabbit) -> anyhow::Result<()> {
    const FEW: usize = 100;
    page::part(2, "What it costs to know");
    let look = declare(rabbit).await?;
    let publisher = Confirmed::open(rabbit.url(), Options { timeout: PATIENT, window: 2 * BATCH })?;
    let broker = open(rabbit.url())?;
    let channel = broker.channel().await?;
    let placed = |nth: usize| Message::new(format!("order-{nth}"), "order.placed", "3 notebooks");
    let messages: Vec<Message> = (0..MESSAGES).map(placed).collect();
    publisher.publish(EXCHANGE, &messages[0]).await?;

    let began = Instant::now();
    for message in &messages[..FEW] {
        publisher.publish(EXCHANGE, message).await?;
    }
    let one_by_one = each_second(FEW, began.elapsed());
    let began = Instant::now();
    for outcome in publisher.publish_all(EXCHANGE, &messages).await {
        outcome?;
    }
    let batched = each_second(MESSAGES, began.elapsed());
    let began = Instant::now();
    for message in &messages {
        publish(&broker, &channel, message, false).await?;
    }
    let forgotten = each_second(MESSAGES, began.elapsed());
    page::heads(&["one by one", "in a batch", "no confirms"]);
    let [one, batch, none] =
        [one_by_one, batched, forgotten].map(|rate| page::count(rate.round() as u64));
    page::row("messages a second", one, &[batch, none], "");
    page::figure("in a batch, against one by one", format!("× {:.0}", batched / one_by_one));
    page::note("A confirm comes when the message is on the broker's disk. To wait for each");
    page::note("before the next is sent is what costs, and not the confirm.");
    drop(look);
    Ok(())
}

fn each_second(messages: usize, took: Duration) -> f64 {
    messages as f64 / took.as_secs_f64()
}

fn open(url: &str) -> anyhow::Result<Broker> {
    let options = broker::Options { timeout: PATIENT, ..broker::Options::default() };
    Ok(Broker::open(url, options)?)
}

/// A channel, after one was lost.
async fn again(broker: &Broker) -> anyhow::Result<Channel> {
    let mut tries = 0;
    loop {
        match broker.channel().await {
            Ok(channel) => return Ok(channel),
            Err(error) if tries == 100 => return Err(error).context("no channel any more"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        tries += 1;
    }
}

async fn confirm_mode(broker: &Broker, channel: &Channel) -> anyhow::Result<()> {
    Ok(broker.answer(channel.confirm_select(ConfirmSelectOptions::default())).await?)
}

async fn publish(
    broker: &Broker,
    channel: &Channel,
    message: &Message,
    mandatory: bool,
) -> Result<lapin::PublisherConfirm, messaging::Error> {
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    let (key, properties) = (message.key.as_str().into(), message.properties());
    let publish = channel.basic_publish(EXCHANGE.into(), key, options, &message.body, properties);
    broker.answer(publish).await
}

/// An empty queue for `order.placed`. Gives the connection that made it, past every proxy.
async fn declare(rabbit: &Rabbit) -> anyhow::Result<Broker> {
    let broker = open(rabbit.url())?;
    let channel = broker.channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, none()).await?;
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), none()).await?;
    let options = QueueBindOptions::default();
    let key = "order.placed".into();
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), key, options, none()).await?;
    Ok(broker)
}

/// What the queue holds: how often each id.
async fn found(rabbit: &Rabbit, look: &Broker) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut waiting = 0;
    // What was sent without a confirm may still be coming in.
    loop {
        let ready = rabbit.queue(QUEUE).await?.context("there is no queue")?.ready;
        if ready == waiting && ready > 0 {
            break;
        }
        waiting = ready;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let channel = look.channel().await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut consumer =
        channel.basic_consume(QUEUE.into(), "look".into(), options, FieldTable::default()).await?;
    let mut found = BTreeMap::new();
    for _ in 0..waiting {
        let delivery = tokio::time::timeout(PATIENT, consumer.next()).await?;
        let delivery = delivery.context("the consumer has ended")??;
        *found.entry(Message::delivered(&delivery).id).or_default() += 1;
    }
    Ok(found)
}
