//! Part 3: what it costs who places an order.

use crate::connect;
use messaging::Message;
use sagas::outbox::{Options, Outbox, PgOutbox};
use std::time::{Duration, Instant};
use testbed::postgres::Postgres;

const PLACED: u32 = 200;

pub(crate) async fn measured(postgres: &Postgres) -> anyhow::Result<()> {
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
