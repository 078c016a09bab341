//! A walk through a dead-letter queue.
//!
//! AMQP has no "look". What one consumer has held and not answered goes back in its order when its
//! channel ends; what was taken with `basic.get` and given back with a nack may not. So this is how
//! the letters are looked at, as in lesson 05.5. Who dies on the way has taken nothing.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use messaging::Broker;
use messaging::lapin::message::Delivery;
use messaging::lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions,
};
use messaging::lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use messaging::lapin::types::FieldTable;
use messaging::lapin::{self, Channel, Consumer, ErrorKind, Queue};

use crate::Error;

/// As many as a walk can have in hand.
const IN_HAND: u16 = u16::MAX;

/// How long nothing has to come before somebody asks why.
const SILENCE: Duration = Duration::from_millis(50);

pub(super) struct Round<'a> {
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
    /// Through the dead letters of `queue`; `None` where there is no such queue.
    pub(super) async fn begin(broker: &'a Broker, queue: &str) -> Result<Option<Round<'a>>, Error> {
        let (channel, dead) = (broker.channel().await?, format!("{queue}.dlq"));
        let begun = async {
            channel.basic_qos(IN_HAND, BasicQosOptions::default()).await?;
            let left = look(&channel, &dead).await?.message_count();
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            let name = dead.as_str().into();
            Ok((left, channel.basic_consume(name, "".into(), options, none).await?))
        };
        match broker.answer(begun).await {
            Err(messaging::Error::Broker(error)) if is_not_found(&error) => Ok(None),
            begun => {
                let (left, letters) = begun?;
                Ok(Some(Round { broker, channel, letters, dead, left, kept: 0 }))
            }
        }
    }

    /// The next dead letter. It goes back, unless somebody [`took`](Round::took) it.
    pub(super) async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        let patience = Instant::now() + self.broker.timeout();
        while self.left > 0 {
            match tokio::time::timeout(SILENCE, self.letters.next()).await {
                Ok(Some(letter)) => {
                    (self.left, self.kept) = (self.left - 1, self.kept + 1);
                    return Ok(Some(letter.map_err(messaging::Error::from)?));
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
    pub(super) async fn took(&mut self, letter: &Delivery) -> Result<(), Error> {
        self.broker.answer(letter.ack(BasicAckOptions::default())).await?;
        self.kept -= 1;
        Ok(())
    }

    /// Gives back what is in hand. The broker has then heard all that was said.
    pub(super) async fn end(self) -> Result<(), Error> {
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

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(said)
            if *said.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
    )
}
