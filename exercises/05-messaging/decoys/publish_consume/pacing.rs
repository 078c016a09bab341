//! Those who take too much, or too little.

use super::usual::{At, BACK, Over, Part};
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use messaging::Topology;
use messaging::publish_consume::{Delivered, Failed};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Sets no prefetch. The broker sends all there is to the first who asks, and the others have
/// nothing to do: check `prefetch_is_kept`.
pub struct NoPrefetch;

impl Part for NoPrefetch {
    async fn subscribe(
        _: &Topology,
        channel: &Channel,
        queue: &str,
        _: u16,
    ) -> lapin::Result<Consumer> {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        channel.basic_consume(queue.into(), queue.into(), options, none).await
    }
}

/// Sets it when it has subscribed. It is for the subscriptions that come after: check
/// `prefetch_is_kept`.
pub struct PrefetchTooLate;

impl Part for PrefetchTooLate {
    async fn subscribe(
        _: &Topology,
        channel: &Channel,
        queue: &str,
        prefetch: u16,
    ) -> lapin::Result<Consumer> {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = channel.basic_consume(queue.into(), queue.into(), options, none).await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        Ok(consumer)
    }
}

/// Works in its loop, one message after the other, and keeps the rest of the prefetch waiting for
/// it: check `prefetch_is_kept`.
pub struct OneByOne;

impl Part for OneByOne {
    async fn serve<W, F>(
        at: &At,
        deliveries: &mut Consumer,
        _: &mut JoinSet<bool>,
        work: &Arc<W>,
        mut until: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Over
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        loop {
            let delivery = tokio::select! {
                biased;
                () = until.as_mut() => return Over::Told,
                delivery = deliveries.next() => delivery,
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let work = work(Self::read(&delivery));
                    Self::settle(at.clone(), delivery, work).await;
                }
                Some(Err(_)) => return Over::Lost,
                None => return Over::Cancelled,
            }
        }
    }
}

/// Catches what the work's future throws, and not what is thrown before there is one: the closure
/// looks into the message, and a field is not there. Nobody tells the broker: check `failed_work`.
pub struct CatchesTheFutureOnly;

impl Part for CatchesTheFutureOnly {
    const CALLS_INSIDE: bool = false;
}

/// Calls its work in its own loop, so that a panic of the work is one of the consumer: check
/// `failed_work`.
pub struct PanicIsTheEnd;

impl Part for PanicIsTheEnd {
    async fn serve<W, F>(
        at: &At,
        deliveries: &mut Consumer,
        _: &mut JoinSet<bool>,
        work: &Arc<W>,
        mut until: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Over
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        loop {
            let delivery = tokio::select! {
                biased;
                () = until.as_mut() => return Over::Told,
                delivery = deliveries.next() => delivery,
            };
            match delivery {
                Some(Ok(delivery)) => {
                    let _ = match work(Self::read(&delivery)).await {
                        Ok(()) => at.broker.answer(delivery.ack(BasicAckOptions::default())).await,
                        Err(_) => at.broker.answer(delivery.nack(BACK)).await,
                    };
                }
                Some(Err(_)) => return Over::Lost,
                None => return Over::Cancelled,
            }
        }
    }
}

/// Takes as many as the prefetch says, works them all off, and takes the next when the last of them
/// is done. One that hangs holds up all: check `one_that_hangs`.
pub struct BatchByBatch;

impl Part for BatchByBatch {
    async fn serve<W, F>(
        at: &At,
        deliveries: &mut Consumer,
        crew: &mut JoinSet<bool>,
        work: &Arc<W>,
        mut until: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Over
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        loop {
            let mut batch = Vec::new();
            while batch.len() < at.prefetch {
                let delivery = tokio::select! {
                    biased;
                    () = until.as_mut() => return Over::Told,
                    delivery = deliveries.next() => delivery,
                    // There is no more for now.
                    () = tokio::time::sleep(Duration::from_millis(5)), if !batch.is_empty() => break,
                };
                match delivery {
                    Some(Ok(delivery)) => batch.push(delivery),
                    Some(Err(_)) => return Over::Lost,
                    None => return Over::Cancelled,
                }
            }
            for delivery in batch {
                let work = work(Self::read(&delivery));
                crew.spawn(Self::settle(at.clone(), delivery, work));
            }
            while crew.join_next().await.is_some() {}
        }
    }
}
