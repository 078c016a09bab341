//! An exchange with a queue behind it.

use super::*;
use grading::history::Step;
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use messaging::broker::{self, Broker};
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use testbed::gate::Gate;
use testbed::proxy::Proxy;
use tokio::task::JoinHandle;

/// Longer than any right answer takes.
pub(super) const A_WHILE: Duration = Duration::from_secs(15);

pub(super) type Outcome = Result<(), NotConfirmed>;

/// A durable exchange, and a durable queue for `order.#`. The ids of the messages are of the seed.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) exchange: String,
    pub(super) queue: String,
    number: u32,
    /// The check's own, past every proxy.
    channel: Channel,
    _broker: Broker,
}

impl Scene {
    pub(super) async fn set(world: World) -> Result<Scene, Finding> {
        let url = world.rabbit().await?.url().to_owned();
        Scene::at(world, &url).await
    }

    /// At a broker that is not the world's.
    pub(super) async fn at(world: World, url: &str) -> Result<Scene, Finding> {
        let number = world.random().random_range(100..1_000);
        let patient = broker::Options { timeout: A_WHILE, ..broker::Options::default() };
        let broker = Broker::open(url, patient).map_err(said)?;
        let channel = broker.channel().await.map_err(said)?;
        let (exchange, queue) = ("shop".to_owned(), "stock".to_owned());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let (name, none) = (exchange.as_str(), FieldTable::default());
        let declared = channel.exchange_declare(name.into(), ExchangeKind::Topic, durable, none);
        broker.answer(declared).await.map_err(said)?;
        let scene = Scene { world, exchange, queue, number, channel, _broker: broker };
        scene.bind(&scene.queue, "order.#", true, &[]).await?;
        Ok(scene)
    }

    /// A queue for what matches `pattern`.
    pub(super) async fn bind(
        &self,
        queue: &str,
        pattern: &str,
        durable: bool,
        properties: &[(&str, AMQPValue)],
    ) -> Result<(), Finding> {
        let mut arguments = FieldTable::default();
        for (name, value) in properties {
            arguments.insert((*name).into(), value.clone());
        }
        let options = QueueDeclareOptions { durable, ..Default::default() };
        self.channel.queue_declare(queue.into(), options, arguments).await.map_err(said)?;
        let (exchange, none) = (self.exchange.as_str().into(), FieldTable::default());
        let options = QueueBindOptions::default();
        self.channel
            .queue_bind(queue.into(), exchange, pattern.into(), options, none)
            .await
            .map_err(said)
    }

    /// From here on the queue does not want what matches `pattern`.
    pub(super) async fn unbind(&self, queue: &str, pattern: &str) -> Result<(), Finding> {
        let (exchange, none) = (self.exchange.as_str().into(), FieldTable::default());
        let (queue, pattern) = (queue.into(), pattern.into());
        self.channel.queue_unbind(queue, exchange, pattern, none).await.map_err(said)
    }

    pub(super) fn message(&self, nth: usize) -> Message {
        self.keyed(nth, "order.placed")
    }

    pub(super) fn messages(&self, count: usize) -> Vec<Message> {
        (0..count).map(|nth| self.message(nth)).collect()
    }

    pub(super) fn keyed(&self, nth: usize, key: &str) -> Message {
        let id = format!("{}-{nth}", self.number);
        Message::new(id, key, format!("#{nth}"))
    }

    /// Takes out all that the queue holds.
    pub(super) async fn take(&self, queue: &str) -> Result<Vec<BasicGetMessage>, Finding> {
        let mut taken = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) =
            self.channel.basic_get(queue.into(), options).await.map_err(said)?
        {
            taken.push(message);
        }
        Ok(taken)
    }

    /// Takes out all that the queue holds: how often each id.
    pub(super) async fn ids(&self) -> Result<BTreeMap<String, usize>, Finding> {
        let mut ids = BTreeMap::new();
        for message in self.take(&self.queue).await? {
            *ids.entry(Message::delivered(&message.delivery).id).or_default() += 1;
        }
        Ok(ids)
    }

    /// Declares an exchange for which no queue is bound.
    pub(super) async fn deserted(&self) -> Result<String, Finding> {
        let name = format!("{}.deserted", self.exchange);
        let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
        let declared =
            self.channel.exchange_declare(name.as_str().into(), ExchangeKind::Topic, options, none);
        declared.await.map_err(said)?;
        Ok(name)
    }

    /// Declares an exchange through which the queue gets what has this header, whatever its key.
    pub(super) async fn by_headers(&self, name: &str, value: &str) -> Result<String, Finding> {
        let exchange = format!("{}.by-headers", self.exchange);
        let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
        let declared = self.channel.exchange_declare(
            exchange.as_str().into(),
            ExchangeKind::Headers,
            options,
            none,
        );
        declared.await.map_err(said)?;
        let mut wanted = FieldTable::default();
        for (name, value) in [("x-match", "all"), (name, value)] {
            wanted.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let (queue, options) = (self.queue.as_str().into(), QueueBindOptions::default());
        let bound =
            self.channel.queue_bind(queue, exchange.as_str().into(), "".into(), options, wanted);
        bound.await.map_err(said)?;
        Ok(exchange)
    }

    /// Waits until so many wait in the queue.
    pub(super) async fn holds(&self, queue: &str, count: usize) -> Result<(), Finding> {
        let rabbit = self.world.rabbit().await?;
        let wanted = count as u64;
        match rabbit.wait_for(queue, SOON, move |queue| queue.ready == wanted).await {
            Ok(_) => Ok(()),
            Err(late @ testbed::rabbitmq::Error::Late { .. }) => {
                let expected = format!("{count} in `{queue}`");
                Err(Evidence::new(expected, late.to_string()).at(self.last()).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn last(&self) -> Option<Step> {
        self.world.history().last("client", "= ")
    }

    pub(super) async fn client<S: Publisher>(
        &self,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        let proxy = self.world.rabbit_client("client").await?;
        self.client_at(proxy, options)
    }

    pub(super) fn client_at<S: Publisher>(
        &self,
        proxy: Proxy,
        options: Options,
    ) -> Result<Arc<Client<S>>, Finding> {
        // There are some waits in a call, and none is longer than its timeout.
        let patience = A_WHILE.min(12 * options.timeout);
        let publisher = S::open(proxy.url(), options)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        let (exchange, history) = (self.exchange.clone(), self.world.history().clone());
        Ok(Arc::new(Client { publisher, proxy, exchange, history, patience }))
    }
}

/// An outcome in a word.
pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(()) => "ok",
        Err(NotConfirmed::Unroutable { .. }) => "unroutable",
        Err(NotConfirmed::Refused) => "refused",
        Err(NotConfirmed::Unknown(_)) => "unknown",
    }
}

pub(super) fn tally(outcomes: &[Outcome]) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    for outcome in outcomes {
        *counts.entry(word(outcome)).or_default() += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Waits until the task has come to the gate: `true`; or has ended without: `false`.
pub(super) async fn meets<T>(gate: &Gate, task: &JoinHandle<T>) -> Result<bool, Finding> {
    let ends = async {
        while !task.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        came = gate.arrived(1, A_WHILE) => Ok(came.map(|()| true)?),
        () = ends => Ok(gate.count() > 0),
    }
}

pub(super) fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}

pub(super) fn said(error: impl std::fmt::Display) -> Finding {
    Finding::inconclusive(format!("RabbitMQ failed the check itself: {error}"))
}
