//! A consumer of the embedded side.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use shop_contracts::event::Event;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::holder::{self, Holder};
use super::queue::{self, Message, Taken};
use super::{POLL, Shared};
use crate::delivery::{Answer, Hold};
use crate::{Consumer, Delivery, Error, Reason, Soon, Subscription};

/// A consumer of one queue.
pub(super) struct Queued {
    taker: Arc<Taker>,
    /// The taking of the next message. A task of its own, because between the commit that takes a
    /// message and the moment it is handed over, the caller may be gone: the task then finishes,
    /// and the next call finds its result.
    taking: Option<JoinHandle<Result<Delivery, Error>>>,
}

struct Taker {
    shared: Arc<Shared>,
    holder: Arc<Holder>,
    queue: String,
    /// A permit for each message that may be unanswered. Closed when the consumer is dropped.
    prefetch: Arc<Semaphore>,
    reaped: Mutex<Option<Instant>>,
}

/// A message in the hands of whoever has the [`Delivery`].
struct Held {
    message: Message,
    shared: Arc<Shared>,
    /// Keeps the holder alive: a delivery may outlive its consumer.
    _holder: Arc<Holder>,
    _permit: OwnedSemaphorePermit,
}

impl Queued {
    pub(super) fn new(shared: Arc<Shared>, holder: Holder, wants: &Subscription<'_>) -> Queued {
        let taker = Taker {
            shared,
            holder: Arc::new(holder),
            queue: wants.queue.to_owned(),
            prefetch: Arc::new(Semaphore::new(usize::from(wants.prefetch.max(1)))),
            reaped: Mutex::default(),
        };
        Queued { taker: Arc::new(taker), taking: None }
    }
}

impl Consumer for Queued {
    fn next(&mut self) -> Soon<'_, Delivery> {
        Box::pin(async move {
            let taker = &self.taker;
            let taking = self.taking.get_or_insert_with(|| tokio::spawn(Arc::clone(taker).next()));
            let taken = taking.await;
            self.taking = None;
            // The task neither panics nor is aborted, but for a runtime that ends.
            taken.unwrap_or_else(|ended| Err(Error::Unavailable(Box::new(ended))))
        })
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        // Ends the task, but not in the middle of a transaction.
        self.taker.prefetch.close();
    }
}

impl Taker {
    async fn next(self: Arc<Taker>) -> Result<Delivery, Error> {
        let closed = || Error::Unavailable("its consumer was dropped".into());
        let permit = Arc::clone(&self.prefetch).acquire_owned().await.map_err(|_| closed())?;
        let (taken, event) = loop {
            // Before looking: what arrives between the look and the wait wakes this as well.
            let arrival = self.shared.arrivals.notified();
            let mut arrival = std::pin::pin!(arrival);
            arrival.as_mut().enable();
            self.shared.put_back().await?;
            self.reap().await?;
            if let Some(taken) = self.take().await? {
                break taken;
            }
            let _ = timeout(POLL, arrival).await;
            if self.prefetch.is_closed() {
                return Err(closed());
            }
        };
        let held = Held {
            message: taken.message,
            shared: Arc::clone(&self.shared),
            _holder: Arc::clone(&self.holder),
            _permit: permit,
        };
        Ok(Delivery::new(event, taken.attempt, Box::new(held)))
    }

    /// Takes the oldest message that nobody has, if there is one.
    async fn take(&self) -> Result<Option<(Taken, Event)>, Error> {
        while queue::has_ready(&self.shared.database, &self.queue).await? {
            let mut change = self.shared.database.begin().await?;
            let Some(taken) = queue::take(&mut change, &self.queue, &self.holder.id).await? else {
                continue;
            };
            if let Ok(event) = serde_json::from_str(&taken.body) {
                change.commit().await?;
                return Ok(Some((taken, event)));
            }
            queue::bury(&mut change, &taken.message, Reason::Unreadable).await?;
            change.commit().await?;
        }
        Ok(None)
    }

    /// Puts back what holders had that are no more. Looks once a [`POLL`], also while there is
    /// plenty to do: or a dead consumer's messages would wait until the queue is empty.
    async fn reap(&self) -> Result<(), Error> {
        if !self.is_time_to_reap() {
            return Ok(());
        }
        for id in queue::holders(&self.shared.database, &self.queue).await? {
            let gone = holder::is_gone(&self.shared.holders, &id);
            if gone.map_err(|error| Error::Unavailable(Box::new(error)))? {
                let mut change = self.shared.database.begin().await?;
                queue::release_all(&mut change, &self.queue, &id).await?;
                change.commit().await?;
            }
        }
        Ok(())
    }

    fn is_time_to_reap(&self) -> bool {
        let mut reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reaped.is_none_or(|at| at.elapsed() >= POLL);
        if due {
            *reaped = Some(Instant::now());
        }
        due
    }
}

impl Hold for Held {
    fn answer(&self, answer: Answer) -> Soon<'_, ()> {
        Box::pin(async move {
            let mut change = self.shared.database.begin().await?;
            match answer {
                Answer::Ack => queue::acknowledge(&mut change, &self.message).await?,
                Answer::Reject => {
                    queue::bury(&mut change, &self.message, Reason::Rejected).await?;
                }
                Answer::Requeue => {
                    if !queue::release(&mut change, &self.message).await? {
                        return Err(Error::Lost);
                    }
                }
            }
            change.commit().await?;
            if answer == Answer::Requeue {
                self.shared.arrivals.notify_waiters();
            }
            Ok(())
        })
    }

    fn abandon(&self) {
        self.shared.abandon(self.message.clone());
    }
}
