//! Two clients whose steps cross.

use super::*;
use redis::AsyncCommands;

const CLIENTS: usize = 3;

pub(super) async fn one_holder<L: Lease>(world: World) -> Result<(), Finding> {
    const LANES: [&str; CLIENTS] = ["client 1", "client 2", "client 3"];
    let name = name(&world);
    let mut clients = Vec::new();
    // All come to their k-th step before any takes it.
    for step in 1..=STEPS {
        let (name, gate) = (format!("{name}:{step}"), Gate::shut());
        clients.clear();
        for lane in LANES {
            let client = Client::<L>::open(&world, lane, LONG).await?;
            client.warm_up().await?;
            client.proxy.hold_at(&gate, move |request| request.nth == step);
            clients.push(client);
        }
        let tasks: Vec<_> =
            clients.iter().map(|client| client.start_acquire(&name, ONCE)).collect();
        let ended = || tasks.iter().filter(|task| task.is_finished()).count();
        let began = Instant::now();
        while gate.count() + ended() < CLIENTS && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let came = gate.count();
        gate.open();
        let mut holders = Vec::new();
        for (task, client) in tasks.into_iter().zip(&clients) {
            match task.await? {
                Ok(held) => holders.push(held),
                Err(Error::Busy(_)) => {}
                Err(error) => return Err(client.broken("a lease, or Busy", error.to_string())),
            }
        }
        if holders.len() != 1 {
            let mut evidence = Evidence::new("one holder", format!("{} holders", holders.len()));
            for lane in LANES {
                evidence = evidence.at(world.history().last(lane, "= token"));
            }
            return Err(evidence.into());
        }
        if came < CLIENTS {
            landed(step - 1, "no client asked Redis for a lease")?;
            break;
        }
    }
    for client in &clients {
        client.proxy.clear_rules();
    }
    turns(&world, &clients, &name).await
}

/// All want it and wait; each gets it, one after the other. Another name is not in the way.
async fn turns<L: Lease>(
    world: &World,
    clients: &[Arc<Client<L>>],
    name: &str,
) -> Result<(), Finding> {
    world.history().turn_page();
    let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let turn = |client: &Arc<Client<L>>| {
        let (client, name, inside) = (Arc::clone(client), name.to_owned(), Arc::clone(&inside));
        tokio::spawn(async move {
            use std::sync::atomic::Ordering::SeqCst;
            let held = client.gets(&name, "a turn for each who waits").await?;
            if inside.fetch_add(1, SeqCst) > 0 {
                return Err(client.broken("one holder", "two at once"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            inside.fetch_sub(1, SeqCst);
            client.gives_back(held).await
        })
    };
    let other = "another's name";
    let held = clients[0].gets(other, "a lease on a name that nobody holds").await?;
    // Two requests that one server works on are two clients as well.
    clients[0].finds_it_held(other, "the name held, by another task of the same process").await?;
    let turns: Vec<_> = clients.iter().map(turn).collect();
    for turn in turns {
        turn.await??;
    }
    clients[0].gives_back(held).await
}

pub(super) async fn ttl_at_every_step<L: Lease>(world: World) -> Result<(), Finding> {
    let (name, mut cuts) = (name(&world), 0);
    let mut look = world.look().await?;
    let after = Client::<L>::open(&world, "after it", SHORT).await?;
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            world.history().turn_page();
            let client = Client::<L>::open(&world, "client", SHORT).await?;
            let cut = match reply {
                false => client.proxy.cut_request(move |request| request.nth == step),
                true => client.proxy.cut_reply(move |request| request.nth == step),
            };
            // From then on its process is as good as dead: nothing of it reaches Redis any more.
            client.proxy.hold(move |request| request.nth > step);
            let mut acquiring = client.start_acquire(&name, ONCE);
            // It may end with an error, or wait for an answer that does not come any more.
            let began = Instant::now();
            while !acquiring.is_finished() && (cut.count() == 0 || began.elapsed() < SOON / 10) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if cut.count() == 0 {
                let ended = (&mut acquiring).await?;
                ended.map_err(|error| client.broken("a lease", error.to_string()))?;
                break 'steps;
            }
            cuts += 1;
            acquiring.abort();
            let _ = acquiring.await;
            client.proxy.refuse();
            let mut left: Vec<String> = look.keys("*").await?;
            // On a shared server the test bed's own mark lies beside them.
            left.retain(|key| !key.starts_with("testbed:"));
            for key in left {
                if look.pttl::<_, i64>(&key).await? == -1 {
                    let saw = format!("{key} lives for ever");
                    let evidence = Evidence::new("a TTL on every key", saw);
                    return Err(evidence.at(world.history().last("client", "✂")).into());
                }
            }
            let expected = "the name free again after the TTL of 200 ms";
            let held = after.gets(&name, expected).await?;
            after.gives_back(held).await?;
        }
    }
    landed(cuts, "the client asked Redis nothing")
}

pub(super) async fn late_release<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let next = Client::<L>::open(&world, "successor", LONG).await?;
    let third = Client::<L>::open(&world, "third", LONG).await?;

    // Late from the beginning: by release, and by drop.
    for by_drop in [false, true] {
        let owner = Client::<L>::open(&world, "owner", SHORT).await?;
        owner.warm_up().await?;
        let name = format!("{name}:{by_drop}");
        let held = owner.gets(&name, "a lease on a name that nobody holds").await?;
        let successor = next.gets(&name, "the name free after the TTL of 200 ms").await?;
        owner.proxy.reset_count();
        if by_drop {
            world.history().note("owner", "(drops its lease)");
            drop(held);
            // It may know that there is nothing to give back.
            let began = Instant::now();
            while owner.proxy.counts().requests == 0 && began.elapsed() < SOON / 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        } else if owner.release(held).await.is_ok() {
            let saw = "release() says that it gave back what was not its own any more";
            return Err(owner.broken("Lost: another holds the name", saw));
        }
        third.finds_it_held(&name, "the successor's lease untouched").await?;
        drop(successor);
    }

    // Its successor may be another task of the same process, on the same leases.
    world.history().turn_page();
    let same = format!("{name}:same");
    let held = next.gets(&same, "a lease on a name that nobody holds").await?;
    forget(&world, "successor").await?;
    let successor = next.gets(&same, "the name free: Redis has forgotten who held it").await?;
    if next.release(held).await.is_ok() {
        let saw = "release() gave back what another task of the process holds";
        return Err(next.broken("Lost: another holds the name", saw));
    }
    third.finds_it_held(&same, "the successor's lease untouched").await?;
    drop(successor);

    // Late in between: its k-th step is held until another holds the name.
    let mut held_up = 0;
    for step in 1..=STEPS {
        let owner = Client::<L>::open(&world, "owner", SHORT).await?;
        owner.warm_up().await?;
        let name = format!("{name}:{step}");
        let held = owner.gets(&name, "a lease on a name that nobody holds").await?;
        owner.proxy.reset_count();
        let gate = owner.proxy.hold(move |request| request.nth == step);
        let mut releasing = tokio::spawn({
            let owner = Arc::clone(&owner);
            async move { owner.release(held).await }
        });
        if !meets(&gate, &mut releasing).await? {
            let _ = releasing.await?;
            break;
        }
        held_up += 1;
        let successor = next.gets(&name, "the name free after the TTL of 200 ms").await?;
        gate.open();
        let _ = releasing.await?;
        third.finds_it_held(&name, "the successor's lease untouched").await?;
        drop(successor);
    }
    landed(held_up, "a release asked Redis nothing")
}

pub(super) async fn extend_only_mine<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let next = Client::<L>::open(&world, "successor", LONG).await?;
    let third = Client::<L>::open(&world, "third", LONG).await?;
    // Held up at its k-th step until another holds the name; at step 0 it is late by itself.
    let mut held_up = 0;
    for step in 0..=STEPS {
        let owner = Client::<L>::open(&world, "owner", SHORT).await?;
        owner.warm_up().await?;
        let name = format!("{name}:{step}");
        let held = Arc::new(owner.gets(&name, "a lease on a name that nobody holds").await?);
        owner.proxy.reset_count();
        let successor;
        let answer = if step == 0 {
            successor = next.gets(&name, "the name free after the TTL of 200 ms").await?;
            owner.extend(&held).await
        } else {
            let gate = owner.proxy.hold(move |request| request.nth == step);
            let mut extending = tokio::spawn({
                let (owner, held) = (Arc::clone(&owner), Arc::clone(&held));
                async move { owner.extend(&held).await }
            });
            if !meets(&gate, &mut extending).await? {
                let _ = extending.await?;
                break;
            }
            held_up += 1;
            successor = next.gets(&name, "the name free after the TTL of 200 ms").await?;
            gate.open();
            extending.await?
        };
        if answer.is_ok() {
            let saw = "extend() says that it is ours";
            return Err(owner.broken("Lost: another holds the name", saw));
        }
        if step == 0 {
            let lost = tokio::time::timeout(SOON, held.lost()).await;
            lost.map_err(|_| owner.broken("lost() to end: the lease is lost", "it waits on"))?;
        }
        // Had the successor's lease been given the owner's TTL, it would end now.
        tokio::time::sleep(SHORT.ttl + Duration::from_millis(20)).await;
        third.finds_it_held(&name, "the successor's lease untouched, for a minute").await?;
        drop(successor);
    }
    landed(held_up, "an extend asked Redis nothing")?;

    // Nobody holds the name, but somebody may have held it since, with a higher token.
    world.history().turn_page();
    let held = next.gets(&name, "a lease on a name that nobody holds").await?;
    forget(&world, "successor").await?;
    if next.extend(&held).await.is_ok() {
        let expected = "Lost: Redis has forgotten it, and others may have held the name since";
        return Err(next.broken(expected, "extend() says that it is ours"));
    }
    let lost = tokio::time::timeout(SOON, held.lost()).await;
    let expected = "lost() to end: extend() has heard that it is not ours any more";
    lost.map_err(|_| next.broken(expected, "it waits for the end of the TTL"))?;
    third.gets(&name, "the name free: Redis has forgotten who held it").await?;
    Ok(())
}

async fn forget(world: &World, lane: &str) -> Result<(), Finding> {
    world.redis().flush_all().await?;
    world.history().note(lane, "(Redis restarts and has forgotten everything)");
    Ok(())
}
