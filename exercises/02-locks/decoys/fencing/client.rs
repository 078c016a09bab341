//! Mistakes that the client makes by itself.

use super::{Plain, stocks};
use deadpool_postgres::tokio_postgres::{self, NoTls};
use locks::fencing::{Connections, Error, FencedStock, Options};
use locks::lease::Held;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// Writes only while its lease is good: `lost` has not ended. Between that look and the write the
/// process may be stopped, and the write may be on its way for as long as it likes. Rejected by
/// `write_on_its_way`.
pub(super) struct LooksAtItsClock(Plain);

/// Asks the lease's server right before it writes. That is the same look at the clock, of another
/// clock. Rejected by `write_on_its_way`.
pub(super) struct LooksAtRedis(Plain);

/// The time is a number that rises by itself, so it will do for a token. But the late holder's time
/// is later. Rejected by `late_writer`.
pub(super) struct TokenFromTheClock(Plain);

/// Remembers the highest token, in its own memory. Other processes have other memories. Rejected by
/// `stopped_holder`.
pub(super) struct RemembersInMemory(Plain);

/// Compares what it has read with what is there: nobody has changed it, so nobody was there. But a
/// later holder has read, and is about to write. Rejected by `between_read_and_write`.
pub(super) struct ComparesUnits(Plain);

stocks! {
    LooksAtItsClock {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            self.0.read(product, lease.token()).await
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let token = lease.token();
            tokio::select! {
                biased;
                () = lease.lost() => Err(Error::Fenced { token, newest: self.0.seen(product).await? }),
                () = std::future::ready(()) => self.0.set(product, units).await,
            }
        }
    }

    LooksAtRedis {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            self.0.read(product, lease.token()).await
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let token = lease.token();
            match lease.extend().await {
                Ok(()) => self.0.set(product, units).await,
                Err(_) => Err(Error::Fenced { token, newest: self.0.seen(product).await? }),
            }
        }
    }

    TokenFromTheClock {
        async fn read(&self, product: &str, _: &impl Held) -> Result<u32, Error> {
            self.0.read(product, now()).await
        }

        async fn write(&self, product: &str, units: u32, _: &impl Held) -> Result<(), Error> {
            self.0.write(product, units, now()).await
        }
    }

    RemembersInMemory {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            remember(product, lease.token(), false)?;
            let read = "SELECT units FROM fenced_stock WHERE product = $1";
            let row = self.0.connections.row(read, &[&product]).await?;
            row.map(|row| row.get::<_, i64>(0) as u32).ok_or(Error::NoSuchProduct)
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            remember(product, lease.token(), true)?;
            self.0.set(product, units).await
        }
    }

    ComparesUnits {
        async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
            let read = "SELECT units FROM fenced_stock WHERE product = $1 AND written <= $2";
            match self.0.connections.row(read, &[&product, &(lease.token() as i64)]).await? {
                Some(row) => Ok(row.get::<_, i64>(0) as u32),
                None => Err(self.0.refusal(product, lease.token()).await),
            }
        }

        async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
            let before = self.read(product, lease).await?;
            let write = "UPDATE fenced_stock SET units = $2, seen = $3, written = $3
                         WHERE product = $1 AND units = $4 AND written < $3 RETURNING units";
            let (units, token) = (i64::from(units), lease.token() as i64);
            let before = i64::from(before);
            match self.0.connections.row(write, &[&product, &units, &token, &before]).await? {
                Some(_) => Ok(()),
                None => Err(self.0.refusal(product, lease.token()).await),
            }
        }
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

/// The highest token of each product, and whether it has written.
fn remember(product: &str, token: u64, writes: bool) -> Result<(), Error> {
    static SEEN: LazyLock<Mutex<HashMap<String, (u64, bool)>>> = LazyLock::new(Mutex::default);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let highest = seen.entry(product.to_owned()).or_default();
    if token < highest.0 || (writes && *highest == (token, true)) {
        return Err(Error::Fenced { token, newest: highest.0 });
    }
    *highest = (token, writes || (token == highest.0 && highest.1));
    Ok(())
}

/// Waits for PostgreSQL as long as PostgreSQL likes. Rejected by `postgres_stalls`.
pub(super) struct NoTimeout(Plain);

impl FencedStock for NoTimeout {
    fn open(url: &str, _: Options) -> Result<Self, Error> {
        let connections = Connections::open(url, Duration::from_secs(3_600))?;
        Ok(NoTimeout(Plain { connections }))
    }

    async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
        self.0.read(product, lease.token()).await
    }

    async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
        self.0.write(product, units, lease.token()).await
    }
}

/// One connection, made at the first use and kept.
struct Connection {
    url: String,
    client: OnceCell<tokio::sync::Mutex<tokio_postgres::Client>>,
    timeout: Duration,
}

impl Connection {
    fn to(url: &str, options: Options) -> Connection {
        Connection { url: url.to_owned(), client: OnceCell::new(), timeout: options.timeout }
    }

    async fn client(&self) -> Result<&tokio::sync::Mutex<tokio_postgres::Client>, Error> {
        let connect = || async {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, Error>(tokio::sync::Mutex::new(client))
        };
        self.client.get_or_try_init(connect).await
    }

    /// The units of a product whose row is locked: by whom, decides.
    async fn turn(&self, product: &str, token: u64, write: Option<u32>) -> Result<u32, Error> {
        let turn = async {
            let mut client = self.client().await?.lock().await;
            let change = client.transaction().await?;
            let look =
                "SELECT units, seen, written FROM fenced_stock WHERE product = $1 FOR UPDATE";
            let row = change.query_opt(look, &[&product]).await?.ok_or(Error::NoSuchProduct)?;
            let [units, seen, written] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
            if (token as i64) < seen || (write.is_some() && token as i64 == written) {
                return Err(Error::Fenced { token, newest: seen as u64 });
            }
            let (units, written) = match write {
                Some(units) => (i64::from(units), token as i64),
                None => (units, written),
            };
            let set = "UPDATE fenced_stock SET units = $2, seen = $3, written = $4
                       WHERE product = $1";
            change.execute(set, &[&product, &units, &(token as i64), &written]).await?;
            change.commit().await?;
            Ok(units as u32)
        };
        let ended = tokio::time::timeout(self.timeout, turn).await;
        ended.unwrap_or(Err(Error::Slow(self.timeout)))
    }
}

/// One connection for ever. It does not mend: after one restart of PostgreSQL nobody sells anything.
/// Rejected by `killed_sessions`.
pub(super) struct ConnectsOnce(Connection);

impl FencedStock for ConnectsOnce {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(ConnectsOnce(Connection::to(url, options)))
    }

    async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
        self.0.turn(product, lease.token(), None).await
    }

    async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
        self.0.turn(product, lease.token(), Some(units)).await.map(drop)
    }
}

/// SELECT … FOR UPDATE, compare, UPDATE, COMMIT: nothing wrong is ever written. But who is stopped in
/// the middle has the row, and the lease that was to end by itself has become a lock that does not.
/// Rejected by `write_on_its_way`.
pub(super) struct HoldsTheRow(Connection);

impl FencedStock for HoldsTheRow {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        // Time enough for everybody.
        Ok(HoldsTheRow(Connection::to(url, Options { timeout: options.timeout * 20 })))
    }

    async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
        self.0.turn(product, lease.token(), None).await
    }

    async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
        self.0.turn(product, lease.token(), Some(units)).await.map(drop)
    }
}
