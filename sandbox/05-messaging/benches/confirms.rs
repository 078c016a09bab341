//! What it costs to know: publishing with confirms, against lapin by hand.
//!
//! ```console
//! $ cargo bench -p messaging --bench confirms
//! ```
//!
//! By hand means: the same messages on one channel in confirm mode, mandatory, and each confirm
//! awaited; no window, nothing that ends in time, and no look at what came back. It fails if the
//! publisher costs more than 1.15 times that, one by one or in a batch.

use criterion::{Criterion, Throughput};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Confirmation, PublisherConfirm};
use messaging::confirms::{Confirmed, Options, Publisher};
use messaging::{Broker, Message, broker};
use std::time::Duration;
use testbed::rabbitmq::Rabbit;
use testbed::ratios::{self, Ratios};

const BATCH: usize = 200;
const QUEUE: &str = "bench";

struct Subjects {
    publisher: Confirmed,
    confirming: Channel,
    plain: Channel,
    messages: Vec<Message>,
    _broker: Broker,
}

impl Subjects {
    async fn warm(rabbit: &Rabbit) -> anyhow::Result<Subjects> {
        let broker = Broker::open(rabbit.url(), broker::Options::default())?;
        let (confirming, plain) = (broker.channel().await?, broker.channel().await?);
        confirming.confirm_select(ConfirmSelectOptions::default()).await?;
        // The oldest go, so that the queue does not grow.
        let mut bounded = FieldTable::default();
        bounded.insert("x-max-length".into(), AMQPValue::LongInt(1_000));
        plain.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), bounded).await?;
        let publisher = Confirmed::open(rabbit.url(), Options::default())?;
        // To the default exchange, which routes to the queue that is called like the key.
        let message = |nth| Message::new(format!("order-{nth}"), QUEUE, vec![b'x'; 200]);
        let messages = (0..BATCH).map(message).collect();
        let subjects = Subjects { publisher, confirming, plain, messages, _broker: broker };
        subjects.one().await;
        subjects.batch().await;
        subjects.one_by_hand().await;
        Ok(subjects)
    }

    async fn one(&self) {
        self.publisher.publish("", &self.messages[0]).await.expect("it is confirmed");
    }

    async fn batch(&self) {
        let outcomes = self.publisher.publish_all("", &self.messages).await;
        assert!(outcomes.iter().all(Result::is_ok));
    }

    async fn one_by_hand(&self) {
        let confirm = publish(&self.confirming, &self.messages[0], true).await;
        assert_eq!(confirm.await.expect("the broker answers"), Confirmation::Ack(None));
    }

    async fn batch_by_hand(&self) {
        let mut confirms = Vec::with_capacity(BATCH);
        for message in &self.messages {
            confirms.push(publish(&self.confirming, message, true).await);
        }
        for confirm in confirms {
            assert_eq!(confirm.await.expect("the broker answers"), Confirmation::Ack(None));
        }
    }

    /// Not confirmed: they are written, and no more is known.
    async fn forgotten(&self) {
        for message in &self.messages {
            publish(&self.plain, message, false).await;
        }
    }

    async fn one_by_one(&self) {
        for message in &self.messages {
            self.publisher.publish("", message).await.expect("it is confirmed");
        }
    }
}

async fn publish(channel: &Channel, message: &Message, mandatory: bool) -> PublisherConfirm {
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    let (key, properties) = (message.key.as_str().into(), message.properties());
    let publish = channel.basic_publish("".into(), key, options, &message.body, properties);
    publish.await.expect("the broker is there")
}

fn main() -> anyhow::Result<()> {
    // As programs have it: what waits here is woken by another thread, lapin's.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rabbit = runtime.block_on(testbed::rabbitmq::private())?;
    let subjects = runtime.block_on(Subjects::warm(&rabbit))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("confirms");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("publish", |b| b.to_async(at).iter(|| subject.one()));
    group.bench_function("by hand", |b| b.to_async(at).iter(|| subject.one_by_hand()));
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("publish_all", |b| b.to_async(at).iter(|| subject.batch()));
    group.bench_function("all by hand", |b| b.to_async(at).iter(|| subject.batch_by_hand()));
    group.bench_function("unconfirmed", |b| b.to_async(at).iter(|| subject.forgotten()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("confirms");
            let (hand, one) = (async || subject.one_by_hand().await, async || subject.one().await);
            ratios.at_most_far(1.15, "publish / by hand", hand, one).await;
            let (hand, all) =
                (async || subject.batch_by_hand().await, async || subject.batch().await);
            ratios.at_most_far(1.15, "publish_all of 200 / by hand", hand, all).await;
            let (none, all) = (async || subject.forgotten().await, async || subject.batch().await);
            ratios.at_most_far(f64::MAX, "publish_all of 200 / unconfirmed", none, all).await;
            let (all, each) = (async || subject.batch().await, async || subject.one_by_one().await);
            ratios.at_most_far(f64::MAX, "200 one by one / publish_all", all, each).await;
            ratios.end();
        });
    }
    Ok(())
}
