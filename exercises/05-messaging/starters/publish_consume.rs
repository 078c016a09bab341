//! 05.1 · Publish and consume
//!
//! Build a courier that loses no message. It publishes to an exchange, and works off what comes to a
//! queue. Its process may be killed in the middle of any work, and its connection cut at any time.
//!
//! 1. `Ok` of publish means: the broker has it. Also when nobody has consumed yet.
//! 2. A message is acknowledged after its work, and goes back to the queue if the work fails or
//!    panics.
//! 3. Up to `prefetch` messages are worked off at once, and no more are taken from the queue.
//! 4. Whatever is lost, connection, queue, broker: it comes back by itself. It pauses between
//!    attempts.
//! 5. When `until` is over it begins nothing more, ends what is under way, and gives back the rest.
//!
//! The contract with all its details is the trait `Courier`:
//! sandbox/05-messaging/src/publish_consume.rs. What there is for you:
//!
//! - `Broker`: `channel()` gives a channel, on a new connection if the last is lost; `answer(…)` puts
//!   a time limit around whatever you ask of it.
//! - `Topology`: `declare(&channel)` makes exchange, queues and bindings, if they are not there.
//! - `Message`: `properties()` for publishing it, `delivered(&delivery)` to get it back;
//!   `attempt(&delivery)` counts.
//!
//! A first step: publish with `basic_publish`, consume with `basic_consume`, `no_ack` set, and call
//! work for each delivery. Then run the checks, and see what a killed consumer takes along.

use messaging::confirms::NotConfirmed;
use messaging::publish_consume::{Courier, Delivered, Drained, Failed, Options};
use messaging::{Broker, Error, Message, Topology};

/// Your courier.
#[allow(dead_code)] // until publish and consume use it
pub struct MyCourier {
    broker: Broker,
    topology: Topology,
}

impl Courier for MyCourier {
    fn open(url: &str, topology: Topology, options: Options) -> Result<Self, Error> {
        Ok(MyCourier { broker: Broker::open(url, options)?, topology })
    }

    async fn publish(&self, _message: &Message) -> Result<(), NotConfirmed> {
        todo!("into the exchange, and wait until the broker has it")
    }

    async fn consume<W, F>(
        &self,
        _queue: &str,
        _prefetch: u16,
        _work: W,
        _until: impl Future<Output = ()> + Send,
    ) -> Result<Drained, Error>
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        todo!("work off what comes, and acknowledge it when it is done")
    }
}
