//! A message in a consumer's hands, and one that nobody could deal with.

use std::fmt;

use shop_contracts::event::Event;

use crate::{Error, Soon};

/// A message in a consumer's hands, until it is answered.
///
/// Dropped without an answer, it goes back to its queue, and the attempt counts: work that
/// panicked or was cancelled has failed. It does so a moment later, and what waits behind it may
/// overtake it.
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// For the how-manieth time this queue delivers it, from 1 on.
    pub attempt: u32,
    hold: Option<Box<dyn Hold>>,
}

/// How a side keeps a message for the consumer that has it.
pub(crate) trait Hold: Send + Sync {
    fn answer(&self, answer: Answer) -> Soon<'_, ()>;

    /// Whoever had it let it go. At once, since it is called from a destructor.
    fn abandon(&self);
}

/// What a consumer says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ack,
    Requeue,
    Reject,
}

impl Delivery {
    pub(crate) fn new(event: Event, attempt: u32, hold: Box<dyn Hold>) -> Delivery {
        Delivery { event, attempt, hold: Some(hold) }
    }

    /// Whether somebody has had it before. They may have done all of the work, or some of it.
    pub fn redelivered(&self) -> bool {
        self.attempt > 1
    }

    /// The work is done, and its result is safe: the queue may forget the message.
    ///
    /// `Ok` says that the answer is on its way. RabbitMQ does not answer it, and it may be lost with
    /// its connection: do the work so that doing it twice is no harm.
    ///
    /// # Errors
    /// [`Error::Lost`], or whatever the bus says. The message comes again, unless the answer had
    /// arrived.
    pub async fn ack(self) -> Result<(), Error> {
        self.answer(Answer::Ack).await
    }

    /// The work failed and may succeed later: back into the queue, near its old place. It may come
    /// again at once. If it has been delivered often enough, it is dead-lettered instead.
    ///
    /// # Errors
    /// As for [`Delivery::ack`].
    pub async fn requeue(self) -> Result<(), Error> {
        self.answer(Answer::Requeue).await
    }

    /// The work can never succeed: into the dead-letter queue.
    ///
    /// # Errors
    /// As for [`Delivery::ack`].
    pub async fn reject(self) -> Result<(), Error> {
        self.answer(Answer::Reject).await
    }

    async fn answer(mut self, answer: Answer) -> Result<(), Error> {
        if let Some(hold) = &self.hold {
            hold.answer(answer).await?;
        }
        // Only now: where the answer failed, or this future was dropped, the destructor lets go.
        self.hold = None;
        Ok(())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(hold) = &self.hold {
            hold.abandon();
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivery { event, attempt, .. } = self;
        f.debug_struct("Delivery").field("event", event).field("attempt", attempt).finish()
    }
}

/// A message that nobody could deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What was published, to the byte: it may be no event at all.
    pub body: String,
    /// How often it was delivered, where the side still knows: RabbitMQ forgets it on the way.
    pub attempts: Option<u32>,
    /// Why it is here.
    pub reason: Reason,
    /// Since when: microseconds since 1970, UTC. RabbitMQ notes the second.
    pub at: i64,
}

impl DeadLetter {
    /// The event.
    ///
    /// # Errors
    /// What is wrong with the body, for a reason of [`Reason::Unreadable`].
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        serde_json::from_str(&self.body)
    }
}

/// Why a message is in a dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer said that it can never succeed. In `x-death`: `rejected`.
    Rejected,
    /// It was delivered as often as its queue allows, and nobody acknowledged it. In `x-death`:
    /// `delivery_limit`.
    DeliveryLimit,
    /// It is no event. The port rejects it for the consumer, which could not have been given it.
    Unreadable,
}

impl Reason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::DeliveryLimit => "delivery_limit",
            Reason::Unreadable => "unreadable",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Reason> {
        let all = [Reason::Rejected, Reason::DeliveryLimit, Reason::Unreadable];
        all.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
