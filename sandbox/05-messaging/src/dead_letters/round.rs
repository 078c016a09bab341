//! A walk through the dead-letter queue.
//!
//! AMQP has no "look". What is taken with `basic.get` and not answered is out of everybody's sight,
//! and what is given back one by one, in its order, is where it was. So this is how one looks. (Given
//! back with one nack for all, more than 32 come back in no order: measured with RabbitMQ 3.10. So do
//! those of a walk that was cut.)

use super::Inside;
use crate::Error;
use lapin::Channel;
use lapin::acker::Acker;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

/// What it has taken and not answered goes back when it is dropped, with its channel.
pub(super) struct Round<'a> {
    inside: &'a Inside,
    channel: Channel,
    dead: String,
    /// How many are still to come. None of those that come in meanwhile: one that is sent back may
    /// die again at once, and be met again and again.
    left: Option<u32>,
    in_hand: Vec<Acker>,
}

impl<'a> Round<'a> {
    pub(super) async fn begin(inside: &'a Inside) -> Result<Round<'a>, Error> {
        let channel = inside.taking.channel().await?;
        inside.taking.answer(inside.place.declare(&channel)).await?;
        Ok(Round {
            inside,
            channel,
            dead: inside.place.queue().dead(),
            left: None,
            in_hand: Vec::new(),
        })
    }

    /// The next dead letter.
    pub(super) async fn next(&mut self) -> Result<Option<BasicGetMessage>, Error> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let got = self.channel.basic_get(self.dead.as_str().into(), BasicGetOptions::default());
        let got = self.inside.taking.answer(got).await?;
        if let Some(got) = &got {
            self.left = Some(self.left.map_or(got.message_count, |left| left - 1));
        }
        Ok(got)
    }

    /// It is to go back.
    pub(super) fn keep(&mut self, got: &BasicGetMessage) {
        self.in_hand.push(got.acker.clone());
    }

    /// It is elsewhere now.
    pub(super) async fn took(&self, got: &BasicGetMessage) -> Result<(), Error> {
        self.inside.taking.answer(got.ack(BasicAckOptions::default())).await.map(drop)
    }

    /// Gives back what was kept, and waits until the broker has heard all that was said.
    pub(super) async fn put_back(self) -> Result<(), Error> {
        let (dead, none) = (self.dead.as_str().into(), FieldTable::default());
        let said = async {
            for letter in &self.in_hand {
                letter.nack(BasicNackOptions { multiple: false, requeue: true }).await?;
            }
            // Neither a nack nor an ack is answered; a question behind them is.
            let look = QueueDeclareOptions { passive: true, ..Default::default() };
            self.channel.queue_declare(dead, look, none).await?;
            self.channel.close(200, "goodbye".into()).await
        };
        self.inside.taking.answer(said).await
    }
}
