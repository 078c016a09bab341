//! Mistakes in asking for a lease.

use super::plain::{Plain, PlainHeld, owner};
use locks::lease::{Error, Held, Lease, Options};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, RedisError, RedisResult, Script};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// Looks whether the name is free, and then takes it. Two who look before either takes both have
/// it. Rejected by `one_holder`.
pub(super) struct GetThenSet(Plain);

impl Lease for GetThenSet {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(GetThenSet)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
        loop {
            let (asked, owner) = (Instant::now(), owner());
            let mut redis = self.0.redis.clone();
            if redis.get::<_, Option<String>>(name).await?.is_none() {
                redis.pset_ex::<_, _, ()>(name, &owner, self.0.ttl()).await?;
                let token: u64 = redis.incr(format!("{name}:token"), 1).await?;
                return Ok(self.0.held(name, &owner, token, asked));
            }
            let refused = Error::Busy(began.elapsed());
            pause = self.0.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}

/// Asks once, whatever its caller's patience: "try again later" is left to everybody's own loop.
/// Rejected by `one_holder`, where all want a turn.
pub(super) struct NoPatience(Plain);

impl Lease for NoPatience {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(NoPatience)
    }

    async fn acquire(&self, name: &str, _: Duration) -> Result<PlainHeld, Error> {
        self.0.ask_on(name, &owner(), Duration::ZERO).await
    }
}

/// SETNX, then EXPIRE: as it was written before SET had options, and as it still stands in many
/// articles. If the process dies between the two, nobody ever gets the name again. Rejected by
/// `ttl_at_every_step`.
pub(super) struct SetnxThenExpire(Plain);

impl Lease for SetnxThenExpire {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(SetnxThenExpire)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
        loop {
            let (asked, owner) = (Instant::now(), owner());
            let mut redis = self.0.redis.clone();
            if redis.set_nx(name, &owner).await? {
                redis.pexpire::<_, ()>(name, self.0.ttl() as i64).await?;
                let token: u64 = redis.incr(format!("{name}:token"), 1).await?;
                redis.expire::<_, ()>(format!("{name}:token"), 86_400).await?;
                return Ok(self.0.held(name, &owner, token, asked));
            }
            let refused = Error::Busy(began.elapsed());
            pause = self.0.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}

/// A lock without an end: the one mutex that everybody knows. Its owner's process is killed, and
/// the name is taken for ever. Rejected by `killed_holder`.
pub(super) struct LockForEver(Plain);

impl Lease for LockForEver {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        Plain::open(url, Options { ttl: year, ..options }).map(LockForEver)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        self.0.ask_on(name, &owner(), patience).await
    }
}

/// The value is the same for all, `locked`: there is one lock, after all. A late owner compares it
/// with its successor's, finds it equal, and deletes. Rejected by `late_release`.
pub(super) struct SameTokenForAll(Plain);

impl Lease for SameTokenForAll {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(SameTokenForAll)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
        let script = Script::new(
            "if not redis.call('SET', KEYS[1], 'locked', 'NX', 'PX', ARGV[1]) then return false end
             redis.call('EXPIRE', KEYS[2], 86400)
             return redis.call('INCR', KEYS[2])",
        );
        loop {
            let asked = Instant::now();
            let mut ask = script.key(name);
            ask.key(format!("{name}:token")).arg(self.0.ttl());
            let token: Option<u64> = ask.invoke_async(&mut self.0.redis.clone()).await?;
            if let Some(token) = token {
                return Ok(self.0.held(name, "locked", token, asked));
            }
            let refused = Error::Busy(began.elapsed());
            pause = self.0.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}

/// Another value at each attempt. The first attempt has it, its reply is lost, and the second
/// attempt waits for the first one's TTL. Rejected by `lost_reply`.
pub(super) struct FreshTokenEachAttempt(Plain);

impl Lease for FreshTokenEachAttempt {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(FreshTokenEachAttempt)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
        loop {
            let refused = match self.0.ask_on(name, &owner(), Duration::ZERO).await {
                Ok(held) => return Ok(held),
                Err(refused) => refused,
            };
            pause = self.0.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}

/// Begins to look after a lease when it has one. Between Redis's yes and that moment the caller may
/// be dropped, by a timeout or a `select!`, and nobody gives it back. Rejected by
/// `cancelled_acquire`.
pub(super) struct NothingOnCancel(Plain);

impl Lease for NothingOnCancel {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(NothingOnCancel)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let owner = owner();
        let answer = self.0.ask_on(name, &owner, patience).await;
        if answer.is_err() {
            let _ = self.0.free(name, &owner).await;
        }
        answer
    }
}

/// Leaves when patience is out, in the middle of a question. Redis says yes to nobody. As several
/// crates do it. Rejected by `impatient_acquire`.
pub(super) struct KeepsTheLateYes(Plain);

impl Lease for KeepsTheLateYes {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(KeepsTheLateYes)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let owner = owner();
        // One question at least.
        let limit = patience.max(Duration::from_millis(100));
        let asking = self.0.ask_on(name, &owner, patience);
        let answer = tokio::time::timeout(limit, asking).await;
        answer.unwrap_or(Err(Error::Busy(patience)))
    }
}

/// Whatever is not a yes is a no. Who is told "busy" waits for another to finish; here nobody is at
/// work, and Redis is down. Rejected by `redis_stalls`.
pub(super) struct ErrorIsBusy(Plain);

impl Lease for ErrorIsBusy {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(ErrorIsBusy)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let answer = self.0.ask_on(name, &owner(), patience).await;
        answer.map_err(|_| Error::Busy(patience))
    }
}

/// Asks as fast as Redis answers. A hundred who wait are a load test. Rejected by `waits_politely`.
pub(super) struct BusyLoop(Plain);

impl Lease for BusyLoop {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(BusyLoop)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, owner) = (Instant::now(), owner());
        loop {
            match self.0.ask_on(name, &owner, Duration::ZERO).await {
                Err(refused) if began.elapsed() >= patience => return Err(refused),
                Err(_) => {}
                held => return held,
            }
        }
    }
}

/// Loads its script when the first lease is asked for, and sends EVALSHA from then on. Redis forgets
/// scripts: at a restart, a failover, SCRIPT FLUSH. Rejected by `script_flush`.
pub(super) struct EvalshaAlone {
    plain: Plain,
    digest: OnceCell<String>,
}

impl Lease for EvalshaAlone {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let plain = Plain::open(url, options)?;
        Ok(EvalshaAlone { plain, digest: OnceCell::new() })
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let mut redis = self.plain.redis.clone();
        let load = || async {
            let script = "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
                              return false
                          end
                          return redis.call('INCR', KEYS[1] .. ':token')";
            redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut redis.clone()).await
        };
        let digest: &String = self.digest.get_or_try_init::<RedisError, _, _>(load).await?;
        let (began, owner) = (Instant::now(), owner());
        let mut pause = Duration::from_millis(2);
        loop {
            let asked = Instant::now();
            let mut evalsha = redis::cmd("EVALSHA");
            evalsha.arg(digest).arg(1).arg(name).arg(&owner).arg(self.plain.ttl());
            if let Some(token) = evalsha.query_async(&mut redis).await? {
                return Ok(self.plain.held(name, &owner, token, asked));
            }
            let refused = Error::Busy(began.elapsed());
            pause = self.plain.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}

/// One multiplexed connection, made at the first use and kept. It does not mend: after one restart
/// of Redis nobody gets a lease any more. Rejected by `killed_connection`.
pub(super) struct ConnectsOnce {
    client: redis::Client,
    connection: OnceCell<MultiplexedConnection>,
    options: Options,
}

pub(super) struct OnOneConnection {
    connection: MultiplexedConnection,
    name: String,
    owner: String,
    token: u64,
    options: Options,
    asked: Instant,
}

impl Lease for ConnectsOnce {
    type Held = OnOneConnection;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let client = redis::Client::open(url)?;
        Ok(ConnectsOnce { client, connection: OnceCell::new(), options })
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<OnOneConnection, Error> {
        let connect = || self.client.get_multiplexed_async_connection();
        let mut connection = self.connection.get_or_try_init(connect).await?.clone();
        let (began, owner) = (Instant::now(), owner());
        let script = Script::new(
            "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
             return redis.call('INCR', KEYS[1] .. ':token')",
        );
        while began.elapsed() <= patience {
            let asked = Instant::now();
            let mut ask = script.key(name);
            ask.arg(&owner).arg(self.options.ttl.as_millis() as u64);
            let answer: RedisResult<Option<u64>> = ask.invoke_async(&mut connection).await;
            if let Ok(Some(token)) = answer {
                let (name, options) = (name.to_owned(), self.options);
                return Ok(OnOneConnection { connection, name, owner, token, options, asked });
            }
            tokio::time::sleep(Duration::from_millis(50).mul_f64(rand::random())).await;
        }
        Err(Error::Busy(patience))
    }
}

impl OnOneConnection {
    async fn if_mine(&self, then: &str) -> RedisResult<bool> {
        let script = Script::new(&format!(
            "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return {then}"
        ));
        let mut script = script.key(&self.name);
        script.arg(&self.owner).arg(self.options.ttl.as_millis() as u64);
        script.invoke_async(&mut self.connection.clone()).await
    }
}

impl Held for OnOneConnection {
    fn token(&self) -> u64 {
        self.token
    }

    async fn extend(&self) -> Result<(), Error> {
        let mine = self.if_mine("redis.call('PEXPIRE', KEYS[1], ARGV[2])").await?;
        mine.then_some(()).ok_or(Error::Lost)
    }

    async fn lost(&self) {
        tokio::time::sleep_until((self.asked + self.options.ttl.mul_f64(0.98)).into()).await;
    }

    async fn release(self) -> Result<(), Error> {
        self.if_mine("redis.call('DEL', KEYS[1])").await?.then_some(()).ok_or(Error::Lost)
    }
}

/// Draws its value once, when the program starts: it says which server holds the name. Two requests
/// to that server are the same owner, and both hold it. Rejected by `one_holder`.
pub(super) struct OwnerOfAll {
    plain: Plain,
    owner: String,
}

impl Lease for OwnerOfAll {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Ok(OwnerOfAll { plain: Plain::open(url, options)?, owner: owner() })
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        self.plain.ask_on(name, &self.owner, patience).await
    }
}

/// SET with EX, in whole seconds, as everybody writes it. 200 ms are a second, and 1.2 s are two,
/// for all who wait for somebody who died. Rejected by `lasts_its_ttl`.
pub(super) struct WholeSeconds(Plain);

impl Lease for WholeSeconds {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let seconds = options.ttl.as_millis().div_ceil(1_000) as u64;
        let ttl = Duration::from_secs(seconds);
        Plain::open(url, Options { ttl, ..options }).map(WholeSeconds)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        self.0.ask_on(name, &owner(), patience).await
    }
}

/// When patience ends is now and patience, and `Duration::MAX` is a panic. Rejected by
/// `waits_politely`.
pub(super) struct OverflowsForEver(Plain);

impl Lease for OverflowsForEver {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(OverflowsForEver)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let deadline = Instant::now() + patience;
        self.0.ask_on(name, &owner(), deadline - Instant::now()).await
    }
}

/// Takes a yes for a yes, however long it was on its way. The name is somebody else's by then, and
/// this caller begins its work. Rejected by `lost_before_ttl`.
pub(super) struct YesTooLate(Plain);

impl Lease for YesTooLate {
    type Held = PlainHeld;

    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        Plain::open(url, options).map(YesTooLate)
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<PlainHeld, Error> {
        let (began, owner) = (Instant::now(), owner());
        let mut pause = Duration::from_millis(2);
        loop {
            let asked = Instant::now();
            let refused = match self.0.ask(name, &owner).await {
                Ok(Some(token)) => return Ok(self.0.held(name, &owner, token, asked)),
                Ok(None) => Error::Busy(began.elapsed()),
                Err(error) => Error::Redis(error),
            };
            pause = self.0.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }
}
