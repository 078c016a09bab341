//! Publishers, each behind a proxy of its own.

use super::scene::{Outcome, tally};
use super::*;
use grading::History;
use std::sync::Arc;
use std::time::Instant;
use testbed::gate::Gate;
use testbed::proxy::Proxy;
use tokio::task::JoinHandle;

/// How long, and how often at most, a publisher is asked again whether it works again. On a busy
/// machine a right one may need all of the first; a wrong one that fails at once is at its last try
/// in a fraction of it.
const AGAIN: (Duration, u32) = (Duration::from_secs(20), 200);

/// The subject, and the proxy before it.
pub(super) struct Client<S> {
    pub(super) publisher: S,
    pub(super) proxy: Proxy,
    pub(super) exchange: String,
    pub(super) history: History,
    pub(super) patience: Duration,
}

impl<S: Publisher> Client<S> {
    /// Publishes one, and has to get an answer, whichever.
    pub(super) async fn publish(&self, message: &Message) -> Result<Outcome, Finding> {
        self.publish_to(&self.exchange, message).await
    }

    pub(super) async fn publish_to(
        &self,
        exchange: &str,
        message: &Message,
    ) -> Result<Outcome, Finding> {
        let call = self.history.invoke("client", format!("publish {}", message.id));
        let publish = self.publisher.publish(exchange, message);
        let Ok(outcome) = tokio::time::timeout(self.patience, publish).await else {
            let step = call.unknown(format!("nothing within {:?}", self.patience));
            return Err(Evidence::new("an answer", "none").at(step).into());
        };
        call.end_with(&outcome);
        Ok(outcome)
    }

    /// Publishes a batch, and has to get as many answers.
    pub(super) async fn publish_all(&self, messages: &[Message]) -> Result<Vec<Outcome>, Finding> {
        self.publish_all_to(&self.exchange, messages).await
    }

    pub(super) async fn publish_all_to(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Result<Vec<Outcome>, Finding> {
        let call = self.history.invoke("client", format!("publish all {}", messages.len()));
        let publish = self.publisher.publish_all(exchange, messages);
        let Ok(outcomes) = tokio::time::timeout(self.patience, publish).await else {
            let step = call.unknown(format!("nothing within {:?}", self.patience));
            return Err(Evidence::new("an answer", "none").at(step).into());
        };
        let step = call.ok(tally(&outcomes));
        if outcomes.len() != messages.len() {
            let expected = format!("{} answers", messages.len());
            return Err(Evidence::new(expected, outcomes.len().to_string()).at(step).into());
        }
        Ok(outcomes)
    }

    /// Publishes one that has to arrive.
    pub(super) async fn arrives(&self, message: &Message) -> Result<(), Finding> {
        match self.publish(message).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.not("ok", error.to_string())),
        }
    }

    /// Publishes a batch until all of it has arrived.
    pub(super) async fn all_arrive_soon(&self, messages: &[Message]) -> Result<(), Finding> {
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            let outcomes = self.publish_all(messages).await?;
            if outcomes.iter().all(Result::is_ok) {
                return Ok(());
            }
            tries += 1;
            if began.elapsed() > AGAIN.0 || tries > AGAIN.1 {
                let expected =
                    format!("all {} to be confirmed, now that all is well", messages.len());
                return Err(self.not(expected, tally(&outcomes)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Publishes one until it has arrived. What fails before that has to be unknown.
    pub(super) async fn arrives_soon(&self, message: &Message) -> Result<(), Finding> {
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            match self.publish(message).await? {
                Ok(()) => return Ok(()),
                Err(NotConfirmed::Unknown(_)) if began.elapsed() < AGAIN.0 && tries < AGAIN.1 => {
                    tries += 1;
                }
                Err(error) => return Err(self.not("ok, after a while", error.to_string())),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn start_one(
        self: &Arc<Self>,
        message: Message,
    ) -> JoinHandle<Result<Outcome, Finding>> {
        let client = Arc::clone(self);
        tokio::spawn(async move { client.publish(&message).await })
    }

    pub(super) fn start(
        self: &Arc<Self>,
        messages: Vec<Message>,
    ) -> JoinHandle<Result<Vec<Outcome>, Finding>> {
        self.start_to(&self.exchange, messages)
    }

    pub(super) fn start_to(
        self: &Arc<Self>,
        exchange: &str,
        messages: Vec<Message>,
    ) -> JoinHandle<Result<Vec<Outcome>, Finding>> {
        let (client, exchange) = (Arc::clone(self), exchange.to_owned());
        tokio::spawn(async move { client.publish_all_to(&exchange, &messages).await })
    }

    /// As many callers at once, each with one.
    pub(super) fn start_each(
        self: &Arc<Self>,
        messages: Vec<Message>,
    ) -> JoinHandle<Result<Vec<Outcome>, Finding>> {
        let calling: Vec<_> = messages.into_iter().map(|message| self.start_one(message)).collect();
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for calling in calling {
                outcomes.push(calling.await??);
            }
            Ok(outcomes)
        })
    }

    /// Publishes one, or a batch, for a caller who will not hear what became of it.
    pub(super) fn leaves(self: &Arc<Self>, messages: Vec<Message>) -> JoinHandle<()> {
        let client = Arc::clone(self);
        tokio::spawn(async move {
            let _ = match messages.as_slice() {
                [message] => client.publish(message).await.map(drop),
                messages => client.publish_all(messages).await.map(drop),
            };
        })
    }

    /// How many publishes have been seen on the wire.
    pub(super) fn on_the_wire(&self) -> usize {
        self.proxy.counts().commands.get("basic.publish").copied().unwrap_or_default()
    }

    /// Waits until so many were seen on the wire, or until it is clear that they are not coming.
    pub(super) async fn comes_to_wire<T>(&self, count: usize, calling: &[JoinHandle<T>]) -> usize {
        let began = Instant::now();
        let over = || calling.iter().all(JoinHandle::is_finished);
        while self.on_the_wire() < count && !over() && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.on_the_wire()
    }

    /// Holds every confirm on its way.
    pub(super) fn hold_confirms(&self) -> Gate {
        self.proxy.hold_from_server(|said| said.is("basic.ack") || said.is("basic.nack"))
    }

    /// From here on all passes.
    pub(super) fn let_go(&self, gate: &Gate) {
        self.proxy.clear_rules();
        gate.open();
    }

    pub(super) fn not(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last("client", "= ")).into()
    }
}
