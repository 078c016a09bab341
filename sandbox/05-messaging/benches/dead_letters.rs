//! What the ward costs while nothing fails, and what poison costs then.
//!
//! ```console
//! $ cargo bench -p messaging --bench dead_letters
//! ```
//!
//! By hand means: the same messages on one channel of lapin, each acknowledged in its turn, and
//! nothing that could fail. It fails if a ward works off a batch in more than 1.5 times that, each
//! message in a task of its own; or if poison is delivered once more than the queue allows.

use criterion::{Criterion, Throughput};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use messaging::dead_letters::{Delivered, Options, RabbitWard, Verdict, Ward};
use messaging::{Broker, Message, Queue, Topology, broker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::rabbitmq::Rabbit;
use testbed::ratios::{self, Ratios};
use tokio::sync::{Mutex, mpsc};

const BATCH: usize = 200;
const PREFETCH: u16 = 16;
const DELIVERIES: u32 = 5;
const EXCHANGE: &str = "bench";

struct Subjects {
    channel: Channel,
    by_hand: Mutex<Consumer>,
    done: Mutex<mpsc::UnboundedReceiver<()>>,
    _broker: Broker,
}

impl Subjects {
    async fn warm(rabbit: &Rabbit) -> anyhow::Result<Subjects> {
        let broker = Broker::open(rabbit.url(), broker::Options::default())?;
        let (channel, own) = (broker.channel().await?, broker.channel().await?);
        let queues = ["hand", "ward"].map(queue).into();
        Topology { exchange: EXCHANGE.to_owned(), queues }.declare(&channel).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        own.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = own.basic_consume("hand".into(), "".into(), options, none).await?;
        let (tell, done) = mpsc::unbounded_channel();
        let ward = ward(rabbit, "ward")?;
        tokio::spawn(async move {
            let work = move |_: Delivered| {
                let _ = tell.send(());
                std::future::ready(Verdict::Done)
            };
            ward.consume(work, std::future::pending()).await
        });
        let (by_hand, done) = (Mutex::new(consumer), Mutex::new(done));
        let subjects = Subjects { channel, by_hand, done, _broker: broker };
        subjects.by_ward().await;
        subjects.by_hand().await;
        Ok(subjects)
    }

    async fn fill(&self, key: &str) {
        let mut confirms = Vec::with_capacity(BATCH);
        for nth in 0..BATCH {
            let message = Message::new(format!("order-{nth}"), key, vec![b'x'; 200]);
            let (options, properties) = (BasicPublishOptions::default(), message.properties());
            let publish = self.channel.basic_publish(
                EXCHANGE.into(),
                key.into(),
                options,
                &message.body,
                properties,
            );
            confirms.push(publish.await.expect("the broker is there"));
        }
        for confirm in confirms {
            confirm.await.expect("the broker answers");
        }
    }

    async fn by_hand(&self) {
        let mut consumer = self.by_hand.lock().await;
        self.fill("hand").await;
        for _ in 0..BATCH {
            let delivery = consumer.next().await.expect("it goes on").expect("the broker is there");
            delivery.ack(BasicAckOptions::default()).await.expect("the broker is there");
        }
    }

    async fn by_ward(&self) {
        let mut done = self.done.lock().await;
        self.fill("ward").await;
        for _ in 0..BATCH {
            done.recv().await.expect("it goes on");
        }
    }
}

fn queue(name: &str) -> Queue {
    Queue { deliveries: DELIVERIES, ..Queue::new(name, &[name]) }
}

fn ward(rabbit: &Rabbit, name: &str) -> anyhow::Result<RabbitWard> {
    let options = Options { prefetch: PREFETCH, pause: Duration::ZERO, ..Options::default() };
    Ok(RabbitWard::open(rabbit.url(), EXCHANGE, queue(name), options)?)
}

/// How often poison is delivered before it is dead.
async fn poison(rabbit: &Rabbit, subjects: &Subjects) -> anyhow::Result<u64> {
    let ward = Arc::new(ward(rabbit, "poison")?);
    ward.dead_letters().await?;
    let deliveries = Arc::new(AtomicU64::new(0));
    let (count, consuming) = (Arc::clone(&deliveries), Arc::clone(&ward));
    let consumer = tokio::spawn(async move {
        let work = move |_: Delivered| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Verdict::Again("a price of -1".to_owned()))
        };
        consuming.consume(work, std::future::pending()).await
    });
    subjects.fill("poison").await;
    let all = |queue: &testbed::rabbitmq::Queue| queue.ready == BATCH as u64;
    rabbit.wait_for("poison.dlq", Duration::from_secs(60), all).await?;
    consumer.abort();
    Ok(deliveries.load(Ordering::SeqCst))
}

fn main() -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    let rabbit = runtime.block_on(testbed::rabbitmq::private())?;
    let subjects = runtime.block_on(Subjects::warm(&rabbit))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("dead_letters");
    group.throughput(Throughput::Elements(BATCH as u64));
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("by hand", |b| b.to_async(at).iter(|| subject.by_hand()));
    group.bench_function("by a ward", |b| b.to_async(at).iter(|| subject.by_ward()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        let deliveries = runtime.block_on(poison(&rabbit, &subjects))?;
        runtime.block_on(async {
            let mut ratios = Ratios::of("dead_letters");
            let each = deliveries as f64 / BATCH as f64;
            ratios.judge(f64::from(DELIVERIES), "deliveries of each poison", each);
            let hand = async || subject.by_hand().await;
            let ward = async || subject.by_ward().await;
            ratios.at_most_far(1.5, "by a ward / by hand", hand, ward).await;
            ratios.end();
        });
    }
    Ok(())
}
