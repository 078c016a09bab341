//! Wrong answers to fencing, as people write them in good faith. The head of each says what is wrong
//! and which check finds out.

mod client;
mod table;

use client::*;
use grading::Decoy;
use locks::fencing::{Connections, Error};
use locks_exercises::fencing::check;
use table::*;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        NoFence: late_writer,
        ComparedNotStored: late_writer,
        RefusedIsOk: late_writer,
        TokenFromTheClock: late_writer,
        AcceptsEqual: one_write,
        ReadsAsItLikes: late_reader,
        ReadLowersTheFence: late_reader,
        OneFenceForAll: only_its_product,
        RemembersInMemory: stopped_holder,
        LooksAtItsClock: write_on_its_way,
        LooksAtRedis: write_on_its_way,
        SelectThenUpdate: write_on_its_way,
        HoldsTheRow: write_on_its_way,
        ReadsLeaveNoMark: between_read_and_write,
        ComparesUnits: between_read_and_write,
        StaleSubquery: waits_for_the_row,
        ConnectsOnce: killed_sessions,
        NoTimeout: postgres_stalls,
    ]
}

/// What the decoys have in common: the statements as they should be.
#[derive(Clone)]
struct Plain {
    connections: Connections,
}

impl Plain {
    async fn read(&self, product: &str, token: u64) -> Result<u32, Error> {
        let read = "UPDATE fenced_stock SET seen = $2 WHERE product = $1 AND seen <= $2
                    RETURNING units";
        match self.connections.row(read, &[&product, &(token as i64)]).await? {
            Some(row) => Ok(row.get::<_, i64>(0) as u32),
            None => Err(self.refusal(product, token).await),
        }
    }

    async fn write(&self, product: &str, units: u32, token: u64) -> Result<(), Error> {
        let write = "UPDATE fenced_stock SET units = $2, seen = $3, written = $3
                     WHERE product = $1 AND seen <= $3 AND written < $3 RETURNING units";
        let (units, column) = (i64::from(units), token as i64);
        match self.connections.row(write, &[&product, &units, &column]).await? {
            Some(_) => Ok(()),
            None => Err(self.refusal(product, token).await),
        }
    }

    /// Sets the units, whoever asks.
    async fn set(&self, product: &str, units: u32) -> Result<(), Error> {
        let set = "UPDATE fenced_stock SET units = $2 WHERE product = $1 RETURNING units";
        let row = self.connections.row(set, &[&product, &i64::from(units)]).await?;
        row.map(drop).ok_or(Error::NoSuchProduct)
    }

    /// The highest token.
    async fn seen(&self, product: &str) -> Result<u64, Error> {
        let look = "SELECT seen FROM fenced_stock WHERE product = $1";
        let row = self.connections.row(look, &[&product]).await?.ok_or(Error::NoSuchProduct)?;
        Ok(row.get::<_, i64>(0) as u64)
    }

    async fn refusal(&self, product: &str, token: u64) -> Error {
        match self.seen(product).await {
            Ok(newest) => Error::Fenced { token, newest },
            Err(error) => error,
        }
    }
}

/// Opens a decoy, and answers for it as it should be, where it does not do so itself.
macro_rules! stocks {
    ($($stock:ident { $($method:item)* })+) => {$(
        impl locks::fencing::FencedStock for $stock {
            fn open(
                url: &str,
                options: locks::fencing::Options,
            ) -> Result<Self, locks::fencing::Error> {
                let connections = locks::fencing::Connections::open(url, options.timeout)?;
                Ok($stock(super::Plain { connections }))
            }

            $($method)*
        }
    )+};
}
use stocks;
