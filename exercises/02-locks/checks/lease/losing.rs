//! What a holder hears of its own lease.

use super::*;
use redis::AsyncCommands;
use std::pin::pin;

/// Timers are late on a busy machine; wrong answers are late by more.
const SLACK: Duration = Duration::from_millis(250);

pub(super) async fn lost_before_ttl<L: Lease>(world: World) -> Result<(), Finding> {
    /// How long the yes is on its way.
    const LATE: Duration = Duration::from_millis(500);
    let options = Options { ttl: Duration::from_millis(800), timeout: Duration::from_secs(3) };
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", options).await?;
    client.warm_up().await?;

    // The reply is late, and then Redis cannot be reached at all.
    let gate = client.proxy.hold_reply(|_| true);
    let mut acquiring = client.start_acquire(&name, ONCE);
    comes_to(&gate, &mut acquiring).await?;
    let granted = Instant::now();
    tokio::time::sleep(LATE).await;
    gate.open();
    let held = acquiring.await?;
    let held =
        held.map_err(|error| client.broken("a lease: Redis has said yes", error.to_string()))?;
    client.proxy.stall();
    let hangs = world.fault("Redis hangs, as the client sees it");
    // Redis said yes before this process saw the reply on its way.
    let forgotten = granted + options.ttl;
    let call = world.invoke("client", "lost()");
    let wait = (forgotten + SLACK).saturating_duration_since(Instant::now());
    let lost = tokio::time::timeout(wait, held.lost()).await;
    drop(hangs);
    if lost.is_err() {
        call.unknown("it waits");
        let expected = "lost() before Redis forgets the lease, 800 ms after it was asked";
        let saw =
            format!("not a word {:?} after that", granted.elapsed().saturating_sub(options.ttl));
        return Err(client.broken(expected, saw));
    }
    call.ok("lost");

    // A yes that is older than the lease is none.
    world.history().turn_page();
    let client = Client::<L>::open(&world, "client", SHORT).await?;
    client.warm_up().await?;
    let gate = client.proxy.hold_reply(|_| true);
    let mut acquiring = client.start_acquire(&format!("{name}:late"), ONCE);
    comes_to(&gate, &mut acquiring).await?;
    tokio::time::sleep(SHORT.ttl + Duration::from_millis(20)).await;
    gate.open();
    match acquiring.await? {
        Err(_) => Ok(()),
        Ok(_) => {
            let expected = "Lost: the yes is older than the lease, and another may hold it";
            Err(client.broken(expected, "a lease"))
        }
    }
}

/// By the clock of Redis, however slow this machine is: a key of the check's own that is set before
/// the lease ends before it, and one that is set after it, for longer, ends after it.
pub(super) async fn lasts_its_ttl<L: Lease>(world: World) -> Result<(), Finding> {
    const TTL: u64 = 300;
    const SPARE: u64 = 200;
    let options = Options { ttl: Duration::from_millis(TTL), ..LONG };
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", options).await?;
    let other = Client::<L>::open(&world, "other", LONG).await?;
    let mut look = world.look().await?;
    for extends in [false, true] {
        world.history().turn_page();
        let name = format!("{name}:{extends}");
        let (before, after) = (format!("before:{name}"), format!("after:{name}"));
        let held = match extends {
            true => Some(client.gets(&name, "a lease on a name that nobody holds").await?),
            false => None,
        };
        look.pset_ex::<_, _, ()>(&before, "", TTL).await?;
        let held = match held {
            Some(held) => match client.extend(&held).await {
                Ok(()) => held,
                Err(error) => return Err(client.broken("extend() to work", error.to_string())),
            },
            None => client.gets(&name, "a lease on a name that nobody holds").await?,
        };
        look.pset_ex::<_, _, ()>(&after, "", TTL + SPARE).await?;
        loop {
            let over = !look.exists::<_, bool>(&after).await?;
            match other.acquire(&name, ONCE).await {
                Err(Error::Busy(_)) if over => {
                    let expected = "the name free: the TTL of 300 ms is over";
                    return Err(other.broken(expected, "still held, 200 ms after that"));
                }
                Err(Error::Busy(_)) => {}
                Err(error) => return Err(other.broken("a lease, or Busy", error.to_string())),
                Ok(_) if look.exists(&before).await? => {
                    let expected = "the name held until the TTL of 300 ms is over";
                    return Err(other.broken(expected, "free before that, as Redis counts"));
                }
                Ok(_) => break,
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        drop(held);
    }
    Ok(())
}

pub(super) async fn extend_moves_the_end<L: Lease>(world: World) -> Result<(), Finding> {
    let options = Options { ttl: Duration::from_millis(900), timeout: Duration::from_secs(3) };
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", options).await?;
    let other = Client::<L>::open(&world, "other", LONG).await?;
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    let began = Instant::now();
    let mut extended = began;
    // As work has it beside itself in one `select!`; others ask anew each time.
    let mut pending = pin!(held.lost());
    let too_busy = || Finding::inconclusive("the machine is too busy to extend a lease");
    let too_early = |extended: Instant| {
        let saw = format!("lost() {:?} after the last extend()", extended.elapsed());
        client.broken("no loss: the lease lasts 900 ms from the last extend()", saw)
    };
    while began.elapsed() < options.ttl + Duration::from_millis(150) {
        let lost = tokio::select! {
            () = pending.as_mut() => true,
            () = held.lost() => true,
            () = tokio::time::sleep(Duration::from_millis(70)) => false,
        };
        // A machine that lets nobody run for the whole of a lease has not been extending it.
        let in_time = extended.elapsed() < options.ttl / 2;
        if lost {
            return Err(if in_time { too_early(extended) } else { too_busy() });
        }
        let asked = Instant::now();
        match client.extend(&held).await {
            Ok(()) => extended = asked,
            Err(error) if in_time => {
                return Err(client.broken("extend() to work", error.to_string()));
            }
            Err(_) => return Err(too_busy()),
        }
    }
    other.finds_it_held(&name, "the lease held: it was extended a moment ago").await?;
    // Nobody extends it any more, and yet it lasts.
    let half = (extended + options.ttl * 55 / 100).saturating_duration_since(Instant::now());
    if tokio::time::timeout(half, pending.as_mut()).await.is_ok() {
        let in_time = extended.elapsed() < options.ttl * 7 / 10;
        return Err(if in_time { too_early(extended) } else { too_busy() });
    }
    // An extend() that does not reach Redis does not move the end.
    client.proxy.refuse();
    let answer = client.extend(&held).await;
    if answer.is_ok() {
        return Err(client.broken("an error: Redis cannot be reached", "extend() says done"));
    }
    let wait = (extended + options.ttl + SLACK).saturating_duration_since(Instant::now());
    if tokio::time::timeout(wait, held.lost()).await.is_err() {
        let expected = "lost() 900 ms after the last extend() that Redis has heard";
        return Err(client.broken(expected, "not a word"));
    }
    other.gets(&name, "the name free: the lease was not extended any more").await?;
    Ok(())
}
