//! Those who say too early, too late, or nothing, or to the wrong one.

use super::usual::{At, BACK, Part, well};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use messaging::Topology;
use messaging::publish_consume::Failed;

/// `no_ack`: the broker takes a message for done when it has sent it. What a process has received
/// and not done goes with it: check `killed_consumer`.
pub struct AutoAck;

impl Part for AutoAck {
    async fn subscribe(
        _: &Topology,
        channel: &Channel,
        queue: &str,
        prefetch: u16,
    ) -> lapin::Result<Consumer> {
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default()).await
    }

    async fn settle<F>(_: At, _: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        well(work).await
    }
}

/// Acknowledges, so that the message is out of the way, and then works: check `ack_after_work`.
pub struct AckBeforeTheWork;

impl Part for AckBeforeTheWork {
    async fn settle<F>(at: At, delivery: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        let _ = at.broker.answer(delivery.ack(BasicAckOptions::default())).await;
        well(work).await
    }
}

/// Acknowledges when the work has ended, however it has: check `failed_work`.
pub struct AcksWhateverCame;

impl Part for AcksWhateverCame {
    async fn settle<F>(at: At, delivery: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        let done = well(work).await;
        let _ = at.broker.answer(delivery.ack(BasicAckOptions::default())).await;
        done
    }
}

/// Rejects without `requeue`, and the message is dead after one failure: check `failed_work`.
pub struct RejectsForGood;

impl Part for RejectsForGood {
    async fn settle<F>(at: At, delivery: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        let done = well(work).await;
        let _ = match done {
            true => at.broker.answer(delivery.ack(BasicAckOptions::default())).await,
            false => at.broker.answer(delivery.nack(BasicNackOptions::default())).await,
        };
        done
    }
}

/// Acknowledges what is done, and says nothing of what is not. It stays unacknowledged, and takes a
/// place of the prefetch, until the connection ends: check `failed_work`.
pub struct ForgetsFailures;

impl Part for ForgetsFailures {
    async fn settle<F>(at: At, delivery: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        let done = well(work).await;
        if done {
            let _ = at.broker.answer(delivery.ack(BasicAckOptions::default())).await;
        }
        done
    }
}

/// Acknowledges with `multiple`, to save messages: with this one all that came before it, done or
/// not: check `one_that_hangs`.
pub struct AcksAllBefore;

impl Part for AcksAllBefore {
    async fn settle<F>(at: At, delivery: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        let done = well(work).await;
        let all = BasicAckOptions { multiple: true };
        let _ = match done {
            true => at.broker.answer(delivery.ack(all)).await,
            false => at.broker.answer(delivery.nack(BACK)).await,
        };
        done
    }
}

/// Acknowledges a number on the channel that it has now. After a new connection that is the number
/// of another message, which is under way: check `late_acknowledgement`.
pub struct AcksByNumber;

impl Part for AcksByNumber {
    async fn settle<F>(at: At, delivery: Delivery, work: F) -> bool
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        let done = well(work).await;
        let newest = at.newest.lock().await.clone();
        if let Some(channel) = newest {
            let tag = delivery.delivery_tag;
            let _ = match done {
                true => at.broker.answer(channel.basic_ack(tag, BasicAckOptions::default())).await,
                false => at.broker.answer(channel.basic_nack(tag, BACK)).await,
            };
        }
        done
    }
}
