//! What a courier costs: a message published and worked off through it, and with lapin by hand.
//!
//! ```console
//! $ cargo bench -p messaging --bench publish_consume
//! ```
//!
//! Both on the same broker, in quorum queues of the same make, persistent and confirmed. It fails if
//! the courier takes more than 1.15 times as long.

use anyhow::Context;
use criterion::Criterion;
use futures_util::{StreamExt, future};
use messaging::lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use messaging::lapin::types::FieldTable;
use messaging::lapin::{Channel, Connection, ConnectionProperties};
use messaging::publish_consume::{Courier, Delivered, Options, RabbitCourier};
use messaging::{Message, Queue, Topology};
use std::sync::Arc;
use std::time::Duration;
use testbed::rabbitmq::Rabbit;
use testbed::ratios::{self, Ratios};
use tokio::sync::{Mutex, mpsc};

const PREFETCH: u16 = 100;
/// Of a burst.
const BURST: usize = 50;

/// Something that publishes, and that hears of all that is worked off.
struct Subject<P> {
    publisher: P,
    done: Mutex<mpsc::UnboundedReceiver<()>>,
}

impl<P> Subject<P> {
    async fn worked_off(&self, messages: usize) {
        let mut done = self.done.lock().await;
        for _ in 0..messages {
            done.recv().await.expect("its consumer lives");
        }
    }
}

fn topology(name: &str) -> Topology {
    let queues = vec![Queue::new(name, &["order.#"])];
    Topology { exchange: format!("shop-{name}"), queues }
}

fn message() -> Message {
    Message::new("m1", "order.placed.v1", vec![7; 300])
}

async fn courier(rabbit: &Rabbit) -> anyhow::Result<Subject<Arc<RabbitCourier>>> {
    let courier = RabbitCourier::open(rabbit.url(), topology("courier"), Options::default())?;
    let (courier, (tell, done)) = (Arc::new(courier), mpsc::unbounded_channel());
    let consumer = Arc::clone(&courier);
    let work = move |_: Delivered| {
        let told = tell.send(());
        async move { told.map_err(|_| messaging::publish_consume::Failed("nobody hears".into())) }
    };
    tokio::spawn(
        async move { consumer.consume("courier", PREFETCH, work, future::pending()).await },
    );
    Ok(Subject { publisher: courier, done: Mutex::new(done) })
}

impl Subject<Arc<RabbitCourier>> {
    async fn one(&self) {
        self.publisher.publish(&message()).await.expect("the broker confirms");
        self.worked_off(1).await;
    }

    async fn burst(&self) {
        let message = message();
        let sent = future::join_all((0..BURST).map(|_| self.publisher.publish(&message))).await;
        assert!(sent.iter().all(Result::is_ok));
        self.worked_off(BURST).await;
    }
}

/// As in lapin's own examples, with a task for each message.
async fn by_hand(rabbit: &Rabbit) -> anyhow::Result<Subject<Channel>> {
    let connect = || Connection::connect(rabbit.url(), ConnectionProperties::default());
    let (publishes, consumes) = (connect().await?, connect().await?);
    let publisher = publishes.create_channel().await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    topology("by-hand").declare(&publisher).await?;
    let channel = consumes.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel.basic_consume("by-hand".into(), "".into(), options, none).await?;
    let (tell, done) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let _open = (publishes, consumes);
        while let Some(Ok(delivery)) = deliveries.next().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let _ = tell.send(());
                delivery.ack(BasicAckOptions::default()).await
            });
        }
    });
    Ok(Subject { publisher, done: Mutex::new(done) })
}

impl Subject<Channel> {
    async fn publish(&self, message: &Message) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = ("shop-by-hand".into(), message.key.as_str().into());
        let (body, properties) = (&message.body, message.properties());
        let sent = self.publisher.basic_publish(exchange, key, options, body, properties).await;
        let confirm = sent.expect("it is sent").await.expect("the broker answers");
        assert!(confirm.is_ack());
    }

    async fn one(&self) {
        self.publish(&message()).await;
        self.worked_off(1).await;
    }

    async fn burst(&self) {
        let message = message();
        future::join_all((0..BURST).map(|_| self.publish(&message))).await;
        self.worked_off(BURST).await;
    }
}

fn main() -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rabbit = runtime.block_on(testbed::rabbitmq::private())?;
    let (hand, courier) = runtime.block_on(async {
        let hand = by_hand(&rabbit).await.context("lapin by hand")?;
        let courier = courier(&rabbit).await.context("the courier")?;
        hand.one().await;
        courier.one().await;
        anyhow::Ok((hand, courier))
    })?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("publish_consume");
    let at = &runtime;
    group.bench_function("by hand", |b| b.to_async(at).iter(|| hand.one()));
    group.bench_function("courier", |b| b.to_async(at).iter(|| courier.one()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("publish_consume");
            let (by_hand, through) = (async || hand.one().await, async || courier.one().await);
            ratios.at_most_far(1.15, "a message, courier / lapin by hand", by_hand, through).await;
            let (by_hand, through) = (async || hand.burst().await, async || courier.burst().await);
            ratios.at_most_far(1.15, "50 at once, courier / by hand", by_hand, through).await;
            ratios.end();
        });
    }
    Ok(())
}
