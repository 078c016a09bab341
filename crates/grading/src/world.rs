//! The fresh world that each check gets.

use crate::history::{Call, FaultBand, History};
use crate::process::Process;
use crate::verdict::Finding;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::fmt::Debug;
use testbed::origin::Origin;
use testbed::postgres::Postgres;
use testbed::proxy::Proxy;
use testbed::rabbitmq::Rabbit;
use testbed::redis::Redis;
use tokio::sync::OnceCell;

/// Private servers, a proxy before each client, a database that counts, a seed. All of it ends
/// with the check.
pub struct World {
    seed: u64,
    role: String,
    history: History,
    redis: Redis,
    postgres: OnceCell<Postgres>,
    rabbit: OnceCell<Rabbit>,
}

impl World {
    pub(crate) async fn begin(seed: u64, role: String, history: History) -> Result<World, Finding> {
        let redis = testbed::redis::private().await?;
        let (postgres, rabbit) = (OnceCell::new(), OnceCell::new());
        Ok(World { seed, role, history, redis, postgres, rabbit })
    }

    /// Random numbers of this world's seed. The same seed makes the same schedule.
    pub fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// What has happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The server itself, for faults that no proxy can make.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// A PostgreSQL database of this world's own, empty at first. It is made when it is first asked
    /// for: most lessons need none.
    ///
    /// # Errors
    /// Inconclusive where no server is to be had.
    pub async fn postgres(&self) -> Result<&Postgres, Finding> {
        Ok(self.postgres.get_or_try_init(testbed::postgres::private).await?)
    }

    /// A proxy for the client `lane`. What passes it stands in the client's lane of the timeline.
    ///
    /// # Errors
    /// Inconclusive where the proxy cannot stand.
    pub async fn client(&self, lane: &str) -> Result<Proxy, Finding> {
        let history = self.history.clone();
        let name = lane.to_owned();
        let observer = move |observation| history.wire(&name, observation);
        Ok(Proxy::observed(self.redis.url(), observer).await?)
    }

    /// A proxy before [`World::postgres`] for the client `lane`, as [`World::client`] is one before
    /// Redis.
    ///
    /// # Errors
    /// As [`World::postgres`] and [`World::client`].
    pub async fn postgres_client(&self, lane: &str) -> Result<Proxy, Finding> {
        let history = self.history.clone();
        let name = lane.to_owned();
        let observer = move |observation| history.wire(&name, observation);
        Ok(Proxy::observed_postgres(self.postgres().await?.url(), observer).await?)
    }

    /// A virtual host of this world's own, empty at first. It is made when it is first asked for.
    ///
    /// # Errors
    /// Inconclusive where no broker is to be had.
    pub async fn rabbit(&self) -> Result<&Rabbit, Finding> {
        Ok(self.rabbit.get_or_try_init(testbed::rabbitmq::private).await?)
    }

    /// A proxy before [`World::rabbit`] for the client `lane`, as [`World::client`] is one before
    /// Redis.
    ///
    /// # Errors
    /// As [`World::rabbit`] and [`World::client`].
    pub async fn rabbit_client(&self, lane: &str) -> Result<Proxy, Finding> {
        let history = self.history.clone();
        let name = lane.to_owned();
        let observer = move |observation| history.wire(&name, observation);
        Ok(Proxy::observed_rabbitmq(self.rabbit().await?.url(), observer).await?)
    }

    /// An empty database whose reads and writes stand in the lane `database`.
    pub fn database<V: Clone + Debug + Send + 'static>(&self) -> Origin<V> {
        let history = self.history.clone();
        Origin::observed(move |event| history.origin("database", event))
    }

    /// Starts a second process that runs the check's process body on the same subject, and gets
    /// `arguments`.
    ///
    /// # Errors
    /// Inconclusive where none can be started.
    pub fn process(&self, arguments: &impl serde::Serialize) -> Result<Process, Finding> {
        Process::start(&self.role, arguments)
    }

    /// The check's own connection, past every proxy, to look at what was left behind.
    ///
    /// # Errors
    /// Inconclusive where the server cannot be reached.
    pub async fn look(&self) -> Result<redis::aio::MultiplexedConnection, Finding> {
        let client = redis::Client::open(self.redis.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// `lane` calls the subject.
    pub fn invoke(&self, lane: &str, call: impl Into<String>) -> Call {
        self.history.invoke(lane, call)
    }

    /// A fault begins; it is over when the band is dropped.
    pub fn fault(&self, text: impl Into<String>) -> FaultBand {
        self.history.fault(text)
    }
}
