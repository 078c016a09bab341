//! The work that is under way, and what its verdicts come to.

use super::{Delivered, Drained, Inside, Reason, Verdict, attempt, letter};
use crate::Message;
use futures_util::FutureExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// All of it, over all subscriptions. What is under way when a crew is dropped is broken off.
pub(super) struct Crew<W> {
    inside: Arc<Inside>,
    work: Arc<W>,
    under_way: JoinSet<Became>,
    /// Whether nobody is to wait in a pause any more.
    over: watch::Sender<bool>,
    so_far: Drained,
}

/// What became of a delivery.
#[derive(Clone, Copy)]
enum Became {
    Done,
    Again,
    Dead,
}

impl<W, F> Crew<W>
where
    W: Fn(Delivered) -> F + Send + Sync + 'static,
    F: Future<Output = Verdict> + Send + 'static,
{
    pub(super) fn of(inside: Arc<Inside>, work: W) -> Crew<W> {
        let (work, under_way) = (Arc::new(work), JoinSet::new());
        Crew {
            inside,
            work,
            under_way,
            over: watch::Sender::new(false),
            so_far: Drained::default(),
        }
    }

    /// Begins work in a task of its own: a message that fails, or hangs, keeps no other.
    pub(super) fn begin(&mut self, delivery: Delivery) {
        let (work, inside) = (Arc::clone(&self.work), Arc::clone(&self.inside));
        let over = self.over.subscribe();
        let (message, attempt) = (Message::delivered(&delivery), attempt(&delivery));
        self.under_way.spawn(async move {
            let work = AssertUnwindSafe(async { work(Delivered { message, attempt }).await });
            let verdict = work.catch_unwind().await.unwrap_or_else(|panic| words_of(&*panic));
            inside.carry_out(&delivery, verdict, over).await
        });
    }

    /// Waits until some work has ended. For ever, if there is none.
    pub(super) async fn one_ends(&mut self) {
        match self.under_way.join_next().await {
            Some(ended) => self.count(ended.ok()),
            None => std::future::pending().await,
        }
    }

    /// Ends all pauses, and waits until all work has ended.
    pub(super) async fn ends(&mut self) -> Drained {
        self.over.send_replace(true);
        while let Some(ended) = self.under_way.join_next().await {
            self.count(ended.ok());
        }
        self.so_far
    }

    fn count(&mut self, became: Option<Became>) {
        match became {
            Some(Became::Done) => self.so_far.done += 1,
            Some(Became::Dead) => self.so_far.dead += 1,
            Some(Became::Again) | None => self.so_far.again += 1,
        }
    }
}

impl Inside {
    // ANCHOR: verdict
    async fn carry_out(
        &self,
        delivery: &Delivery,
        verdict: Verdict,
        mut over: watch::Receiver<bool>,
    ) -> Became {
        let attempt = attempt(delivery);
        match verdict {
            Verdict::Done => {
                self.tell(delivery.ack(BasicAckOptions::default())).await;
                Became::Done
            }
            Verdict::Again(why) if attempt < self.place.queue().deliveries => {
                tracing::warn!(attempt, why, "work failed, its message goes back");
                // Held here it takes one place of the prefetch, and the others go on in the rest.
                // Given back at once, it would be here again at once.
                let _ = tokio::time::timeout(self.options.pause, over.wait_for(|over| *over)).await;
                // Not a nack: from RabbitMQ 4.3 on that would not count.
                self.tell(delivery.reject(BasicRejectOptions { requeue: true })).await;
                Became::Again
            }
            Verdict::Again(why) => self.bury(delivery, &Reason::DeliveryLimit, &why).await,
            Verdict::Never(why) => self.bury(delivery, &Reason::Rejected, &why).await,
        }
    }
    // ANCHOR_END: verdict

    // ANCHOR: bury
    async fn bury(&self, delivery: &Delivery, reason: &Reason, why: &str) -> Became {
        let (dead, envelope) = (self.place.queue().dead(), letter::closed(delivery, reason, why));
        for _ in 0..2 {
            match self.sender.send("", &dead, &delivery.data, envelope.clone()).await {
                Ok(()) => {
                    // Only now. Who dies before this line leaves it in both queues.
                    self.tell(delivery.ack(BasicAckOptions::default())).await;
                    return Became::Dead;
                }
                Err(error) => tracing::warn!(%error, dead, "a dead letter was not confirmed"),
            }
        }
        // Rather without its words than not at all: the broker keeps it until it has room there.
        self.tell(delivery.reject(BasicRejectOptions { requeue: false })).await;
        Became::Dead
    }
    // ANCHOR_END: bury

    /// The broker does not answer an answer. One whose channel is gone is not sent: the message is
    /// in its queue again, and there is nothing to do but to expect it.
    async fn tell(&self, said: impl Future<Output = lapin::Result<bool>>) {
        if !matches!(self.taking.answer(said).await, Ok(true)) {
            tracing::warn!("nobody heard what became of a message: it comes again");
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> Verdict {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Verdict::Again(format!("a panic: {}", words.unwrap_or("without a word")))
}
