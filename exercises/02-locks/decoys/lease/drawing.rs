//! Mistakes in drawing a fencing token.

use super::plain::{Plain, PlainHeld, owner};
use locks::lease::{Error, Lease, Options};
use redis::{AsyncCommands, RedisError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Tokens are counted in the process, beginning with 1. Each process has its own 1. Rejected by
/// `tokens_rise`.
pub(super) struct CountsInProcess(Plain);

impl Lease for CountsInProcess {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(CountsInProcess)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let mut held = self.0.ask_on(name, &owner(), patience).await?;
        held.token = LAST.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(held)
    }
}

/// INCR, in the script that takes the lease: right until Redis loses its memory. Then it begins
/// again with 1, and the resource, which remembers, refuses every new holder, or lets the old ones
/// in. Rejected by `tokens_rise`.
pub(super) struct CountsInRedis(Plain);

impl Lease for CountsInRedis {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(CountsInRedis)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let mut held = self.0.ask_on(name, &owner(), patience).await?;
        held.token = self.0.redis.clone().incr(format!("{name}:count"), 1).await?;
        Ok(held)
    }
}

/// The time at which it asked, by its own clock, in nanoseconds: rises by itself, needs no server.
/// But who asks first need not get it first, and two machines have two clocks. Rejected by
/// `tokens_in_order`.
pub(super) struct ClientClock(Plain);

impl Lease for ClientClock {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(ClientClock)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut held = self.0.ask_on(name, &owner(), patience).await?;
        held.token = now.as_nanos() as u64;
        Ok(held)
    }
}

/// Takes the lease, and then draws its token. Who is slow in between draws a token higher than its
/// successor's, and passes the fence that should have stopped it. Rejected by `tokens_in_order`.
pub(super) struct TokenAfterwards(Plain);

impl Lease for TokenAfterwards {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(TokenAfterwards)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let mut held = self.0.ask_on(name, &owner(), patience).await?;
        let (seconds, micros): (u64, u64) =
            redis::cmd("TIME").query_async(&mut self.0.redis.clone()).await?;
        held.token = seconds * 1_000_000 + micros;
        Ok(held)
    }
}

/// The caller's clock, and at least one more than the last token, in the script. Right until Redis
/// forgets the last one: then a caller whose clock is behind, or whose question was long on its way,
/// draws a token below its predecessor's. Rejected by `tokens_in_order`.
pub(super) struct ClientClockInScript(Plain);

impl Lease for ClientClockInScript {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(ClientClockInScript)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, owner) = (Instant::now(), owner());
        let mut pause = Duration::from_millis(2);
        let script = redis::Script::new(
            "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
                 and redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
             redis.call('PEXPIRE', KEYS[1], ARGV[2])
             local last = tonumber(redis.call('GET', KEYS[2]) or 0)
             local token = math.max(last + 1, tonumber(ARGV[3]))
             redis.call('SET', KEYS[2], string.format('%.0f', token), 'EX', 86400)
             return token",
        );
        loop {
            let (asked, now) = (Instant::now(), SystemTime::now());
            let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let mut ask = script.key(name);
            ask.key(format!("{name}:token")).arg(&owner).arg(self.0.ttl());
            ask.arg(now.as_micros() as u64);
            let answer = ask.invoke_async(&mut self.0.redis.clone()).await;
            let refused = match answer {
                Ok(Some(token)) => return Ok(self.0.held(name, &owner, token, asked)),
                Ok(None) => Error::Busy(began.elapsed()),
                Err(error) => Error::Redis(error),
            };
            pause = self.0.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}
