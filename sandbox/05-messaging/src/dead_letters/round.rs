//! A walk through the dead-letter queue.
//!
//! AMQP has no "look". What is delivered and not answered is out of everybody's sight, and goes back
//! when the channel ends; so this is how one looks. Whoever dies on the way has taken nothing.
//!
//! Not `basic.get` and a nack: RabbitMQ 3.10 returns more than 32 of those in no order, be it with
//! one nack for all or one for each. What one consumer has held goes back in its order.

use crate::{Broker, Error};
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer, Queue};
use std::time::{Duration, Instant};

/// As many as a walk can have in hand.
const IN_HAND: u16 = u16::MAX;
/// How long nothing has to come before somebody asks why.
const SILENCE: Duration = Duration::from_millis(50);

/// A walk through a dead-letter queue, from its oldest letter on. It holds what it has met, and gives
/// back what nobody [`took`](Round::took) when it [ends](Round::end), or when it is dropped.
pub struct Round<'a> {
    broker: &'a Broker,
    channel: Channel,
    letters: Consumer,
    dead: String,
    /// How many are still to come. None of those that come in meanwhile: one that is sent back may
    /// die again at once, and be met again and again.
    left: u32,
    /// How many are to go back.
    kept: u32,
}

impl<'a> Round<'a> {
    /// Through the queue `dead`, on a channel that is nobody else's: it ends with the walk.
    ///
    /// # Errors
    /// [`Error`], in time; a broker that says `NOT_FOUND` has no such queue.
    pub async fn begin(
        broker: &'a Broker,
        channel: Channel,
        dead: String,
    ) -> Result<Round<'a>, Error> {
        let begun = async {
            channel.basic_qos(IN_HAND, BasicQosOptions::default()).await?;
            let left = look(&channel, &dead).await?.message_count();
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let name = dead.as_str().into();
            Ok((left, channel.basic_consume(name, "".into(), options, none).await?))
        };
        let (left, letters) = broker.answer(begun).await?;
        Ok(Round { broker, channel, letters, dead, left, kept: 0 })
    }

    /// The next dead letter. It goes back, unless somebody [`took`](Round::took) it.
    ///
    /// # Errors
    /// [`Error`], in time. All that was in hand goes back by itself.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        let patience = Instant::now() + self.broker.timeout();
        while self.left > 0 {
            match tokio::time::timeout(SILENCE, self.letters.next()).await {
                Ok(Some(letter)) => {
                    (self.left, self.kept) = (self.left - 1, self.kept + 1);
                    return Ok(Some(letter?));
                }
                // The queue was deleted.
                Ok(None) => break,
                Err(_) => {
                    // On its way to us, or in the hands of another who looks?
                    let queue = self.broker.answer(look(&self.channel, &self.dead)).await?;
                    let others = queue.message_count() == 0 && queue.consumer_count() > 1;
                    if others || Instant::now() > patience {
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    /// It is elsewhere now.
    ///
    /// # Errors
    /// [`Error`], in time. The letter may be gone or not.
    pub async fn took(&mut self, letter: &Delivery) -> Result<(), Error> {
        self.broker.answer(letter.ack(BasicAckOptions::default())).await?;
        self.kept -= 1;
        Ok(())
    }

    /// Gives back what is in hand. The broker has then heard all that was said.
    ///
    /// # Errors
    /// [`Error`], in time.
    pub async fn end(self) -> Result<(), Error> {
        self.broker.answer(self.channel.close(200, "goodbye".into())).await?;
        // It comes back a moment later, and whoever looks next should not see a part. Unless others
        // look at the same time; so nobody waits for it for long.
        let channel = self.broker.channel().await?;
        for _ in 0..40 {
            if self.broker.answer(look(&channel, &self.dead)).await?.message_count() >= self.kept {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

async fn look(channel: &Channel, queue: &str) -> lapin::Result<Queue> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    channel.queue_declare(queue.into(), passive, FieldTable::default()).await
}
