//! What a holder hears of its own lease.

use super::*;

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
    while began.elapsed() < options.ttl + Duration::from_millis(150) {
        let lost = tokio::time::timeout(Duration::from_millis(70), held.lost()).await;
        // A machine that lets nobody run for the whole of a lease has not been extending it.
        let in_time = extended.elapsed() < options.ttl / 2;
        if lost.is_ok() && in_time {
            let saw = format!("lost() {:?} after the last extend()", extended.elapsed());
            return Err(client.broken("no loss: the lease lasts 900 ms", saw));
        }
        let asked = Instant::now();
        match client.extend(&held).await {
            Ok(()) => extended = asked,
            Err(error) if in_time => {
                return Err(client.broken("extend() to work", error.to_string()));
            }
            Err(_) => {
                return Err(Finding::inconclusive("the machine is too busy to extend a lease"));
            }
        }
    }
    other.finds_it_held(&name, "the lease held: it was extended a moment ago").await?;
    // And nobody extends it any more.
    let wait = (extended + options.ttl + SLACK).saturating_duration_since(Instant::now());
    if tokio::time::timeout(wait, held.lost()).await.is_err() {
        let expected = "lost() before Redis forgets the lease, 900 ms after the last extend()";
        return Err(client.broken(expected, "not a word"));
    }
    other.gets(&name, "the name free: the lease was not extended any more").await?;
    Ok(())
}
