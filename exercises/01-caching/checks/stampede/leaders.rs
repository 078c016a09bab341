//! What becomes of those who wait when the one in front is lost.

use super::*;

pub(super) async fn cancelled_leader<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for panics in [false, true] {
        scene = Scene::set_anew(scene.world).await?;
        let shop = scene.protected::<S>("shop", PLAIN).await?;
        let gate = scene.database.hold_loads();
        let mut leader = tokio::spawn({
            let (shop, key) = (Arc::clone(&shop), scene.key.clone());
            async move {
                let load = shop.load(&key);
                let load = async move {
                    let row = load.await;
                    assert!(!panics, "this load panics on purpose");
                    row
                };
                shop.cache.get(&key, load).await
            }
        });
        comes_to(&gate, &mut leader).await?;
        let crowd = Crowd::gather(20, &shop, &scene.key);
        // Time for the crowd to see that somebody loads, and to wait for it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.database.stop_holding();
        let gone = match panics {
            false => {
                leader.abort();
                scene.world.fault("the leader is cancelled")
            }
            true => scene.world.fault("the leader's load panics"),
        };
        gate.open();
        let _ = leader.await;
        crowd.all_get(&shop, scene.old).await?;
        drop(gone);
        let expected = "hits again soon after the leader was lost";
        shop.becomes_cached(expected, || get(&shop, &scene.key)).await?;
    }
    Ok(())
}

pub(super) async fn killed_leader<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let here = scene.protected::<S>("shop A", PLAIN).await?;
    let wire = scene.world.client("shop B").await?;
    let told = OtherShop {
        url: wire.url().to_owned(),
        key: scene.key.clone(),
        price: scene.old,
        callers: 1,
        lease: PLAIN.lease,
    };
    let mut there = scene.world.process(&told)?;
    there.expect("ready", SOON).await?;
    there.say("go").await;
    there.expect("a load", SOON).await?;
    scene.world.history().note("shop B", format!("load {}", scene.key));
    let crowd = Crowd::gather(20, &here, &scene.key);
    tokio::time::sleep(Duration::from_millis(50)).await;
    there.kill().await?;
    let _dead = scene.world.fault("shop B is killed with its load half done");
    crowd.all_get(&here, scene.old).await
}

pub(super) async fn failed_load<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    // Longer than the window, and short enough that a lease left to its end is back soon.
    let options = Options { lease: SOON / 2, ..PLAIN };
    let shop = scene.protected::<S>("shop", options).await?;
    let down = scene.world.fault("the database is down");
    scene.database.fail(true);
    let gate = scene.database.hold_loads();
    let mut crowd = Crowd::gather(50, &shop, &scene.key);
    comes_to(&gate, &mut crowd.callers[0]).await?;
    only_one_comes(&scene, &gate).await?;
    gate.open();
    for answer in crowd.answers(&shop).await? {
        if !matches!(answer, Err(Error::Load(_))) {
            let evidence = Evidence::new("the load's error", format!("{answer:?}"));
            return Err(evidence.at(scene.last("database", "load")).into());
        }
    }
    if scene.database.loads() != 1 {
        return Err(too_many(&scene, scene.database.loads()));
    }
    scene.database.stop_holding();
    scene.database.fail(false);
    drop(down);
    shop.judge(get(&shop, &scene.key).await, scene.old)?;
    let expected = "hits again soon after the database came back";
    shop.becomes_cached(expected, || get(&shop, &scene.key)).await
}
