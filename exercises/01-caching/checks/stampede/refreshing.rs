//! Stale answers, refreshes early and late, and the end of an entry.

use super::*;

pub(super) async fn stale_while_revalidate<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let ttl = Duration::from_millis(200);
    let options = Options { ttl, stale: Duration::from_secs(60), ..LONG_LEASE };
    let scene = Scene::set(world);
    let shop = scene.protected::<S>("shop", options).await?;
    let other = scene.protected::<S>("other shop", options).await?;
    shop.judge(get(&shop, &scene.key).await, scene.old)?;
    scene.database.write(&scene.key, scene.new);
    tokio::time::sleep(ttl * 3 / 2).await;

    let slow = scene.world.fault("the database is slow");
    let gate = scene.database.hold_loads();
    Crowd::gather(50, &shop, &scene.key).all_get(&shop, scene.old).await?;
    gate.arrived(1, SOON).await.map_err(|_| {
        let evidence = Evidence::new("one reader to begin a refresh", "nobody did");
        Finding::from(evidence.at(scene.last("shop", "answers")))
    })?;
    Crowd::gather(50, &other, &scene.key).all_get(&other, scene.old).await?;
    only_one_comes(&scene, &gate).await?;
    gate.open();
    scene.database.stop_holding();
    drop(slow);
    refreshed_soon(&scene, &shop).await
}

pub(super) async fn failed_refresh<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for panics in [false, true] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", STALE).await?;
        shop.judge(get(&shop, &scene.key).await, scene.old)?;
        scene.database.write(&scene.key, scene.new);
        tokio::time::sleep(STALE.ttl * 3 / 2).await;

        let tried = Gate::shut();
        tried.open();
        let what = if panics { "the refresh panics" } else { "the database is down" };
        let fault = scene.world.fault(what);
        let load = {
            let tried = tried.clone();
            async move {
                tried.pass().await;
                assert!(!panics, "this load panics on purpose");
                Err::<Price, _>(OriginDown)
            }
        };
        let answer = shop.cache.get(&scene.key, load);
        let answer = shop.call(format!("get({})", scene.key), answer).await;
        shop.judge(answer, scene.old)?;
        tried.arrived(1, SOON).await.map_err(|_| {
            let evidence = Evidence::new("the reader of a stale value to begin a refresh", "none");
            Finding::from(evidence.at(shop.last_answer()))
        })?;
        drop(fault);
        refreshed_soon(&scene, &shop).await?;
    }
    Ok(())
}

pub(super) async fn refreshed_soon<S: ProtectedCache>(
    scene: &Scene,
    shop: &Client<S>,
) -> Result<(), Finding> {
    for _ in 0..100 {
        if matches!(get(shop, &scene.key).await, Ok(price) if price == scene.new) {
            return Ok(());
        }
        tokio::time::sleep(SOON / 100).await;
    }
    let evidence = Evidence::new("the refreshed value soon", "the stale one, still");
    Err(evidence.at(shop.last_answer()).into())
}

pub(super) async fn hard_end<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let short = Duration::from_millis(150);
    for stale in [Duration::ZERO, short] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", Options { ttl: short, stale, ..PLAIN }).await?;
        shop.judge(get(&shop, &scene.key).await, scene.old)?;
        let mut look = scene.world.look().await?;
        for key in scene.entries().await? {
            if look.pttl::<_, i64>(&key).await? == -1 {
                let saw = format!("{key} lives in Redis for ever, whatever stands in it");
                let evidence = Evidence::new("a TTL on every key", saw);
                return Err(evidence.at(shop.last_answer()).into());
            }
        }
        scene.database.write(&scene.key, scene.new);
        tokio::time::sleep(short + stale + Duration::from_millis(100)).await;
        let passed = format!("(a ttl of {short:?} and {} ms more have passed)", stale.as_millis());
        scene.world.history().note("shop", passed);
        shop.judge(get(&shop, &scene.key).await, scene.new)?;
    }
    Ok(())
}

pub(super) async fn early_formula<S: ProtectedCache>(_: World) -> Result<(), Finding> {
    const THROWS: u32 = 10_000;
    let took = Duration::from_millis(40);
    for beta in [0.5, 1.0, 3.0] {
        for head_starts in [0.1, 0.5, 1.0, 2.0, 5.0] {
            let remaining = took.mul_f64(beta * head_starts);
            let refreshed = (1..=THROWS)
                .map(|throw| f64::from(throw) / f64::from(THROWS))
                .filter(|dice| S::refresh_early(remaining, took, beta, *dice))
                .count();
            let share = refreshed as f64 / f64::from(THROWS);
            let expected = (-head_starts).exp();
            if (share - expected).abs() > 0.001 {
                let told = format!("{remaining:?} remain, the load took {took:?}, beta is {beta}");
                let expected = format!("{expected:.3} of the readers to refresh when {told}");
                return Err(Evidence::new(expected, format!("{share:.3} of them")).into());
            }
        }
    }
    if S::refresh_early(Duration::from_secs(1), took, 0.0, 0.5) {
        return Err(Evidence::new("no early refresh with beta 0", "one").into());
    }
    Ok(())
}

pub(super) async fn early_refresh<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    const READS: usize = 60;
    let scene = Scene::set(world);
    // A load of 20 ms and this beta make a head start of 200 s on average, for an entry that
    // lives 60 s: three of four reads refresh. That sixty do not is no accident.
    scene.database.set_latency(Duration::from_millis(20));
    for (lane, beta) in [("calm", 0.0), ("eager", 10_000.0)] {
        let shop = scene.protected::<S>(lane, Options { beta, ..PLAIN }).await?;
        shop.judge(get(&shop, &scene.key).await, scene.old)?;
        let loads = scene.database.loads();
        for _ in 0..READS {
            shop.judge(get(&shop, &scene.key).await, scene.old)?;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let refreshed = scene.database.loads() > loads;
        if refreshed != (beta > 0.0) {
            let (expected, saw) = match refreshed {
                true => ("no early refresh with beta 0", "one"),
                false => ("an early refresh within 60 reads, each with a chance of 3 in 4", "none"),
            };
            return Err(Evidence::new(expected, saw).at(shop.last_answer()).into());
        }
    }
    // What loads at once has no head start. A load that is said to have taken a second would be
    // repeated by one read in thirty here: that five hundred are spared is no accident either.
    scene.database.set_latency(Duration::ZERO);
    scene.database.write("shelf:1", scene.old);
    let options = Options { beta: 3.0, ttl: Duration::from_secs(10), ..PLAIN };
    let fast = scene.protected::<S>("fast", options).await?;
    fast.judge(get(&fast, "shelf:1").await, scene.old)?;
    let loads = scene.database.loads();
    for _ in 0..500 {
        fast.judge(get(&fast, "shelf:1").await, scene.old)?;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    if scene.database.loads() > loads {
        let expected = "no early refresh of what loads at once and is fresh for ten seconds";
        let load = scene.last("database", "load");
        return Err(Evidence::new(expected, "one").at(load).into());
    }
    Ok(())
}
