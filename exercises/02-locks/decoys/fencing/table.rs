//! Mistakes in what the table is asked.

use super::{Plain, stocks};
use locks::fencing::Error;
use locks::lease::Held;

/// SELECT and UPDATE; the lease is for that nobody else is there. Rejected by `late_writer`.
pub(super) struct NoFence(Plain);

/// Compares with the highest token and does not write its own down: the highest stays what it was.
/// Rejected by `late_writer`.
pub(super) struct ComparedNotStored(Plain);

/// An UPDATE that finds no row is no error, so nobody hears of it. The late holder tells its
/// customer that the order is in. Rejected by `late_writer`.
pub(super) struct RefusedIsOk(Plain);

/// `written <= token`: a lease may write as often as it likes. A write that was held up and tried
/// again lands twice, the second time over its own successor. Rejected by `one_write`.
pub(super) struct AcceptsEqual(Plain);

/// Fences the write, and lets everybody read: reading changes nothing. A late holder shows its
/// customer what it may no longer promise. Rejected by `late_reader`.
pub(super) struct ReadsAsItLikes(Plain);

/// A read leaves its token behind, without comparing first. A late reader lowers the fence, and then
/// its write passes. Rejected by `late_reader`.
pub(super) struct ReadLowersTheFence(Plain);

/// One highest token for the whole table. Tokens of different names have nothing to do with each
/// other, and a busy product shuts out a quiet one. Rejected by `only_its_product`.
pub(super) struct OneFenceForAll(Plain);

/// Looks, and then writes. In between there is room for another's whole turn. Rejected by
/// `write_on_its_way`.
pub(super) struct SelectThenUpdate(Plain);

/// Only writes meet the fence, as in the well-known drawing. A late write may then land between
/// another's read and write, and is undone by it: two sold, one unit gone. Rejected by
/// `between_read_and_write`.
pub(super) struct ReadsLeaveNoMark(Plain);

/// Remembers the highest token in the row, and compares in a subquery. Who waits for the row
/// compares the row again when it is free, but not the subquery: that has been answered. Rejected by
/// `waits_for_the_row`.
pub(super) struct StaleSubquery(Plain);

stocks! {
    NoFence {
        async fn read(&self, product: &str, _: &impl Held) -> Result<u32, Error> {
            let read = "SELECT units FROM fenced_stock WHERE product = $1";
            let row = self.0.connections.row(read, &[&product]).await?;
            row.map(|row| row.get::<_, i64>(0) as u32).ok_or(Error::NoSuchProduct)
        }

        async fn write(&self, product: &str, units: u32, _: &impl Held) -> Result<(), Error> {
            self.0.set(product, units).await
        }
    }

    ComparedNotStored {
        async fn read(&self, product: &str, _: &impl Held) -> Result<u32, Error> {
            let read = "SELECT units FROM fenced_stock WHERE product = $1";
            let row = self.0.connections.row(read, &[&product]).await?;
            row.map(|row| row.get::<_, i64>(0) as u32).ok_or(Error::NoSuchProduct)
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let write = "UPDATE fenced_stock SET units = $2
                         WHERE product = $1 AND written < $3 RETURNING units";
            let (units, token) = (i64::from(units), lease.token() as i64);
            match self.0.connections.row(write, &[&product, &units, &token]).await? {
                Some(_) => Ok(()),
                None => Err(self.0.refusal(product, lease.token()).await),
            }
        }
    }

    RefusedIsOk {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            self.0.read(product, lease.token()).await
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            match self.0.write(product, units, lease.token()).await {
                Err(Error::Fenced { .. }) => Ok(()),
                answer => answer,
            }
        }
    }

    AcceptsEqual {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            self.0.read(product, lease.token()).await
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let write = "UPDATE fenced_stock SET units = $2, seen = $3, written = $3
                         WHERE product = $1 AND seen <= $3 RETURNING units";
            let (units, token) = (i64::from(units), lease.token() as i64);
            match self.0.connections.row(write, &[&product, &units, &token]).await? {
                Some(_) => Ok(()),
                None => Err(self.0.refusal(product, lease.token()).await),
            }
        }
    }

    ReadsAsItLikes {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            let read = "UPDATE fenced_stock SET seen = greatest(seen, $2)
                        WHERE product = $1 RETURNING units";
            let row = self.0.connections.row(read, &[&product, &(lease.token() as i64)]).await?;
            row.map(|row| row.get::<_, i64>(0) as u32).ok_or(Error::NoSuchProduct)
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            self.0.write(product, units, lease.token()).await
        }
    }

    ReadLowersTheFence {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            let read = "UPDATE fenced_stock SET seen = $2, written = least(written, $2::bigint - 1)
                        WHERE product = $1 RETURNING units";
            let row = self.0.connections.row(read, &[&product, &(lease.token() as i64)]).await?;
            row.map(|row| row.get::<_, i64>(0) as u32).ok_or(Error::NoSuchProduct)
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            self.0.write(product, units, lease.token()).await
        }
    }

    OneFenceForAll {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            let highest = "SELECT max(seen) FROM fenced_stock";
            let highest = self.0.connections.row(highest, &[]).await?;
            let newest = highest.map_or(0, |row| row.get::<_, i64>(0) as u64);
            match lease.token() {
                token if token < newest => Err(Error::Fenced { token, newest }),
                token => self.0.read(product, token).await,
            }
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            self.read(product, lease).await?;
            self.0.write(product, units, lease.token()).await
        }
    }

    SelectThenUpdate {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            self.0.read(product, lease.token()).await
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let look = "SELECT greatest(seen, written + 1) FROM fenced_stock WHERE product = $1";
            let row = self.0.connections.row(look, &[&product]).await?;
            let least = row.ok_or(Error::NoSuchProduct)?.get::<_, i64>(0) as u64;
            if lease.token() < least {
                return Err(self.0.refusal(product, lease.token()).await);
            }
            let write = "UPDATE fenced_stock SET units = $2, seen = $3, written = $3
                         WHERE product = $1";
            let (units, token) = (i64::from(units), lease.token() as i64);
            self.0.connections.row(write, &[&product, &units, &token]).await.map(drop)
        }
    }

    ReadsLeaveNoMark {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            let read = "SELECT units FROM fenced_stock WHERE product = $1 AND seen <= $2";
            match self.0.connections.row(read, &[&product, &(lease.token() as i64)]).await? {
                Some(row) => Ok(row.get::<_, i64>(0) as u32),
                None => Err(self.0.refusal(product, lease.token()).await),
            }
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            self.0.write(product, units, lease.token()).await
        }
    }

    StaleSubquery {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            self.0.read(product, lease.token()).await
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let write = "UPDATE fenced_stock SET units = $2, seen = $3, written = $3
                         WHERE product = $1 AND $3 >= (
                             SELECT greatest(seen, written + 1) FROM fenced_stock
                             WHERE product = $1
                         ) RETURNING units";
            let (units, token) = (i64::from(units), lease.token() as i64);
            match self.0.connections.row(write, &[&product, &units, &token]).await? {
                Some(_) => Ok(()),
                None => Err(self.0.refusal(product, lease.token()).await),
            }
        }
    }
}
