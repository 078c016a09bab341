//! Mistakes in what is published, and in what follows from the broker's answer.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sends the whole batch at once and marks what was confirmed. The broker may refuse the first and
/// take the second. Rejected by `one_after_the_other`.
#[derive(Default)]
pub struct PipelinesTheBatch;

impl Way for PipelinesTheBatch {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        let rows = turn.query(Self::READ, &[&parts.batch()]).await?;
        let messages: Vec<Message> = rows.iter().map(read).collect();
        let answers = publisher.publish_all(exchange, &messages).await;
        for (row, answer) in rows.iter().zip(answers) {
            let id: i64 = row.get("id");
            match answer {
                Ok(()) => {
                    turn.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
                    done.sent += 1;
                }
                Err(_) => {
                    parts.rest(&turn, id, 0).await?;
                    done.refused += 1;
                }
            }
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// One after the other, and the next one whatever became of the last: it will be tried again, won't
/// it? Behind those that it should have come before. Rejected by `one_after_the_other`.
#[derive(Default)]
pub struct SkipsTheRefused;

impl Way for SkipsTheRefused {
    const WAITS: bool = false;
}

/// Keeps the order of everything: where one is not confirmed, it ends, and begins there again. Then
/// one full queue holds up the whole shop. Rejected by `others_go_on`.
#[derive(Default)]
pub struct StopsAtTheFirst;

impl Way for StopsAtTheFirst {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        let oldest = "
            SELECT id, message, key, correlation, content_type, headers::text, body
            FROM outbox WHERE sent_at IS NULL AND parked IS NULL ORDER BY id LIMIT $1";
        for row in &turn.query(oldest, &[&parts.batch()]).await? {
            if publisher.publish(exchange, &read(row)).await.is_err() {
                done.refused += 1;
                break;
            }
            let id: i64 = row.get("id");
            turn.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
            done.sent += 1;
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// Published is published: what the broker says to it is logged somewhere. Rejected by
/// `published_again`.
#[derive(Default)]
pub struct IgnoresTheConfirm;

impl Way for IgnoresTheConfirm {
    fn judge(_: &Result<(), NotConfirmed>) -> Verdict {
        Verdict::Sent
    }
}

/// Draws the message's id when it is published. The second time it is another message, and no inbox
/// knows it again. Rejected by `published_again`.
#[derive(Default)]
pub struct ANewIdEachTime;

impl Way for ANewIdEachTime {
    fn publishes(message: Message) -> Message {
        static DRAWN: AtomicUsize = AtomicUsize::new(0);
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        Message { id: format!("{}-{drawn}", message.id), ..message }
    }
}

/// Tries what no queue wants until somebody wants it. Those behind it wait as long. Rejected by
/// `parked`.
#[derive(Default)]
pub struct TriesForEver;

impl Way for TriesForEver {
    fn judge(answer: &Result<(), NotConfirmed>) -> Verdict {
        match answer {
            Ok(()) => Verdict::Sent,
            Err(NotConfirmed::Unknown(_)) => Verdict::Again,
            Err(_) => Verdict::Rests,
        }
    }
}

/// Gives up after so many attempts, by calling it sent. The others go on, and of this one nobody
/// ever hears. Rejected by `parked`.
#[derive(Default)]
pub struct LostWithoutATrace;

impl Way for LostWithoutATrace {
    const PARK: &'static str = "UPDATE outbox SET sent_at = now() WHERE id = $1";
}

/// Counts every failure. After an hour without a broker, everything of that hour lies parked.
/// Rejected by `broker_away`.
#[derive(Default)]
pub struct ParksWhileTheBrokerIsAway;

impl Way for ParksWhileTheBrokerIsAway {
    fn judge(answer: &Result<(), NotConfirmed>) -> Verdict {
        match answer {
            Ok(()) => Verdict::Sent,
            Err(_) => Verdict::Counts,
        }
    }
}

/// Waits for the confirm, however long: the publisher has a timeout of its own, doesn't it? Rejected
/// by `broker_hangs`.
#[derive(Default)]
pub struct PatientWithTheBroker;

impl Way for PatientWithTheBroker {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        for row in &turn.query(Self::READ, &[&parts.batch()]).await? {
            if publisher.publish(exchange, &read(row)).await.is_err() {
                done.unknown += 1;
                break;
            }
            let id: i64 = row.get("id");
            turn.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
            done.sent += 1;
        }
        turn.commit().await?;
        Ok(done)
    }
}
