//! Mistakes about what the same message is.

use super::usual::{Usual, commit};
use deadpool_postgres::tokio_postgres::{Client, Transaction};
use messaging::Message;
use messaging::idempotent_consumer::{Error, Once, Work};
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

/// An order is paid once, so the order is the key. It may be paid in two parts. Rejected by
/// `id_counts`.
pub(super) struct KnowsTheOrder;

impl Usual for KnowsTheOrder {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        match message.id.as_str() {
            "" => Err(Error::NoId),
            id => {
                Ok((consumer.to_owned(), message.correlation.as_deref().unwrap_or(id).to_owned()))
            }
        }
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

/// Makes ids comparable: no blanks at the ends, and all in small letters. They were two messages, and
/// the second is lost. Rejected by `id_counts`.
pub(super) struct TidiesTheId;

impl Usual for TidiesTheId {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        match message.id.trim().to_lowercase() {
            id if id.is_empty() => Err(Error::NoId),
            id => Ok((consumer.to_owned(), id)),
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

/// Writes the id into the statement itself: it is a number anyway. The producer of the next event has
/// ids with names of people in them. Rejected by `id_counts`.
pub(super) struct PutsItIntoTheStatement;

impl Usual for PutsItIntoTheStatement {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        let insert = format!(
            "INSERT INTO inbox (consumer, message) VALUES ('{consumer}', '{id}')
             ON CONFLICT DO NOTHING"
        );
        if transaction.execute_typed(&insert, &[]).await? == 0 {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
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

/// Ids are UUIDs, so a column of 64 letters is room enough. Those of the next producer are paths, and
/// differ at their end. Rejected by `id_counts`.
pub(super) struct KeepsTheBeginning;

impl Usual for KeepsTheBeginning {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        match message.id.as_str() {
            "" => Err(Error::NoId),
            id => Ok((consumer.to_owned(), id.chars().take(64).collect())),
        }
    }
}

/// Makes an id safe for a database: letters and digits, and `_` for whatever else there is. Two that
/// differ only in that are one. Rejected by `id_counts`.
pub(super) struct SafeLetters;

impl Usual for SafeLetters {
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        let safe = |letter: char| if letter.is_alphanumeric() { letter } else { '_' };
        match message.id.as_str() {
            "" => Err(Error::NoId),
            id => Ok((consumer.to_owned(), id.chars().map(safe).collect())),
        }
    }
}
