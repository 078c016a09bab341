//! Wrong answers by optimistic control.

use super::*;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client, RedisError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        MultiWithoutWatch: last_units,
        WatchAfterTheLook: last_units,
        WatchOnSharedConnection: one_program,
        NeverTriesAgain: gives_up,
        TriesForEver: gives_up,
        ScriptInDisguise: gives_up,
        NoUnwatch: clean_connection,
        BackInThePoolOnDrop: dropped_caller,
    ]
}

in_place_of!(WatchStock: MultiWithoutWatch, WatchAfterTheLook, WatchOnSharedConnection,
    NeverTriesAgain, TriesForEver, ScriptInDisguise, NoUnwatch, BackInThePoolOnDrop);

/// What they have in common: connections, and the steps that everybody knows.
struct OnRedis {
    client: Client,
    options: Options,
    idle: Mutex<Vec<MultiplexedConnection>>,
}

enum Look {
    Answer(Answer),
    Left(u32),
}

impl OnRedis {
    fn open(url: &str, options: Options) -> Result<OnRedis, Error> {
        Ok(OnRedis { client: Client::open(url)?, options, idle: Mutex::default() })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(redis) => Ok(redis),
            None => self.client.get_multiplexed_async_connection().await,
        }
    }

    fn put_back(&self, redis: MultiplexedConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(redis);
    }
}

async fn watch(redis: &mut MultiplexedConnection, product: &str) -> Result<(), RedisError> {
    redis::cmd("WATCH").arg(key(product)).exec_async(redis).await
}

async fn unwatch(redis: &mut MultiplexedConnection) -> Result<(), RedisError> {
    redis::cmd("UNWATCH").exec_async(redis).await
}

async fn look(
    redis: &mut MultiplexedConnection,
    (product, order, units): (&str, &str, u32),
) -> Result<Look, RedisError> {
    Ok(match redis.hmget(key(product), &[&field(order), "left"]).await? {
        (Some(had), _) => Look::Answer(Answer::Taken(had)),
        (None, None) => Look::Answer(Answer::Unknown),
        (None, Some(left)) if left < units => Look::Answer(Answer::SoldOut),
        (None, Some(left)) => Look::Left(left),
    })
}

/// MULTI, both changes, EXEC. Whether EXEC was not refused.
async fn exec(
    redis: &mut MultiplexedConnection,
    (product, order, units): (&str, &str, u32),
    left: u32,
) -> Result<bool, RedisError> {
    let mut both = redis::pipe();
    both.atomic().hset(key(product), "left", left - units).ignore();
    both.hset(key(product), field(order), units).ignore();
    let sold: Option<()> = both.query_async(redis).await?;
    Ok(sold.is_some())
}

macro_rules! stock_on_redis {
    ($($decoy:ident),+) => {$(
        impl $decoy {
            fn make(url: &str, options: Options) -> Result<Self, Error> {
                let right = WatchStock::open(url, options)?;
                Ok($decoy { on: OnRedis::open(url, options)?, right })
            }
        }
    )+};
}
stock_on_redis!(
    MultiWithoutWatch,
    WatchAfterTheLook,
    NeverTriesAgain,
    TriesForEver,
    NoUnwatch,
    BackInThePoolOnDrop
);

/// MULTI and EXEC, because those are transactions. They keep the two writes together; what was read
/// before them may be long untrue. Rejected by `last_units`.
struct MultiWithoutWatch {
    on: OnRedis,
    right: WatchStock,
}

impl Stock for MultiWithoutWatch {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let mut redis = self.on.connect().await?;
        let wish = (product, order, units);
        let left = match look(&mut redis, wish).await? {
            Look::Answer(answer) => return Ok(answer),
            Look::Left(left) => left,
        };
        exec(&mut redis, wish, left).await?;
        self.on.put_back(redis);
        Ok(Answer::Taken(units))
    }
}

/// Watches what it has read before. What happened between the two, nobody watched. Rejected by
/// `last_units`.
struct WatchAfterTheLook {
    on: OnRedis,
    right: WatchStock,
}

impl Stock for WatchAfterTheLook {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wish = (product, order, units);
        for _ in 0..self.on.options.attempts {
            let mut redis = self.on.connect().await?;
            let left = match look(&mut redis, wish).await? {
                Look::Answer(answer) => return Ok(answer),
                Look::Left(left) => left,
            };
            watch(&mut redis, product).await?;
            if exec(&mut redis, wish, left).await? {
                return Ok(Answer::Taken(units));
            }
        }
        Err(Error::Contended { attempts: self.on.options.attempts })
    }
}

/// One connection for all callers, as it serves them well everywhere else. The first EXEC ends
/// everybody's WATCH, and the second goes through over the first. Rejected by `one_program`.
struct WatchOnSharedConnection {
    on: OnRedis,
    right: WatchStock,
    shared: OnceCell<MultiplexedConnection>,
}

impl WatchOnSharedConnection {
    fn make(url: &str, options: Options) -> Result<Self, Error> {
        let (on, right) = (OnRedis::open(url, options)?, WatchStock::open(url, options)?);
        Ok(WatchOnSharedConnection { on, right, shared: OnceCell::new() })
    }
}

impl Stock for WatchOnSharedConnection {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wish = (product, order, units);
        let mut redis = self.shared.get_or_try_init(|| self.on.connect()).await?.clone();
        for _ in 0..self.on.options.attempts {
            watch(&mut redis, product).await?;
            let left = match look(&mut redis, wish).await? {
                Look::Answer(answer) => {
                    unwatch(&mut redis).await?;
                    return Ok(answer);
                }
                Look::Left(left) => left,
            };
            if exec(&mut redis, wish, left).await? {
                return Ok(Answer::Taken(units));
            }
        }
        Err(Error::Contended { attempts: self.on.options.attempts })
    }
}

/// Takes the first refusal for an answer. Somebody bought one unit of a thousand at the same
/// moment, and this customer is sent away. Rejected by `gives_up`.
struct NeverTriesAgain {
    on: OnRedis,
    right: WatchStock,
}

impl Stock for NeverTriesAgain {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wish = (product, order, units);
        let mut redis = self.on.connect().await?;
        watch(&mut redis, product).await?;
        let left = match look(&mut redis, wish).await? {
            Look::Answer(answer) => return Ok(answer),
            Look::Left(left) => left,
        };
        match exec(&mut redis, wish, left).await? {
            true => Ok(Answer::Taken(units)),
            false => Err(Error::Contended { attempts: 1 }),
        }
    }
}

/// Tries again until it wins. Under load each attempt makes the others lose, and nobody ever says
/// that it is too much. Rejected by `gives_up`.
struct TriesForEver {
    on: OnRedis,
    right: WatchStock,
}

impl Stock for TriesForEver {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wish = (product, order, units);
        let mut redis = self.on.connect().await?;
        loop {
            watch(&mut redis, product).await?;
            let left = match look(&mut redis, wish).await? {
                Look::Answer(answer) => return Ok(answer),
                Look::Left(left) => left,
            };
            if exec(&mut redis, wish, left).await? {
                self.on.put_back(redis);
                return Ok(Answer::Taken(units));
            }
        }
    }
}

/// The script once more, under another name: it is right, and it is not what was asked. Rejected by
/// `gives_up`.
struct ScriptInDisguise(ScriptStock);

impl Stock for ScriptInDisguise {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        ScriptStock::open(url, options).map(ScriptInDisguise)
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        self.0.put(product, units).await
    }

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        self.0.take(product, order, units).await
    }

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        self.0.left(product).await
    }
}

/// Where there is nothing to take it returns at once, and puts the connection back. That still
/// watches, and the next caller loses to a write that is none of his business. Rejected by
/// `clean_connection`.
struct NoUnwatch {
    on: OnRedis,
    right: WatchStock,
}

impl Stock for NoUnwatch {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wish = (product, order, units);
        let mut redis = self.on.connect().await?;
        for attempt in 0..self.on.options.attempts {
            tokio::time::sleep(Duration::from_millis(u64::from(attempt))).await;
            watch(&mut redis, product).await?;
            let answer = match look(&mut redis, wish).await? {
                Look::Answer(answer) => answer,
                Look::Left(left) if exec(&mut redis, wish, left).await? => Answer::Taken(units),
                Look::Left(_) => continue,
            };
            self.on.put_back(redis);
            return Ok(answer);
        }
        self.on.put_back(redis);
        Err(Error::Contended { attempts: self.on.options.attempts })
    }
}

/// A pool whose guard puts the connection back when it is dropped, as pools do. A caller who leaves
/// between WATCH and EXEC puts back one that watches. Rejected by `dropped_caller`.
struct BackInThePoolOnDrop {
    on: OnRedis,
    right: WatchStock,
}

struct Pooled<'a> {
    on: &'a OnRedis,
    redis: MultiplexedConnection,
}

impl Drop for Pooled<'_> {
    fn drop(&mut self) {
        self.on.put_back(self.redis.clone());
    }
}

impl Stock for BackInThePoolOnDrop {
    all_but_take!(WatchStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let wish = (product, order, units);
        let mut pooled = Pooled { on: &self.on, redis: self.on.connect().await? };
        let redis = &mut pooled.redis;
        for attempt in 0..self.on.options.attempts {
            tokio::time::sleep(Duration::from_millis(u64::from(attempt))).await;
            watch(redis, product).await?;
            match look(redis, wish).await? {
                Look::Answer(answer) => {
                    unwatch(redis).await?;
                    return Ok(answer);
                }
                Look::Left(left) if exec(redis, wish, left).await? => {
                    return Ok(Answer::Taken(units));
                }
                Look::Left(_) => {}
            }
        }
        Err(Error::Contended { attempts: self.on.options.attempts })
    }
}
