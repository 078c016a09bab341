//! 06.7 · Crash recovery
//!
//! Build the driver of sagas that may be killed at any moment. What has happened stands in a journal
//! in PostgreSQL; whoever comes after reads it and goes on.
//!
//! 1. `start` begins a saga and drives it: one entry a step, in the journal before the next step
//!    begins, and with the last one its `outcome`.
//! 2. `take_over` drives those that have not ended and that nobody drives, from where they were. A
//!    step that has no entry may have been begun.
//! 3. One drives a saga, under a lease on `saga:NAME:ID`. It is extended all the time, and who loses it
//!    stops at once.
//! 4. Who was stopped and wakes too late writes nothing: each write shows the lease's token, and who
//!    takes over raises the fence before it reads.
//!
//! The contract with all its details is the trait `Recovery`: sandbox/06-sagas/src/crash_recovery.rs.
//! The tables are there, `SCHEMA` in sandbox/06-sagas/src/journal/pg.rs. Of a saga's row, `token`,
//! `claims` and `entries` are yours to use, all 0 at first. `self.tables.rows(sql, &[&id, …])` runs one
//! statement and gives its rows, `self.tables.row` the first; they reconnect and time out.
//! `Steps::of(saga, id, &context).next(&entries, begun)` is lesson 06.2: it carries out the next step
//! and says which entry comes of it, or how the saga stands. `begun`: it may have been begun before.
//!
//! A first step: `start` without a lease and without tokens. Then run the checks and read the first
//! timeline.

use locks::lease::{self, Lease, RedisLease};
use sagas::crash_recovery::{Context, Error, Options, Recovery, TakenOver};
use sagas::journal::Tables;
use sagas::{Outcome, Saga};

/// Your driver.
#[allow(dead_code)] // until start and take_over use them
pub struct MyRecovery {
    tables: Tables,
    leases: RedisLease,
    options: Options,
}

impl Recovery for MyRecovery {
    fn open(postgres: &str, redis: &str, options: Options) -> Result<Self, Error> {
        let Options { ttl, timeout } = options;
        let tables = Tables::open(postgres, timeout)?;
        let leases = RedisLease::open(redis, lease::Options { ttl, timeout })
            .map_err(|error| Error::Lease(error.into()))?;
        Ok(MyRecovery { tables, leases, options })
    }

    async fn start<C: Context>(
        &self,
        _saga: &Saga<C>,
        _id: &str,
        _context: C,
    ) -> Result<Outcome, Error> {
        todo!("begin it in the journal, and drive it to its end")
    }

    async fn take_over<C: Context>(&self, _saga: &Saga<C>) -> Result<TakenOver, Error> {
        todo!("drive to their end all that have not ended, and that nobody drives")
    }
}
