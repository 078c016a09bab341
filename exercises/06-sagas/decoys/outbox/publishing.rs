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

/// Gives each message as long as the whole turn. With a broker that hangs, a batch of a hundred takes
/// a hundred turns. Rejected by `broker_hangs`.
#[derive(Default)]
pub struct AsLongForEach;

impl Way for AsLongForEach {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        for row in &turn.query(Self::READ, &[&parts.batch()]).await? {
            let message = read(row);
            let publishing = publisher.publish(exchange, &message);
            match tokio::time::timeout(parts.options.turn, publishing).await {
                Ok(Ok(())) => done.sent += 1,
                _ => {
                    done.unknown += 1;
                    continue;
                }
            }
            let id: i64 = row.get("id");
            turn.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// What was refused is tried again at the next look, which is a moment later. The broker was full.
/// Rejected by `pauses`.
#[derive(Default)]
pub struct AtOnceAgain;

impl Way for AtOnceAgain {
    const READ: &'static str = "
        SELECT DISTINCT ON (coalesce(correlation, ''))
               id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        ORDER BY coalesce(correlation, ''), id LIMIT $1";
}

/// Counts what it has tried as sent: what is not confirmed comes again, so it is sent in the end. The
/// relay above sees a broker that takes everything. Rejected by `what_came_of_it`.
#[derive(Default)]
pub struct CountsWhatItTried;

impl Way for CountsWhatItTried {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let Forwarded { sent, refused, parked, .. } = parts.one_by_one(exchange, publisher).await?;
        Ok(Forwarded { sent: sent + refused + parked, ..Forwarded::default() })
    }
}

/// Of one nobody knows, so the connection is gone, so it leaves the rest for the next time. When it is
/// the same one each time, nobody else's turn ever comes. Rejected by `others_go_on`.
#[derive(Default)]
pub struct EndsWhereNobodyKnows;

impl Way for EndsWhereNobodyKnows {
    const ENDS_WHEN_UNKNOWN: bool = true;
}

/// What nobody knows is tried again, so there is nothing to write down. And all that wait behind it are
/// read again with it: a whole batch of them, and nobody else is ever read. Rejected by
/// `others_go_on`.
#[derive(Default)]
pub struct BatchOfTheUnknown;

impl Way for BatchOfTheUnknown {
    const KNOWS_WHAT_IS_UNKNOWN: bool = false;
}

/// Counts every attempt, and parks only what no queue wants. After an hour with a full queue each
/// message has used up its attempts, and the first binding that is late parks it. Rejected by
/// `broker_away`.
#[derive(Default)]
pub struct RefusalsUseItUp;

impl Way for RefusalsUseItUp {
    const REFUSAL_COUNTS: i32 = 1;
}

/// The pause in seconds, as PostgreSQL's intervals are written. Half a second is none. Rejected by
/// `pauses`.
#[derive(Default)]
pub struct WholeSeconds;

impl Way for WholeSeconds {
    fn pause(options: &Options) -> i64 {
        i64::try_from(options.pause.as_secs()).unwrap_or(i64::MAX) * 1000
    }
}

/// The column is an `integer`, so the limit becomes one, with `as`. Who asks for "never" has said -1.
/// Rejected by `parked`.
#[derive(Default)]
pub struct CastsItsLimit;

impl Way for CastsItsLimit {
    fn attempts(options: &Options) -> i32 {
        options.attempts as i32
    }
}
