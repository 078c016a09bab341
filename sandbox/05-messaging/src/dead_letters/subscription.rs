//! One subscription: from a new channel to the end of it.

use super::crew::Crew;
use super::{Delivered, Inside, Verdict};
use crate::Error;
use futures_util::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::protocol::AMQPErrorKind::Soft;
use lapin::protocol::AMQPSoftError::PRECONDITIONFAILED;
use lapin::types::FieldTable;
use lapin::{Channel, Consumer, ErrorKind};
use std::pin::Pin;
use std::time::Duration;

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

/// Subscribes, and has the crew work off what comes.
pub(super) async fn subscribe<W, F>(
    inside: &Inside,
    crew: &mut Crew<W>,
    pause: &mut Duration,
    mut until: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Over
where
    W: Fn(Delivered) -> F + Send + Sync + 'static,
    F: Future<Output = Verdict> + Send + 'static,
{
    let begun = tokio::select! {
        biased;
        () = until.as_mut() => return Over::Told,
        begun = begin(inside) => begun,
    };
    let (channel, mut deliveries) = match begun {
        Ok(begun) => begun,
        Err(error) if is_otherwise(&error) => return Over::Refused(error),
        Err(error) => return Over::Lost(error),
    };
    *pause = Duration::from_millis(50);
    loop {
        tokio::select! {
            // In this order: whoever is told to end begins nothing more.
            biased;
            () = until.as_mut() => break,
            delivery = deliveries.next() => match delivery {
                Some(Ok(delivery)) => crew.begin(delivery),
                Some(Err(error)) => return Over::Lost(error.into()),
                None => return Over::Cancelled,
            },
            () = crew.one_ends() => {}
        }
    }
    let left = inside.taking.answer(leave(&channel, deliveries)).await;
    crew.ends().await;
    // The last acknowledgements are written; when the broker has said goodbye it has read them.
    let closed = inside.taking.answer(channel.close(200, "goodbye".into())).await;
    if let Err(error) = left.and(closed) {
        tracing::warn!(%error, "left without a word: what was held goes back by itself");
    }
    Over::Told
}

/// The one way to a subscription, at the start and after every loss.
async fn begin(inside: &Inside) -> Result<(Channel, Consumer), Error> {
    let channel = inside.taking.channel().await?;
    let subscribed = async {
        inside.place.declare(&channel).await?;
        // In AMQP, 0 means without limit.
        let prefetch = inside.options.prefetch.max(1);
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let queue = inside.place.queue().name.as_str();
        channel.basic_consume(queue.into(), "".into(), options, none).await
    };
    let consumer = inside.taking.answer(subscribed).await?;
    Ok((channel, consumer))
}

/// Ends the subscription, and gives back what came and was not begun.
async fn leave(channel: &Channel, mut deliveries: Consumer) -> lapin::Result<()> {
    channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await?;
    // What the broker had sent before it heard of it. Nobody has failed at it: a nack, which from
    // RabbitMQ 4.3 on costs no attempt.
    let back = BasicNackOptions { multiple: false, requeue: true };
    while let Some(delivery) = deliveries.next().await {
        delivery?.nack(back).await?;
    }
    Ok(())
}

/// A 406 to a declaration: what is there is otherwise, and stays so.
fn is_otherwise(error: &Error) -> bool {
    match error {
        Error::Broker(error) => match error.kind() {
            ErrorKind::ProtocolError(said) => *said.kind() == Soft(PRECONDITIONFAILED),
            _ => false,
        },
        _ => false,
    }
}
