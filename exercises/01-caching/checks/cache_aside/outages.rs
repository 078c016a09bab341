//! Redis is down, hangs, or cannot be told.

use super::*;

pub(super) async fn redis_down<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let down = scene.world.fault("Redis is down");
    reader.proxy.refuse();
    for _ in 0..3 {
        reader.judge(get(&reader, &scene.key).await, scene.old)?;
    }
    // A program that starts now must start.
    let newcomer = scene.cache::<S>("newcomer", PATIENT).await?;
    newcomer.proxy.refuse();
    newcomer.judge(get(&newcomer, &scene.key).await, scene.old)?;
    reader.proxy.accept().await?;
    newcomer.proxy.accept().await?;
    drop(down);
    for client in [reader, newcomer] {
        let expected = "hits again soon after Redis came back";
        client.becomes_cached(expected, || get(&client, &scene.key)).await?;
    }
    Ok(())
}

pub(super) async fn redis_stalls<S: CacheAside>(world: World) -> Result<(), Finding> {
    let options = Options { timeout: Duration::from_millis(100), ..PATIENT };
    // A read may meet the stall when it connects, when it asks, and when it fills.
    let patience = options.timeout * 10;
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", options).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;
    let stall = scene.world.fault("Redis hangs: connections stay open, nothing comes back");
    reader.proxy.stall();
    for _ in 0..2 {
        let Ok(answer) = tokio::time::timeout(patience, get(&reader, &scene.key)).await else {
            let expected = format!("the database's answer within {patience:?}");
            let evidence = Evidence::new(expected, "the reader still waits for Redis");
            return Err(evidence.at(scene.last("reader", "get(")).into());
        };
        reader.judge(answer, scene.old)?;
    }
    reader.proxy.resume();
    drop(stall);
    let expected = "hits again soon after Redis woke";
    reader.becomes_cached(expected, || get(&reader, &scene.key)).await
}

pub(super) async fn invalidate_tells<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let writer = scene.cache::<S>("writer", PATIENT).await?;
    reader.judge(get(&reader, &scene.key).await, scene.old)?;

    let cut_off = scene.world.fault("the writer cannot reach Redis");
    writer.proxy.refuse();
    scene.database.write(&scene.key, scene.new);
    let told = invalidate(&writer, &scene.key).await;
    drop(cut_off);
    let seen = get(&reader, &scene.key).await;
    if told.is_ok() {
        let expected = "an error, so that the writer knows that the old value may live on";
        let saw = match seen {
            Ok(price) => format!("Ok, and the next reader got {price:?}"),
            Err(error) => format!("Ok, and the next reader got an error: {error}"),
        };
        let evidence = Evidence::new(expected, saw).at(writer.last_answer());
        return Err(evidence.at(reader.last_answer()).into());
    }

    // Once more, and the request is lost on its way: an error is honest, Ok must be true.
    // Its connection has to be whole before: an answer that does not repeat the DEL would fail at
    // the dead one, and send nothing that could be lost.
    writer.proxy.accept().await?;
    scene.database.write("shelf:1", scene.old);
    let expected = "hits again soon after Redis came back";
    writer.becomes_cached(expected, || get(&writer, "shelf:1")).await?;
    writer.proxy.reset_count();
    let lost = writer.proxy.cut_request(|request| request.nth == 1);
    let told = invalidate(&writer, &scene.key).await;
    if lost.count() == 0 {
        return Err(Finding::inconclusive("the writer sent no request that could be lost"));
    }
    if told.is_ok() {
        reader.judge(get(&reader, &scene.key).await, scene.new)?;
    }

    // And once more with a Redis that hangs: no answer is no "done".
    let hasty = Options { timeout: Duration::from_millis(100), ..PATIENT };
    let writer = scene.cache::<S>("hasty", hasty).await?;
    writer.becomes_cached("hits", || get(&writer, "shelf:1")).await?;
    let stall = scene.world.fault("Redis hangs: connections stay open, nothing comes back");
    writer.proxy.stall();
    let patience = hasty.timeout * 10;
    let told = tokio::time::timeout(patience, invalidate(&writer, &scene.key)).await;
    drop(stall);
    match told {
        Ok(Err(_)) => Ok(()),
        Ok(Ok(())) => {
            let expected = "an error: Redis was never told";
            Err(Evidence::new(expected, "Ok").at(writer.last_answer()).into())
        }
        Err(_) => {
            let expected = format!("an error within {patience:?}");
            Err(Evidence::new(expected, "the writer still waits for Redis").into())
        }
    }
}
