//! 02.6 · Without a lock
//!
//! Build a stock from which orders take units, three times: by a script on Redis, by WATCH, MULTI
//! and EXEC on Redis, and by a conditional UPDATE in PostgreSQL. Five hundred customers want the
//! last hundred units, on several servers. None of the three takes a lock.
//!
//! Your stocks have to keep four promises, and the checks will try to break each of them:
//!
//! 1. Of many who want the last units, as many get them as there are.
//! 2. An order is sold once, however often it is asked. Callers lose their connection and ask again.
//! 3. A caller that goes away in the middle leaves nothing behind for the next: no watched key, no
//!    open transaction.
//! 4. Every call ends, also where others are faster each time or the server does not answer.
//!
//! The contract with all its details is the trait `Stock`: sandbox/02-locks/src/lock_free.rs. `open`
//! is done in all three, unless you want other fields. The tables for PostgreSQL are there already;
//! they are `SCHEMA` in sandbox/02-locks/src/lock_free/update.rs.
//!
//! A first step: write `put` and `left` of `MyScript`, then `take`, and run the checks. Each says
//! which of the three it is about.

use deadpool_postgres::tokio_postgres::{Config, NoTls};
use deadpool_postgres::{Manager, Pool, Runtime};
use locks::connection;
use locks::lock_free::{Answer, Error, Options, Stock};
use redis::Client;
use redis::aio::ConnectionManager;

/// By a script. All callers may share this connection: it reconnects by itself and times out.
#[allow(dead_code)] // until the methods use the fields
pub struct MyScript {
    redis: ConnectionManager,
}

impl Stock for MyScript {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(MyScript { redis: connection::open(url, options.timeout)? })
    }

    async fn put(&self, _product: &str, _units: u32) -> Result<(), Error> {
        todo!("put it up, unless it is there")
    }

    async fn take(&self, _product: &str, _order: &str, _units: u32) -> Result<Answer, Error> {
        todo!("let Redis look, compare and take, in one script")
    }

    async fn left(&self, _product: &str) -> Result<Option<u32>, Error> {
        todo!("what nobody has taken")
    }
}

/// By WATCH. Make connections with `client.get_multiplexed_async_connection_with_config`, and mind
/// who else uses them.
#[allow(dead_code)] // until the methods use the fields
pub struct MyWatch {
    client: Client,
    options: Options,
}

impl Stock for MyWatch {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(MyWatch { client: Client::open(url)?, options })
    }

    async fn put(&self, _product: &str, _units: u32) -> Result<(), Error> {
        todo!("put it up, unless it is there")
    }

    async fn take(&self, _product: &str, _order: &str, _units: u32) -> Result<Answer, Error> {
        todo!("watch, look, decide, and take if nobody came in between")
    }

    async fn left(&self, _product: &str) -> Result<Option<u32>, Error> {
        todo!("what nobody has taken")
    }
}

/// By a conditional UPDATE.
#[allow(dead_code)] // until the methods use the fields
pub struct MyUpdate {
    pool: Pool,
    options: Options,
}

impl Stock for MyUpdate {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let mut config: Config = url.parse()?;
        // PostgreSQL gives up a statement that takes longer.
        let limit = format!("-c statement_timeout={}", options.timeout.as_millis());
        config.options(limit).connect_timeout(options.timeout);
        let pool = Pool::builder(Manager::new(config, NoTls))
            .max_size(options.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.timeout))
            .create_timeout(Some(options.timeout))
            .recycle_timeout(Some(options.timeout))
            .build()
            .expect("a runtime for the timeouts is given");
        Ok(MyUpdate { pool, options })
    }

    async fn put(&self, _product: &str, _units: u32) -> Result<(), Error> {
        todo!("put it up, unless it is there")
    }

    async fn take(&self, _product: &str, _order: &str, _units: u32) -> Result<Answer, Error> {
        todo!("write the order down and take its units, in one transaction")
    }

    async fn left(&self, _product: &str) -> Result<Option<u32>, Error> {
        todo!("what nobody has taken")
    }
}
