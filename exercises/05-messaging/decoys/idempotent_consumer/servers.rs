//! Mistakes that show only on a bad day of the server's, or of a process.

use super::usual::{Usual, commit, is_new};
use deadpool_postgres::tokio_postgres::{self, Client, Config, NoTls, Transaction};
use deadpool_postgres::{Manager, Object, Pool, Runtime};
use messaging::Message;
use messaging::idempotent_consumer::{Error, Inbox, Once, Options, Work};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A pool as in every tutorial: no limits on the server. A process that is stopped keeps its
/// transaction open, and its message from everybody. Rejected by `stopped_consumer`.
pub(super) struct NoLimitOnTheServer;

impl Usual for NoLimitOnTheServer {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        let config: Config = url.parse()?;
        let pool = Pool::builder(Manager::new(config, NoTls)).max_size(options.connections).build();
        Ok(pool.expect("no timeouts, so no runtime is needed"))
    }
}

/// The server has its limits, so the client need have none. A server that cannot be reached keeps to
/// no limit. Rejected by `postgres_stalls`.
pub(super) struct NoTimeout;

impl Usual for NoTimeout {
    fn patience(_: Options) -> Duration {
        Duration::from_secs(60 * 60)
    }
}

/// A sweep is nobody's customer, so it has no limit. It hangs with the network, and a place in the pool
/// with it. Rejected by `postgres_stalls`.
pub(super) struct SweepsForEver;

impl Usual for SweepsForEver {
    fn patience_of_a_sweep(_: Options) -> Duration {
        Duration::from_secs(60 * 60)
    }
}

/// A database that is gone comes back, and until then it is tried again. The broker sees a consumer
/// that is at work, and takes the message back from nobody. Rejected by `postgres_is_gone`.
pub(super) struct TriesForEver;

impl Usual for TriesForEver {
    async fn connect(pool: &Pool) -> Result<Object, Error> {
        loop {
            match pool.get().await {
                Ok(connection) => return Ok(connection),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// As many connections as there are messages, and none is ever waited for. The server has a hundred
/// for everybody. Rejected by `connections_kept`.
pub(super) struct ConnectsForEach;

impl Usual for ConnectsForEach {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(database::pool(url, options.timeout, 100)?)
    }
}

/// Connects at the first message, and keeps the connection. After the first failover every message
/// is an error. Rejected by `killed_sessions`.
pub(super) struct ConnectsOnce {
    url: String,
    consumer: String,
    client: Mutex<Option<Client>>,
}

impl Inbox for ConnectsOnce {
    fn open(url: &str, consumer: &str, _: Options) -> Result<Self, Error> {
        let (url, consumer) = (url.to_owned(), consumer.to_owned());
        Ok(ConnectsOnce { url, consumer, client: Mutex::default() })
    }

    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let mut client = self.client.lock().await;
        if client.is_none() {
            let (connected, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            tokio::spawn(connection);
            *client = Some(connected);
        }
        let Some(client) = client.as_mut() else { return Err(Error::NoId) };
        let transaction = client.transaction().await?;
        if !is_new(&transaction, &self.consumer, &message.id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }

    async fn sweep(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

/// The server ends transactions that stand still, and that is all: who waits for an answer gives up
/// on its own. The server does not notice. It goes on with the statement of a caller who has left, and
/// keeps its message from everybody. Rejected by `left_running`.
pub(super) struct NoLimitOfStatements;

impl Usual for NoLimitOfStatements {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        let mut config: Config = url.parse()?;
        let millis = options.timeout.as_millis();
        config.options(format!("-c idle_in_transaction_session_timeout={millis}"));
        config.connect_timeout(options.timeout);
        let pool = Pool::builder(Manager::new(config, NoTls))
            .max_size(options.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.timeout))
            .create_timeout(Some(options.timeout))
            .recycle_timeout(Some(options.timeout))
            .build();
        Ok(pool.expect("a runtime for the timeouts is given"))
    }
}

/// A second, whatever was configured: that is an eternity to a database. A booking of a month's
/// payments takes ten, and never ends. Rejected by `long_effect`.
pub(super) struct ASecondForAll;

impl Usual for ASecondForAll {
    fn patience(_: Options) -> Duration {
        Duration::from_secs(1)
    }
}

/// All that may take long has a limit. The COMMIT is not long, so it has none. Rejected by
/// `never_answered`.
pub(super) struct CommitsForEver;

impl Usual for CommitsForEver {
    fn patience(_: Options) -> Duration {
        Duration::from_secs(60 * 60)
    }

    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        const LIMIT: Duration = Duration::from_secs(1);
        let slow = |_| Error::Slow(LIMIT);
        let transaction = timeout(LIMIT, client.transaction()).await.map_err(slow)??;
        if !timeout(LIMIT, is_new(&transaction, consumer, id)).await.map_err(slow)?? {
            return Ok(Once::Seen);
        }
        let done = timeout(LIMIT, effect(&transaction)).await.map_err(slow)?;
        done.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// Gives up in time, and gives the connection back, as one does. The next one gets it, and waits for
/// the same answer. Rejected by `never_answered`.
pub(super) struct GivesBackWhatHangs;

impl Usual for GivesBackWhatHangs {
    fn give_up(connection: Object) {
        drop(connection);
    }
}

/// Knows that such a connection must not go back, and has it forgotten: with it goes its place in the
/// pool. Rejected by `never_answered`.
pub(super) struct LosesThePlace;

impl Usual for LosesThePlace {
    fn give_up(connection: Object) {
        std::mem::forget(connection);
    }
}

/// Four connections, as on the machine that it was tried on. Rejected by `connections_kept`.
pub(super) struct FourConnections;

impl Usual for FourConnections {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(database::pool(url, options.timeout, 4)?)
    }
}
