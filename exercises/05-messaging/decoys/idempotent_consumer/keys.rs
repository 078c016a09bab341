//! Mistakes about what the same message is.

use super::usual::Usual;
use messaging::Message;
use messaging::idempotent_consumer::Error;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A hash of the content, for producers that send no id. The producer that sends again renders it
/// anew, in another order or with another time in it; and two customers who pay the same are one.
/// Rejected by `id_counts`.
pub(super) struct HashesTheContent;

impl Usual for HashesTheContent {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        if message.id.is_empty() {
            return Err(Error::NoId);
        }
        let mut hash = DefaultHasher::new();
        message.body.hash(&mut hash);
        Ok((consumer.to_owned(), format!("{:x}", hash.finish())))
    }
}

/// The id alone is the key. It worked until the second service was given the same database: an event
/// that the one has seen the other never gets. Rejected by `each_consumer`.
pub(super) struct IdAlone;

impl Usual for IdAlone {
    fn key(_: &str, message: &Message) -> Result<(String, String), Error> {
        match message.id.as_str() {
            "" => Err(Error::NoId),
            id => Ok((String::new(), id.to_owned())),
        }
    }
}

/// One column for both, with a colon between them, as keys in Redis have it. Names and ids have
/// colons as well. Rejected by `each_consumer`.
pub(super) struct GluesTheNames;

impl Usual for GluesTheNames {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        match message.id.as_str() {
            "" => Err(Error::NoId),
            id => Ok((String::new(), format!("{consumer}:{id}"))),
        }
    }
}

/// Asks nobody whether there is an id. The first message without one is done, and all others are
/// "seen", and lost. Rejected by `no_id`.
pub(super) struct EmptyIsAnId;

impl Usual for EmptyIsAnId {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        Ok((consumer.to_owned(), message.id.clone()))
    }
}

/// Gives a message without an id one of its own. It is new each time it comes. Rejected by `no_id`.
pub(super) struct MakesUpAnId;

impl Usual for MakesUpAnId {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        let id = match message.id.as_str() {
            "" => format!("{:032x}", rand::random::<u128>()),
            id => id.to_owned(),
        };
        Ok((consumer.to_owned(), id))
    }
}
