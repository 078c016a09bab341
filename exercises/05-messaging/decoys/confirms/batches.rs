//! Wrong batches.

use super::usual::{Inside, Opens, Usual};
use lapin::options::BasicPublishOptions;
use messaging::confirms::{NotConfirmed, Options, Publisher};
use messaging::{Error, Message};
use std::collections::HashSet;

/// A loop over `publish`. Right, and as slow as the way to the broker and its disk are. Rejected by
/// `pipelines`.
pub(super) struct OneByOne;

impl Usual for OneByOne {
    const ONE_BY_ONE: bool = true;
}

/// `try_join_all`: at the first error it is over, and what became of the others nobody asks. Rejected
/// by `refused`.
pub(super) struct FirstErrorEndsIt;

impl Usual for FirstErrorEndsIt {
    const FIRST_ERROR_ENDS: bool = true;
}

/// `?` in a batch: when the connection is lost, all of it is. What the broker had confirmed before is
/// published again, and what had come back is looked for. Rejected by `confirmed_stays`.
pub(super) struct AllOrNothing;

impl Usual for AllOrNothing {
    const ALL_OR_NOTHING: bool = true;
}

/// One deadline around the whole batch. The more there is in it, the less of it is ever confirmed.
/// Rejected by `slow_broker`.
pub(super) struct OneDeadline;

impl Usual for OneDeadline {
    const ONE_DEADLINE: bool = true;
}

/// A task for each, so that none waits for another. They arrive as they like. Rejected by
/// `order_kept`.
pub(super) struct SpawnsEach;

impl Usual for SpawnsEach {
    const SPAWNS_EACH: bool = true;
}

/// Each message of a batch finds out by itself that nobody is there, one timeout after the other.
/// Rejected by `stalled`.
pub(super) struct EachWaitsAlone;

impl Usual for EachWaitsAlone {}

/// `channel.wait_for_confirms()`, which gives what came back, and waits for the rest. It does not say
/// what was refused. Rejected by `refused`.
pub(super) struct WaitForConfirms(Inside);

impl Publisher for WaitForConfirms {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let timeout = options.timeout;
        Ok(WaitForConfirms(Inside::open(url, options, timeout)?))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        let one = std::slice::from_ref(message);
        self.publish_all(exchange, one).await.pop().unwrap_or(Ok(()))
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        match self.batch(exchange, messages).await {
            Ok(returned) => messages
                .iter()
                .map(|message| match returned.contains(&message.id) {
                    true => Err(NotConfirmed::Unroutable { key: message.key.clone() }),
                    false => Ok(()),
                })
                .collect(),
            Err(error) => messages.iter().map(|_| Err(error.clone().into())).collect(),
        }
    }
}

impl WaitForConfirms {
    async fn batch(&self, exchange: &str, messages: &[Message]) -> Result<HashSet<String>, Error> {
        let channel = self.0.channel(Opens::WhenLost, true).await?;
        for message in messages {
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let (exchange, key) = (exchange.into(), message.key.as_str().into());
            let properties = message.properties();
            let publish = channel.basic_publish(exchange, key, options, &message.body, properties);
            // Its confirm is waited for below.
            drop(self.0.broker.answer(publish).await?);
        }
        let returned = self.0.broker.answer(channel.wait_for_confirms()).await?;
        Ok(returned.iter().map(|returned| Message::delivered(&returned.delivery).id).collect())
    }
}
