//! The stock as a script: Redis itself compares and takes.

use super::{Answer, Error, Options, Stock};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError, Script};
use std::sync::LazyLock;
use std::time::Duration;

/// Redis runs one script at a time and nothing beside it, so this is the whole critical section. It
/// is also the shortest: no client's network, pause or death lies inside.
///
/// A product is one hash, its stock and its orders together. They expire, are evicted or lost
/// together as well: orders without their stock would be harmless, but a stock without its orders
/// sells to them again. One key is one slot, too, so that this runs on a cluster.
// ANCHOR: script
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local had = redis.call('HGET', KEYS[1], ARGV[1])
         if had then return {'taken', had} end
         local left = redis.call('HGET', KEYS[1], 'left')
         if not left then return {'unknown', 0} end
         if tonumber(left) < tonumber(ARGV[2]) then return {'sold out', 0} end
         redis.call('HINCRBY', KEYS[1], 'left', -ARGV[2])
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
         return {'taken', ARGV[2]}",
    )
});
// ANCHOR_END: script

/// As one step: a client that died between the two would leave a copy for ever.
static PUT_FOR: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HSETNX', KEYS[1], 'left', ARGV[1]) == 1 then
             redis.call('PEXPIRE', KEYS[1], ARGV[2])
         end",
    )
});

/// The reference by script. A take is one round trip; where Redis does not know the script yet, or
/// any more, the client notices, loads it and asks again. One connection serves all callers: Redis
/// keeps the steps of a script together by itself.
#[derive(Clone, Debug)]
pub struct ScriptStock {
    redis: ConnectionManager,
}

impl ScriptStock {
    /// Puts `product` up as [`Stock::put`] does, and forgets it, its stock and its orders, after
    /// `time`. For who keeps the truth elsewhere.
    ///
    /// # Errors
    /// If Redis could not be told, or the answer was lost: ask again.
    pub async fn put_for(&self, product: &str, units: u32, time: Duration) -> Result<(), Error> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut put = PUT_FOR.key(key(product));
        put.arg(units).arg(millis).invoke_async::<()>(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// Forgets `product`, its stock and its orders. For who keeps the truth elsewhere and puts it up
    /// anew from there.
    ///
    /// # Errors
    /// If Redis could not be told.
    pub async fn forget(&self, product: &str) -> Result<(), Error> {
        let _: () = self.redis.clone().del(key(product)).await?;
        Ok(())
    }
}

impl Stock for ScriptStock {
    fn open(url: &str, options: Options) -> Result<ScriptStock, Error> {
        Ok(ScriptStock { redis: connection::open(url, options.timeout)? })
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        let _: bool = self.redis.clone().hset_nx(key(product), LEFT, units).await?;
        Ok(())
    }

    // ANCHOR: take
    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let (word, taken): (String, u32) = TAKE
            .key(key(product))
            .arg(field(order))
            .arg(units)
            .invoke_async(&mut self.redis.clone())
            .await?;
        match word.as_str() {
            "taken" => Ok(Answer::Taken(taken)),
            "sold out" => Ok(Answer::SoldOut),
            "unknown" => Ok(Answer::Unknown),
            _ => {
                Err(RedisError::from((redis::ErrorKind::Parse, "the script's answer", word)).into())
            }
        }
    }
    // ANCHOR_END: take

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        Ok(self.redis.clone().hget(key(product), LEFT).await?)
    }
}

/// The field that counts what is left.
pub(super) const LEFT: &str = "left";

/// Where a product's hash is.
pub(super) fn key(product: &str) -> String {
    format!("stock:{product}")
}

/// The field of an order. No order is mistaken for [`LEFT`], whatever its name.
pub(super) fn field(order: &str) -> String {
    format!("order:{order}")
}
