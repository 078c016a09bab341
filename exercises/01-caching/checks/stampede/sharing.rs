//! One load for all who ask, in one process and in two, with Redis and without.

use super::*;

pub(super) async fn hit_is_one_round_trip<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.protected::<S>("reader", PLAIN).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    reader.proxy.reset_count();
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    if scene.database.loads() > 1 {
        let evidence = Evidence::new("the second read from the cache", "it was loaded again");
        return Err(evidence.at(scene.last("database", "load")).into());
    }
    let counts = reader.proxy.counts();
    if counts.round_trips != 1 {
        let commands: Vec<_> = counts.commands.keys().map(String::as_str).collect();
        let saw = format!("{}: {}", counts.round_trips, commands.join(", "));
        return Err(Evidence::new("one round trip", saw).at(reader.last_answer()).into());
    }
    Ok(())
}

pub(super) async fn one_load_in_process<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for scope in [Scope::Process, Scope::Fleet] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", Options { scope, ..LONG_LEASE }).await?;
        let gate = scene.database.hold_loads();
        let mut crowd = Crowd::gather(200, &shop, &scene.key);
        comes_to(&gate, &mut crowd.callers[0]).await?;
        only_one_comes(&scene, &gate).await?;
        gate.open();
        crowd.all_get(&shop, scene.old).await?;
        if scene.database.loads() != 1 {
            return Err(too_many(&scene, scene.database.loads()));
        }
    }
    Ok(())
}

pub(super) async fn one_load_in_fleet<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let here = scene.protected::<S>("shop A", LONG_LEASE).await?;
    let wire = scene.world.client("shop B").await?;
    let told = OtherShop {
        url: wire.url().to_owned(),
        key: scene.key.clone(),
        price: scene.old,
        callers: 100,
        lease: LONG_LEASE.lease,
    };
    let mut there = scene.world.process(&told)?;
    there.expect("ready", SOON).await?;

    let gate = scene.database.hold_loads();
    let crowd = Crowd::gather(100, &here, &scene.key);
    there.say("go").await;
    scene.world.history().note("shop B", format!("100 times get({})", scene.key));
    // All loads, here and there, are held; they have the window to show themselves.
    let mut loads_there = 0;
    let window = tokio::time::Instant::now() + WINDOW * 2;
    while let Some(line) = there.hear(window - tokio::time::Instant::now()).await? {
        scene.world.history().note("shop B", format!("{line} {}", scene.key));
        loads_there += u64::from(line == "load");
    }
    if wire.counts().requests == 0 {
        return Err(Finding::inconclusive("the second process never asked Redis"));
    }
    let loads = scene.database.loads() + loads_there;
    if loads != 1 {
        let saw = format!("{} in shop A and {loads_there} in shop B", scene.database.loads());
        let evidence = Evidence::new("one load in both processes together", saw);
        return Err(evidence
            .at(scene.last("database", "load"))
            .at(scene.last("shop B", "load "))
            .into());
    }
    gate.open();
    there.say("go on").await;
    crowd.all_get(&here, scene.old).await?;
    let line = there.expect("its callers' answers", SOON).await?;
    if line != "answers" || scene.database.loads() + loads_there != 1 {
        let saw = format!("{line}; {} loads", scene.database.loads() + loads_there);
        return Err(Evidence::new("answers for all, and no further load", saw).into());
    }
    Ok(())
}

pub(super) async fn redis_down<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let shop = scene.protected::<S>("shop", LONG_LEASE).await?;
    let down = scene.world.fault("Redis is down");
    shop.proxy.refuse();
    let gate = scene.database.hold_loads();
    let mut crowd = Crowd::gather(50, &shop, &scene.key);
    comes_to(&gate, &mut crowd.callers[0]).await?;
    only_one_comes(&scene, &gate).await?;
    gate.open();
    crowd.all_get(&shop, scene.old).await?;
    scene.database.stop_holding();
    shop.proxy.accept().await?;
    drop(down);
    let expected = "hits again soon after Redis came back";
    shop.becomes_cached(expected, || get(&shop, &scene.key)).await
}

pub(super) async fn redis_stalls<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let options = Options { timeout: Duration::from_millis(100), ..PLAIN };
    // A read may meet the stall when it connects, when it asks, and when it fills.
    let patience = options.timeout * 10;
    let scene = Scene::set(world);
    let shop = scene.protected::<S>("shop", options).await?;
    shop.judge(get(&shop, &scene.key).await, scene.old)?;
    let stall = scene.world.fault("Redis hangs: connections stay open, nothing comes back");
    shop.proxy.stall();
    for _ in 0..2 {
        let Ok(answer) = tokio::time::timeout(patience, get(&shop, &scene.key)).await else {
            let expected = format!("the database's answer within {patience:?}");
            let evidence = Evidence::new(expected, "the reader still waits for Redis");
            return Err(evidence.at(scene.last("shop", "get(")).into());
        };
        shop.judge(answer, scene.old)?;
    }
    shop.proxy.resume();
    drop(stall);
    let expected = "hits again soon after Redis woke";
    shop.becomes_cached(expected, || get(&shop, &scene.key)).await
}
