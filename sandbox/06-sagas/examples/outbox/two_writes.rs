//! Part 1: the same orders with the same faults, three ways.

use crate::connect;
use crate::wire::{Bus, EXCHANGE, Fate, Wire, lock};
use deadpool_postgres::tokio_postgres::Client;
use messaging::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sagas::outbox::{Options, Outbox, PgOutbox};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::postgres::Postgres;
use testbed::proxy::Proxy;

const ORDERS: u32 = 200;

pub(crate) async fn compared(
    postgres: &Postgres,
    client: &Client,
    bus: &Arc<Bus>,
) -> anyhow::Result<()> {
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
