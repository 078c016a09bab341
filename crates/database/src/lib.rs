//! A pool of connections to PostgreSQL that may be lost without anybody waiting for them, and what
//! its errors mean.

use deadpool_postgres::tokio_postgres::{self, Config, NoTls};
use deadpool_postgres::{Manager, Pool, Runtime};
use std::error::Error as _;
use std::time::Duration;

/// Up to so many `connections` to the database at `url`. The first is made by who first asks for
/// one; one that was lost is made again by the next who asks.
///
/// `timeout` is for each wait: for a free connection, for a new one, for the server to say that an
/// old one still lives. The answers to statements are for the caller to limit. The server has a
/// limit of its own: a statement that waits for a row is given up after the same time, and so is a
/// transaction whose client stopped in the middle, which would keep everybody from the row.
///
/// # Errors
/// Only for a `url` that cannot be read.
pub fn pool(
    url: &str,
    timeout: Duration,
    connections: usize,
) -> Result<Pool, tokio_postgres::Error> {
    let mut config: Config = url.parse()?;
    let millis = timeout.as_millis();
    let limits =
        format!("-c statement_timeout={millis} -c idle_in_transaction_session_timeout={millis}");
    let given = config.get_options().map(|given| format!("{given} {limits}"));
    config.options(given.unwrap_or(limits)).connect_timeout(timeout);
    let pool = Pool::builder(Manager::new(config, NoTls))
        .max_size(connections.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(timeout))
        .create_timeout(Some(timeout))
        .recycle_timeout(Some(timeout))
        .build();
    Ok(pool.expect("a runtime for the timeouts is given"))
}

/// What PostgreSQL said; the error itself reads "db error" and keeps that as its source.
pub fn because(error: &tokio_postgres::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
