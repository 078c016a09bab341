//! How long somebody waits, for what, and what is said then.

use super::mostly::Detail;
use deadpool_postgres::tokio_postgres::{Config, NoTls};
use deadpool_postgres::{Manager, Pool, Runtime};
use sagas::idempotency_keys::{Error, Options, pool};
use std::time::Duration;

/// Who finds the key taken looks for the answer until it is there. The first one's work failed, and
/// there never is one. Rejected by `next_in_line`.
pub(super) struct WaitsForTheAnswer;

impl Detail for WaitsForTheAnswer {
    const TAKES_OVER: bool = false;
}

/// Waits for two seconds, as that is what the first caller wanted. Rejected by `own_patience`.
pub(super) struct WaitsAsLongAsAlways;

impl Detail for WaitsAsLongAsAlways {
    fn heeded(options: Options) -> Options {
        Options { wait: Duration::from_secs(2), ..options }
    }
}

/// Whoever has waited so long for another may as well be done by then: `wait` is the limit of
/// everything. It cuts off work that takes longer. Rejected by `own_patience`.
pub(super) struct WorksWithinItsWait;

impl Detail for WorksWithinItsWait {
    fn heeded(options: Options) -> Options {
        Options { timeout: options.timeout.min(options.wait), ..options }
    }
}

/// Tells the client to come back after as long as it has waited here. The one who has the key may
/// have it for much longer. Rejected by `own_patience`.
pub(super) struct ComeBackSoon;

impl Detail for ComeBackSoon {
    fn retry_after(options: Options) -> Duration {
        options.wait
    }
}

/// A timeout of its own, that was long enough for what there was. Rejected by `slow_work`.
pub(super) struct TimeoutOfItsOwn;

impl Detail for TimeoutOfItsOwn {
    fn heeded(options: Options) -> Options {
        Options { timeout: Duration::from_millis(700), ..options }
    }
}

/// The work has a timeout. To read the answer that is kept takes no time. Rejected by
/// `connection_hangs`.
pub(super) struct ReadsWithoutEnd;

impl Detail for ReadsWithoutEnd {
    const READS_IN_TIME: bool = false;
}

/// When its time is over the connection goes back to the pool, where the next one finds it, and waits
/// for the answer that did not come. Rejected by `connection_hangs`.
pub(super) struct KeepsWhatHangs;

impl Detail for KeepsWhatHangs {
    const THROWS_AWAY: bool = false;
}

/// Makes as many connections as there are calls: the server has a hundred. Rejected by
/// `few_connections`.
pub(super) struct AConnectionForEach;

impl Detail for AConnectionForEach {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(pool(url, options.timeout, 100)?)
    }
}

/// A pool as its documentation shows it: who finds no connection in it waits. Behind forty who hang,
/// forty timeouts. Rejected by `few_connections`.
pub(super) struct QueuesForEver;

impl Detail for QueuesForEver {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        let mut config: Config = url.parse()?;
        let millis = options.timeout.as_millis();
        config
            .options(format!(
                "-c statement_timeout={millis} -c idle_in_transaction_session_timeout={millis}"
            ))
            .connect_timeout(options.timeout);
        let pool = Pool::builder(Manager::new(config, NoTls)).runtime(Runtime::Tokio1);
        Ok(pool.max_size(options.connections).build().expect("a runtime is given"))
    }
}

/// What goes wrong while the work is under way is the work's error. A reply to COMMIT that is lost is
/// "it was not done", and the client buys elsewhere. Rejected by `lost_replies`.
pub(super) struct BlamesTheWork;

impl Detail for BlamesTheWork {
    fn told(error: Error) -> Error {
        match error {
            Error::Postgres(cause) => Error::Work(cause.into()),
            error => error,
        }
    }
}

/// Too slow means that somebody is still at it, which is true of the server, perhaps. The client is
/// told that this attempt did nothing. Rejected by `postgres_hangs`.
pub(super) struct SlowIsInProgress;

impl Detail for SlowIsInProgress {
    fn told(error: Error) -> Error {
        match error {
            Error::Slow(limit) => Error::InProgress { retry_after: limit },
            error => error,
        }
    }
}
