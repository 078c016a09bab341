//! One subscription: from a new channel to the end of it.

use super::crew::{BACK, Crew};
use super::{Delivered, Failed, Pause};
use crate::{Broker, Error, Topology};
use futures_util::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::protocol::AMQPErrorKind::Soft;
use lapin::protocol::AMQPSoftError::PRECONDITIONFAILED;
use lapin::types::FieldTable;
use lapin::{Channel, Consumer, ErrorKind};
use std::pin::Pin;
use tokio::task::JoinError;

/// What to consume, and from where.
pub(super) struct Subscription<'a> {
    pub(super) broker: &'a Broker,
    pub(super) topology: &'a Topology,
    pub(super) queue: &'a str,
    pub(super) prefetch: u16,
}

/// Why a subscription is over.
pub(super) enum Over {
    /// `until` was.
    Told,
    /// The broker has ended it, most likely with its queue.
    Cancelled,
    /// Something broke.
    Lost(Error),
    /// It will never come about.
    Refused(Error),
}

impl Subscription<'_> {
    /// Subscribes, and has the crew work off what comes.
    pub(super) async fn serve<W, F>(
        &self,
        crew: &mut Crew<W>,
        pause: &mut Pause,
        mut until: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Over
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        let begun = tokio::select! {
            biased;
            () = until.as_mut() => return Over::Told,
            begun = self.begin() => begun,
        };
        let (channel, mut deliveries) = match begun {
            Ok(begun) => begun,
            Err(over) => return over,
        };
        pause.over();
        loop {
            tokio::select! {
                // In this order: whoever is told to end begins nothing more, and what has ended is
                // not kept for as long as there is more to do.
                biased;
                () = until.as_mut() => break,
                () = crew.one_ends() => {}
                delivery = deliveries.next() => match delivery {
                    Some(Ok(delivery)) => crew.begin(delivery, self.broker),
                    Some(Err(error)) => return Over::Lost(error.into()),
                    None => return Over::Cancelled,
                },
            }
        }
        self.leave(&channel, deliveries).await;
        crew.ends().await;
        // The last acknowledgements are written; when the broker has said goodbye it has read them.
        let _ = self.broker.answer(channel.close(200, "goodbye".into())).await;
        Over::Told
    }

    // ANCHOR: begin
    /// The one way to a subscription, at the start and after every loss.
    async fn begin(&self) -> Result<(Channel, Consumer), Over> {
        let channel = self.broker.channel().await.map_err(Over::Lost)?;
        self.broker.answer(self.topology.declare(&channel)).await.map_err(refused)?;
        let (on, queue, prefetch) = (channel.clone(), self.queue.to_owned(), self.prefetch);
        // In a task, which comes to its end also when nobody waits for it any more: whoever leaves
        // while the answer is on its way would have a subscription of which nobody knows.
        let subscribing = tokio::spawn(async move {
            // Before the subscription: it is no limit for one that stands already.
            on.basic_qos(prefetch, BasicQosOptions::default()).await?;
            // Called like its queue, as there is one on a channel: whoever looks can read it.
            let (name, options) = (queue.as_str().into(), BasicConsumeOptions::default());
            on.basic_consume(queue.as_str().into(), name, options, FieldTable::default()).await
        });
        let subscribed = self.broker.answer(async { subscribing.await.map_err(ended)? });
        let consumer = subscribed.await.map_err(Over::Lost)?;
        Ok((channel, consumer))
    }
    // ANCHOR_END: begin

    /// Ends the subscription, and gives back what came and was not begun.
    async fn leave(&self, channel: &Channel, mut deliveries: Consumer) {
        let left = self.broker.answer(async {
            channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await?;
            // What the broker had sent before it heard of it.
            while let Some(delivery) = deliveries.next().await {
                delivery?.acker.nack(BACK).await?;
            }
            Ok(())
        });
        // If that cannot be said, the connection is lost, and all of it goes back by itself.
        if let Err(error) = left.await {
            tracing::warn!(queue = self.queue, %error, "left without a word");
        }
    }
}

/// The task has ended without an answer: its runtime is ending.
fn ended(error: JoinError) -> lapin::Error {
    std::io::Error::other(error).into()
}

/// A 406 to a declaration: what is there is otherwise, and stays so.
fn refused(error: Error) -> Over {
    let otherwise = match &error {
        Error::Broker(error) => match error.kind() {
            ErrorKind::ProtocolError(said) => *said.kind() == Soft(PRECONDITIONFAILED),
            _ => false,
        },
        _ => false,
    };
    if otherwise { Over::Refused(error) } else { Over::Lost(error) }
}
