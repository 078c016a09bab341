//! A RabbitMQ of one's own: a virtual host, or a whole broker, and the faults that it can play
//! by itself.
//!
//! ```no_run
//! # async fn lesson() -> Result<(), Box<dyn std::error::Error>> {
//! let rabbit = testbed::rabbitmq::private().await?;
//! println!("{}", rabbit.origin());
//! println!("lapin opens {}", rabbit.url());
//! let closed = rabbit.kill_connections().await?; // 320 CONNECTION_FORCED
//! let orders = rabbit.queue("orders").await?.expect("it was declared");
//! println!("{closed} connections closed, {} messages wait", orders.ready);
//! # Ok(()) }
//! ```
//!
//! # A virtual host or a broker
//!
//! [`private`] gives a fresh virtual host, which is deleted with the last handle to it: its
//! queues, exchanges and connections are nobody else's. All programs of this clone are on one
//! broker, which the first of them starts and which stays for five minutes after the last, as
//! starting it takes seconds: docs/decisions/0016-lingering-broker.md. [`process`] gives a
//! broker, for checks that kill or freeze it. [`Rabbit::kill`], [`Rabbit::restart`],
//! [`Rabbit::stop_process`] and [`Rabbit::continue_process`] are refused on a virtual host, whose
//! neighbours they would meet too.
//!
//! # Traps
//!
//! - A restarted broker has what was durable: durable exchanges and queues with their bindings,
//!   and in such queues the messages that were persistent. All else is gone.
//! - The counts in [`Queue`] are the queue's own, true when they were asked for. Those of the
//!   management plugin and of `rabbitmqctl` may be five seconds old for a quorum queue.
//! - A message that was published without a confirm may still be on its way when the counts
//!   are asked for.
//! - A stopped process still accepts connections, as the kernel does that; only heartbeats or a
//!   time limit tell a frozen broker from a slow one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::Missing;
use crate::server::supervised::Trouble;
use crate::server::{self, Address, Holder, Own, Provided, Step};

mod control;
mod recipe;
mod url;

use control::Control;
pub use control::Refusal;
pub use recipe::RECIPE;
pub use url::Target;

/// How often [`Rabbit::wait_for`] looks.
const GLANCE: Duration = Duration::from_millis(2);

/// The broker on which [`private`] makes its virtual hosts, where it is ours alone, as one in a
/// container is. It is never dropped: it ends with the process.
static BROKER: Mutex<Option<Arc<Provided>>> = Mutex::new(None);

/// A virtual host that is empty at first and nobody else's, or a whole broker with one in it.
/// Clones are handles to the same; the last one dropped ends it.
#[derive(Debug, Clone)]
pub struct Rabbit {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    /// While it is open the virtual host is there. Before the broker, so that it goes first.
    made_by: Option<Control>,
    target: Target,
    url: String,
    origin: String,
    broker: Arc<Provided>,
}

/// What a queue holds, at the moment of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Queue {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that consumers have and have not acknowledged.
    pub unacked: u64,
    /// Consumers that are subscribed.
    pub consumers: u64,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ready, unacked, consumers } = self;
        write!(f, "{ready} ready, {unacked} unacked, {consumers} consumers")
    }
}

/// Why an order to the broker was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only a broker that is nobody else's may be killed or stopped.
    #[error(
        "cannot {order} a broker that others use: {origin}\n\
         next: take one with testbed::rabbitmq::process()"
    )]
    NotOurs {
        /// What was asked for.
        order: &'static str,
        /// The broker.
        origin: String,
    },
    /// The broker's process could not be ruled.
    #[error(transparent)]
    Process(#[from] Trouble),
    /// The broker did not answer, or refused.
    #[error("RabbitMQ did not take the order: {cause}\nnext: cargo lab doctor rabbitmq")]
    Order {
        /// What the broker said. In the message, so no `source` for others to append.
        cause: Refusal,
    },
    /// What was waited for did not come.
    #[error("queue `{queue}` had {found} after {after:?}")]
    Late {
        /// The queue.
        queue: String,
        /// What it held at last.
        found: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The thread that should have done it was lost.
    #[error("the order was lost")]
    Lost(#[from] tokio::task::JoinError),
}

/// A fresh virtual host, on a broker by the whole chain: see [`server`].
///
/// # Errors
/// [`Missing`], whose message ends with the one command to run.
pub async fn private() -> Result<Rabbit, Missing> {
    obtain(Rabbit::on_a_broker).await
}

/// A broker of one's own, so that every fault may be played: the chain without shared brokers.
/// Each takes some seconds to start, and 150 MB.
///
/// # Errors
/// [`Missing`], whose message ends with the one command to run.
pub async fn process() -> Result<Rabbit, Missing> {
    obtain(Rabbit::whole).await
}

async fn obtain(how: fn() -> Result<Rabbit, Missing>) -> Result<Rabbit, Missing> {
    // On a blocking thread, so that a paused tokio clock does not run away meanwhile.
    tokio::task::spawn_blocking(how).await.unwrap_or_else(|lost| {
        let next = format!("run it again: the search was interrupted ({lost})");
        Err(Missing { server: RECIPE.name, tried: Vec::new(), next })
    })
}

impl Rabbit {
    fn whole() -> Result<Self, Missing> {
        let broker = Arc::new(server::provide(&RECIPE, &[Step::Url, Step::Kept])?);
        let target = Target::read(&broker.url).map_err(|why| refused(&broker, why))?;
        let (url, origin) = (target.render(), broker.origin.clone());
        Ok(Self { held: Arc::new(Held { made_by: None, target, url, origin, broker }) })
    }

    fn on_a_broker() -> Result<Self, Missing> {
        // Held while a first broker starts: all others wait for it.
        let mut ours = BROKER.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = match ours.as_ref() {
            Some(broker) => Arc::clone(broker),
            None => Arc::new(server::provide(&RECIPE, &[])?),
        };
        if broker.holder.own().is_some() {
            *ours = Some(Arc::clone(&broker));
        }
        drop(ours);

        let target = Target::read(&broker.url).map_err(|why| refused(&broker, why))?;
        let target = target.at(&format!("testbed-{:016x}", rand::random::<u64>()));
        let made = Control::of(&target).and_then(|mut control| {
            control.order(&format!("make {}", target.host()))?;
            Ok(control)
        });
        let made_by =
            made.map_err(|error| refused(&broker, format!("cannot make a virtual host: {error}")))?;
        let (url, origin) = (target.render(), broker.origin.clone());
        Ok(Self { held: Arc::new(Held { made_by: Some(made_by), target, url, origin, broker }) })
    }

    /// What clients open: host, virtual host and credentials. lapin reads it.
    pub fn url(&self) -> &str {
        &self.held.url
    }

    /// The same in parts; [`Target::through`] leads by way of a proxy.
    pub fn target(&self) -> &Target {
        &self.held.target
    }

    /// Where a proxy connects to.
    pub fn address(&self) -> &Address {
        self.held.target.address()
    }

    /// One line for people: what this is and where it comes from.
    pub fn origin(&self) -> impl fmt::Display + '_ {
        &self.held.origin
    }

    /// The broker's process, while it lives and the broker is ours.
    pub fn pid(&self) -> Option<u32> {
        match &self.held.broker.holder {
            Holder::Process(process) => process.pid(),
            _ => None,
        }
    }

    /// The directory in which our own broker works; gone when it is.
    pub fn room(&self) -> Option<PathBuf> {
        match &self.held.broker.holder {
            Holder::Process(process) => Some(process.room().to_owned()),
            _ => None,
        }
    }

    /// Kills the broker as `kill -9` does, and waits for its end. Clients see their connections
    /// closed without a word, then refused. Killing a dead broker is fine.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`].
    pub async fn kill(&self) -> Result<(), Error> {
        self.rule("kill", Own::kill).await
    }

    /// Starts the broker again on the same address and waits, some seconds, until it is ready;
    /// kills it first where it runs. What was durable is there, and nothing else.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`]; [`Error::Process`] when it does not
    /// come up.
    pub async fn restart(&self) -> Result<(), Error> {
        self.rule("restart", Own::restart).await
    }

    /// Freezes the broker with SIGSTOP: connections stay open, nothing answers.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`]; [`Error::Process`] when it is dead.
    pub async fn stop_process(&self) -> Result<(), Error> {
        self.rule("stop", Own::stop).await
    }

    /// Wakes the broker with SIGCONT. What clients sent meanwhile is now carried out.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`]; [`Error::Process`] when it is dead.
    pub async fn continue_process(&self) -> Result<(), Error> {
        self.rule("continue", Own::resume).await
    }

    /// F4: the broker closes every connection to our virtual host with 320 CONNECTION_FORCED, as
    /// an administrator or a shutdown does. Gives their number. When this returns, what their
    /// consumers had not acknowledged is back in its queues.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn kill_connections(&self) -> Result<usize, Error> {
        let answer = self.converse(|hand, host| hand.order(&format!("close {host}"))).await?;
        Ok(answer["closed"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or(0))
    }

    /// F9: what a queue of our virtual host holds; `None` where there is no such queue.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn queue(&self, name: &str) -> Result<Option<Queue>, Error> {
        Ok(self.queues().await?.remove(name))
    }

    /// F9: what each queue of our virtual host holds.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn queues(&self) -> Result<BTreeMap<String, Queue>, Error> {
        self.converse(look).await
    }

    /// Waits until a queue is as wanted, and gives what it then held. A queue that does not
    /// exist is waited for.
    ///
    /// # Errors
    /// [`Error::Late`] when that is not within `patience`; [`Error::Order`].
    pub async fn wait_for<F>(
        &self,
        queue: &str,
        patience: Duration,
        wanted: F,
    ) -> Result<Queue, Error>
    where
        F: Fn(&Queue) -> bool + Send + 'static,
    {
        let name = queue.to_owned();
        let found = self.converse(move |hand, host| {
            let deadline = Instant::now() + patience;
            loop {
                let found = look(hand, host)?.remove(&name);
                match found {
                    Some(queue) if wanted(&queue) => return Ok(Ok(queue)),
                    _ if Instant::now() > deadline => return Ok(Err(found)),
                    _ => std::thread::sleep(GLANCE),
                }
            }
        });
        found.await?.map_err(|found: Option<Queue>| Error::Late {
            queue: queue.into(),
            found: found.map_or("not been declared".into(), |queue| queue.to_string()),
            after: patience,
        })
    }

    /// Opens a connection for one conversation, on a blocking thread, where a paused tokio
    /// clock cannot make its time limits fire.
    async fn converse<T, F>(&self, talk: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Control, &str) -> Result<T, Refusal> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let said = tokio::task::spawn_blocking(move || {
            talk(&mut Control::of(&held.target)?, held.target.host())
        });
        said.await?.map_err(|cause| Error::Order { cause })
    }

    async fn rule<F>(&self, order: &'static str, rule: F) -> Result<(), Error>
    where
        F: FnOnce(&(dyn Own + 'static)) -> Result<(), Trouble> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let done = tokio::task::spawn_blocking(move || {
            match held.broker.holder.own().filter(|_| held.made_by.is_none()) {
                Some(own) => Ok(rule(own)?),
                None => Err(Error::NotOurs { order, origin: held.origin.clone() }),
            }
        });
        done.await?
    }
}

/// The queues of a virtual host.
fn look(hand: &mut Control, host: &str) -> Result<BTreeMap<String, Queue>, Refusal> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        #[serde(flatten)]
        queue: Queue,
    }
    let mut answer = hand.order(&format!("queues {host}"))?;
    let listed: Vec<Named> = serde_json::from_value(answer["queues"].take())
        .map_err(|error| Refusal::Broker(error.to_string()))?;
    Ok(listed.into_iter().map(|found| (found.name, found.queue)).collect())
}

fn refused(broker: &Provided, why: String) -> Missing {
    let next = match broker.step {
        Step::Url => "correct or unset AMQP_URL",
        Step::Kept => "cargo lab down rabbitmq",
        _ => "cargo lab doctor rabbitmq",
    };
    Missing { server: RECIPE.name, tried: vec![(broker.step, why)], next: next.into() }
}
