//! What passes between a client and its Redis, and what happens when that breaks.

use super::*;

pub(super) async fn one_round_trip<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", LONG).await?;
    let other = Client::<L>::open(&world, "other", LONG).await?;
    client.warm_up().await?;
    other.warm_up().await?;
    let counted = |client: &Client<L>, most: usize, what: &str| {
        let counted = client.proxy.counts().round_trips;
        client.proxy.reset_count();
        match (1..=most).contains(&counted) {
            true => Ok(()),
            false => Err(client.broken(format!("one round trip for {what}"), counted.to_string())),
        }
    };
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    counted(&client, 1, "a lease")?;
    other.finds_it_held(&name, "the name held").await?;
    // Who gives back whatever it may have got, to be sure, does so behind its caller's back: whether
    // that has been sent by now is luck.
    counted(&other, 2, "a no")?;
    client.gives_back(held).await?;
    counted(&client, 1, "a release")
}

pub(super) async fn waits_politely<L: Lease>(world: World) -> Result<(), Finding> {
    const PATIENCE: Duration = Duration::from_millis(500);
    const MOST: usize = 60;
    let name = name(&world);
    let holder = Client::<L>::open(&world, "holder", LONG).await?;
    let waiter = Client::<L>::open(&world, "waiter", LONG).await?;
    waiter.warm_up().await?;
    let held = holder.gets(&name, "a lease on a name that nobody holds").await?;
    let began = Instant::now();
    let answer = waiter.acquire(&name, PATIENCE).await;
    let (took, asked) = (began.elapsed(), waiter.proxy.counts().requests);
    if !matches!(answer, Err(Error::Busy(_))) {
        let saw = answer.err().map_or("a lease".to_owned(), |error| error.to_string());
        return Err(waiter.broken("Busy: another holds the name", saw));
    }
    if took + Duration::from_millis(1) < PATIENCE || took > PATIENCE + SOON / 2 {
        return Err(
            waiter.broken("a no after half a second of patience", format!("after {took:?}"))
        );
    }
    if !(2..=MOST).contains(&asked) {
        let expected = format!("2 to {MOST} questions in half a second, with pauses that grow");
        return Err(waiter.broken(expected, format!("{asked}")));
    }
    // And who waits gets it when it comes free.
    let mut waiting = waiter.start_acquire(&name, Duration::MAX);
    tokio::time::sleep(Duration::from_millis(20)).await;
    holder.gives_back(held).await?;
    let Ok(answer) = tokio::time::timeout(SOON, &mut waiting).await else {
        return Err(waiter.broken("the lease: it was given back", format!("nothing in {SOON:?}")));
    };
    match answer? {
        Ok(_) => Ok(()),
        Err(error) => Err(waiter.broken("the lease: it was given back", error.to_string())),
    }
}

pub(super) async fn script_flush<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", LONG).await?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    client.warm_up().await?;
    let forget = async || {
        world.history().note("client", "(SCRIPT FLUSH)");
        world.redis().script_flush().await
    };
    forget().await?;
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    forget().await?;
    let extended = client.extend(&held).await;
    extended.map_err(|error| client.broken("extend() to work", error.to_string()))?;
    forget().await?;
    client.gives_back(held).await?;
    let held = client.gets(&name, "a lease on a name that nobody holds").await?;
    forget().await?;
    world.history().note("client", "(drops its lease)");
    drop(held);
    next.gets(&name, "the name free: its holder has dropped it").await?;
    Ok(())
}

pub(super) async fn killed_connection<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let client = Client::<L>::open(&world, "client", LONG).await?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    client.warm_up().await?;
    let kill = || {
        world.history().note("client", "(its connection is closed)");
        client.proxy.kill_connections();
    };
    kill();
    let held = client.gets(&name, "a lease, over a new connection").await?;
    kill();
    let began = Instant::now();
    while let Err(error) = client.extend(&held).await {
        // The first command may have been on the old connection.
        if began.elapsed() > SOON || matches!(error, Error::Lost) {
            return Err(client.broken("extend() to work again", error.to_string()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kill();
    match client.release(held).await {
        Ok(()) | Err(Error::Redis(_)) => {}
        Err(error) => {
            return Err(client.broken("a release, or an error of Redis", error.to_string()));
        }
    }
    next.gets(&name, "the name free: it was released, and its TTL is a minute").await?;
    Ok(())
}

pub(super) async fn killed_holder<L: Lease>(world: World) -> Result<(), Finding> {
    let name = name(&world);
    let url = world.redis().url().to_owned();
    let order = Order { url, name: name.clone(), ttl: Duration::from_millis(800) };
    let mut process = world.process(&order)?;
    let next = Client::<L>::open(&world, "next", LONG).await?;
    next.warm_up().await?;
    process.say("acquire").await;
    let said = process.expect("a token", SOON).await?;
    let began = Instant::now();
    if said.parse::<u64>().is_err() {
        return Err(Evidence::new("a lease in the other process", said).into());
    }
    world.history().note("process", format!("acquires {name}, for 800 ms"));
    let answer = next.finds_it_held(&name, "the name held by the other process").await;
    // A machine that let nobody run for so long has shown nothing.
    if began.elapsed() < order.ttl / 2 {
        answer?;
    }
    process.kill().await?;
    world.history().note("process", "(killed with kill -9)");
    next.gets(&name, "the name free after the TTL of 800 ms: its holder is dead").await?;
    Ok(())
}
