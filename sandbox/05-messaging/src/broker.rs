//! A connection to RabbitMQ that may be lost, and comes back.
//!
//! A channel dies with its connection, and by itself when it asked for something that the broker
//! refuses: a queue that is not there (404), a queue that is there and otherwise (406). With it die
//! its QoS, its consumers and whatever it has not acknowledged. So whoever lost a channel opens
//! another and begins again as at its start: declare, set the prefetch, consume. There is no second
//! way for "after a loss" that would be walked only on bad days.
//!
//! lapin can recover by itself (`enable_auto_recover`). It is not used here. It brings back what was
//! declared and consumed, but a channel that the broker closed stays closed, and a confirm for which
//! somebody waited is lost all the same; so everybody needs the way from the start anyway.
//!
//! Sources: RabbitMQ, [Channels](https://www.rabbitmq.com/docs/channels) and
//! [Connections](https://www.rabbitmq.com/docs/connections).

use crate::Error;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is called in the broker's list of connections.
    pub name: String,
    /// How long to wait for each answer, that to connecting included.
    pub timeout: Duration,
    /// How often both sides say that they are there. A broker that is silent for about twice as
    /// long is taken for dead. Whole seconds, at least one.
    pub heartbeat: Duration,
}

impl Default for Options {
    fn default() -> Options {
        let (timeout, heartbeat) = (Duration::from_secs(5), Duration::from_secs(10));
        Options { name: "messaging".to_owned(), timeout, heartbeat }
    }
}

/// One connection, made when it is first needed and again after it was lost. Clones share it.
///
/// Let publishers and consumers have one each. A broker that is short of memory or disk stops
/// reading from connections that publish, and acknowledgements on the same one would not come
/// through either: <https://www.rabbitmq.com/docs/alarms>.
#[derive(Clone)]
pub struct Broker {
    inside: Arc<Inside>,
}

struct Inside {
    uri: AMQPUri,
    options: Options,
    current: Mutex<Option<Connection>>,
}

impl Broker {
    /// The broker at `url`: `amqp://user:password@host:port/vhost`. Connects when it is first
    /// asked for a channel, so a program starts also while the broker is away.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    pub fn open(url: &str, options: Options) -> Result<Broker, Error> {
        let mut uri: AMQPUri = url.parse().map_err(Error::Url)?;
        let seconds = options.heartbeat.as_secs().clamp(1, u64::from(u16::MAX));
        uri.query.heartbeat = u16::try_from(seconds).ok();
        let current = Mutex::default();
        Ok(Broker { inside: Arc::new(Inside { uri, options, current }) })
    }

    /// A new channel, on the connection that there is, or on a new one.
    ///
    /// # Errors
    /// [`Error::Broker`] when nobody answers there or the login is refused, [`Error::Slow`].
    pub async fn channel(&self) -> Result<Channel, Error> {
        self.answer(async {
            let mut current = self.inside.current.lock().await;
            if current.as_ref().is_none_or(|connection| !connection.status().connected()) {
                // Whoever waits at the lock gets this connection as well.
                *current = None;
                *current = Some(self.connect().await?);
            }
            let connection = current.as_ref().expect("it has just been made");
            connection.create_channel().await
        })
        .await
    }

    /// What the broker answers, in time. Put every question to it through this: lapin itself waits
    /// for as long as the connection seems to live, which with a stalled network is minutes.
    ///
    /// # Errors
    /// [`Error::Broker`]; [`Error::Slow`], after which the connection is not used for new channels
    /// any more, as it is probably dead.
    pub async fn answer<T>(
        &self,
        asked: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Error> {
        let timeout = self.inside.options.timeout;
        match tokio::time::timeout(timeout, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                // Who holds the lock is just making a new one.
                if let Ok(mut current) = self.inside.current.try_lock() {
                    *current = None;
                }
                Err(Error::Slow(timeout))
            }
        }
    }

    /// How long each answer may take.
    pub fn timeout(&self) -> Duration {
        self.inside.options.timeout
    }

    /// Says goodbye, so that the broker need not find out. What was not acknowledged goes back to
    /// its queue. The next call connects again.
    pub async fn close(&self) {
        let connection = self.inside.current.lock().await.take();
        if let Some(connection) = connection {
            let goodbye = connection.close(200, "goodbye".into());
            let _ = tokio::time::timeout(self.inside.options.timeout, goodbye).await;
        }
    }

    async fn connect(&self) -> lapin::Result<Connection> {
        let name = self.inside.options.name.clone();
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        Connection::connect_uri(self.inside.uri.clone(), properties).await
    }
}

impl fmt::Debug for Broker {
    /// Without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.inside.uri.authority.host;
        f.debug_struct("Broker").field("host", host).finish_non_exhaustive()
    }
}
