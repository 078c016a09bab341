//! The work that is under way, each in a task of its own.

use super::{Delivered, Drained, Failed, attempt};
use crate::{Broker, Message};
use futures_util::FutureExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::task::JoinSet;

/// All of it, over all subscriptions: work outlives the connection over which its message came.
/// What is under way when a crew is dropped is broken off.
pub(super) struct Crew<W> {
    work: Arc<W>,
    /// Whether the work was done.
    under_way: JoinSet<bool>,
    so_far: Drained,
}

impl<W, F> Crew<W>
where
    W: Fn(Delivered) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    pub(super) fn of(work: W) -> Crew<W> {
        Crew { work: Arc::new(work), under_way: JoinSet::new(), so_far: Drained::default() }
    }

    // ANCHOR: work
    /// Begins work in a task of its own: work that computes keeps no other from its delivery, and
    /// work that panics ends nobody else's.
    pub(super) fn begin(&mut self, delivery: Delivery, broker: &Broker) {
        let (work, broker) = (Arc::clone(&self.work), broker.clone());
        let delivered =
            Delivered { attempt: attempt(&delivery), message: Message::delivered(&delivery) };
        self.under_way.spawn(async move {
            let id = delivered.message.id.clone();
            let done = AssertUnwindSafe(async { work(delivered).await }).catch_unwind();
            let done = done.await.unwrap_or_else(|panic| Err(Failed(words_of(&*panic))));
            // Only here. Before, a process that dies would take the message along.
            let said = match &done {
                Ok(()) => broker.answer(delivery.acker.ack(BasicAckOptions::default())).await,
                Err(error) => {
                    tracing::warn!(%id, %error, "work failed, its message goes back");
                    broker.answer(delivery.acker.nack(BACK)).await
                }
            };
            // lapin knows an acknowledgement whose channel is gone, and does not send it: on another
            // channel the same number would be another message's. The broker has given this one
            // back to the queue, and there is nothing to do but to expect it again.
            if !matches!(said, Ok(true)) {
                tracing::warn!(%id, "nobody heard how its work ended: it comes again");
            }
            done.is_ok()
        });
    }
    // ANCHOR_END: work

    /// Waits until some work has ended. For ever, if there is none.
    pub(super) async fn one_ends(&mut self) {
        match self.under_way.join_next().await {
            Some(ended) => self.count(ended.unwrap_or(false)),
            None => std::future::pending().await,
        }
    }

    /// Waits until all work has ended, however it does.
    pub(super) async fn ends(&mut self) -> Drained {
        while let Some(ended) = self.under_way.join_next().await {
            self.count(ended.unwrap_or(false));
        }
        self.so_far
    }

    fn count(&mut self, done: bool) {
        match done {
            true => self.so_far.done += 1,
            false => self.so_far.failed += 1,
        }
    }
}

/// Back to the queue, not to the dead letters.
pub(super) const BACK: BasicNackOptions = BasicNackOptions { multiple: false, requeue: true };

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a panic: {}", words.unwrap_or("without a word"))
}
