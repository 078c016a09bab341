//! A virtual host with a topology of its own, and the clients in it.

use super::*;
use messaging::{Broker, lapin};
use rand::RngExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use testbed::proxy::Proxy;
use testbed::rabbitmq::{self, Rabbit};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) topology: Topology,
    number: u32,
    messages: AtomicUsize,
}

impl Scene {
    /// Names are of the world's seed, so that no answer can know them beforehand.
    pub(super) async fn set(world: World) -> Result<Scene, Finding> {
        let number = world.random().random_range(10..100);
        let mut queue = Queue::new(format!("mailer-{number}"), &["order.*.v1"]);
        // No message is poison here.
        queue.deliveries = 50;
        let topology = Topology { exchange: format!("shop-{number}"), queues: vec![queue] };
        world.rabbit().await?;
        Ok(Scene { world, topology, number, messages: AtomicUsize::new(0) })
    }

    /// Another queue of the same exchange.
    pub(super) fn and_queue(mut self, name: &str, bindings: &[&str]) -> Scene {
        let name = format!("{name}-{}", self.number);
        self.topology.queues.push(Queue { deliveries: 50, ..Queue::new(name, bindings) });
        self
    }

    pub(super) async fn rabbit(&self) -> Result<&Rabbit, Finding> {
        self.world.rabbit().await
    }

    /// The name of a queue, the first of which is the one that all checks have.
    pub(super) fn queue(&self, nth: usize) -> String {
        self.topology.queues[nth].name.clone()
    }

    /// The next message, of a key that the first queue wants.
    pub(super) fn message(&self) -> Message {
        let nth = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!("order {}-{nth}", self.number);
        Message::new(format!("m{nth}"), "order.placed.v1", body)
    }

    pub(super) fn messages(&self, count: usize) -> Vec<Message> {
        std::iter::repeat_with(|| self.message()).take(count).collect()
    }

    pub(super) async fn client<S: Courier>(
        &self,
        lane: &'static str,
        timeout: Duration,
    ) -> Result<Arc<Client<S>>, Finding> {
        let proxy = self.world.rabbit_client(lane).await?;
        let courier = opened(proxy.url(), self.topology.clone(), timeout)?;
        let history = self.world.history().clone();
        Ok(Arc::new(Client { lane, courier, proxy, history }))
    }

    /// The check's own connection, past every proxy, in confirm mode.
    pub(super) async fn look(&self) -> Result<(Broker, lapin::Channel), Finding> {
        let broker = Broker::open(self.rabbit().await?.url(), options(LONG)).map_err(own)?;
        let channel = broker.channel().await.map_err(own)?;
        broker.answer(channel.confirm_select(Default::default())).await.map_err(own)?;
        Ok((broker, channel))
    }

    /// Puts messages into the queues by the check's own hand.
    pub(super) async fn put(&self, messages: &[Message]) -> Result<(), Finding> {
        let (broker, channel) = self.look().await?;
        let put = async {
            self.topology.declare(&channel).await?;
            for message in messages {
                let (exchange, key) = (self.topology.exchange.as_str(), message.key.as_str());
                let (body, properties) = (&message.body, message.properties());
                let options = lapin::options::BasicPublishOptions::default();
                channel
                    .basic_publish(exchange.into(), key.into(), options, body, properties)
                    .await?
                    .await?;
            }
            Ok(())
        };
        broker.answer(put).await.map_err(own)?;
        broker.close().await;
        Ok(())
    }

    /// What the first queue must come to hold.
    pub(super) async fn queue_comes_to(
        &self,
        what: &str,
        patience: Duration,
        so: impl Fn(&rabbitmq::Queue) -> bool + Send + 'static,
    ) -> Result<rabbitmq::Queue, Finding> {
        match self.rabbit().await?.wait_for(&self.queue(0), patience, so).await {
            Ok(queue) => Ok(queue),
            Err(rabbitmq::Error::Late { found, after, .. }) => {
                let step = self.world.history().note("broker", format!("the queue has {found}"));
                Err(Evidence::new(what, format!("{found} after {after:?}")).at(step).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks for a moment whether the first queue comes to what it must not come to.
    pub(super) async fn queue_never(
        &self,
        expected: &str,
        so: impl Fn(&rabbitmq::Queue) -> bool + Send + 'static,
    ) -> Result<(), Finding> {
        match self.rabbit().await?.wait_for(&self.queue(0), A_MOMENT, so).await {
            Err(rabbitmq::Error::Late { .. }) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(queue) => {
                let step = self.world.history().note("broker", format!("the queue has {queue}"));
                Err(Evidence::new(expected, queue.to_string()).at(step).into())
            }
        }
    }

    /// Everything was worked off, and acknowledged.
    pub(super) async fn is_empty(&self, patience: Duration) -> Result<(), Finding> {
        let empty = |queue: &rabbitmq::Queue| queue.ready == 0 && queue.unacked == 0;
        self.queue_comes_to("a queue that is worked off", patience, empty).await.map(drop)
    }
}

pub(super) fn options(timeout: Duration) -> Options {
    Options { name: "check".to_owned(), timeout, heartbeat: Duration::from_secs(10) }
}

pub(super) fn opened<S: Courier>(
    url: &str,
    topology: Topology,
    timeout: Duration,
) -> Result<S, Finding> {
    let opened = S::open(url, topology, options(timeout));
    opened.map_err(|error| Evidence::new("open() to work", error.to_string()).into())
}

/// What failed was the check's own.
#[allow(clippy::needless_pass_by_value)] // as `map_err` gives it
pub(super) fn own(error: Error) -> Finding {
    Finding::inconclusive(format!("the check's own connection: {error}"))
}

pub(super) fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}

/// One program of the shop, with a courier of its own.
pub(super) struct Client<S> {
    pub(super) lane: &'static str,
    pub(super) courier: S,
    pub(super) proxy: Proxy,
    pub(super) history: History,
}

impl<S: Courier> Client<S> {
    pub(super) async fn publish(&self, message: &Message) -> Result<(), String> {
        let call = format!("publish {}", message.id);
        let answer = self.courier.publish(message);
        let answer = self.history.call(self.lane, call, answer).await;
        answer.map_err(|error| error.to_string())
    }

    /// Publishes until it is `Ok`.
    pub(super) async fn sends(&self, messages: &[Message]) -> Result<(), Finding> {
        for message in messages {
            let began = Instant::now();
            let mut said = String::from("no answer");
            loop {
                let left = A_WHILE.saturating_sub(began.elapsed());
                match tokio::time::timeout(left, self.publish(message)).await {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => said = error,
                    Err(_) => {
                        let expected = format!("{} published", message.id);
                        let saw = format!("{said}, for {A_WHILE:?}");
                        let step = self.history.last(self.lane, "publish");
                        return Err(Evidence::new(expected, saw).at(step).into());
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Consumes in a task of its own.
    pub(super) fn starts(
        self: &Arc<Self>,
        scene: &Scene,
        nth: usize,
        prefetch: u16,
        works: &Works,
    ) -> Running {
        let (client, queue, works) = (Arc::clone(self), scene.queue(nth), works.clone());
        let told = watch::Sender::new(false);
        let until = told.subscribe();
        let task = tokio::spawn(async move {
            let mut until = until;
            let until = async move {
                // Whoever is not told goes on; a check that has ended ends all of it.
                if until.wait_for(|over| *over).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let call = format!("consume {queue}, prefetch {prefetch}");
            let work = move |delivered| works.clone().work(delivered);
            let consumed = client.courier.consume(&queue, prefetch, work, until);
            client
                .history
                .call(client.lane, call, consumed)
                .await
                .map_err(|error| error.to_string())
        });
        Running { lane: self.lane, history: self.history.clone(), told, task }
    }
}

/// A consumer at work. It ends with the check.
pub(super) struct Running {
    lane: &'static str,
    history: History,
    told: watch::Sender<bool>,
    task: JoinHandle<Result<Drained, String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    pub(super) fn tell(&self) {
        self.history.note(self.lane, "(is told to end)");
        self.told.send_replace(true);
    }

    /// It must go on until it is told to end.
    pub(super) fn goes_on(&self) -> Result<(), Finding> {
        if !self.task.is_finished() {
            return Ok(());
        }
        let step = self.history.last(self.lane, "= ");
        Err(Evidence::new("a consumer that goes on", "it has returned").at(step).into())
    }

    /// Waits for something, for as long as it goes on.
    pub(super) async fn meanwhile<T>(
        &self,
        comes: impl Future<Output = Result<T, Finding>>,
    ) -> Result<T, Finding> {
        let returns = async {
            loop {
                if let Err(gone) = self.goes_on() {
                    return gone;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            came = comes => came,
            gone = returns => Err(gone),
        }
    }

    /// Told to end, it must.
    pub(super) async fn ends(mut self) -> Result<Drained, Finding> {
        let step = |this: &Self| this.history.last(this.lane, "(is told");
        match tokio::time::timeout(SOON, &mut self.task).await {
            Ok(Ok(Ok(drained))) => Ok(drained),
            Ok(Ok(Err(error))) => {
                Err(Evidence::new("a consumer that ends well", error).at(step(&self)).into())
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let saw = format!("it goes on for {SOON:?}");
                Err(Evidence::new("consume() to return", saw).at(step(&self)).into())
            }
        }
    }
}
