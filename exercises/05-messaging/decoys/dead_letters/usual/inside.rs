//! The steps of a ward, as most of the wrong answers take them.

use super::*;

/// What all of its calls share, and the steps that they are made of.
pub(super) struct Inside {
    pub(super) broker: Broker,
    pub(super) sending: Mutex<Option<Channel>>,
    pub(super) looking: Mutex<Option<Channel>>,
    pub(super) topology: Topology,
    pub(super) options: Options,
    pub(super) counts: Mutex<HashMap<String, u32>>,
    pub(super) done: AtomicU64,
    pub(super) again: AtomicU64,
    pub(super) dead: AtomicU64,
}

impl Inside {
    pub(super) fn queue(&self) -> &Queue {
        &self.topology.queues[0]
    }

    pub(super) async fn in_time<T>(
        &self,
        in_time: bool,
        asked: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Error> {
        match in_time {
            true => self.broker.answer(asked).await,
            false => Ok(asked.await?),
        }
    }

    pub(super) async fn declare(&self, channel: &Channel, limited: bool) -> lapin::Result<()> {
        let (name, exchange) = (self.queue().name.as_str(), self.topology.exchange.as_str());
        if limited {
            self.topology.declare(channel).await?;
        } else {
            self.topology.without_queues().declare(channel).await?;
            let mut quorum = FieldTable::default();
            quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            for queue in [name.to_owned(), self.queue().dead()] {
                let durable = QueueDeclareOptions::durable();
                channel.queue_declare(queue.as_str().into(), durable, quorum.clone()).await?;
            }
            for pattern in &self.queue().bindings {
                let (pattern, none) = (pattern.as_str().into(), FieldTable::default());
                let options = QueueBindOptions::default();
                channel.queue_bind(name.into(), exchange.into(), pattern, options, none).await?;
            }
        }
        let (back, none) = (format!("{name}.back"), FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let kind = ExchangeKind::Fanout;
        channel.exchange_declare(back.as_str().into(), kind, durable, none.clone()).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(name.into(), back.as_str().into(), "".into(), options, none).await
    }

    pub(super) async fn send(
        &self,
        (exchange, key): (&str, &str),
        body: &[u8],
        envelope: BasicProperties,
        limited: bool,
    ) -> Result<(), NotConfirmed> {
        let mut current = self.sending.lock().await;
        let channel = match current.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => {
                let channel = self.broker.channel().await?;
                self.broker.answer(self.declare(&channel, limited)).await?;
                let confirms = channel.confirm_select(ConfirmSelectOptions::default());
                self.broker.answer(confirms).await?;
                channel
            }
        };
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = channel.basic_publish(exchange.into(), key.into(), options, body, envelope);
        match self.broker.answer(async { sent.await?.await }).await? {
            Confirmation::Ack(None) => {
                *current = Some(channel);
                Ok(())
            }
            Confirmation::Ack(Some(_)) => Err(NotConfirmed::Unroutable { key: key.to_owned() }),
            _ => Err(NotConfirmed::Refused),
        }
    }

    /// Written, and no more is known.
    pub(super) async fn throw(
        &self,
        (exchange, key): (&str, &str),
        body: &[u8],
        envelope: BasicProperties,
    ) -> Result<(), Error> {
        let channel = self.broker.channel().await?;
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(exchange.into(), key.into(), options, body, envelope);
        self.broker.answer(async { sent.await.map(drop) }).await?;
        // Closed, so that the broker has read it.
        self.broker.answer(channel.close(200, "goodbye".into())).await
    }

    pub(super) async fn carry_out<U: Usual>(
        &self,
        delivery: &Delivery,
        verdict: Verdict,
        mut over: watch::Receiver<bool>,
    ) {
        let attempt = match U::COUNTS {
            true => {
                let mut counts = self.counts.lock().await;
                let id = Message::delivered(delivery).id;
                let count = counts.entry(id).or_default();
                *count += 1;
                *count
            }
            false => attempt(delivery),
        };
        let back = BasicRejectOptions { requeue: true };
        match verdict {
            Verdict::Done => {
                self.done.fetch_add(1, Ordering::SeqCst);
                let _ = delivery.ack(BasicAckOptions::default()).await;
            }
            Verdict::Again(why) if attempt < U::limit(self.queue()) => {
                tracing(&why);
                self.again.fetch_add(1, Ordering::SeqCst);
                match U::FAILS {
                    Fails::Pauses => {
                        let over = over.wait_for(|over| *over);
                        let _ = tokio::time::timeout(self.options.pause, over).await;
                    }
                    Fails::PausesToTheEnd => tokio::time::sleep(self.options.pause).await,
                    // It has paused already.
                    Fails::PausesInTheLoop | Fails::AtOnce => {}
                    Fails::Republished => {
                        let to = ("", self.queue().name.as_str());
                        let envelope = Message::delivered(delivery).properties();
                        let body = &delivery.data;
                        tokio::time::sleep(self.options.pause).await;
                        if self.send(to, body, envelope, U::LIMITED).await.is_ok() {
                            let _ = delivery.ack(BasicAckOptions::default()).await;
                        }
                        return;
                    }
                }
                let _ = delivery.reject(back).await;
            }
            Verdict::Again(_) if U::LAST_BY_BROKER => {
                self.dead.fetch_add(1, Ordering::SeqCst);
                let _ = delivery.reject(back).await;
            }
            Verdict::Again(why) => self.bury::<U>(delivery, &Reason::DeliveryLimit, &why).await,
            Verdict::Never(why) => self.bury::<U>(delivery, &Reason::Rejected, &why).await,
        }
    }

    pub(super) async fn bury<U: Usual>(&self, delivery: &Delivery, reason: &Reason, why: &str) {
        self.dead.fetch_add(1, Ordering::SeqCst);
        let (dead, envelope) = (self.queue().dead(), U::closed(delivery, reason, why));
        let to = ("", dead.as_str());
        let body = &delivery.data;
        let ack = delivery.ack(BasicAckOptions::default());
        match U::BURIES {
            Buries::ConfirmedThenAcked => {
                for _ in 0..2 {
                    if self.send(to, body, envelope.clone(), U::LIMITED).await.is_ok() {
                        let _ = ack.await;
                        return;
                    }
                }
                let _ = delivery.reject(BasicRejectOptions { requeue: false }).await;
            }
            Buries::AckedThenPublished => {
                let _ = ack.await;
                let _ = self.send(to, body, envelope, U::LIMITED).await;
            }
            Buries::Unconfirmed => {
                if self.throw(to, body, envelope).await.is_ok() {
                    let _ = ack.await;
                }
            }
            Buries::Rejected => {
                tracing(why);
                let _ = delivery.reject(BasicRejectOptions { requeue: false }).await;
            }
            Buries::AckedAndLogged => {
                tracing(why);
                let _ = ack.await;
            }
        }
    }

    /// The letters, which stay in hand.
    pub(super) async fn letters(
        &self,
        channel: &Channel,
        most: usize,
        no_ack: bool,
        in_time: bool,
    ) -> Result<Vec<Delivery>, Error> {
        let dead = self.queue().dead();
        let mut letters = Vec::new();
        while letters.len() < most {
            let options = BasicGetOptions { no_ack };
            let got = channel.basic_get(dead.as_str().into(), options);
            match self.in_time(in_time, got).await? {
                Some(got) => letters.push(got.delivery),
                None => break,
            }
        }
        Ok(letters)
    }

    /// A channel to look with: a new one, or always the same.
    pub(super) async fn looks(&self, in_time: bool) -> Result<Channel, Error> {
        if in_time {
            return self.broker.channel().await;
        }
        let mut current = self.looking.lock().await;
        match current.as_ref().filter(|channel| channel.status().connected()) {
            Some(channel) => Ok(channel.clone()),
            None => Ok(current.insert(self.broker.channel().await?).clone()),
        }
    }

    /// Gives back what is in hand, and waits until the broker has heard it.
    pub(super) async fn settle(&self, channel: &Channel, in_time: bool) -> Result<(), Error> {
        let dead = self.queue().dead();
        let said = async {
            let all = BasicNackOptions { multiple: true, requeue: true };
            channel.basic_nack(0, all).await?;
            let look = QueueDeclareOptions { passive: true, ..Default::default() };
            let none = FieldTable::default();
            channel.queue_declare(dead.as_str().into(), look, none).await.map(drop)
        };
        self.in_time(in_time, said).await
    }
}

fn tracing(why: &str) {
    // Where a log would be.
    let _ = why;
}

trait WithoutQueues {
    fn without_queues(&self) -> Topology;
}

impl WithoutQueues for Topology {
    fn without_queues(&self) -> Topology {
        Topology { exchange: self.exchange.clone(), queues: Vec::new() }
    }
}
