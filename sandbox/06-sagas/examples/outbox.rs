//! 06.5 · Transactional outbox: an order and its message, when things break in between.
//!
//! ```console
//! $ cargo run --example outbox
//! ```
//!
//! Ends by itself after some seconds; the first time, RabbitMQ needs six of them to start.

use anyhow::Context;
use deadpool_postgres::tokio_postgres::{self, Client, NoTls};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions,
};
use messaging::broker::{Broker, Options as Connecting};
use messaging::confirms::{self, NotConfirmed, Publisher};
use messaging::{Message, Queue, Topology};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sagas::outbox::{Options, Outbox, PgOutbox, SCHEMA};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use testbed::postgres::Postgres;
use testbed::proxy::Proxy;
use testbed::rabbitmq::Rabbit;
use tokio::sync::Notify;

const ORDERS: u32 = 200;
const ROUNDS: u32 = 20;
/// How long the import runs that has nothing to do with it.
const IMPORT: Duration = Duration::from_millis(300);
const EXCHANGE: &str = "shop";
const QUEUE: &str = "shop.told";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("06.5 outbox · a message goes out if its transaction commits");
    let postgres = testbed::postgres::private().await?;
    page::note(postgres.origin());
    let rabbit = testbed::rabbitmq::private().await;
    let bus = match &rabbit {
        Ok(rabbit) => {
            page::note(rabbit.origin());
            Bus::of(rabbit).await?
        }
        Err(_) => {
            page::note("no RabbitMQ: messages go to a list in memory");
            Bus::default()
        }
    };
    let client = connect(postgres.url()).await?;
    client.batch_execute(SCHEMA).await?;
    client.batch_execute("CREATE TABLE orders (id text PRIMARY KEY)").await?;

    let bus = Arc::new(bus);
    dual_writes(&postgres, &client, &bus).await?;
    gaps(&postgres, &client).await?;
    price(&postgres).await?;

    page::next(&[
        ("cargo lab start outbox", "write it yourself, and have it killed"),
        ("cargo lab why outbox", "thirty ways to get it wrong"),
    ]);
    Ok(())
}

/// What goes wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The process dies between its two writes. With an outbox: after its commit, or the relay
    /// between a confirm and its mark.
    Dies,
    /// The connection is cut before the COMMIT arrives.
    CommitLost,
    /// It is cut after that: committed, and the caller hears of an error.
    ReplyLost,
    /// The broker is away for a moment.
    BrokerAway,
    /// The message arrives, and its confirm is lost.
    ConfirmLost,
}

/// Part 1: the same orders with the same faults, three ways.
async fn dual_writes(postgres: &Postgres, client: &Client, bus: &Arc<Bus>) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(page::seed()?);
    let faults =
        [Fate::Dies, Fate::CommitLost, Fate::ReplyLost, Fate::BrokerAway, Fate::ConfirmLost];
    let fates: Vec<Option<Fate>> = (0..ORDERS)
        .map(|_| random.random_bool(0.2).then(|| faults[random.random_range(0..faults.len())]))
        .collect();
    let broken = fates.iter().flatten().count();
    page::part(1, "Two writes, and what lies between them");
    page::note(format!(
        "{ORDERS} orders in PostgreSQL, each with a message to the broker. With {broken} of"
    ));
    page::note("them something breaks: the process dies in between, COMMIT or its reply");
    page::note("is lost, the broker is away, or a confirm is lost. Whoever hears an error of");
    page::note("the broker tries once more; whoever hears one of the database gives up.");

    let mut columns = Vec::new();
    for way in [Way::CommitThenPublish, Way::PublishThenCommit, Way::Outbox] {
        client.batch_execute("TRUNCATE orders, outbox").await?;
        bus.forget().await?;
        place_all(way, postgres.url(), bus, &fates).await?;
        columns.push(Books::read(client, bus).await?);
    }
    page::heads(&["commit first", "publish first", "outbox"]);
    for (what, figure) in Books::ROWS {
        let [commit, publish, outbox] = [0, 1, 2].map(|way| figure(&columns[way]).to_string());
        page::row(what, commit, &[publish, outbox], "");
    }
    page::note("Twice is what no outbox prevents: a lost confirm looks like a lost message,");
    page::note("and a relay that dies has up to a batch unmarked, here of ten. They come");
    page::note("under the same id, and whoever receives them knows them again (05.6).");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    CommitThenPublish,
    PublishThenCommit,
    Outbox,
}

async fn place_all(
    way: Way,
    url: &str,
    bus: &Arc<Bus>,
    fates: &[Option<Fate>],
) -> anyhow::Result<()> {
    let proxy = Proxy::before_postgres(url).await?;
    // As many come twice when a relay dies.
    let outbox = PgOutbox::open(url, Options { batch: 10, ..Options::default() })?;
    let mut client = connect(proxy.url()).await?;
    let wire = Wire::to(bus);
    for (order, fate) in fates.iter().enumerate() {
        let id = format!("order {order}");
        if client.is_closed() {
            client = connect(proxy.url()).await?;
        }
        match fate {
            Some(Fate::CommitLost) => drop(proxy.cut_request(|request| request.is("COMMIT"))),
            Some(Fate::ReplyLost) => drop(proxy.cut_reply(|request| request.is("COMMIT"))),
            Some(fate) => drop(lock(&wire.faults).insert(id.clone(), *fate)),
            None => {}
        }
        // An error is what the customer sees; here it is the books that tell.
        let _ = place(way, &mut client, &outbox, &wire, &id, *fate).await;
        proxy.clear_rules();
    }
    if way == Way::Outbox {
        carry(&outbox, &wire).await?;
    }
    Ok(())
}

// ANCHOR: dual_write
async fn place(
    way: Way,
    client: &mut Client,
    outbox: &PgOutbox,
    wire: &Wire,
    order: &str,
    fate: Option<Fate>,
) -> anyhow::Result<()> {
    let correlation = Some(order.to_owned());
    let message = Message::new(format!("{order} placed"), "order.placed.v1", order);
    let message = Message { correlation, ..message };
    let insert = "INSERT INTO orders VALUES ($1)";
    let dies = fate == Some(Fate::Dies) && way != Way::Outbox;
    match way {
        Way::CommitThenPublish => {
            let transaction = client.transaction().await?;
            transaction.execute(insert, &[&order]).await?;
            transaction.commit().await?;
            anyhow::ensure!(!dies, "killed between its two writes");
            wire.tries_twice(&message).await?;
        }
        Way::PublishThenCommit => {
            let transaction = client.transaction().await?;
            transaction.execute(insert, &[&order]).await?;
            wire.tries_twice(&message).await?;
            anyhow::ensure!(!dies, "killed between its two writes");
            transaction.commit().await?;
        }
        Way::Outbox => {
            let transaction = client.transaction().await?;
            transaction.execute(insert, &[&order]).await?;
            outbox.add(&transaction, &message).await?;
            transaction.commit().await?;
        }
    }
    Ok(())
}
// ANCHOR_END: dual_write

/// The relay: until all is out. Where it is to die, it is dropped between the confirm and the mark,
/// and the next one begins.
async fn carry(outbox: &PgOutbox, wire: &Wire) -> anyhow::Result<()> {
    let began = Instant::now();
    while outbox.backlog().await?.waiting > 0 {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "the relay gets nowhere");
        tokio::select! {
            forwarded = outbox.forward(EXCHANGE, wire) => drop(forwarded?),
            () = wire.died.notified() => {}
        }
    }
    Ok(())
}

/// What an auditor finds.
struct Books {
    orders: BTreeSet<String>,
    told: Vec<String>,
}

type Figure = fn(&Books) -> usize;

impl Books {
    const ROWS: [(&str, Figure); 4] = [
        ("orders", |books| books.orders.len()),
        ("orders that nobody heard of", |books| {
            books.orders.iter().filter(|order| !books.told.contains(order)).count()
        }),
        ("messages of no order", |books| {
            books.told.iter().filter(|told| !books.orders.contains(*told)).count()
        }),
        ("messages that came twice", |books| {
            books.told.len() - books.told.iter().collect::<BTreeSet<_>>().len()
        }),
    ];

    async fn read(client: &Client, bus: &Bus) -> anyhow::Result<Books> {
        let orders = client.query("SELECT id FROM orders", &[]).await?;
        let told = bus.told().await?;
        let told = told.iter().map(|message| message.text().into_owned()).collect();
        Ok(Books { orders: orders.iter().map(|row| row.get(0)).collect(), told })
    }
}

/// Where messages go: RabbitMQ, or a list.
#[derive(Default)]
struct Bus {
    channel: Option<lapin::Channel>,
    /// Its connection.
    _broker: Option<Broker>,
    list: Mutex<Vec<Message>>,
}

impl Bus {
    async fn of(rabbit: &Rabbit) -> anyhow::Result<Bus> {
        let broker = Broker::open(rabbit.url(), Connecting::default())?;
        let channel = broker.channel().await?;
        let queues = vec![Queue::new(QUEUE, &["#"])];
        Topology { exchange: EXCHANGE.to_owned(), queues }.declare(&channel).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Bus { channel: Some(channel), _broker: Some(broker), list: Mutex::default() })
    }

    /// Sends them all, then waits for the confirms.
    async fn publish(&self, messages: &[&Message]) -> lapin::Result<()> {
        let Some(channel) = &self.channel else {
            lock(&self.list).extend(messages.iter().map(|&message| message.clone()));
            return Ok(());
        };
        let mut confirms = Vec::new();
        for message in messages {
            let (exchange, key) = (EXCHANGE.into(), message.key.as_str().into());
            let (options, properties) = (BasicPublishOptions::default(), message.properties());
            let body = &message.body;
            let sent = channel.basic_publish(exchange, key, options, body, properties).await?;
            confirms.push(sent);
        }
        for confirm in confirms {
            confirm.await?;
        }
        Ok(())
    }

    /// Takes all that has arrived.
    async fn told(&self) -> anyhow::Result<Vec<Message>> {
        let Some(channel) = &self.channel else { return Ok(lock(&self.list).clone()) };
        let mut told = Vec::new();
        let take = || channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true });
        while let Some(message) = take().await? {
            told.push(Message::delivered(&message.delivery));
        }
        Ok(told)
    }

    async fn forget(&self) -> anyhow::Result<()> {
        lock(&self.list).clear();
        if let Some(channel) = &self.channel {
            channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
        }
        Ok(())
    }
}

/// A way to the bus on which something breaks, once for each order that is to meet it.
struct Wire {
    bus: Arc<Bus>,
    faults: Mutex<BTreeMap<String, Fate>>,
    /// The relay that publishes is to die now.
    died: Notify,
}

impl Wire {
    fn to(bus: &Arc<Bus>) -> Wire {
        Wire { bus: Arc::clone(bus), faults: Mutex::default(), died: Notify::new() }
    }

    async fn tries_twice(&self, message: &Message) -> Result<(), NotConfirmed> {
        match self.publish(EXCHANGE, message).await {
            Ok(()) => Ok(()),
            Err(_) => self.publish(EXCHANGE, message).await,
        }
    }
}

impl Publisher for Wire {
    fn open(url: &str, _: confirms::Options) -> Result<Wire, messaging::Error> {
        Err(messaging::Error::Url(url.to_owned()))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        // Whoever publishes by hand dies elsewhere.
        let fault = lock(&self.faults).remove(&*message.text());
        if fault == Some(Fate::BrokerAway) {
            // And again: the broker is away for longer than one attempt.
            lock(&self.faults).insert(message.text().into_owned(), Fate::CommitLost);
        }
        match fault {
            Some(Fate::BrokerAway | Fate::CommitLost) => Err(unknown()),
            Some(Fate::ConfirmLost) => {
                self.publish_all(exchange, std::slice::from_ref(message)).await;
                Err(unknown())
            }
            _ => self.publish_all(exchange, std::slice::from_ref(message)).await.remove(0),
        }
    }

    async fn publish_all(&self, _: &str, batch: &[Message]) -> Vec<Result<(), NotConfirmed>> {
        let faults: Vec<Option<Fate>> =
            batch.iter().map(|message| lock(&self.faults).remove(&*message.text())).collect();
        let away = |fault: &Option<Fate>| *fault == Some(Fate::BrokerAway);
        let sent = batch.iter().zip(&faults).filter(|(_, fault)| !away(fault));
        let sent: Vec<&Message> = sent.map(|(message, _)| message).collect();
        if self.bus.publish(&sent).await.is_err() {
            return batch.iter().map(|_| Err(unknown())).collect();
        }
        if faults.contains(&Some(Fate::Dies)) {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        let answer = |fault: Option<Fate>| match fault {
            Some(Fate::BrokerAway | Fate::ConfirmLost) => Err(unknown()),
            _ => Ok(()),
        };
        faults.into_iter().map(answer).collect()
    }
}

fn unknown() -> NotConfirmed {
    NotConfirmed::Unknown(messaging::Error::Slow(Duration::from_millis(1)))
}

/// Part 2: three ways to find out what is new.
async fn gaps(postgres: &Postgres, client: &Client) -> anyhow::Result<()> {
    page::part(2, "What is new since the last time?");
    page::note("Numbers are drawn before the commit. In each round one transaction draws");
    page::note("first and commits last; then one waits for a row that another has, whose");
    page::note(format!(
        "message was first; then an import elsewhere stays open for {} ms.",
        IMPORT.as_millis()
    ));
    let pollers = [Poller::IdAfterLast, Poller::BelowTheOldest, Poller::EachRowKnows];
    let mut columns = Vec::new();
    for poller in pollers {
        let (mut lost, mut swapped) = (0, 0);
        for _ in 0..ROUNDS {
            lost += usize::from(!gap(postgres, client, poller).await?);
            swapped += usize::from(!waits_for_a_row(postgres, client, poller).await?);
        }
        columns.push((lost, swapped, held_up(postgres, client, poller).await?));
    }
    let heads = ["id > last", "tx < oldest", "not sent yet"];
    page::heads(&heads);
    let of = |wrong: usize| format!("{wrong} of {ROUNDS}");
    let row = |what, cell: &dyn Fn(&(usize, usize, Duration)) -> String| {
        page::row(what, cell(&columns[0]), &[cell(&columns[1]), cell(&columns[2])], "");
    };
    row("late commits lost for ever", &|column| of(column.0));
    row("second told before the first", &|column| of(column.1));
    row("waited for the import", &|column| page::millis(column.2));
    page::note("The middle one asks for transactions below the oldest that is open, in");
    page::note("their order. It loses nothing. But a transaction has its number when it");
    page::note("first writes anything, and an import elsewhere is a transaction as well.");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Poller {
    IdAfterLast,
    BelowTheOldest,
    EachRowKnows,
}

impl Poller {
    // ANCHOR: pollers
    const fn reads(self) -> &'static str {
        match self {
            Poller::IdAfterLast => "SELECT id, key FROM outbox WHERE id > $1 ORDER BY id",
            Poller::BelowTheOldest => {
                "SELECT id, key FROM outbox WHERE sent_at IS NULL AND $1::bigint = $1
                 AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                 ORDER BY xmin::text::bigint, id"
            }
            Poller::EachRowKnows => {
                "SELECT id, key FROM outbox WHERE sent_at IS NULL AND $1::bigint = $1 ORDER BY id"
            }
        }
    }
    // ANCHOR_END: pollers

    /// What is new, which is then sent.
    async fn poll(self, client: &Client, last: &mut i64) -> anyhow::Result<Vec<String>> {
        let rows = client.query(self.reads(), &[&*last]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        *last = ids.iter().copied().max().unwrap_or(*last).max(*last);
        client.execute("UPDATE outbox SET sent_at = now() WHERE id = ANY($1)", &[&ids]).await?;
        Ok(rows.iter().map(|row| row.get(1)).collect())
    }

    /// Until it has told so much, or has had its time.
    async fn until(
        self,
        client: &Client,
        last: &mut i64,
        many: usize,
    ) -> anyhow::Result<Vec<String>> {
        let (mut told, began) = (Vec::new(), Instant::now());
        while told.len() < many && began.elapsed() < Duration::from_millis(20) {
            told.extend(self.poll(client, last).await?);
        }
        Ok(told)
    }
}

const ADD: &str = "INSERT INTO outbox (message, key, headers, body) VALUES ('', $1, '{}', '')";

/// Whether a message is told that was drawn first and committed last.
async fn gap(postgres: &Postgres, client: &Client, poller: Poller) -> anyhow::Result<bool> {
    let mut last = clear(client).await?;
    let mut early = connect(postgres.url()).await?;
    let early = early.transaction().await?;
    early.execute(ADD, &[&"early"]).await?;
    client.execute(ADD, &[&"late"]).await?;
    let mut told = poller.poll(client, &mut last).await?;
    early.commit().await?;
    let left = 2 - told.len();
    told.extend(poller.until(client, &mut last, left).await?);
    Ok(told.iter().any(|told| told == "early"))
}

/// Whether who found another's order in the table comes behind it.
async fn waits_for_a_row(
    postgres: &Postgres,
    client: &Client,
    poller: Poller,
) -> anyhow::Result<bool> {
    let mut last = clear(client).await?;
    let mut paying = connect(postgres.url()).await?;
    let paying = paying.transaction().await?;
    paying.execute("INSERT INTO orders VALUES ('a receipt')", &[]).await?;
    let mut placing = connect(postgres.url()).await?;
    let placing = placing.transaction().await?;
    placing.execute("INSERT INTO orders VALUES ('it')", &[]).await?;
    placing.execute(ADD, &[&"placed"]).await?;
    placing.commit().await?;
    let found = paying.execute("UPDATE orders SET id = 'it, paid' WHERE id = 'it'", &[]).await?;
    anyhow::ensure!(found == 1, "the order is there");
    paying.execute(ADD, &[&"paid"]).await?;
    paying.commit().await?;
    Ok(poller.until(client, &mut last, 2).await? == ["placed", "paid"])
}

/// How long a message waits while something else is open.
async fn held_up(postgres: &Postgres, client: &Client, poller: Poller) -> anyhow::Result<Duration> {
    let mut last = clear(client).await?;
    let mut import = connect(postgres.url()).await?;
    let import = import.transaction().await?;
    import.execute("INSERT INTO orders VALUES ('from an old system')", &[]).await?;
    client.execute(ADD, &[&"placed"]).await?;
    let began = Instant::now();
    let (mut import, mut told) = (Some(import), false);
    while !told {
        if began.elapsed() > IMPORT
            && let Some(import) = import.take()
        {
            import.commit().await?;
        }
        anyhow::ensure!(began.elapsed() < IMPORT * 20, "it is never told");
        told = !poller.poll(client, &mut last).await?.is_empty();
    }
    Ok(began.elapsed())
}

/// Empties both tables. The highest number so far.
async fn clear(client: &Client) -> anyhow::Result<i64> {
    client.batch_execute("DELETE FROM orders; DELETE FROM outbox").await?;
    let highest = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0)";
    Ok(client.query_one(highest, &[]).await?.get(0))
}

/// Part 3: what it costs who places an order.
async fn price(postgres: &Postgres) -> anyhow::Result<()> {
    const PLACED: u32 = 200;
    page::part(3, "What it costs");
    let outbox = PgOutbox::open(postgres.url(), Options::default())?;
    let mut client = connect(postgres.url()).await?;
    let insert = client.prepare("INSERT INTO orders VALUES ($1)").await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for order in 0..PLACED {
        for (added, times) in [(false, &mut without), (true, &mut with)] {
            let id = format!("priced {order} {added}");
            let began = Instant::now();
            let transaction = client.transaction().await?;
            transaction.execute(&insert, &[&id]).await?;
            if added {
                let message = Message::new(id.clone(), "order.placed.v1", vec![b'x'; 500]);
                outbox.add(&transaction, &message).await?;
            }
            transaction.commit().await?;
            times.push(began.elapsed());
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (without, with) = (median(without), median(with));
    page::heads(&["no message", "outbox"]);
    let ratio = format!("× {:.2}", with.as_secs_f64() / without.as_secs_f64());
    page::row("one order takes (median)", page::millis(without), &[page::millis(with)], &ratio);
    page::note("One more row in the same transaction, and no word with the broker.");
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("PostgreSQL")?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
