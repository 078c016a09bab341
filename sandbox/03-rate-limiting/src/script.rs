//! A limiter whose whole decision is one script: how it is sent, and what holds if that fails.
//!
//! Both limiters on Redis are this with another script. A script runs alone, so between its look
//! at the state and its change of it there is no room for another client; and it takes the time
//! where it runs, so that clients need not agree on one.
//!
//! **What is asked twice.** A connection that breaks under a decision leaves open whether it was
//! made. It is asked for once more, on a new connection: the key may then have paid twice, which
//! is strict, and short. To leave it to [`Options::outage`] would let a flood through each time
//! that a load balancer closes a connection. A decision that timed out is not asked for again: the
//! time is up.

use crate::limiter::{By, Decision, Options, Outage, Quota};
use crate::metrics::{Metrics, Snapshot};
use redis::aio::ConnectionManager;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, cmd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::time::timeout;

/// A script, and the hash by which Redis knows it once it has seen it.
///
/// Given a key and, in microseconds, the quota's window, the cost, and the time (or nothing, for
/// the server's own), and the milliseconds by which the key's TTL is to be longer, it answers three
/// whole numbers: 1 if the cost was spent and 0 if not, what could be spent now, and the time until
/// all of it is there again.
#[derive(Debug)]
pub(crate) struct Program {
    text: &'static str,
    hash: String,
}

impl Program {
    pub(crate) fn new(text: &'static str) -> Program {
        Program { text, hash: Script::new(text).get_hash().to_owned() }
    }
}

/// A quota that is kept by a script.
#[derive(Debug)]
pub(crate) struct Scripted {
    redis: ConnectionManager,
    program: &'static Program,
    quota: Quota,
    options: Options,
    metrics: Metrics,
    /// Whether the last decision was the state's: only a change is worth a line in the log.
    reachable: AtomicBool,
}

type Answer = (bool, u64, u64);

impl Scripted {
    pub(crate) fn new(
        redis: ConnectionManager,
        program: &'static Program,
        quota: Quota,
        options: Options,
    ) -> Scripted {
        let (metrics, reachable) = (Metrics::default(), AtomicBool::new(true));
        Scripted { redis, program, quota, options, metrics, reachable }
    }

    pub(crate) fn metrics(&self) -> Snapshot {
        self.metrics.snapshot()
    }

    pub(crate) async fn decide(&self, key: &str, cost: u32) -> Decision {
        let began = Instant::now();
        let price = self.quota.price(cost);
        // What is never allowed only looks, to tell what is left.
        let answer = match self.ask(key, price.unwrap_or(0)).await {
            Err(error) if is_broken(&error) => self.ask_again(key, price.unwrap_or(0), began).await,
            answer => answer,
        };
        let decision = match answer {
            Ok((allowed, level, full_in)) => {
                let allowed = allowed && price.is_some();
                Decision::in_state(self.quota, cost, allowed, level, full_in)
            }
            Err(error) => {
                self.lost(&error);
                Decision::in_outage(self.options.outage, self.quota, cost)
            }
        };
        if decision.by == By::State && !self.reachable.swap(true, Ordering::Relaxed) {
            tracing::info!("the limiter's Redis is back");
        }
        self.metrics.decided(&decision, began.elapsed());
        decision
    }

    // ANCHOR: ask
    async fn ask(&self, key: &str, price: u64) -> RedisResult<Answer> {
        let mut redis = self.redis.clone();
        match self.command("EVALSHA", &self.program.hash, key, price).query_async(&mut redis).await
        {
            // Redis was restarted, or told to forget its scripts. EVAL teaches it again by doing
            // it; SCRIPT LOAD and another EVALSHA would leave a moment to forget in between.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command("EVAL", self.program.text, key, price).query_async(&mut redis).await
            }
            answer => answer,
        }
    }
    // ANCHOR_END: ask

    /// The second attempt, in what is left of the caller's time.
    async fn ask_again(&self, key: &str, price: u64, began: Instant) -> RedisResult<Answer> {
        let whole = self.options.timeout.saturating_mul(2);
        match timeout(whole.saturating_sub(began.elapsed()), self.ask(key, price)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(RedisError::from((ErrorKind::Io, "the time was up for a second attempt")))
            }
        }
    }

    fn command(&self, how: &str, program: &str, key: &str, price: u64) -> Cmd {
        let mut command = cmd(how);
        command.arg(program).arg(1).arg(key).arg(self.quota.window_micros()).arg(price);
        match self.options.clock.given() {
            Some(micros) => command.arg(micros),
            None => command.arg(""),
        };
        command.arg(self.options.clock.spare().as_millis() as u64);
        command
    }

    /// A Redis error ends here. The caller gets its answer from the options.
    fn lost(&self, error: &RedisError) {
        if self.reachable.swap(false, Ordering::Relaxed) {
            let now = match self.options.outage {
                Outage::Open => "open",
                Outage::Closed => "closed",
            };
            tracing::warn!(%error, "the limiter's Redis is out of reach, the limiter is {now}");
        }
    }
}

/// Whether the connection broke under a command, in contrast to one that could not be made.
fn is_broken(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_timed_out_is_not_repeated() {
        let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!([late, broken, refused].each_ref().map(is_broken), [false, true, false]);
    }
}
