//! A virtual host with a queue in it, and the wards of that.

use super::*;
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicRejectOptions};
use lapin::{BasicProperties, Channel};
use messaging::{Broker, broker, lapin};
use rand::RngExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use testbed::rabbitmq::{self, Rabbit};

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) exchange: String,
    pub(super) queue: Queue,
    number: u32,
    messages: AtomicUsize,
    look: Broker,
    own: Channel,
}

impl Scene {
    /// Names are of the world's seed, so that no answer can know them beforehand.
    pub(super) async fn set(world: World, deliveries: u32) -> Result<Scene, Finding> {
        let number = world.random().random_range(10..100);
        let queue = Queue::new(format!("mailer-{number}"), &["order.*.v1"]);
        let queue = Queue { deliveries, ..queue };
        let options = broker::Options { name: "check".to_owned(), ..Default::default() };
        let look = Broker::open(world.rabbit().await?.url(), options).map_err(own)?;
        let channel = look.channel().await.map_err(own)?;
        look.answer(channel.confirm_select(Default::default())).await.map_err(own)?;
        let (exchange, messages) = (format!("shop-{number}"), AtomicUsize::new(0));
        Ok(Scene { world, exchange, queue, number, messages, look, own: channel })
    }

    pub(super) async fn rabbit(&self) -> Result<&Rabbit, Finding> {
        self.world.rabbit().await
    }

    /// The next message, of a key that the queue wants.
    pub(super) fn message(&self) -> Message {
        let nth = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!("order {}-{nth}", self.number);
        let mut message = Message::new(format!("m{nth}"), "order.placed.v1", body);
        message.correlation = Some(format!("o{nth}"));
        message.content_type = Some("text/plain".to_owned());
        message.headers.insert("traceparent".to_owned(), format!("00-{}-{nth}-01", self.number));
        message
    }

    pub(super) fn messages(&self, count: usize) -> Vec<Message> {
        std::iter::repeat_with(|| self.message()).take(count).collect()
    }

    pub(super) async fn client<S: Ward>(
        &self,
        lane: &'static str,
        prefetch: u16,
        timeout: Duration,
        pause: Duration,
    ) -> Result<Arc<Client<S>>, Finding> {
        let proxy = self.world.rabbit_client(lane).await?;
        let options = Options { name: lane.to_owned(), timeout, prefetch, pause };
        let ward = opened(proxy.url(), &self.exchange, self.queue.clone(), options)?;
        let history = self.world.history().clone();
        Ok(Arc::new(Client { lane, ward, proxy, history }))
    }

    /// Declares what a consumer would, by the check's own hand.
    pub(super) async fn declare(&self) -> Result<(), Finding> {
        let queues = vec![self.queue.clone()];
        let topology = Topology { exchange: self.exchange.clone(), queues };
        self.look.answer(topology.declare(&self.own)).await.map_err(own)
    }

    /// Declares another queue, by the check's own hand.
    pub(super) async fn also(&self, topology: &Topology) -> Result<(), Finding> {
        self.look.answer(topology.declare(&self.own)).await.map_err(own)
    }

    /// Publishes by the check's own hand, to queues that are there.
    pub(super) async fn put(&self, messages: &[Message]) -> Result<(), Finding> {
        for message in messages {
            let (key, envelope) = (message.key.as_str(), message.properties());
            self.put_as(&self.exchange, key, &message.body, envelope).await?;
        }
        self.world.history().note("check", format!("publishes {}", names(messages)));
        Ok(())
    }

    pub(super) async fn put_as(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        envelope: BasicProperties,
    ) -> Result<(), Finding> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = self.own.basic_publish(exchange.into(), key.into(), options, body, envelope);
        match self.look.answer(async { sent.await?.await }).await.map_err(own)? {
            lapin::Confirmation::Ack(None) => Ok(()),
            other => {
                Err(Finding::inconclusive(format!("the check's message was not taken: {other:?}")))
            }
        }
    }

    /// Dead letters as the broker makes them: each was rejected once.
    pub(super) async fn dead(&self, messages: &[Message]) -> Result<(), Finding> {
        self.put(messages).await?;
        let before = self.count(&self.queue.dead()).await?;
        for _ in messages {
            self.reject(false).await?;
        }
        self.comes_to(&self.queue.dead(), before + messages.len() as u64).await?;
        self.world.history().note("check", format!("rejects {}", names(messages)));
        Ok(())
    }

    /// Takes the next message of the queue, and rejects it.
    pub(super) async fn reject(&self, requeue: bool) -> Result<(), Finding> {
        let patience = Instant::now() + A_WHILE;
        loop {
            let name = self.queue.name.as_str().into();
            let got = self.own.basic_get(name, BasicGetOptions::default());
            match self.look.answer(got).await.map_err(own)? {
                Some(got) => {
                    let said = got.reject(BasicRejectOptions { requeue });
                    return self.look.answer(said).await.map(drop).map_err(own);
                }
                None if Instant::now() > patience => {
                    return Err(Finding::inconclusive("the check's message is not in the queue"));
                }
                // What was rejected comes back a moment later.
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Takes all that lies in a queue.
    pub(super) async fn take(&self, queue: &str) -> Result<Vec<Delivery>, Finding> {
        let mut taken = Vec::new();
        loop {
            let got = self.own.basic_get(queue.into(), BasicGetOptions { no_ack: true });
            match self.look.answer(got).await.map_err(own)? {
                Some(got) => taken.push(got.delivery),
                None => return Ok(taken),
            }
        }
    }

    /// Takes all that lies in a queue, and gives it back.
    pub(super) async fn peek(&self, queue: &str) -> Result<Vec<Delivery>, Finding> {
        let mut taken = Vec::new();
        loop {
            let got = self.own.basic_get(queue.into(), BasicGetOptions::default());
            match self.look.answer(got).await.map_err(own)? {
                Some(got) => taken.push(got.delivery),
                None => break,
            }
        }
        let all = BasicNackOptions { multiple: true, requeue: true };
        self.look.answer(self.own.basic_nack(0, all)).await.map_err(own)?;
        Ok(taken)
    }

    pub(super) async fn delete(&self, queue: &str) -> Result<(), Finding> {
        let deleted = self.own.queue_delete(queue.into(), Default::default());
        self.look.answer(deleted).await.map_err(own)?;
        self.world.history().note("check", format!("deletes {queue}"));
        Ok(())
    }

    /// How many lie in a queue, whoever has them; 0 where there is none.
    pub(super) async fn count(&self, queue: &str) -> Result<u64, Finding> {
        let queue = self.rabbit().await?.queue(queue).await?;
        Ok(queue.map_or(0, |queue| queue.ready + queue.unacked))
    }

    /// A queue comes to hold so many, and nobody has them.
    pub(super) async fn comes_to(&self, queue: &str, many: u64) -> Result<(), Finding> {
        let so = move |queue: &rabbitmq::Queue| queue.ready == many && queue.unacked == 0;
        self.comes(queue, &format!("{many} ready, 0 unacked"), so).await
    }

    /// Somebody consumes from the queue.
    pub(super) async fn has_consumer(&self) -> Result<(), Finding> {
        let name = self.queue.name.clone();
        self.comes(&name, "a consumer", |queue| queue.consumers > 0).await
    }

    pub(super) async fn comes(
        &self,
        queue: &str,
        what: &str,
        so: impl Fn(&rabbitmq::Queue) -> bool + Send + 'static,
    ) -> Result<(), Finding> {
        match self.rabbit().await?.wait_for(queue, A_WHILE, so).await {
            Ok(_) => Ok(()),
            Err(rabbitmq::Error::Late { found, after, .. }) => {
                let step = self.world.history().note("broker", format!("{queue} has {found}"));
                let saw = format!("{found}, after {after:?}");
                Err(Evidence::new(format!("{queue} with {what}"), saw).at(step).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether what lies in a queue is this, each as it was published, in this order.
    pub(super) async fn holds(&self, queue: &str, wanted: &[Message]) -> Result<(), Finding> {
        let taken = self.take(queue).await?;
        let found: Vec<Message> = taken.iter().map(Message::delivered).collect();
        let step = self.world.history().note("broker", format!("{queue}: {}", names(&found)));
        let broken = |expected: String, saw: String| Evidence::new(expected, saw).at(step).into();
        if names(&found) != names(wanted) {
            return Err(broken(format!("{} in {queue}", names(wanted)), names(&found)));
        }
        for (found, wanted) in found.iter().zip(wanted) {
            if let Some((expected, saw)) = differs(found, wanted) {
                return Err(broken(format!("{}: {expected}", wanted.id), saw));
            }
        }
        Ok(())
    }
}

/// In what a message is not as it was published.
pub(super) fn differs(found: &Message, wanted: &Message) -> Option<(String, String)> {
    let differ = |what: &str, wanted: String, found: String| {
        (wanted != found).then(|| (format!("the {what} {wanted}"), found))
    };
    differ("key", wanted.key.clone(), found.key.clone())
        .or_else(|| differ("id", wanted.id.clone(), found.id.clone()))
        .or_else(|| differ("body", format!("{:?}", wanted.body), format!("{:?}", found.body)))
        .or_else(|| {
            let correlation = |of: &Message| format!("{:?}", of.correlation);
            differ("correlation", correlation(wanted), correlation(found))
        })
        .or_else(|| {
            let headers = |of: &Message| format!("{:?} {:?}", of.content_type, of.headers);
            differ("envelope", headers(wanted), headers(found))
        })
}

/// `m1 m2 m3`, or how many, where they are many.
pub(super) fn names(messages: &[Message]) -> String {
    let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    match ids.as_slice() {
        [] => "nothing".to_owned(),
        [first, .., last] if ids.len() > 12 => format!("{first} to {last}, {} in all", ids.len()),
        ids => ids.join(" "),
    }
}

pub(super) fn opened<S: Ward>(
    url: &str,
    exchange: &str,
    queue: Queue,
    options: Options,
) -> Result<S, Finding> {
    let opened = S::open(url, exchange, queue, options);
    opened.map_err(|error| Evidence::new("open() to work", error.to_string()).into())
}

/// What failed was the check's own.
#[allow(clippy::needless_pass_by_value)] // as `map_err` wants it
pub(super) fn own(error: Error) -> Finding {
    Finding::inconclusive(format!("the check's own connection: {error}"))
}

pub(super) fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
