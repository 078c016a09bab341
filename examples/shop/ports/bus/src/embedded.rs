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
//! Consumers on the same [`Embedded`] are woken by a publish at once. For what happens in other
//! processes (or on another handle to the same folder), each handle has a task that looks every
//! [`POLL`]: so an event waits half of that on average, and a process with nothing to do makes 20
//! small reads a second, however many consumers it has.
//!
//! # How durable
//!
//! What was published outlives this process, also when it is killed in the next instant. A power
//! failure or a crash of the operating system may take the last moments with it: `synchronous =
//! NORMAL`, as for every service's own database. The file itself stays whole.

mod consumer;
mod holder;
mod keeper;
mod queue;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shop_contracts::event::Event;
use shop_storage::{Database, Options};
use tokio::sync::Notify;

use crate::{Bus, Consumer, DeadLetter, Error, Soon, Subscription};
use consumer::Queued;
use holder::Holder;
use queue::Message;

/// How often a handle looks for what other processes did.
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
    /// Something was published, or came back: for consumers that wait.
    arrivals: Notify,
    /// Deliveries that were dropped, until the keeper has put them back into their queues.
    abandoned: Mutex<Vec<Message>>,
    /// There are some: for the keeper.
    abandonment: Arc<Notify>,
}

impl Embedded {
    /// The bus in this folder, made if it is not there. To be called in the runtime that it is used
    /// in: its keeper is a task there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no room; [`Error::Defect`] where the folder belongs to
    /// a newer program.
    pub async fn open(folder: &Path) -> Result<Embedded, Error> {
        let url = format!("sqlite://{}", folder.display());
        let database = Database::open(&url, "bus", schema::MIGRATIONS, Options::default()).await?;
        let holders = folder.join("bus.holders");
        holder::sweep(&holders).map_err(|error| Error::Unavailable(Box::new(error)))?;
        let shared = Arc::new(Shared {
            database,
            holders,
            arrivals: Notify::new(),
            abandoned: Mutex::default(),
            abandonment: Arc::default(),
        });
        tokio::spawn(keeper::keep(Arc::downgrade(&shared)));
        Ok(Embedded { shared })
    }

    /// Closes the file, after what is under way. Consumers of this handle find the bus out of
    /// reach from then on, also those who wait.
    pub async fn close(&self) {
        self.shared.database.close().await;
        self.shared.arrivals.notify_waiters();
    }
}

impl Bus for Embedded {
    fn publish<'a>(&'a self, event: &'a Event) -> Soon<'a, ()> {
        Box::pin(async move {
            let body =
                serde_json::to_string(event).map_err(|error| Error::Defect(Box::new(error)))?;
            let queues = queue::wanting(&self.shared.database, &event.kind).await?;
            if queues.is_empty() {
                return Ok(());
            }
            let mut change = self.shared.database.begin().await?;
            queue::put(&mut change, &queues, &body).await?;
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

    fn depth<'a>(&'a self, queue: &'a str) -> Soon<'a, u64> {
        Box::pin(async move { queue::depth(&self.shared.database, queue).await })
    }
}

impl Shared {
    /// Remembers that a delivery was dropped, for the keeper. A destructor may call it.
    fn abandon(&self, message: Message) {
        self.abandoned().push(message);
        self.abandonment.notify_one();
    }

    fn abandoned(&self) -> MutexGuard<'_, Vec<Message>> {
        // A list is whole after each of its operations, also where a thread panicked.
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shop_contracts::event::Type;
    use shop_contracts::id::OrderId;
    use std::pin::pin;
    use std::task::Poll;

    #[tokio::test]
    async fn a_publish_wakes_those_who_wait_and_leaves_it_not_to_the_keeper() {
        let folder = tempfile::tempdir().unwrap();
        let bus = Embedded::open(folder.path()).await.unwrap();
        bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
        let order = OrderId::new();
        let event = Event::new("/orders", Type::OrderPlaced, order, order, json!({}));
        for _ in 0..10 {
            let mut arrival = pin!(bus.shared.arrivals.notified());
            arrival.as_mut().enable();
            bus.publish(&event).await.unwrap();
            let woken = std::future::poll_fn(|context| {
                Poll::Ready(arrival.as_mut().poll(context).is_ready())
            });
            assert!(woken.await);
        }
    }
}
