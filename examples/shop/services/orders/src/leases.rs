//! Who drives a saga: a lease in Redis where the shop has one, or else in the service's own database.
//!
//! The one in the database is for a shop that is a program and a folder. Its clock is that of the
//! processes, so it is as good as their clocks agree, which on one machine they do. Where they do not,
//! two may drive one saga; then the fencing tokens keep the later one's entries, and the order's id,
//! which is the key of each call, keeps the effects one.

use std::io;
use std::time::Duration;

use locks::lease::{Error, Held, Lease, Options, RedisHeld, RedisLease};
use redis::RedisError;
use shop_contracts::id::OrderId;
use shop_storage::sqlx;
use shop_storage::{Database, now};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Leases of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Leases {
    Redis(RedisLease),
    Storage(StorageLease),
}

/// A lease of either kind.
#[derive(Debug)]
pub(crate) enum HeldLease {
    Redis(RedisHeld),
    Storage(StorageHeld),
}

impl Lease for Leases {
    type Held = HeldLease;

    /// Those in Redis; for the others see [`StorageLease::on`].
    fn open(url: &str, options: Options) -> Result<Leases, RedisError> {
        Ok(Leases::Redis(RedisLease::open(url, options)?))
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<HeldLease, Error> {
        match self {
            Leases::Redis(leases) => leases.acquire(name, patience).await.map(HeldLease::Redis),
            Leases::Storage(leases) => leases.acquire(name, patience).await.map(HeldLease::Storage),
        }
    }
}

impl Held for HeldLease {
    fn token(&self) -> u64 {
        match self {
            HeldLease::Redis(held) => held.token(),
            HeldLease::Storage(held) => held.token,
        }
    }

    async fn extend(&self) -> Result<(), Error> {
        match self {
            HeldLease::Redis(held) => held.extend().await,
            HeldLease::Storage(held) => held.extend().await,
        }
    }

    async fn lost(&self) {
        match self {
            HeldLease::Redis(held) => held.lost().await,
            HeldLease::Storage(held) => held.lost().await,
        }
    }

    async fn release(self) -> Result<(), Error> {
        match self {
            HeldLease::Redis(held) => held.release().await,
            HeldLease::Storage(held) => held.release().await,
        }
    }
}

/// Leases in the table `lease`. Tokens rise over all of them, also when the service starts anew, and
/// when it comes back from a Redis, whose tokens begin with the time as these do.
#[derive(Clone, Debug)]
pub(crate) struct StorageLease {
    database: Database,
    ttl: Duration,
}

/// Dropped, it is given back by a task on the runtime in which it was acquired.
#[derive(Debug)]
pub(crate) struct StorageHeld {
    database: Database,
    runtime: Handle,
    ttl: Duration,
    name: String,
    holder: String,
    token: u64,
    until: watch::Sender<Instant>,
    given_back: bool,
}

impl StorageLease {
    pub(crate) fn on(database: Database, ttl: Duration) -> StorageLease {
        StorageLease { database, ttl }
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<StorageHeld, Error> {
        let began = Instant::now();
        let holder = OrderId::new().to_string();
        loop {
            // From before the question, so that it ends here before it ends there.
            let asked = Instant::now();
            if let Some(token) = self.ask(name, &holder).await.map_err(failed)? {
                return Ok(StorageHeld {
                    database: self.database.clone(),
                    runtime: Handle::current(),
                    ttl: self.ttl,
                    name: name.to_owned(),
                    holder,
                    token,
                    until: watch::Sender::new(asked + self.ttl),
                    given_back: false,
                });
            }
            if began.elapsed() >= patience {
                return Err(Error::Busy(began.elapsed()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(&self, name: &str, holder: &str) -> Result<Option<u64>, shop_storage::Error> {
        let mut change = self.database.begin().await?;
        let now = now();
        let take = "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) \
                    ON CONFLICT (name) DO UPDATE \
                    SET holder = excluded.holder, until = excluded.until WHERE lease.until <= $4";
        let taken = sqlx::query(take)
            .bind(name)
            .bind(holder)
            .bind(now.saturating_add(micros(self.ttl)))
            .bind(now)
            .execute(&mut *change)
            .await?;
        if taken.rows_affected() == 0 {
            return Ok(None);
        }
        let draw = "UPDATE lease_token SET last = CASE WHEN last < $1 THEN $1 ELSE last + 1 END";
        sqlx::query(draw).bind(now).execute(&mut *change).await?;
        let token: i64 =
            sqlx::query_scalar("SELECT last FROM lease_token").fetch_one(&mut *change).await?;
        change.commit().await?;
        Ok(Some(u64::try_from(token).unwrap_or_default()))
    }
}

impl StorageHeld {
    async fn extend(&self) -> Result<(), Error> {
        let asked = Instant::now();
        let extend = "UPDATE lease SET until = $3 WHERE name = $1 AND holder = $2";
        let extending = async {
            let mut change = self.database.begin().await?;
            let done = sqlx::query(extend)
                .bind(&self.name)
                .bind(&self.holder)
                .bind(now().saturating_add(micros(self.ttl)))
                .execute(&mut *change)
                .await?;
            change.commit().await?;
            Ok::<_, shop_storage::Error>(done.rows_affected() == 1)
        };
        if extending.await.map_err(failed)? {
            self.until.send_replace(asked + self.ttl);
            Ok(())
        } else {
            self.until.send_replace(Instant::now());
            Err(Error::Lost)
        }
    }

    async fn lost(&self) {
        let mut changed = self.until.subscribe();
        loop {
            let until = *changed.borrow_and_update();
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                // Its sender is ours.
                _ = changed.changed() => {}
            }
        }
    }

    async fn release(mut self) -> Result<(), Error> {
        let given = give_back(&self.database, &self.name, &self.holder).await.map_err(failed)?;
        self.given_back = true;
        if given { Ok(()) } else { Err(Error::Lost) }
    }
}

impl Drop for StorageHeld {
    fn drop(&mut self) {
        if self.given_back {
            return;
        }
        let (database, name, holder) =
            (self.database.clone(), self.name.clone(), self.holder.clone());
        // What cannot be given back ends by itself.
        self.runtime.spawn(async move { give_back(&database, &name, &holder).await });
    }
}

async fn give_back(
    database: &Database,
    name: &str,
    holder: &str,
) -> Result<bool, shop_storage::Error> {
    let mut change = database.begin().await?;
    let done = sqlx::query("DELETE FROM lease WHERE name = $1 AND holder = $2")
        .bind(name)
        .bind(holder)
        .execute(&mut *change)
        .await?;
    change.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// The contract was written for Redis, and so were its errors.
fn failed(error: shop_storage::Error) -> Error {
    Error::Redis(RedisError::from(io::Error::other(error)))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
