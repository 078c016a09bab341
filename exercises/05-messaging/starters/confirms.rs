//! 05.4 · Publisher confirms
//!
//! The shop publishes `order.placed.v1`, says "thank you" to the customer, and the broker dies. Was
//! it on its disk? Build a publisher whose `Ok` means that the message is safe.
//!
//! What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. `Ok` comes after the broker's confirm and never without one. A lost confirm is `Unknown`.
//! 2. What no queue wants is `Unroutable`, and what a full queue rejects is `Refused`. In a batch it is
//!    known which ones.
//! 3. A batch does not wait for one confirm before the next, keeps its order, and never has more on
//!    its way than the window has room for. The window is for all callers together.
//! 4. Every call ends in time. Callers may leave at any moment, and the window stays whole.
//! 5. A channel that is lost is opened again by the next call. Nothing is published twice by itself.
//!
//! The contract with all its details is the trait `Publisher`: sandbox/05-messaging/src/confirms.rs.
//! `Broker` is a connection that comes back: `broker.channel().await`, and every question through
//! `broker.answer(…)`, which ends in time. `message.properties()` is what goes before the body.
//!
//! A first step: a channel for each call, `confirm_select`, `basic_publish` with `mandatory`, and
//! await what it gives you. Then run the checks and read the first timeline.

use messaging::confirms::{NotConfirmed, Options, Publisher};
use messaging::{Broker, Error, Message, broker};

/// Your publisher.
#[allow(dead_code)] // until publish uses the fields
pub struct MyPublisher {
    broker: Broker,
    options: Options,
}

impl Publisher for MyPublisher {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let connection = broker::Options { timeout: options.timeout, ..broker::Options::default() };
        Ok(MyPublisher { broker: Broker::open(url, connection)?, options })
    }

    async fn publish(&self, _exchange: &str, _message: &Message) -> Result<(), NotConfirmed> {
        todo!("publish it, and wait for the confirm")
    }

    async fn publish_all(
        &self,
        _exchange: &str,
        _messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        todo!("all on the wire first, then the confirms")
    }
}
