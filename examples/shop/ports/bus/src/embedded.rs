//! The embedded side: queues as rows of a SQLite file.
//!
//! # How a message is held
//!
//! A row whose `holder` is set is in a consumer's hands. A holder is alive as long as it keeps a
//! lock on a file of its own, which the operating system takes from a process that ends, however
//! it ends. So a dead consumer's messages are free within a moment, and a slow one's never are: no
//! lease to guess, no clock to trust. That is AMQP's rule as well, where a connection is what lives
//! or not. A process that is merely stopped keeps its messages until it goes on or is killed.
//!
//! # Who wakes whom
//!
//! Consumers on the same [`Embedded`] are woken by a publish at once. Those in other processes (or
//! on another handle to the same folder) look every [`POLL`]: a message for them waits half of that
//! on average, and a consumer with nothing to do costs 20 small reads a second.
//!
//! # How durable
//!
//! What was published outlives this process, also when it is killed in the next instant. A power
//! failure or a crash of the operating system may take the last moments with it: `synchronous =
//! NORMAL`, as for every service's own database. The file itself stays whole.

mod consumer;
mod holder;
mod queue;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shop_contracts::event::Event;
use shop_storage::{Database, Options};
use tokio::sync::Notify;

use crate::{Bus, Consumer, DeadLetter, Error, Soon, Subscription};
use consumer::Queued;
use holder::Holder;
use queue::Message;

/// How often a consumer looks for what other processes did.
const POLL: Duration = Duration::from_millis(50);

/// The bus in a folder: the file `bus.db`, and `bus.holders` beside it. Clones are handles to the
/// same; several processes may open the same folder.
#[derive(Clone, Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    database: Database,
    holders: PathBuf,
    /// Something was published here, or came back.
    arrivals: Notify,
    /// Deliveries that were dropped, until somebody has time to put them back into their queues.
    abandoned: Mutex<Vec<Message>>,
}

impl Embedded {
    /// The bus in this folder, made if it is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no room; [`Error::Defect`] where the folder belongs to
    /// a newer program.
    pub async fn open(folder: &Path) -> Result<Embedded, Error> {
        let url = format!("sqlite://{}", folder.display());
        let database = Database::open(&url, "bus", schema::MIGRATIONS, Options::default()).await?;
        let holders = folder.join("bus.holders");
        holder::sweep(&holders).map_err(|error| Error::Unavailable(Box::new(error)))?;
        Ok(Embedded {
            shared: Arc::new(Shared {
                database,
                holders,
                arrivals: Notify::new(),
                abandoned: Mutex::default(),
            }),
        })
    }

    /// Closes the file, after what is under way. Consumers of this handle find the bus out of
    /// reach from then on.
    pub async fn close(&self) {
        self.shared.database.close().await;
    }
}

impl Bus for Embedded {
    fn publish<'a>(&'a self, event: &'a Event) -> Soon<'a, ()> {
        Box::pin(async move {
            let body =
                serde_json::to_string(event).map_err(|error| Error::Defect(Box::new(error)))?;
            let mut change = self.shared.database.begin().await?;
            queue::route(&mut change, &event.kind, &body).await?;
            change.commit().await?;
            self.shared.arrivals.notify_waiters();
            Ok(())
        })
    }

    fn subscribe<'a>(&'a self, subscription: Subscription<'a>) -> Soon<'a, Box<dyn Consumer>> {
        Box::pin(async move {
            let mut change = self.shared.database.begin().await?;
            queue::declare(&mut change, &subscription).await?;
            change.commit().await?;
            let holder = Holder::new(&self.shared.holders)
                .map_err(|error| Error::Unavailable(Box::new(error)))?;
            let consumer = Queued::new(Arc::clone(&self.shared), holder, &subscription);
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn dead_letters<'a>(&'a self, queue: &'a str) -> Soon<'a, Vec<DeadLetter>> {
        Box::pin(async move { queue::dead_letters(&self.shared.database, queue).await })
    }

    fn redrive<'a>(&'a self, queue: &'a str) -> Soon<'a, u64> {
        Box::pin(async move {
            let mut change = self.shared.database.begin().await?;
            let moved = queue::redrive(&mut change, queue).await?;
            change.commit().await?;
            self.shared.arrivals.notify_waiters();
            Ok(moved)
        })
    }
}

impl Shared {
    /// To be called from a destructor: remembers that a delivery was dropped, and wakes somebody
    /// who puts it back.
    fn abandon(&self, message: Message) {
        self.abandoned().push(message);
        self.arrivals.notify_waiters();
    }

    /// Puts back what was dropped. Where that fails, it stays remembered.
    async fn put_back(&self) -> Result<(), Error> {
        let messages = std::mem::take(&mut *self.abandoned());
        if messages.is_empty() {
            return Ok(());
        }
        let outcome = async {
            let mut change = self.database.begin().await?;
            for message in &messages {
                queue::release(&mut change, message).await?;
            }
            change.commit().await?;
            Ok::<_, Error>(())
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            // Released twice is no harm: the second time there is no such row.
            self.abandoned().extend(messages);
        } else {
            self.arrivals.notify_waiters();
        }
        outcome
    }

    fn abandoned(&self) -> std::sync::MutexGuard<'_, Vec<Message>> {
        // A list is whole after each of its operations, also where a thread panicked.
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
