//! Leases that nobody uses: the reply was lost, the caller went away, patience was out.

use super::*;
use std::future::poll_fn;
use std::task::Poll;

pub(super) async fn lost_reply<L: Lease>(world: World) -> Result<(), Finding> {
    let (name, mut cuts) = (name(&world), 0);
    let next = Client::<L>::open(&world, "next", LONG).await?;
    'steps: for step in 1..=STEPS {
        for patience in [SOON, ONCE] {
            world.history().turn_page();
            let name = format!("{name}:{step}:{}", patience.as_secs());
            let client = Client::<L>::open(&world, "client", LONG).await?;
            client.warm_up().await?;
            let cut = client.proxy.cut_reply(move |request| request.nth == step);
            let answer = client.acquire(&name, patience).await;
            if cut.count() == 0 {
                break 'steps;
            }
            cuts += 1;
            client.proxy.clear_rules();
            match answer {
                Ok(held) => client.gives_back(held).await?,
                // Patience for one question: the client cannot know, and says so.
                Err(_) if patience == ONCE => {}
                Err(error) => {
                    let expected = "a lease: nobody else holds the name";
                    return Err(client.broken(expected, format!("within {patience:?}: {error}")));
                }
            }
            let expected = "the name free: nobody holds it, and its TTL is a minute";
            next.gets(&name, expected).await?;
        }
    }
    landed(cuts, "the client asked Redis nothing")
}

pub(super) async fn cancelled_acquire<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let next = Client::<L>::open(&world, "next", LONG).await?;
    let expected = "the name free: nobody holds it, and its TTL is a minute";

    // Dropped at its n-th await, as soon as what it waits for is there and before it can see it.
    let mut dropped = 0;
    for awaits in 1..=4 * STEPS {
        world.history().turn_page();
        let name = format!("{name}:{awaits}");
        let client = Client::<L>::open(&world, "client", LONG).await?;
        let mut acquiring = Box::pin(client.acquire(&name, SOON));
        let mut polls = 0;
        let ended = poll_fn(|context| {
            if polls == awaits {
                return Poll::Ready(None);
            }
            polls += 1;
            acquiring.as_mut().poll(context).map(Some)
        });
        let ended = tokio::time::timeout(SOON, ended).await;
        let ended = ended.map_err(|_| client.broken("a lease", "nothing within 3 s"))?;
        if let Some(answer) = ended {
            answer.map_err(|error| client.broken("a lease", error.to_string()))?;
            break;
        }
        drop(acquiring);
        dropped += 1;
        next.gets(&name, expected).await?;
    }
    landed(dropped, "the client got its lease without waiting for anything")?;

    // Dropped while its question is on its way.
    let mut held_up = 0;
    for step in 1..=STEPS {
        world.history().turn_page();
        let name = format!("{name}:held:{step}");
        let client = Client::<L>::open(&world, "client", LONG).await?;
        let gate = client.proxy.hold(move |request| request.nth == step);
        let mut acquiring = client.start_acquire(&name, SOON);
        if !meets(&gate, &mut acquiring).await? {
            break;
        }
        held_up += 1;
        acquiring.abort();
        let _ = acquiring.await;
        gate.open();
        next.gets(&name, expected).await?;
    }
    landed(held_up, "the client asked Redis nothing")
}

pub(super) async fn impatient_acquire<L: Lease>(world: World) -> Result<(), Finding> {
    const PATIENCE: Duration = Duration::from_millis(100);
    let name = name(&world);
    let holder = Client::<L>::open(&world, "holder", LONG).await?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    holder.warm_up().await?;
    let mut held_up = 0;
    // Its first question, and one that it asks when it has waited already.
    for step in [1, 3] {
        world.history().turn_page();
        let name = format!("{name}:{step}");
        let client = Client::<L>::open(&world, "client", BRISK).await?;
        client.warm_up().await?;
        let held = holder.gets(&name, "a lease on a name that nobody holds").await?;
        let gate = client.proxy.hold(move |request| request.nth == step);
        let mut acquiring = client.start_acquire(&name, PATIENCE);
        if !meets(&gate, &mut acquiring).await? {
            // So unlucky were its pauses that it asked no more often; the other step counts.
            let _ = acquiring.await?;
            continue;
        }
        held_up += 1;
        holder.gives_back(held).await?;
        let Ok(ended) = tokio::time::timeout(SOON, &mut acquiring).await else {
            let expected = "an error: patience was 100 ms, and the timeout is 400 ms";
            return Err(client.broken(expected, format!("nothing within {SOON:?}")));
        };
        if ended?.is_ok() {
            return Err(client.broken("an error: nothing was answered", "a lease"));
        }
        gate.open();
        let expected = "the name free: who asked for it has gone";
        next.gets(&name, expected).await?;
    }
    landed(held_up, "the client asked Redis nothing")
}

pub(super) async fn redis_stalls<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", BRISK).await?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    client.warm_up().await?;
    let hangs = world.fault("Redis hangs, as the client sees it");
    client.proxy.stall();
    let Ok(answer) = tokio::time::timeout(SOON, client.acquire(&name, ONCE)).await else {
        let saw = format!("nothing within {SOON:?}");
        return Err(client.broken("an error: the timeout is 400 ms", saw));
    };
    match answer {
        Err(Error::Redis(_)) => {}
        Err(error) => {
            let expected = "Redis failed: whether somebody holds the name is not known";
            return Err(client.broken(expected, error.to_string()));
        }
        Ok(_) => return Err(client.broken("an error: nothing was answered", "a lease")),
    }
    client.proxy.resume();
    drop(hangs);
    // What was under way arrives now.
    let held = client.gets(&name, "a lease, now that Redis answers again").await?;
    client.gives_back(held).await?;
    next.gets(&name, "the name free: nobody holds it, and its TTL is a minute").await?;
    Ok(())
}

pub(super) async fn drop_gives_back<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", LONG).await?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    next.finds_it_held(&name, "the name held").await?;
    world.history().note("client", "(drops its lease)");
    drop(held);
    let held = next.gets(&name, "the name free: its holder has dropped it").await?;
    next.gives_back(held).await?;

    // A task that is cut down in its middle drops what it holds, and so does one that panics.
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    let task = tokio::spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    tokio::task::yield_now().await;
    world.history().note("client", "(its task is aborted)");
    task.abort();
    let _ = task.await;
    next.gets(&name, "the name free: its holder's task has ended").await?;
    Ok(())
}

pub(super) async fn drop_does_not_block<L: Lease>(world: World) -> Result<(), Finding> {
    // Less than any answer that is waited for, and more than a busy machine makes of nothing.
    const AT_ONCE: Duration = Duration::from_millis(700);
    let patient = Options { timeout: Duration::from_secs(2), ..LONG };
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", patient).await?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    let hangs = world.fault("Redis hangs, as the client sees it");
    client.proxy.stall();
    let call = world.invoke("client", "drop(lease)");
    let began = Instant::now();
    // On a thread where blocking is allowed, so that waiting is seen and not a panic.
    let dropping = tokio::task::spawn_blocking(move || drop(held));
    let dropped = tokio::time::timeout(AT_ONCE, dropping).await;
    match dropped {
        Ok(ended) => {
            call.ok("done");
            ended?;
        }
        Err(_) => {
            call.unknown("it waits");
            let saw = format!("still at it after {:?}", began.elapsed());
            return Err(client.broken("a drop that waits for nothing", saw));
        }
    }
    client.proxy.resume();
    drop(hangs);
    next.gets(&name, "the name free: its holder has dropped it").await?;
    Ok(())
}
