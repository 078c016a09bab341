//! Those who cannot leave.

use super::usual::{At, Over, Part, give_back};
use futures_util::StreamExt;
use lapin::Consumer;
use lapin::options::{BasicAckOptions, BasicCancelOptions};
use messaging::publish_consume::{Delivered, Failed};
use std::pin::Pin;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Breaks off what is under way: it comes again, after all, and what was half done is done one and
/// a half times: check `drains`.
pub struct BreaksOff;

impl Part for BreaksOff {
    async fn leave(at: &At, deliveries: &mut Consumer, crew: &mut JoinSet<bool>) {
        crew.abort_all();
        give_back(at, deliveries).await;
    }
}

/// Unsubscribes, and keeps its channel for the next time. What had come over it by then is neither
/// done nor anybody else's: check `drains`.
pub struct KeepsWhatItHas;

impl Part for KeepsWhatItHas {
    async fn leave(at: &At, deliveries: &mut Consumer, _: &mut JoinSet<bool>) {
        let options = BasicCancelOptions::default();
        let _ = at.broker.answer(at.channel.basic_cancel(deliveries.tag(), options)).await;
    }

    async fn goodbye(at: &At) {
        // In its courier, for example.
        std::mem::forget(at.channel.clone());
    }
}

/// Works off what it has already got before it leaves. With a prefetch of a hundred and work of a
/// second, whoever waits for its end kills it: check `drains`.
pub struct TakesTheRest;

impl Part for TakesTheRest {
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
        let never = std::pin::pin!(std::future::pending());
        let told = tokio::select! {
            biased;
            () = until.as_mut() => true,
            over = super::usual::take::<Self, _, _>(at, deliveries, crew, work, never) => return over,
        };
        let options = BasicCancelOptions::default();
        let _ = at.broker.answer(at.channel.basic_cancel(deliveries.tag(), options)).await;
        while let Some(Ok(delivery)) = deliveries.next().await {
            let (at, work) = (at.clone(), Arc::clone(work));
            crew.spawn(async move {
                let delivered = Self::read(&delivery);
                Self::settle(at, delivery, async move { work(delivered).await }).await
            });
        }
        if told { Over::Told } else { Over::Cancelled }
    }
}

/// Asks between two messages whether it should end. It takes one more, and if none comes it never
/// asks: check `drains`.
pub struct WorksOn;

impl Part for WorksOn {
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
        while let Some(delivery) = deliveries.next().await {
            let Ok(delivery) = delivery else { return Over::Lost };
            let (at, work) = (at.clone(), Arc::clone(work));
            crew.spawn(async move {
                let delivered = Self::read(&delivery);
                let done = work(delivered).await.is_ok();
                let _ = at.broker.answer(delivery.ack(BasicAckOptions::default())).await;
                done
            });
            let told = tokio::select! {
                biased;
                () = until.as_mut() => true,
                () = std::future::ready(()) => false,
            };
            if told {
                return Over::Told;
            }
        }
        Over::Cancelled
    }
}

/// A task for each message, which nobody holds. Whoever drops the consumer, at a timeout or with a
/// test, believes that it has ended; what it had begun goes on, with a connection of its own: check
/// `dropped`.
pub struct OutlivesItsConsumer;

impl Part for OutlivesItsConsumer {
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
            let delivery = tokio::select! {
                biased;
                () = until.as_mut() => return Over::Told,
                delivery = deliveries.next() => delivery,
            };
            let delivery = match delivery {
                Some(Ok(delivery)) => delivery,
                Some(Err(_)) => return Over::Lost,
                None => return Over::Cancelled,
            };
            let (at, work) = (at.clone(), Arc::clone(work));
            let task = tokio::spawn(async move {
                let delivered = Self::read(&delivery);
                Self::settle(at, delivery, async move { work(delivered).await }).await
            });
            crew.spawn(async { task.await.unwrap_or(false) });
        }
    }
}
