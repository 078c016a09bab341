//! Who may store what, and when it is too late: the races that leave an old value behind.

use super::*;

pub(super) async fn slow_reader<S: CacheAside>(world: World) -> Result<(), Finding> {
    // Once the reader is late by a moment, once by more than its lease.
    let mut scene = Scene::set(world);
    for late in [Duration::ZERO, PATIENT.lease * 3 / 2] {
        scene = Scene::set_anew(scene.world).await?;
        let reader = scene.cache::<S>("reader", PATIENT).await?;
        let writer = scene.cache::<S>("writer", PATIENT).await?;

        let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
        let gate = scene.database.hold_loads();
        let mut reading = tokio::spawn({
            let (reader, key) = (Arc::clone(&reader), scene.key.clone());
            async move { get(&reader, &key).await }
        });
        comes_to(&gate, &mut reading).await?;
        scene.database.stop_holding();
        // The same connection serves another page meanwhile, as a web server's does.
        scene.database.write("shelf:1", scene.old);
        reader.judge(get(&reader, "shelf:1").await, scene.old)?;
        change(&scene, &writer).await?;
        tokio::time::sleep(late).await;
        gate.open();
        drop(slow);
        let _ = reading.await?;
        no_old_value(&scene, &writer, &reader).await?;
    }
    Ok(())
}

pub(super) async fn late_refill<S: CacheAside>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut held = 0;
    // The first request after the load is held, then the second, until there is none to hold.
    for step in 1..=6 {
        scene = Scene::set_anew(scene.world).await?;
        let reader = scene.cache::<S>("reader", PATIENT).await?;
        let writer = scene.cache::<S>("writer", PATIENT).await?;

        let (database, since_load) = (scene.database.clone(), AtomicUsize::new(0));
        let gate = reader.proxy.hold(move |_| {
            database.loads() > 0 && since_load.fetch_add(1, Ordering::SeqCst) + 1 == step
        });
        // What the reader asks after that waits too, as if its process were paused or dead: it
        // must not need another step to make good what the held one did.
        let frozen = Arc::new(AtomicBool::new(false));
        let pause = reader.proxy.hold({
            let frozen = Arc::clone(&frozen);
            move |_| frozen.load(Ordering::SeqCst)
        });
        let mut reading = start_get(&reader, &scene.key);
        tokio::select! {
            came = gate.arrived(1, SOON) => came?,
            ended = &mut reading => {
                let _ = ended?;
                break;
            }
        }
        held += 1;
        change(&scene, &writer).await?;
        frozen.store(true, Ordering::SeqCst);
        gate.open();
        let ended = tokio::select! {
            came = pause.arrived(1, SOON) => { came?; false }
            ended = &mut reading => { let _ = ended?; true }
        };
        no_old_value(&scene, &writer, &writer).await?;
        frozen.store(false, Ordering::SeqCst);
        pause.open();
        if !ended {
            let _ = reading.await?;
        }
        no_old_value(&scene, &writer, &reader).await?;
    }
    match held {
        0 => Err(Finding::inconclusive("the reader stored nothing: no refill could be held")),
        _ => Ok(()),
    }
}

pub(super) async fn two_readers<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let early = scene.cache::<S>("early", PATIENT).await?;
    let late = scene.cache::<S>("late", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;

    let slow = scene.world.fault("the early reader has read the old row, and its answer is slow");
    let early_gate = scene.database.hold_loads();
    let mut early_get = start_get(&early, &scene.key);
    comes_to(&early_gate, &mut early_get).await?;
    change(&scene, &writer).await?;
    // The next reader misses, and is about to fill: whatever it left in Redis is not the early
    // reader's.
    let late_gate = scene.database.hold_loads();
    let mut late_get = start_get(&late, &scene.key);
    comes_to(&late_gate, &mut late_get).await?;
    scene.database.stop_holding();
    early_gate.open();
    let _ = early_get.await?;
    no_old_value(&scene, &writer, &early).await?;
    late_gate.open();
    drop(slow);
    late.judge(late_get.await?, scene.new)?;
    no_old_value(&scene, &writer, &late).await
}

pub(super) async fn lost_lookup<S: CacheAside>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut landed = 0;
    // Every step before the load, one after the other: its request is lost, then its reply.
    'steps: for step in 1..=6 {
        for reply in [false, true] {
            scene = Scene::set_anew(scene.world).await?;
            let reader = scene.cache::<S>("reader", PATIENT).await?;
            let writer = scene.cache::<S>("writer", PATIENT).await?;
            let database = scene.database.clone();
            let before = move |nth| nth == step && database.loads() == 0;
            let cut = match reply {
                false => reader.proxy.cut_request(move |request| before(request.nth)),
                true => reader.proxy.cut_reply(move |request| before(request.nth)),
            };
            let slow = scene.world.fault("the reader has read the old row, its answer is slow");
            let gate = scene.database.hold_loads();
            let mut reading = start_get(&reader, &scene.key);
            comes_to(&gate, &mut reading).await?;
            scene.database.stop_holding();
            if cut.count() == 0 {
                gate.open();
                let _ = reading.await?;
                break 'steps;
            }
            landed += 1;
            // The reader's connection is whole again before it comes to store.
            scene.database.write("shelf:1", scene.old);
            let expected = "hits again soon after one lost request";
            reader.becomes_cached(expected, || get(&reader, "shelf:1")).await?;
            change(&scene, &writer).await?;
            gate.open();
            drop(slow);
            let _ = reading.await?;
            no_old_value(&scene, &writer, &reader).await?;
        }
    }
    match landed {
        0 => Err(Finding::inconclusive("the reader asked Redis nothing before its load")),
        _ => Ok(()),
    }
}

pub(super) async fn redis_forgets<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;
    let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
    let gate = scene.database.hold_loads();
    let mut reading = start_get(&reader, &scene.key);
    comes_to(&gate, &mut reading).await?;
    scene.database.stop_holding();
    change(&scene, &writer).await?;
    // A restart without persistence, or an eviction: a cache may forget at any moment.
    let mut look = scene.world.look().await?;
    for key in scene.entries().await? {
        let _: () = look.del(key).await?;
    }
    scene.world.history().note("writer", "(Redis restarts and has forgotten everything)");
    gate.open();
    drop(slow);
    let _ = reading.await?;
    no_old_value(&scene, &writer, &reader).await
}

pub(super) async fn after_a_write<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;
    for client in [&reader, &writer] {
        client.becomes_cached("hits", || get(client, &scene.key)).await?;
    }
    change(&scene, &writer).await?;
    let expected = "hits again soon after the write";
    writer.becomes_cached(expected, || get(&writer, &scene.key)).await?;
    no_old_value(&scene, &writer, &reader).await
}

pub(super) async fn cancelled_reader<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let visitor = scene.cache::<S>("visitor", PATIENT).await?;

    let gate = scene.database.hold_loads();
    let mut reading = tokio::spawn({
        let key = scene.key.clone();
        async move { get(&reader, &key).await }
    });
    comes_to(&gate, &mut reading).await?;
    // Its task is dropped in the middle of the load, and its cache and connection with it: not
    // even a farewell reaches Redis.
    let gone = scene.world.fault("the reader is gone");
    reading.abort();
    let _ = reading.await;
    scene.database.stop_holding();
    drop(gone);

    let Ok(answer) = tokio::time::timeout(SOON, get(&visitor, &scene.key)).await else {
        let evidence = Evidence::new("an answer for the next reader", "it waits for the lost one");
        return Err(evidence.at(scene.last("visitor", "get(")).into());
    };
    visitor.judge(answer, scene.old)?;
    let expected = "hits again soon: the lost reader's lease is for half a second";
    visitor.becomes_cached(expected, || get(&visitor, &scene.key)).await
}
