//! Mistakes in how a message gets into the outbox.

use super::*;
use std::sync::Mutex;

/// Takes a connection of its own from the pool, as every other query in the house does. It commits at
/// once: the message is on its way before its order is, or without it. Rejected by `still_open`.
#[derive(Default)]
pub struct OnItsOwnConnection;

impl Way for OnItsOwnConnection {
    async fn add(parts: &Whole<Self>, _: &Transaction<'_>, message: &Message) -> Result<(), Error> {
        sendable(message)?;
        let turn = parts.connections.begin().await?;
        let add = "INSERT INTO outbox (message, key, correlation, content_type, headers, body)
                   VALUES ($1, $2, $3, $4, $5::text::jsonb, $6)";
        let headers = serde_json::to_string(&message.headers).expect("a map of texts");
        let Message { id, key, correlation, content_type, body, .. } = message;
        turn.execute(add, &[id, key, correlation, content_type, &headers, body]).await?;
        turn.commit().await
    }
}

/// Collects events while the request runs, and publishes them at its end: the "domain events" of
/// many a framework. Whether there was a commit, nobody asks. Rejected by `rolled_back`.
#[derive(Default)]
pub struct KeptUntilAsked(Mutex<Vec<Message>>);

impl Way for KeptUntilAsked {
    async fn add(parts: &Whole<Self>, _: &Transaction<'_>, message: &Message) -> Result<(), Error> {
        sendable(message)?;
        parts.way.0.lock().expect("nothing panics").push(message.clone());
        Ok(())
    }

    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let waiting = std::mem::take(&mut *parts.way.0.lock().expect("nothing panics"));
        let mut done = Forwarded::default();
        for message in waiting {
            match publisher.publish(exchange, &message).await {
                Ok(()) => done.sent += 1,
                Err(_) => parts.way.0.lock().expect("nothing panics").push(message),
            }
        }
        Ok(done)
    }
}

/// Remembers what it is to publish, and asks PostgreSQL whether the transaction was committed. That
/// is right as long as somebody is there to remember. Rejected by `killed_writer`.
#[derive(Default)]
pub struct InMemoryOnceCommitted(Mutex<Vec<(String, Message)>>);

impl Way for InMemoryOnceCommitted {
    async fn add(
        parts: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Error> {
        sendable(message)?;
        let number = transaction.query_one("SELECT pg_current_xact_id()::text", &[]).await?;
        let entry = (number.get(0), message.clone());
        parts.way.0.lock().expect("nothing panics").push(entry);
        Ok(())
    }

    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let waiting = parts.way.0.lock().expect("nothing panics").clone();
        let turn = parts.connections.begin().await?;
        for (number, message) in waiting {
            let ask = "SELECT pg_xact_status($1::text::xid8)";
            let status: Option<String> = turn.query(ask, &[&number]).await?[0].get(0);
            if status.as_deref() == Some("committed")
                && publisher.publish(exchange, &message).await.is_ok()
            {
                done.sent += 1;
                let mut waiting = parts.way.0.lock().expect("nothing panics");
                waiting.retain(|(_, waiting)| waiting.id != message.id);
            }
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// All our messages are JSON, so the body is text. Until the first one that is compressed. Rejected
/// by `as_it_was`.
#[derive(Default)]
pub struct BodyIsText;

impl Way for BodyIsText {
    async fn add(
        _: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Error> {
        sendable(message)?;
        let body = message.text().replace('\0', "").into_bytes();
        insert(transaction, &Message { body, ..message.clone() }).await
    }
}

/// Keeps id, key and body. The trace ends here, and the consumer no longer knows which order it is
/// about. Rejected by `as_it_was`.
#[derive(Default)]
pub struct ForgetsTheEnvelope;

impl Way for ForgetsTheEnvelope {
    async fn add(
        _: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Error> {
        sendable(message)?;
        let Message { id, key, correlation, body, .. } = message.clone();
        insert(transaction, &Message { correlation, ..Message::new(id, key, body) }).await
    }
}

/// The table takes everything. What AMQP does not take is found out by the relay, over and over,
/// when nobody can undo it any more. Rejected by `unsendable`.
#[derive(Default)]
pub struct TakesWhatComes;

impl Way for TakesWhatComes {
    async fn add(
        _: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Error> {
        insert(transaction, message).await
    }
}

/// 255 characters, says the manual's reader, and counts characters. AMQP counts bytes, and a name with
/// an `ö` in it closes the channel. Rejected by `unsendable`.
#[derive(Default)]
pub struct CountsCharacters;

impl Way for CountsCharacters {
    async fn add(
        _: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Error> {
        let Message { id, key, correlation, content_type, headers, .. } = message;
        let texts = [Some(id), Some(key), correlation.as_ref(), content_type.as_ref()];
        let texts = || texts.into_iter().flatten().chain(headers.keys());
        let long = texts().any(|text| text.chars().count() > 255);
        let zero = texts().chain(headers.values()).any(|text| text.contains('\0'));
        let much = headers.values().map(String::len).sum::<usize>() > 64 * 1024;
        if long || zero || much {
            return Err(Error::Unsendable("it is too long".to_owned()));
        }
        insert(transaction, message).await
    }
}

/// A lock in each transaction that adds, until its end: then the numbers are in the order of the
/// commits, and a poller may remember the last. And all orders of the shop wait for the slowest one.
/// Rejected by `commit_gap`.
#[derive(Default)]
pub struct OneWriterAtATime;

impl Way for OneWriterAtATime {
    async fn add(
        _: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<(), Error> {
        sendable(message)?;
        transaction.execute("SELECT pg_advisory_xact_lock(8)", &[]).await?;
        insert(transaction, message).await
    }
}
