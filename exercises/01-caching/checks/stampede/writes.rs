//! A write comes while somebody loads or refreshes.

use super::*;

pub(super) async fn write_during_load<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    for scope in [Scope::Process, Scope::Fleet] {
        scene = Scene::set_anew(scene.world).await?;
        let options = Options { scope, ..PLAIN };
        let reader = scene.protected::<S>("reader", options).await?;
        let writer = scene.protected::<S>("writer", options).await?;

        let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
        let gate = scene.database.hold_loads();
        let mut early = tokio::spawn({
            let (reader, key) = (Arc::clone(&reader), scene.key.clone());
            async move { get(&reader, &key).await }
        });
        comes_to(&gate, &mut early).await?;
        scene.database.stop_holding();
        scene.database.write(&scene.key, scene.new);
        let told = writer.call("invalidate", writer.cache.invalidate(&scene.key)).await;
        if let Err(error) = told {
            let evidence = Evidence::new("invalidate() to work", error.to_string());
            return Err(evidence.at(writer.last_answer()).into());
        }
        let acknowledged = writer.last_answer();
        // In the process whose load is under way, and is too old for it.
        let late = tokio::time::timeout(SOON, get(&reader, &scene.key)).await;
        gate.open();
        drop(slow);
        match late {
            Ok(answer) => reader.judge(answer, scene.new)?,
            Err(_) => {
                let expected = "an answer without the load that is older than the write";
                let saw = "the later reader waits for it";
                let asked = scene.last("reader", "get(");
                return Err(Evidence::new(expected, saw).at(acknowledged).at(asked).into());
            }
        }
        let _ = early.await?;
        for client in [&reader, &writer] {
            client.judge(get(client, &scene.key).await, scene.new)?;
        }
    }
    Ok(())
}

pub(super) async fn two_readers<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let early = scene.protected::<S>("early", PLAIN).await?;
    let late = scene.protected::<S>("late", PLAIN).await?;
    let writer = scene.protected::<S>("writer", PLAIN).await?;

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
    // It may wait for the late reader's load, but not for ever: that one is still held.
    let mut seen = start_get(&writer, &scene.key);
    let answered = tokio::time::timeout(WINDOW, &mut seen).await;
    late_gate.open();
    drop(slow);
    let answer = match answered {
        Ok(answer) => answer?,
        Err(_) => seen.await?,
    };
    writer.judge(answer, scene.new)?;
    late.judge(late_get.await?, scene.new)?;
    for client in [&writer, &early] {
        client.judge(get(client, &scene.key).await, scene.new)?;
    }
    Ok(())
}

pub(super) async fn write_during_refresh<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.protected::<S>("reader", STALE).await?;
    let writer = scene.protected::<S>("writer", STALE).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    tokio::time::sleep(STALE.ttl * 3 / 2).await;

    let slow = scene.world.fault("the refresh has read the old row, and its answer is slow");
    let gate = scene.database.hold_loads();
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    gate.arrived(1, SOON).await.map_err(|_| {
        let evidence = Evidence::new("the reader of a stale value to begin a refresh", "none");
        Finding::from(evidence.at(reader.last_answer()))
    })?;
    scene.database.stop_holding();
    change(&scene, &writer).await?;
    writer.judge(get(&writer, &scene.key).await, scene.new)?;
    gate.open();
    drop(slow);
    // The refresh runs behind everybody's back: if it stores, it does so within these reads.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        reader.judge(get(&reader, &scene.key).await, scene.new)?;
    }
    Ok(())
}

pub(super) async fn invalidate_tells<S: ProtectedCache>(world: World) -> Result<(), Finding> {
    let hasty = Options { timeout: Duration::from_millis(100), ..PLAIN };
    let patience = hasty.timeout * 10;
    let scene = Scene::set(world);
    for hangs in [true, false] {
        let writer = scene.protected::<S>("writer", hasty).await?;
        writer.becomes_cached("hits", || get(&writer, &scene.key)).await?;
        let fault = match hangs {
            true => {
                writer.proxy.stall();
                scene.world.fault("Redis hangs: connections stay open, nothing comes back")
            }
            false => {
                writer.proxy.refuse();
                scene.world.fault("the writer cannot reach Redis")
            }
        };
        let told = writer.call("invalidate", writer.cache.invalidate(&scene.key));
        let told = tokio::time::timeout(patience, told).await;
        drop(fault);
        let saw = match told {
            Ok(Err(_)) => continue,
            Ok(Ok(())) => "Ok",
            Err(_) => "the writer still waits for Redis",
        };
        let expected = format!("an error within {patience:?}: Redis was never told");
        return Err(Evidence::new(expected, saw).at(writer.last_answer()).into());
    }
    Ok(())
}
