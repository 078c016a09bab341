//! The stock by optimistic control: read, decide in Rust, and commit if nobody came in between.

use super::script::{LEFT, field, key};
use super::{Answer, Error, Options, Stock};
use crate::backoff::Backoff;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The reference by `WATCH`, `MULTI` and `EXEC`. It stores what [`super::ScriptStock`] stores.
///
/// `WATCH` belongs to a connection. On one that is shared, another task's `EXEC` or `UNWATCH` ends
/// it for everybody, and the next `EXEC` goes through over a foreign write. So each take has a
/// connection to itself, out of a small pool.
#[derive(Debug)]
pub struct WatchStock {
    client: Client,
    options: Options,
    /// One permit for each connection that may be in use.
    places: Semaphore,
    /// Connections that watch nothing and wait for no reply.
    idle: Mutex<Vec<MultiplexedConnection>>,
}

impl WatchStock {
    /// A connection for one caller.
    ///
    /// It is put back by the caller when its work is done, and only then. Whoever leaves earlier, by
    /// an error or by being dropped in the middle of an await, takes it along, and it is closed:
    /// that ends its `WATCH`, and no reply of his can come to the next.
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(redis) = idle {
            return Ok(redis);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.timeout))
            .set_response_timeout(Some(self.options.timeout));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _place = match tokio::time::timeout(self.options.timeout, self.places.acquire()).await {
            Ok(place) => place.expect("the semaphore is never closed"),
            Err(_) => return Err(Error::Slow(self.options.timeout)),
        };
        let mut redis = self.connect().await?;
        let result = work(&mut redis).await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(_) | Err(Error::Contended { .. }) => idle.push(redis),
            // A connection of this kind never recovers, and where one is lost the others mostly
            // are, too. Nothing is known to be wrong with those that are in use.
            Err(_) => idle.clear(),
        }
        result
    }

    // ANCHOR: sell
    /// One attempt, on a connection that is nobody else's: `None` if somebody came in between.
    async fn sell(
        redis: &mut MultiplexedConnection,
        (product, order, units): (&str, &str, u32),
    ) -> Result<Option<Answer>, RedisError> {
        let (key, order) = (key(product), field(order));
        // Sent together: the server reads after it has begun to watch, and that is all that matters.
        let ((had, left),): ((Option<u32>, Option<u32>),) = redis::pipe()
            .cmd("WATCH")
            .arg(&key)
            .ignore()
            .hmget(&key, &[&order, LEFT])
            .query_async(redis)
            .await?;
        let answer = match (had, left) {
            (Some(had), _) => Answer::Taken(had),
            (None, None) => Answer::Unknown,
            (None, Some(left)) if left < units => Answer::SoldOut,
            (None, Some(left)) => {
                let sold: Option<()> = redis::pipe()
                    .atomic()
                    .hset(&key, LEFT, left - units)
                    .ignore()
                    .hset(&key, &order, units)
                    .ignore()
                    .query_async(redis)
                    .await?;
                return Ok(sold.map(|()| Answer::Taken(units)));
            }
        };
        // EXEC would have ended it; here there is none. Left behind, it would make the next caller
        // on this connection lose to writes that are none of his business.
        redis::cmd("UNWATCH").exec_async(redis).await?;
        Ok(Some(answer))
    }
    // ANCHOR_END: sell
}

impl Stock for WatchStock {
    fn open(url: &str, options: Options) -> Result<WatchStock, Error> {
        let places = Semaphore::new(options.connections.max(1));
        Ok(WatchStock { client: Client::open(url)?, options, places, idle: Mutex::default() })
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        self.with_connection(async |redis| {
            let _: bool = redis.hset_nx(key(product), LEFT, units).await?;
            Ok(())
        })
        .await
    }

    // ANCHOR: take
    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        self.with_connection(async |redis| {
            let attempts = self.options.attempts.max(1);
            // Those who lost to the same write come back apart.
            let mut backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(32));
            for attempt in 0..attempts {
                // Tokio's timer counts in milliseconds, and a sleep of nothing takes one.
                if attempt > 0 {
                    tokio::time::sleep(backoff.next()).await;
                }
                if let Some(answer) = Self::sell(redis, (product, order, units)).await? {
                    return Ok(answer);
                }
            }
            Err(Error::Contended { attempts })
        })
        .await
    }
    // ANCHOR_END: take

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        self.with_connection(async |redis| Ok(redis.hget(key(product), LEFT).await?)).await
    }
}
