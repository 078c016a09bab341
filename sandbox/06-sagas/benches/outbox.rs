//! What an outbox costs: who adds a message, and what it carries in a second.
//!
//! ```console
//! $ cargo bench -p sagas --bench outbox
//! ```
//!
//! One thread, one transaction at a time. It fails if an order with a message is more than one round
//! trip to PostgreSQL more than one without, or takes more than 2.5 times as long; or if a relay
//! takes more than 1.7 times what the same publisher takes for the same hundred messages, confirmed;
//! or if a whole saga of five steps, each entry of its journal committed with a message in the outbox
//! and then relayed, takes more than twice a bare commit and a confirmed publish for each step.
//!
//! What is promised of an order is the count of round trips, which is exact. The time is what one
//! more row and its index cost on a socket of this machine, where a round trip costs next to nothing:
//! 1.84 where nobody disturbs.

use criterion::Criterion;
use deadpool_postgres::tokio_postgres::{self, Client, NoTls, Statement};
use locks::lease::RedisLease;
use messaging::broker::{Broker, Options as Connecting};
use messaging::confirms::{self, Confirmed, NotConfirmed, Publisher};
use messaging::lapin::Channel;
use messaging::lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use messaging::{Message, Queue, Topology};
use sagas::crash_recovery::{self, Driver, Recovery};
use sagas::journal::{self, PgJournal};
use sagas::outbox::{Options, Outbox, PgOutbox, SCHEMA};
use sagas::{Saga, Step};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::proxy::Proxy;
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

const STEPS: [&str; 5] = ["place", "reserve", "charge", "approve", "mail"];

/// In the transaction of each entry, as a service would that writes both; here without its round trip.
const TELL: &str = "
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO outbox (message, key, correlation, headers, body)
        VALUES (NEW.id || ' ' || NEW.position, 'saga.step.v1', NEW.id, '{}',
                convert_to(NEW.entry, 'UTF8'));
        RETURN NULL;
    END $$;
    CREATE TRIGGER tell AFTER INSERT ON saga_entry FOR EACH ROW EXECUTE FUNCTION tell();
    CREATE TABLE floor (id bigint, position integer, entry text, PRIMARY KEY (id, position))";

/// A saga that is told of, in a database of its own, and what it cannot do without.
struct Told {
    client: Client,
    floor: Statement,
    driver: Driver<PgJournal, RedisLease>,
    saga: Saga<String>,
    outbox: PgOutbox,
    publisher: Confirmed,
    next: AtomicU64,
}

impl Told {
    async fn warm(postgres: &str, redis: &str, rabbit: &str) -> anyhow::Result<Told> {
        let (client, connection) = tokio_postgres::connect(postgres, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&format!("{SCHEMA}; {}; {TELL}", journal::SCHEMA)).await?;
        // As after a day. What is planned for an empty table reads all of it, and goes on so while it
        // grows, until PostgreSQL looks at it again; the test bed's never does of itself.
        let old = "INSERT INTO outbox (message, key, correlation, headers, body, sent_at)
                   SELECT 'old ' || n, 'saga.step.v1', 'old ' || n / 5, '{}', 'old', now()
                   FROM generate_series(1, 50000) AS n; ANALYZE outbox";
        client.batch_execute(old).await?;
        let floor = client.prepare("INSERT INTO floor VALUES ($1, $2, $3)").await?;
        let mut saga = Saga::named("nothing");
        for name in STEPS {
            saga = saga.step(Step::new(name, async |_| Ok(())));
        }
        let lasting =
            crash_recovery::Options { ttl: Duration::from_secs(30), ..Default::default() };
        let driver = Driver::open(postgres, redis, lasting)?;
        let outbox = PgOutbox::open(postgres, Options { batch: BATCH, ..Options::default() })?;
        let publisher = Confirmed::open(rabbit, confirms::Options::default())?;
        let next = AtomicU64::new(0);
        let told = Told { client, floor, driver, saga, outbox, publisher, next };
        told.floor().await;
        told.saga().await;
        Ok(told)
    }

    fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A row with a commit of its own and a message that is confirmed, for each step.
    async fn floor(&self) {
        let (id, entry) = (self.id(), r#"{"entry":"done","step":"reserve"}"#);
        for position in 0..STEPS.len() as i32 {
            let row = self.client.execute(&self.floor, &[&(id as i64), &position, &entry]).await;
            assert_eq!(row.expect("PostgreSQL answers"), 1);
            let message = Message::new(format!("{id} {position}"), "saga.step.v1", entry);
            self.publisher.publish("shop", &message).await.expect("the broker is there");
        }
    }

    async fn saga(&self) {
        let done = self.driver.start(&self.saga, &self.id().to_string(), "an order".into()).await;
        done.expect("nobody else drives it");
        let told = self.outbox.forward("shop", &self.publisher).await.expect("both answer");
        assert_eq!(told.sent, STEPS.len());
    }
}

/// How often an order waits for PostgreSQL, without a message and with it.
async fn trips(postgres: &str) -> anyhow::Result<[usize; 2]> {
    let proxy = Proxy::before_postgres(postgres).await?;
    let (mut client, connection) = tokio_postgres::connect(proxy.url(), NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE counted (id bigint)").await?;
    let insert = client.prepare("INSERT INTO counted VALUES ($1)").await?;
    let outbox = PgOutbox::open(postgres, Options::default())?;
    let mut trips = [0; 2];
    // The first of each is warm-up.
    for told in [false, true, false, true] {
        proxy.reset_count();
        let transaction = client.transaction().await?;
        transaction.execute(&insert, &[&0_i64]).await?;
        if told {
            outbox.add(&transaction, &Subjects::message(0)).await?;
        }
        transaction.commit().await?;
        trips[usize::from(told)] = proxy.counts().requests;
    }
    // Nobody else is to find what was only counted.
    client.batch_execute("DELETE FROM outbox WHERE sent_at IS NULL").await?;
    Ok(trips)
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let postgres = runtime.block_on(testbed::postgres::private())?;
    let rabbit = runtime.block_on(testbed::rabbitmq::private())?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let of_saga = runtime.block_on(testbed::postgres::private())?;
    let subjects = runtime.block_on(Subjects::warm(postgres.url(), rabbit.url()))?;
    let told = Told::warm(of_saga.url(), redis.url(), rabbit.url());
    let told = runtime.block_on(told)?;
    let [without, with] = runtime.block_on(trips(of_saga.url()))?;

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
            println!("  waits for PostgreSQL: {without} without a message, {with} with one");
            ratios.judge(1.0, "round trips more with the message", (with - without) as f64);
            let saga = &told;
            let bare = async || subject.order(false).await;
            let told = async || subject.order(true).await;
            ratios.at_most(2.5, "an order with its message / without", bare, told).await;
            let publish = async || subject.publish().await;
            let forward = async || subject.forward().await;
            ratios.at_most_far(1.7, "relay / publisher, 100 messages", publish, forward).await;
            let (floor, told) = (async || saga.floor().await, async || saga.saga().await);
            ratios.at_most(2.0, "told saga / five commits and publishes", floor, told).await;
            ratios.end();
        });
    }
    Ok(())
}
