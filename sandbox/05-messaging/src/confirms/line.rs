//! One channel in confirm mode, and all that is on its way there.
//!
//! # Which one was sent back
//!
//! For a message that no queue wants the broker sends `basic.return`, with the whole message in it,
//! and then confirms it like any other. The return does not say the delivery tag. lapin hands it to
//! the first confirm that comes next, and one frame may confirm a hundred messages (`multiple`),
//! which lapin goes through in no order. So [`Confirmation::Ack`] with a message says that *a*
//! message was sent back, not that *this* one was.
//!
//! What was sent back tells by its content which it was. But when is it certain that a message was
//! not? Each return comes before its own confirm, and each confirm takes the oldest return that
//! nobody has taken. So while a return is seen whose own message is not confirmed yet, others may
//! still wait to be taken, and everything that is confirmed meanwhile is in doubt. Once there is no
//! such return, none waits: n confirms have taken n returns, those of their own messages, and no
//! more had come. For that, confirms must be looked at without a gap: see `Line::look`.
//!
//! Source: RabbitMQ, [When will published messages be
//! confirmed](https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed).

use super::NotConfirmed;
use crate::{Broker, Error, Message};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use std::collections::HashMap;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// A message as it goes on the wire.
pub(super) struct Letter {
    exchange: ShortString,
    key: ShortString,
    properties: BasicProperties,
    body: Vec<u8>,
}

impl Letter {
    pub(super) fn new(exchange: &str, message: &Message) -> Letter {
        let (exchange, key) = (exchange.into(), message.key.as_str().into());
        Letter { exchange, key, properties: message.properties(), body: message.body.clone() }
    }

    /// Two that are alike in all of this are the same message twice, whichever of them it was. A
    /// broker may write headers of its own beside ours.
    fn is(&self, returned: &BasicReturnMessage) -> bool {
        self.exchange == returned.exchange
            && self.key == returned.routing_key
            && self.properties.message_id() == returned.properties.message_id()
            && self.body == returned.data
            && self.headers().all(|(name, value)| {
                let there = returned.properties.headers().as_ref();
                there.and_then(|headers| headers.inner().get(name)) == Some(value)
            })
    }

    fn headers(&self) -> impl Iterator<Item = (&ShortString, &AMQPValue)> {
        self.properties.headers().iter().flat_map(FieldTable::inner)
    }
}

/// A message that is to be sent, and who wants to know.
pub(super) struct Order {
    pub(super) letter: Arc<Letter>,
    pub(super) tell: oneshot::Sender<Result<(), NotConfirmed>>,
    /// Goes back when it is told, or given up, whether or not the caller still listens.
    pub(super) room: OwnedSemaphorePermit,
}

impl Order {
    fn tell(self, outcome: Result<(), NotConfirmed>) {
        drop(self.room);
        // Who does not listen any more has gone.
        let _ = self.tell.send(outcome);
    }
}

/// The near end of a line. Its far end is a task, so that what was sent does not depend on whether
/// the caller still waits.
pub(super) struct Line {
    channel: Channel,
    orders: mpsc::UnboundedSender<Order>,
}

impl Line {
    pub(super) async fn open(broker: &Broker) -> Result<Line, Error> {
        let channel = broker.channel().await?;
        broker.answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        // The window bounds it.
        let (sender, orders) = mpsc::unbounded_channel();
        let far_end = FarEnd {
            broker: broker.clone(),
            channel: channel.clone(),
            sent: HashMap::new(),
            next: 0,
            on_their_way: FuturesUnordered::new(),
            confirmed: Vec::new(),
            early: 0,
            broken: None,
        };
        tokio::spawn(far_end.run(orders));
        Ok(Line { channel, orders: sender })
    }

    /// Whether it has any use to send here, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.channel.status().connected() && !self.orders.is_closed()
    }

    pub(super) fn take(&self, order: Order) {
        if let Err(mpsc::error::SendError(order)) = self.orders.send(order) {
            order.tell(Err(lost().into()));
        }
    }
}

/// The line was lost, and nobody could say how.
pub(super) fn lost() -> Error {
    Error::Broker(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())
}

type OnItsWay = Pin<Box<dyn Future<Output = (u64, Result<Confirmation, Error>)> + Send>>;

struct FarEnd {
    broker: Broker,
    channel: Channel,
    /// What nobody has been told of, by a number of our own.
    sent: HashMap<u64, Sent>,
    next: u64,
    on_their_way: FuturesUnordered<OnItsWay>,
    /// Confirmed, and not told yet.
    confirmed: Vec<(u64, Confirmation)>,
    /// How many were sent back and are not confirmed yet. While there is one, all is in doubt.
    early: usize,
    broken: Option<Error>,
}

struct Sent {
    order: Order,
    sent_back: bool,
    confirmed: bool,
}

impl FarEnd {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut open = true;
        while self.broken.is_none() && (open || !self.on_their_way.is_empty()) {
            tokio::select! {
                order = orders.recv(), if open => match order {
                    Some(order) => self.send(order),
                    None => open = false,
                },
                () = poll_fn(|context| self.look(context)), if !self.on_their_way.is_empty() => {}
            }
        }
        // What was confirmed before the line broke is known, also if nobody has looked yet.
        poll_fn(|context| {
            let _ = self.look(context);
            Poll::Ready(())
        })
        .await;
        orders.close();
        let error = self.broken.unwrap_or_else(lost);
        for (_, sent) in self.sent.drain() {
            // What was seen to come back is nowhere, whatever came after.
            let key = sent.order.letter.key.to_string();
            sent.order.tell(Err(match sent.sent_back {
                true => NotConfirmed::Unroutable { key },
                false => error.clone().into(),
            }));
        }
        while let Some(order) = orders.recv().await {
            order.tell(Err(error.clone().into()));
        }
    }

    fn send(&mut self, order: Order) {
        let (number, letter) = (self.next, Arc::clone(&order.letter));
        self.next += 1;
        self.sent.insert(number, Sent { order, sent_back: false, confirmed: false });
        let (broker, channel) = (self.broker.clone(), self.channel.clone());
        let mut on_its_way: OnItsWay = Box::pin(async move {
            let Letter { exchange, key, properties, body } = &*letter;
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let confirmed = async {
                let (exchange, key) = (exchange.clone(), key.clone());
                channel.basic_publish(exchange, key, options, body, properties.clone()).await?.await
            };
            (number, broker.answer(confirmed).await)
        });
        // The first poll hands it to the connection. So they are on the wire in the order of this
        // call, and nobody waits for one before the next.
        if let Poll::Ready(told) = on_its_way.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            // Where this thread was kept waiting in the middle of it, it may be confirmed already.
            on_its_way = Box::pin(ready(told));
        }
        self.on_their_way.push(on_its_way);
    }

    // ANCHOR: look
    /// Looks at all that has been confirmed. Not at some of it: what was confirmed before something
    /// that we have seen must have been seen, too. lapin wakes up in the order in which it
    /// confirms, and what was woken is polled here until there is no more. `FuturesUnordered` may
    /// pause before that and then wakes us itself, so it is asked again until nobody has.
    fn look(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let woken =
            Arc::new(Woken { again: AtomicBool::new(false), task: context.waker().clone() });
        let waker = Waker::from(Arc::clone(&woken));
        let mut again = Context::from_waker(&waker);
        let mut heard = false;
        loop {
            match self.on_their_way.poll_next_unpin(&mut again) {
                Poll::Ready(Some((number, answer))) => {
                    self.hear(number, answer);
                    heard = true;
                }
                Poll::Pending if woken.again.swap(false, Ordering::SeqCst) => {}
                Poll::Pending | Poll::Ready(None) => break,
            }
        }
        if self.early == 0 {
            self.tell();
        }
        if heard { Poll::Ready(()) } else { Poll::Pending }
    }

    fn hear(&mut self, number: u64, answer: Result<Confirmation, Error>) {
        let mut confirmation = match answer {
            Ok(confirmation) => confirmation,
            Err(error) => {
                // What is given up may take somebody's return along. From here on all is in doubt.
                self.early += usize::from(matches!(error, Error::Slow(_)));
                // The first says why; the others say that the channel is closed.
                self.broken.get_or_insert(error);
                return;
            }
        };
        if let Confirmation::Ack(returned) | Confirmation::Nack(returned) = &mut confirmation
            && let Some(returned) = returned.take()
        {
            let sent = self.sent.values_mut();
            let like_it = sent.filter(|sent| !sent.sent_back && sent.order.letter.is(&returned));
            // Of those whose headers are all there, the one that has no fewer of them.
            if let Some(sent) = like_it.max_by_key(|sent| sent.order.letter.headers().count()) {
                sent.sent_back = true;
                self.early += usize::from(!sent.confirmed);
            }
        }
        if let Some(sent) = self.sent.get_mut(&number) {
            sent.confirmed = true;
            self.early -= usize::from(sent.sent_back);
        }
        self.confirmed.push((number, confirmation));
    }

    fn tell(&mut self) {
        for (number, confirmation) in self.confirmed.drain(..) {
            let Some(Sent { order, sent_back, .. }) = self.sent.remove(&number) else { continue };
            let key = order.letter.key.to_string();
            order.tell(match confirmation {
                _ if sent_back => Err(NotConfirmed::Unroutable { key }),
                Confirmation::Ack(_) => Ok(()),
                Confirmation::Nack(_) => Err(NotConfirmed::Refused),
                Confirmation::NotRequested => Err(lost().into()),
            });
        }
    }
    // ANCHOR_END: look
}

/// Wakes the task, and remembers that it did.
struct Woken {
    again: AtomicBool,
    task: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.again.store(true, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}
