//! 02.4 · Fencing tokens
//!
//! Build a stock in PostgreSQL that no late holder can spoil. Who changes it holds a lease, as in
//! lesson 02.2: reads the units, thinks, writes the new number. A holder may be stopped at any moment
//! and wake when another holds the lease. It does not know; your stock has to.
//!
//! 1. A holder that is late changes nothing, wherever it was held up: before its write, or with the
//!    write on its way.
//! 2. Nor does it change anything between a later holder's read and its write.
//! 3. A lease buys one write of a product, so that a write whose reply was lost can be tried again.
//! 4. Every call ends in time, and who was stopped holds nobody up.
//!
//! The contract with all its details is the trait `FencedStock`: sandbox/02-locks/src/fencing.rs. The
//! table is there, with two columns for tokens that are yours to use: `seen` and `written`, both 0
//! at first. `self.connections.row(sql, &[&product, …])` runs one statement with its parameters $1,
//! $2 …, and gives the row that it returns, if it returns one. It reconnects and times out.
//!
//! A first step: SELECT in read, UPDATE in write, and never mind the lease. Then run the checks and
//! read the first timeline.

use locks::fencing::{Connections, Error, FencedStock, Options};
use locks::lease::Held;

/// Your stock.
#[allow(dead_code)] // until read and write use it
pub struct MyStock {
    connections: Connections,
}

impl FencedStock for MyStock {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(MyStock { connections: Connections::open(url, options.timeout)? })
    }

    async fn read(&self, _product: &str, _lease: &impl Held) -> Result<u32, Error> {
        todo!("the units, unless a later holder was there")
    }

    async fn write(&self, _product: &str, _units: u32, _lease: &impl Held) -> Result<(), Error> {
        todo!("set the units, unless a later holder was there, or this one has written")
    }
}
