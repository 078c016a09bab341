//! Wrong words: what a confirm, its absence or its companion says.

use super::usual::{Inside, Opens, Usual};
use lapin::BasicProperties;
use lapin::Confirmation;
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use messaging::confirms::{NotConfirmed, Options, Publisher};
use messaging::{Error, Message};

/// `basic_publish(…).await?`, and no confirm mode. It is what the first page of every tutorial shows,
/// and it is fast. Rejected by `waits_for_the_confirm`.
pub(super) struct FireAndForget;

impl Usual for FireAndForget {
    const CONFIRMS: bool = false;
}

/// Confirms, and nothing else. The broker confirms what it has thrown away as well: it has dealt with
/// it. Rejected by `unroutable_alone`.
pub(super) struct NotMandatory;

impl Usual for NotMandatory {
    const MANDATORY: bool = false;
}

/// `Ack(_) => Ok(())`: the message in it looks like a detail. Rejected by `unroutable_alone`.
pub(super) struct IgnoresReturned;

impl Usual for IgnoresReturned {
    fn returned(_: &str, _: &BasicReturnMessage) -> Result<(), NotConfirmed> {
        Ok(())
    }
}

/// Right for one message at a time. In a batch lapin gives what came back to the confirm that is next,
/// and of many that are confirmed by one frame it takes any. Rejected by `which_came_back`.
pub(super) struct TrustsTheConfirm;

impl Usual for TrustsTheConfirm {}

/// A confirm came, so all is well. `basic.nack` is one, too. Rejected by `refused`.
pub(super) struct AnyConfirmWillDo;

impl Usual for AnyConfirmWillDo {
    fn refused() -> Result<(), NotConfirmed> {
        Ok(())
    }
}

/// Builds its own properties, and has never heard of `delivery-mode`. All is well until a broker is
/// restarted. Rejected by `whole_and_persistent`.
pub(super) struct Transient;

impl Usual for Transient {
    fn properties(message: &Message) -> BasicProperties {
        message.properties().with_delivery_mode(1)
    }
}

/// The id is in the body anyway. A consumer that keeps an inbox looks at the envelope. Rejected by
/// `whole_and_persistent`.
pub(super) struct NoId;

impl Usual for NoId {
    fn properties(message: &Message) -> BasicProperties {
        message.properties().with_message_id("".into())
    }
}

/// Knows which header there is, and copies it. The next one that somebody adds does not travel.
/// Rejected by `whole_and_persistent`.
pub(super) struct OnlyTheTrace;

impl Usual for OnlyTheTrace {
    fn properties(message: &Message) -> BasicProperties {
        let mut message = message.clone();
        message.headers.retain(|name, _| name == "traceparent");
        message.properties()
    }
}

/// Keeps to what it takes for the limit of a message. Rejected by `any_size`.
pub(super) struct AtMostOneFrame;

impl Usual for AtMostOneFrame {
    fn body(message: &Message) -> &[u8] {
        message.body.get(..131_064).unwrap_or(&message.body)
    }
}

/// "It was written into the socket." So it was, and perhaps no further. Rejected by
/// `lost_on_the_way`.
pub(super) struct LostIsOk;

impl Usual for LostIsOk {
    fn lost(_: Error) -> Result<(), NotConfirmed> {
        Ok(())
    }
}

/// Every error is a no. The caller then takes the order back, whose event is under way. Rejected by
/// `lost_on_the_way`.
pub(super) struct LostIsRefused;

impl Usual for LostIsRefused {
    fn lost(_: Error) -> Result<(), NotConfirmed> {
        Err(NotConfirmed::Refused)
    }
}

/// Has one error for everything that went wrong, and nobody finds the misspelt exchange. Rejected by
/// `missing_exchange`.
pub(super) struct SaysSlow;

impl Usual for SaysSlow {
    fn lost(_: Error) -> Result<(), NotConfirmed> {
        Err(NotConfirmed::Unknown(Error::Slow(std::time::Duration::from_secs(5))))
    }
}

/// Tries again by itself, so that no caller sees an error. Who has asked for one message has two, and
/// nobody says so. Rejected by `lost_on_the_way`.
pub(super) struct RepeatsByItself(Inside);

impl Publisher for RepeatsByItself {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let timeout = options.timeout;
        Ok(RepeatsByItself(Inside::open(url, options, timeout)?))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        loop {
            match self.once(exchange, message).await {
                Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => return Ok(()),
                Ok(Confirmation::Nack(None)) => return Err(NotConfirmed::Refused),
                Ok(Confirmation::Ack(_) | Confirmation::Nack(_)) => {
                    return Err(NotConfirmed::Unroutable { key: message.key.clone() });
                }
                Err(_) => *self.0.channel.lock().await = None,
            }
        }
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let mut became = Vec::new();
        for message in messages {
            became.push(self.publish(exchange, message).await);
        }
        became
    }
}

impl RepeatsByItself {
    async fn once(&self, exchange: &str, message: &Message) -> Result<Confirmation, Error> {
        let channel = self.0.channel(Opens::WhenLost, true).await?;
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, key) = (exchange.into(), message.key.as_str().into());
        let properties = message.properties();
        let publish = channel.basic_publish(exchange, key, options, &message.body, properties);
        let confirm = self.0.broker.answer(publish).await?;
        self.0.broker.answer(confirm).await
    }
}
