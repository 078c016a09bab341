//! What the decoys have in common: a connection, the steps that everybody knows, and a lease that
//! is held as it should be.

use locks::lease::{Error, Held, Options};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Clone)]
pub(super) struct Plain {
    pub(super) redis: ConnectionManager,
    pub(super) options: Options,
}

impl Plain {
    pub(super) fn open(url: &str, options: Options) -> RedisResult<Plain> {
        Ok(Plain { redis: connection::open(url, options.timeout)?, options })
    }

    pub(super) fn ttl(&self) -> u64 {
        self.options.ttl.as_millis() as u64
    }

    /// Asks once, as it should be done: the fencing token, or nothing.
    pub(super) async fn ask(&self, name: &str, owner: &str) -> RedisResult<Option<u64>> {
        let script = Script::new(
            "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
                 and redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
             redis.call('PEXPIRE', KEYS[1], ARGV[2])
             local now = redis.call('TIME')
             local last = tonumber(redis.call('GET', KEYS[2]) or 0)
             local token = math.max(last + 1, now[1] * 1000000 + now[2])
             redis.call('SET', KEYS[2], string.format('%.0f', token), 'EX', 86400)
             return token",
        );
        let mut ask = script.key(name);
        ask.key(format!("{name}:token")).arg(owner).arg(self.ttl());
        ask.invoke_async(&mut self.redis.clone()).await
    }

    /// Asks until it is ours, as it should be done but for the caller that goes away.
    pub(super) async fn ask_on(
        &self,
        name: &str,
        owner: &str,
        patience: Duration,
    ) -> Result<PlainHeld, Error> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            let asked = Instant::now();
            let refused = match self.ask(name, owner).await {
                Ok(Some(token)) if asked.elapsed() < self.options.ttl => {
                    return Ok(self.held(name, owner, token, asked));
                }
                Ok(Some(_)) => Error::Lost,
                Ok(None) => Error::Busy(began.elapsed()),
                Err(error) => Error::Redis(error),
            };
            pause = self.pause(began, patience, pause).await.ok_or(refused)?;
        }
    }

    /// Waits, or says that patience is out. Then the next pause.
    pub(super) async fn pause(
        &self,
        began: Instant,
        patience: Duration,
        pause: Duration,
    ) -> Option<Duration> {
        let left = patience.checked_sub(began.elapsed())?;
        tokio::time::sleep(pause.mul_f64(rand::random()).min(left)).await;
        Some((pause * 2).min(Duration::from_millis(100)))
    }

    pub(super) fn held(&self, name: &str, owner: &str, token: u64, asked: Instant) -> PlainHeld {
        let end = asked + self.options.ttl.mul_f64(0.98);
        PlainHeld {
            plain: self.clone(),
            name: name.to_owned(),
            owner: owner.to_owned(),
            token,
            end: watch::Sender::new(end),
            given_back: false,
        }
    }

    async fn if_mine(&self, then: &str, name: &str, owner: &str) -> RedisResult<bool> {
        let script = Script::new(&format!(
            "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return {then}"
        ));
        let mut script = script.key(name);
        script.arg(owner).arg(self.ttl()).invoke_async(&mut self.redis.clone()).await
    }

    /// Gives `name` back, if it is `owner`'s.
    pub(super) async fn free(&self, name: &str, owner: &str) -> RedisResult<bool> {
        self.if_mine("redis.call('DEL', KEYS[1])", name, owner).await
    }
}

/// A value that nobody else has.
pub(super) fn owner() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A lease that is held as it should be.
pub(super) struct PlainHeld {
    pub(super) plain: Plain,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) token: u64,
    pub(super) end: watch::Sender<Instant>,
    pub(super) given_back: bool,
}

impl Held for PlainHeld {
    fn token(&self) -> u64 {
        self.token
    }

    async fn extend(&self) -> Result<(), Error> {
        let asked = Instant::now();
        let extend = "redis.call('PEXPIRE', KEYS[1], ARGV[2])";
        if self.plain.if_mine(extend, &self.name, &self.owner).await? {
            self.end.send_replace(asked + self.plain.options.ttl.mul_f64(0.98));
            return Ok(());
        }
        self.end.send_replace(asked);
        Err(Error::Lost)
    }

    async fn lost(&self) {
        let mut end = self.end.subscribe();
        loop {
            let at = *end.borrow_and_update();
            if tokio::time::timeout_at(at.into(), end.changed()).await.is_err() {
                return;
            }
        }
    }

    async fn release(mut self) -> Result<(), Error> {
        let released = self.plain.free(&self.name, &self.owner).await?;
        self.given_back = true;
        released.then_some(()).ok_or(Error::Lost)
    }
}

impl Drop for PlainHeld {
    fn drop(&mut self) {
        if !self.given_back {
            let (plain, name, owner) = (self.plain.clone(), self.name.clone(), self.owner.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    if plain.free(&name, &owner).await.is_ok() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
    }
}
