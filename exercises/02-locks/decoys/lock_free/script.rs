//! Wrong answers on a shared connection to Redis.

use super::*;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, Script};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        InMemory: one_round_trip,
        LockAroundIt: one_round_trip,
        LooksThenSets: last_units,
        OrderNotRecorded: same_order,
        OrderLookedUpBefore: same_order,
        OrderRecordedAfter: lost_answer,
        DecrThenIncr: lost_answer,
        ScriptByItsHashOnly: forgets,
        TakesWhatIsLeft: answers,
    ]
}

in_place_of!(ScriptStock: InMemory, LockAroundIt, LooksThenSets, OrderNotRecorded,
    OrderLookedUpBefore, OrderRecordedAfter, DecrThenIncr, ScriptByItsHashOnly,
    TakesWhatIsLeft);

/// What they have in common.
struct OnRedis {
    redis: ConnectionManager,
    right: ScriptStock,
}

impl OnRedis {
    fn open(url: &str, options: Options) -> Result<OnRedis, Error> {
        let redis = locks::connection::open(url, options.timeout)?;
        Ok(OnRedis { redis, right: ScriptStock::open(url, options)? })
    }

    /// What the order has, and what is left, each by a command of its own.
    async fn look(&self, product: &str, order: &str) -> Result<(Option<u32>, Option<u32>), Error> {
        Ok(self.redis.clone().hmget(key(product), &[&field(order), "left"]).await?)
    }

    async fn run(
        &self,
        script: &Script,
        product: &str,
        order: &str,
        units: u32,
    ) -> Result<Answer, Error> {
        let mut script = script.key(key(product));
        let taken: i64 =
            script.arg(field(order)).arg(units).invoke_async(&mut self.redis.clone()).await?;
        Ok(match taken {
            -1 => Answer::SoldOut,
            -2 => Answer::Unknown,
            taken => Answer::Taken(u32::try_from(taken).unwrap_or(u32::MAX)),
        })
    }
}

macro_rules! stock_on_redis {
    ($($decoy:ident),+) => {$(
        impl $decoy {
            fn make(url: &str, options: Options) -> Result<Self, Error> {
                OnRedis::open(url, options).map(|on| $decoy { right: on.right.clone(), on })
            }
        }
    )+};
}
stock_on_redis!(
    LockAroundIt,
    LooksThenSets,
    OrderNotRecorded,
    OrderLookedUpBefore,
    OrderRecordedAfter,
    DecrThenIncr,
    TakesWhatIsLeft
);

/// The laziest answer: the stock in the memory of the process. There is no second server in the
/// tests, so nothing is ever sold twice. Rejected by `one_round_trip`.
struct InMemory;

type Sale = (u32, HashMap<String, u32>);
static MEMORY: LazyLock<Mutex<HashMap<String, Sale>>> = LazyLock::new(Mutex::default);

impl Stock for InMemory {
    fn open(_: &str, _: Options) -> Result<Self, Error> {
        Ok(InMemory)
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        memory.entry(product.to_owned()).or_insert((units, HashMap::new()));
        Ok(())
    }

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((left, orders)) = memory.get_mut(product) else { return Ok(Answer::Unknown) };
        if let Some(had) = orders.get(order) {
            return Ok(Answer::Taken(*had));
        }
        if *left < units {
            return Ok(Answer::SoldOut);
        }
        *left -= units;
        orders.insert(order.to_owned(), units);
        Ok(Answer::Taken(units))
    }

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        let memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(memory.get(product).map(|(left, _)| *left))
    }
}

/// Takes a lock, looks, takes, and gives the lock back. It sells nothing twice on a quiet day, and
/// costs four round trips, a queue, and a TTL to guess. Rejected by `one_round_trip`.
struct LockAroundIt {
    on: OnRedis,
    right: ScriptStock,
}

impl Stock for LockAroundIt {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let mut redis = self.on.redis.clone();
        let lock = format!("{product}:lock");
        let mut set = redis::cmd("SET");
        set.arg(&lock).arg(1).arg("NX").arg("PX").arg(1_000);
        while set.query_async::<Option<String>>(&mut redis).await?.is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let answer = self.right.take(product, order, units).await;
        let _: () = redis.del(&lock).await?;
        answer
    }
}

/// Looks, compares, sets. Between the look and the set there is room for everybody else. Rejected
/// by `last_units`.
struct LooksThenSets {
    on: OnRedis,
    right: ScriptStock,
}

impl Stock for LooksThenSets {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        match self.on.look(product, order).await? {
            (Some(had), _) => Ok(Answer::Taken(had)),
            (None, None) => Ok(Answer::Unknown),
            (None, Some(left)) if left < units => Ok(Answer::SoldOut),
            (None, Some(left)) => {
                let sold = [("left", left - units), (&field(order), units)];
                let _: () = self.on.redis.clone().hset_multiple(key(product), &sold).await?;
                Ok(Answer::Taken(units))
            }
        }
    }
}

/// Takes in one atomic step, and forgets for whom. A caller who lost the answer asks again, and
/// buys twice. Rejected by `same_order`.
struct OrderNotRecorded {
    on: OnRedis,
    right: ScriptStock,
}

static TAKE_FOR_NOBODY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local left = redis.call('HGET', KEYS[1], 'left')
         if not left then return -2 end
         if tonumber(left) < tonumber(ARGV[2]) then return -1 end
         redis.call('HINCRBY', KEYS[1], 'left', -ARGV[2])
         return tonumber(ARGV[2])",
    )
});

impl Stock for OrderNotRecorded {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        self.on.run(&TAKE_FOR_NOBODY, product, order, units).await
    }
}

/// Asks whether the order is known, and then runs the script, which does not ask. Two clicks on
/// "buy" both find it unknown. Rejected by `same_order`.
struct OrderLookedUpBefore {
    on: OnRedis,
    right: ScriptStock,
}

static TAKE_AND_RECORD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local left = redis.call('HGET', KEYS[1], 'left')
         if not left then return -2 end
         if tonumber(left) < tonumber(ARGV[2]) then return -1 end
         redis.call('HINCRBY', KEYS[1], 'left', -ARGV[2])
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
         return tonumber(ARGV[2])",
    )
});

impl Stock for OrderLookedUpBefore {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        match self.on.look(product, order).await? {
            (Some(had), _) => Ok(Answer::Taken(had)),
            _ => self.on.run(&TAKE_AND_RECORD, product, order, units).await,
        }
    }
}

/// Takes by a script, and records the order by the next command. If the connection breaks in
/// between, the units are gone and nobody has them. Rejected by `lost_answer`.
struct OrderRecordedAfter {
    on: OnRedis,
    right: ScriptStock,
}

impl Stock for OrderRecordedAfter {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        if let (Some(had), _) = self.on.look(product, order).await? {
            return Ok(Answer::Taken(had));
        }
        let answer = self.on.run(&TAKE_FOR_NOBODY, product, order, units).await?;
        if let Answer::Taken(units) = answer {
            let _: () = self.on.redis.clone().hset(key(product), field(order), units).await?;
        }
        Ok(answer)
    }
}

/// Subtracts first, and adds back where that went below zero. In between others are told that all
/// is sold, and if the connection breaks there, that stays so. Rejected by `lost_answer`.
struct DecrThenIncr {
    on: OnRedis,
    right: ScriptStock,
}

impl Stock for DecrThenIncr {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        match self.on.look(product, order).await? {
            (Some(had), _) => return Ok(Answer::Taken(had)),
            (None, None) => return Ok(Answer::Unknown),
            _ => {}
        }
        let mut redis = self.on.redis.clone();
        let mut both = redis::pipe();
        both.atomic().hincr(key(product), "left", -i64::from(units));
        both.hset(key(product), field(order), units).ignore();
        let (left,): (i64,) = both.query_async(&mut redis).await?;
        if left >= 0 {
            return Ok(Answer::Taken(units));
        }
        let mut back = redis::pipe();
        back.atomic().hincr(key(product), "left", units).ignore();
        back.hdel(key(product), field(order)).ignore();
        back.exec_async(&mut redis).await?;
        Ok(Answer::SoldOut)
    }
}

/// Loads the script when it opens the stock, and calls it by its hash for ever after. A Redis that
/// was restarted, or failed over, or was told SCRIPT FLUSH, does not know it any more. Rejected by
/// `forgets`.
struct ScriptByItsHashOnly {
    on: OnRedis,
    right: ScriptStock,
    loaded: OnceCell<String>,
}

impl ScriptByItsHashOnly {
    fn make(url: &str, options: Options) -> Result<Self, Error> {
        let on = OnRedis::open(url, options)?;
        Ok(ScriptByItsHashOnly { right: on.right.clone(), on, loaded: OnceCell::new() })
    }
}

impl Stock for ScriptByItsHashOnly {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        let mut redis = self.on.redis.clone();
        let load = || async { TAKE_AND_RECORD.load_async(&mut self.on.redis.clone()).await };
        let hash = self.loaded.get_or_try_init(load).await?;
        if let (Some(had), _) = self.on.look(product, order).await? {
            return Ok(Answer::Taken(had));
        }
        let mut call = redis::cmd("EVALSHA");
        call.arg(hash).arg(1).arg(key(product)).arg(field(order)).arg(units);
        Ok(match call.query_async(&mut redis).await? {
            -1_i64 => Answer::SoldOut,
            -2 => Answer::Unknown,
            _ => Answer::Taken(units),
        })
    }
}

/// Where there are fewer than were wanted, it takes those. A friendly thing to do, and not what was
/// ordered. Rejected by `answers`.
struct TakesWhatIsLeft {
    on: OnRedis,
    right: ScriptStock,
}

impl Stock for TakesWhatIsLeft {
    all_but_take!(ScriptStock);

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        match self.on.look(product, order).await? {
            (None, Some(left)) if left > 0 => {
                self.right.take(product, order, units.min(left)).await
            }
            _ => self.right.take(product, order, units).await,
        }
    }
}
