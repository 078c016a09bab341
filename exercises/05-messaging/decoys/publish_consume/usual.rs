//! What the decoys have in common: a courier as it should be, each step of which can be replaced by
//! a wrong one.

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions,
    BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Consumer};
use messaging::confirms::NotConfirmed;
use messaging::publish_consume::{Courier, Delivered, Drained, Failed, Options, Pause, attempt};
use messaging::{Broker, Error, Message, Topology};
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

pub const BACK: BasicNackOptions = BasicNackOptions { multiple: false, requeue: true };

/// A step of a courier that a decoy may do in its own way.
pub trait Part: Send + Sync + 'static {
    /// Whether the work is called where its panics are caught.
    const CALLS_INSIDE: bool = true;

    fn options(options: Options) -> Options {
        options
    }

    fn properties(message: &Message) -> BasicProperties {
        message.properties()
    }

    fn read(delivery: &Delivery) -> Delivered {
        Delivered { message: Message::delivered(delivery), attempt: attempt(delivery) }
    }

    /// Before the first publish on a channel.
    fn ready(
        topology: &Topology,
        channel: &Channel,
    ) -> impl Future<Output = lapin::Result<()>> + Send {
        async {
            Self::declare(topology, channel).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await
        }
    }

    fn declare(
        topology: &Topology,
        channel: &Channel,
    ) -> impl Future<Output = lapin::Result<()>> + Send {
        topology.declare(channel)
    }

    /// Whether the channel of the last publish can be used for the next.
    fn usable(channel: &Channel, failed: bool) -> bool {
        !failed && channel.status().connected()
    }

    fn send(
        broker: &Broker,
        channel: &Channel,
        exchange: &str,
        message: &Message,
    ) -> impl Future<Output = Result<(), NotConfirmed>> + Send {
        async move {
            let sent = broker.answer(async {
                let (body, properties) = (&message.body, Self::properties(message));
                let (key, options) = (message.key.as_str().into(), BasicPublishOptions::default());
                channel.basic_publish(exchange.into(), key, options, body, properties).await?.await
            });
            match sent.await? {
                Confirmation::Ack(_) => Ok(()),
                _ => Err(NotConfirmed::Refused),
            }
        }
    }

    /// What is declared before a subscription that is not the first.
    fn declare_again(
        topology: &Topology,
        channel: &Channel,
    ) -> impl Future<Output = lapin::Result<()>> + Send {
        Self::declare(topology, channel)
    }

    fn subscribe(
        topology: &Topology,
        channel: &Channel,
        queue: &str,
        prefetch: u16,
    ) -> impl Future<Output = lapin::Result<Consumer>> + Send {
        async move {
            let _ = topology;
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(queue.into(), queue.into(), options, none).await
        }
    }

    /// Has the work done, and says how it ended. Whether it ended well.
    fn settle<F>(at: At, delivery: Delivery, work: F) -> impl Future<Output = bool> + Send
    where
        F: Future<Output = Result<(), Failed>> + Send,
    {
        async move {
            let done = well(work).await;
            let _ = match done {
                true => at.broker.answer(delivery.ack(BasicAckOptions::default())).await,
                false => at.broker.answer(delivery.nack(BACK)).await,
            };
            done
        }
    }

    /// Works off what comes, until it is told to end or the subscription does.
    fn serve<W, F>(
        at: &At,
        deliveries: &mut Consumer,
        crew: &mut JoinSet<bool>,
        work: &Arc<W>,
        until: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> impl Future<Output = Over> + Send
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        take::<Self, _, _>(at, deliveries, crew, work, until)
    }

    /// When it has been told to end.
    fn leave(
        at: &At,
        deliveries: &mut Consumer,
        crew: &mut JoinSet<bool>,
    ) -> impl Future<Output = ()> + Send {
        async {
            give_back(at, deliveries).await;
            let _ = crew;
        }
    }

    /// At the very end.
    fn goodbye(at: &At) -> impl Future<Output = ()> + Send {
        async {
            let _ = at.broker.answer(at.channel.close(200, "goodbye".into())).await;
        }
    }

    /// Whether it begins again.
    fn again(over: &Over) -> bool {
        !matches!(over, Over::Told)
    }

    /// Before it begins again.
    fn rest(crew: &mut JoinSet<bool>, pause: &mut Pause) -> impl Future<Output = ()> + Send {
        async {
            let _ = crew;
            pause.next().await;
        }
    }
}

/// Where a consumer is.
#[derive(Clone)]
pub struct At {
    pub broker: Broker,
    pub channel: Channel,
    pub prefetch: usize,
    /// The channel of the newest subscription.
    pub newest: Arc<Mutex<Option<Channel>>>,
}

/// Why a subscription is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Told,
    Cancelled,
    Lost,
}

/// Work that panics has failed.
pub async fn well(work: impl Future<Output = Result<(), Failed>> + Send) -> bool {
    matches!(AssertUnwindSafe(work).catch_unwind().await, Ok(Ok(())))
}

/// Begins all that comes at once.
pub async fn take<P, W, F>(
    at: &At,
    deliveries: &mut Consumer,
    crew: &mut JoinSet<bool>,
    work: &Arc<W>,
    mut until: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> Over
where
    P: Part + ?Sized,
    W: Fn(Delivered) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failed>> + Send + 'static,
{
    loop {
        tokio::select! {
            biased;
            () = until.as_mut() => return Over::Told,
            delivery = deliveries.next() => match delivery {
                Some(Ok(delivery)) => {
                    let (at, work) = (at.clone(), Arc::clone(work));
                    crew.spawn(async move {
                        let delivered = P::read(&delivery);
                        match P::CALLS_INSIDE {
                            true => {
                                P::settle(at, delivery, async move { work(delivered).await }).await
                            }
                            false => P::settle(at, delivery, work(delivered)).await,
                        }
                    });
                }
                Some(Err(_)) => return Over::Lost,
                None => return Over::Cancelled,
            },
        }
    }
}

pub async fn give_back(at: &At, deliveries: &mut Consumer) {
    let options = BasicCancelOptions::default();
    let _ = at.broker.answer(at.channel.basic_cancel(deliveries.tag(), options)).await;
    let rest = at.broker.answer(async {
        while let Some(delivery) = deliveries.next().await {
            delivery?.nack(BACK).await?;
        }
        Ok(())
    });
    let _ = rest.await;
}

/// The courier of which [`Part`] is a part.
pub struct Usually<P> {
    publishers: Broker,
    consumers: Broker,
    topology: Topology,
    publishing: Mutex<Option<Channel>>,
    part: PhantomData<fn() -> P>,
}

impl<P: Part> Courier for Usually<P> {
    fn open(url: &str, topology: Topology, options: Options) -> Result<Self, Error> {
        let options = P::options(options);
        let publishers = Broker::open(url, options.clone())?;
        let consumers = Broker::open(url, options)?;
        let publishing = Mutex::default();
        Ok(Usually { publishers, consumers, topology, publishing, part: PhantomData })
    }

    async fn publish(&self, message: &Message) -> Result<(), NotConfirmed> {
        let mut kept = self.publishing.lock().await;
        let channel = match kept.clone().filter(|channel| P::usable(channel, false)) {
            Some(channel) => channel,
            None => {
                *kept = None;
                let channel = self.publishers.channel().await?;
                self.publishers.answer(P::ready(&self.topology, &channel)).await?;
                kept.insert(channel).clone()
            }
        };
        let sent = P::send(&self.publishers, &channel, &self.topology.exchange, message).await;
        if !P::usable(&channel, sent.is_err()) {
            *kept = None;
        }
        sent
    }

    async fn consume<W, F>(
        &self,
        queue: &str,
        prefetch: u16,
        work: W,
        until: impl Future<Output = ()> + Send,
    ) -> Result<Drained, Error>
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        let mut until = pin!(until);
        let (work, mut crew, mut pause) = (Arc::new(work), JoinSet::new(), Pause::default());
        let (newest, mut first) = (Arc::default(), true);
        loop {
            let wanted = (queue, prefetch, &newest, first);
            let over = tokio::select! {
                biased;
                () = until.as_mut() => Err(Over::Told),
                begun = self.begin(wanted) => begun,
            };
            let over = match over {
                Ok((at, mut deliveries)) => {
                    first = false;
                    pause.over();
                    let over =
                        P::serve(&at, &mut deliveries, &mut crew, &work, until.as_mut()).await;
                    if over == Over::Told {
                        P::leave(&at, &mut deliveries, &mut crew).await;
                    }
                    let done = ended(&mut crew, over == Over::Told).await;
                    if over == Over::Told {
                        P::goodbye(&at).await;
                        return Ok(done);
                    }
                    over
                }
                Err(over) => over,
            };
            if over == Over::Told || !P::again(&over) {
                return Ok(ended(&mut crew, true).await);
            }
            tokio::select! {
                biased;
                () = until.as_mut() => return Ok(ended(&mut crew, true).await),
                () = P::rest(&mut crew, &mut pause) => {}
            }
        }
    }
}

/// What a crew has done; only at the end is it asked for.
async fn ended(crew: &mut JoinSet<bool>, all: bool) -> Drained {
    let mut drained = Drained::default();
    while let Some(done) = if all { crew.join_next().await } else { None } {
        match done.unwrap_or(false) {
            true => drained.done += 1,
            false => drained.failed += 1,
        }
    }
    drained
}

impl<P: Part> Usually<P> {
    async fn begin(
        &self,
        (queue, prefetch, newest, first): (&str, u16, &Arc<Mutex<Option<Channel>>>, bool),
    ) -> Result<(At, Consumer), Over> {
        let broker = self.consumers.clone();
        let channel = broker.channel().await.map_err(|_| Over::Lost)?;
        let begun = broker.answer(async {
            match first {
                true => P::declare(&self.topology, &channel).await?,
                false => P::declare_again(&self.topology, &channel).await?,
            }
            P::subscribe(&self.topology, &channel, queue, prefetch).await
        });
        let deliveries = begun.await.map_err(|_| Over::Lost)?;
        *newest.lock().await = Some(channel.clone());
        let (prefetch, newest) = (usize::from(prefetch), Arc::clone(newest));
        Ok((At { broker, channel, prefetch, newest }, deliveries))
    }
}
