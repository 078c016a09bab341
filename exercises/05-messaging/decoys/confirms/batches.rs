//! Wrong batches.

use super::usual::{Inside, Opens, Usual, Usually};
use futures_util::stream::{self, StreamExt};
use lapin::options::BasicPublishOptions;
use messaging::confirms::{Confirmed, NotConfirmed, Options, Publisher};
use messaging::{Error, Message};
use std::collections::HashSet;
use std::time::Duration;

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

/// `messages.chunks(window)`, one chunk after the other. While the slowest of a chunk is on its way, so
/// is nothing else. Rejected by `room_is_used`.
pub(super) struct InBundles {
    good: Confirmed,
    window: usize,
}

impl Publisher for InBundles {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let window = options.window.max(1);
        Ok(InBundles { good: Confirmed::open(url, options)?, window })
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.good.publish(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let mut became = Vec::with_capacity(messages.len());
        for bundle in messages.chunks(self.window) {
            became.extend(self.good.publish_all(exchange, bundle).await);
        }
        became
    }
}

/// Nothing about it is special.
struct Plain;

impl Usual for Plain {}

/// `buffered(window)`, and in each future its room. They are the caller's: when it leaves there is room
/// again, and the messages are still on their way. Rejected by `dropped_callers`.
pub(super) struct Buffered(Usually<Plain>);

impl Publisher for Buffered {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Usually::open(url, options).map(Buffered)
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.0.publish(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let inside = &self.0.0;
        let publish = async |message: &Message| {
            let room = tokio::time::timeout(inside.options.timeout, inside.window.acquire());
            let _room = room.await.map_err(|_| Error::Slow(inside.options.timeout))?;
            self.0.bare(exchange, message).await
        };
        stream::iter(messages).map(publish).buffered(inside.options.window.max(1)).collect().await
    }
}

/// Waits for each confirm in its turn.
struct InTurn;

impl Usual for InTurn {
    fn timeout(_: &Options) -> Duration {
        Duration::from_secs(60 * 60)
    }
}

/// `for confirm in confirms { timeout(…, confirm) }`: each has its time, one after the other. When no
/// confirm comes any more, a batch of forty waits for forty timeouts. Rejected by `as_long_as_said`.
pub(super) struct TimesThemInTurn(Usually<InTurn>);

impl Publisher for TimesThemInTurn {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Usually::open(url, options).map(TimesThemInTurn)
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
        let inside = &self.0.0;
        let timeout = inside.options.timeout;
        let mut sent = Vec::new();
        for message in messages {
            let posted = tokio::time::timeout(timeout, self.0.post(exchange, message)).await;
            sent.push(posted.unwrap_or(Err(Error::Slow(timeout))));
        }
        let mut became = Vec::new();
        for sent in sent {
            became.push(match sent {
                Ok(sent) => match tokio::time::timeout(timeout, sent).await {
                    Ok(outcome) => outcome.expect("no panic"),
                    Err(_) => Err(Error::Slow(timeout).into()),
                },
                Err(error) => Err(error.into()),
            });
        }
        let slow = |outcome: &_| matches!(outcome, Err(NotConfirmed::Unknown(Error::Slow(_))));
        if became.iter().any(slow) {
            *inside.channel.lock().await = None;
            inside.broker.close().await;
        }
        became
    }
}

/// A connection for each kind of message, by its key, so that one kind is in nobody else's way. What
/// was placed and then paid for arrives as paid for and then placed. Rejected by `order_kept`.
pub(super) struct ALineForEachKey([Confirmed; 2]);

impl ALineForEachKey {
    fn line(message: &Message) -> usize {
        message.key.len() % 2
    }
}

impl Publisher for ALineForEachKey {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let lines = [Confirmed::open(url, options.clone())?, Confirmed::open(url, options)?];
        Ok(ALineForEachKey(lines))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.0[Self::line(message)].publish(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let of_line = |line| {
            let own = messages.iter().filter(move |message| Self::line(message) == line);
            own.cloned().collect::<Vec<_>>()
        };
        let (even, odd) = (of_line(0), of_line(1));
        let (even, odd) = tokio::join!(
            self.0[0].publish_all(exchange, &even),
            self.0[1].publish_all(exchange, &odd)
        );
        let mut became = [even.into_iter(), odd.into_iter()];
        messages.iter().filter_map(|message| became[Self::line(message)].next()).collect()
    }
}
