//! Mistakes in how a turn ends, and in what is told of it.

use super::*;
use tokio::time::timeout;

/// One limit around all of it: the call ends in time, and takes back with it what it wanted to mark.
/// With a broker that is slow, each turn begins where the one before did. Rejected by `slow_broker`.
#[derive(Default)]
pub struct DropsTheWholeTurn;

impl Way for DropsTheWholeTurn {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let unknown = Forwarded { unknown: 1, ..Forwarded::default() };
        let all = parts.one_by_one(exchange, publisher);
        timeout(parts.options.turn, all).await.unwrap_or(Ok(unknown))
    }

    fn busy(options: &Options) -> Duration {
        options.turn * 100
    }
}

/// The limit stands where it waits for a confirm, and ends the call when one does not come. When each
/// comes late, but comes, a batch of a hundred takes a hundred turns. Rejected by `slow_broker`.
#[derive(Default)]
pub struct AsLongForEachConfirm;

impl Way for AsLongForEachConfirm {
    const AS_LONG_FOR_EACH: bool = true;
}

/// When the turn is over, it ends, and counts what it has. What was on its way then is nowhere in
/// that, and the relay above takes a broker that hangs for one that has nothing to do. Rejected by
/// `broker_hangs`.
#[derive(Default)]
pub struct SilentAboutTheRest;

impl Way for SilentAboutTheRest {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let began = Instant::now();
        let done = parts.one_by_one(exchange, publisher).await?;
        let over = began.elapsed() >= parts.options.turn;
        Ok(Forwarded { unknown: if over { 0 } else { done.unknown }, ..done })
    }
}

/// Counts what has happened, and not how often: whether there was anything to do is all that the
/// relay above asks. Who watches it sees one message a turn. Rejected by `what_came_of_it`.
#[derive(Default)]
pub struct CountsToOne;

impl Way for CountsToOne {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let Forwarded { sent, refused, parked, unknown } =
            parts.one_by_one(exchange, publisher).await?;
        let once = |many: usize| many.min(1);
        Ok(Forwarded {
            sent: once(sent),
            refused: once(refused),
            parked: once(parked),
            unknown: once(unknown),
        })
    }
}

/// All is published and confirmed, so what should still go wrong? COMMIT can. Then it tells of
/// messages as sent that are published again with the next turn, and nobody hears of an error.
/// Rejected by `cut_anywhere`.
#[derive(Default)]
pub struct ForgetsTheLastAnswer;

impl Way for ForgetsTheLastAnswer {
    async fn end(turn: Turn) -> Result<(), Error> {
        let _ = turn.commit().await;
        Ok(())
    }
}
