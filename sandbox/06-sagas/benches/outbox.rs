//! What an outbox costs: who adds a message, and what it carries in a second.
//!
//! ```console
//! $ cargo bench -p sagas --bench outbox
//! ```
//!
//! One thread, one transaction at a time. It fails if an order with a message takes more than 1.8
//! times one without, as it makes four round trips instead of three and writes two rows instead of
//! one; or if a relay takes more than 1.7 times what the same publisher takes for the same hundred
//! messages, confirmed.

use criterion::Criterion;
use deadpool_postgres::tokio_postgres::{self, Client, NoTls, Statement};
use messaging::broker::{Broker, Options as Connecting};
use messaging::confirms::{self, NotConfirmed, Publisher};
use messaging::lapin::Channel;
use messaging::lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use messaging::{Message, Queue, Topology};
use sagas::outbox::{Options, Outbox, PgOutbox, SCHEMA};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tokio::sync::Mutex;

const BATCH: usize = 100;
/// Each pair of blocks takes one batch, at most three times over, and the benchmarks before it.
const WAITING: usize = 120_000;

/// Sends all, then waits for the confirms: nothing that a publisher could leave out.
struct Bare(Channel);

impl Publisher for Bare {
    fn open(url: &str, _: confirms::Options) -> Result<Bare, messaging::Error> {
        Err(messaging::Error::Url(url.to_owned()))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.publish_all(exchange, std::slice::from_ref(message)).await.remove(0)
    }

    async fn publish_all(&self, to: &str, messages: &[Message]) -> Vec<Result<(), NotConfirmed>> {
        let mut sent = Vec::new();
        for message in messages {
            let (options, properties) = (BasicPublishOptions::default(), message.properties());
            let (to, key) = (to.into(), message.key.as_str().into());
            let confirm = self.0.basic_publish(to, key, options, &message.body, properties).await;
            sent.push(confirm.expect("the broker is there"));
        }
        for confirm in sent {
            confirm.await.expect("the broker is there");
        }
        messages.iter().map(|_| Ok(())).collect()
    }
}

struct Subjects {
    client: Mutex<Client>,
    insert: Statement,
    outbox: PgOutbox,
    bare: Bare,
    batch: Vec<Message>,
    _broker: Broker,
}

impl Subjects {
    async fn warm(postgres: &str, rabbit: &str) -> anyhow::Result<Subjects> {
        let (client, connection) = tokio_postgres::connect(postgres, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(SCHEMA).await?;
        client.batch_execute("CREATE TABLE orders (id bigint PRIMARY KEY)").await?;
        // Of as many orders as there are messages.
        let fill = format!(
            "INSERT INTO outbox (message, key, correlation, headers, body)
             SELECT 'message ' || n, 'order.placed.v1', 'order ' || n, '{{}}', repeat('x', 500)::bytea
             FROM generate_series(1, {WAITING}) AS n; ANALYZE outbox"
        );
        client.batch_execute(&fill).await?;
        let insert = client.prepare("INSERT INTO orders VALUES ($1)").await?;
        let options = Options { batch: BATCH, ..Options::default() };
        let outbox = PgOutbox::open(postgres, options)?;
        let broker = Broker::open(rabbit, Connecting::default())?;
        let channel = broker.channel().await?;
        let queues = vec![Queue::new("told", &["#"])];
        Topology { exchange: "shop".to_owned(), queues }.declare(&channel).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let batch = (0..BATCH).map(Subjects::message).collect();
        let (client, bare) = (Mutex::new(client), Bare(channel));
        let subjects = Subjects { client, insert, outbox, bare, batch, _broker: broker };
        subjects.order(true).await;
        subjects.publish().await;
        subjects.forward().await;
        Ok(subjects)
    }

    fn message(nth: usize) -> Message {
        let correlation = Some(format!("order {nth}"));
        let message = Message::new(format!("message {nth}"), "order.placed.v1", vec![b'x'; 500]);
        Message { correlation, ..message }
    }

    async fn order(&self, told: bool) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) as i64;
        let mut client = self.client.lock().await;
        let transaction = client.transaction().await.expect("PostgreSQL answers");
        transaction.execute(&self.insert, &[&id]).await.expect("PostgreSQL answers");
        if told {
            let added = self.outbox.add(&transaction, &self.batch[0]).await;
            added.expect("PostgreSQL answers");
        }
        transaction.commit().await.expect("PostgreSQL answers");
    }

    async fn publish(&self) {
        let told = self.bare.publish_all("shop", &self.batch).await;
        assert_eq!(told.len(), BATCH);
    }

    async fn forward(&self) {
        let done = self.outbox.forward("shop", &self.bare).await.expect("PostgreSQL answers");
        assert_eq!(done.sent, BATCH, "there are enough of them");
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    let rabbit = runtime.block_on(testbed::rabbitmq::private())?;
    let subjects = runtime.block_on(Subjects::warm(postgres.url(), rabbit.url()))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("outbox");
    let (at, subject) = (&runtime, &subjects);
    group.bench_function("an order", |b| b.to_async(at).iter(|| subject.order(false)));
    group.bench_function("an order with its message", |b| {
        b.to_async(at).iter(|| subject.order(true));
    });
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("outbox");
            let bare = async || subject.order(false).await;
            let told = async || subject.order(true).await;
            ratios.at_most(1.8, "an order with its message / without", bare, told).await;
            let publish = async || subject.publish().await;
            let forward = async || subject.forward().await;
            ratios.at_most_far(1.7, "relay / publisher, 100 messages", publish, forward).await;
            ratios.end();
        });
    }
    Ok(())
}
