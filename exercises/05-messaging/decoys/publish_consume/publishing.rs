//! Those who do not wait for the broker, and one who waits for ever.

use super::usual::Part;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};
use messaging::confirms::NotConfirmed;
use messaging::{Broker, Error, Message, Topology};

/// Asks for no confirms. `Ok` means that the message was written to a socket: check `ok_is_there`.
pub struct FireAndForget;

impl Part for FireAndForget {
    async fn ready(topology: &Topology, channel: &Channel) -> lapin::Result<()> {
        topology.declare(channel).await
    }

    async fn send(
        broker: &Broker,
        channel: &Channel,
        exchange: &str,
        message: &Message,
    ) -> Result<(), NotConfirmed> {
        let (key, options) = (message.key.as_str().into(), BasicPublishOptions::default());
        let (body, properties) = (&message.body, message.properties());
        let sent = channel.basic_publish(exchange.into(), key, options, body, properties);
        broker.answer(sent).await?;
        Ok(())
    }
}

/// Makes its channel once. A channel does not come back from an error: check
/// `publisher_comes_back`.
pub struct KeepsItsChannel;

impl Part for KeepsItsChannel {
    fn usable(_: &Channel, _: bool) -> bool {
        true
    }
}

/// Waits for the confirm without a limit of its own. lapin waits for as long as the connection seems
/// to live: check `broker_hangs`.
pub struct NoTimeout;

impl Part for NoTimeout {
    async fn send(
        _: &Broker,
        channel: &Channel,
        exchange: &str,
        message: &Message,
    ) -> Result<(), NotConfirmed> {
        let (key, options) = (message.key.as_str().into(), BasicPublishOptions::default());
        let (body, properties) = (&message.body, message.properties());
        let sent = channel.basic_publish(exchange.into(), key, options, body, properties);
        let confirm = sent.await.map_err(Error::from)?;
        match confirm.await.map_err(Error::from)? {
            Confirmation::Ack(_) => Ok(()),
            _ => Err(NotConfirmed::Refused),
        }
    }
}
