//! 06.5 · Transactional outbox: an order and its message, when things break in between.
//!
//! ```console
//! $ cargo run --example outbox
//! ```
//!
//! Ends by itself after some seconds; the first time, RabbitMQ needs six of them to start.

use anyhow::Context;
use deadpool_postgres::tokio_postgres::{self, Client, NoTls};
use sagas::outbox::SCHEMA;
use std::process::ExitCode;
use std::sync::Arc;
use wire::Bus;

mod pollers;
mod price;
mod two_writes;
mod wire;

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
    two_writes::compared(&postgres, &client, &bus).await?;
    pollers::compared(&postgres, &client).await?;
    price::measured(&postgres).await?;

    page::next(&[
        ("cargo lab start outbox", "write it yourself, and have it killed"),
        ("cargo lab why outbox", "fifty ways to get it wrong"),
    ]);
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("PostgreSQL")?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}
