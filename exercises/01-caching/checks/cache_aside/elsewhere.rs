//! A writer in another process, which shares no memory with the reader: nothing but Redis can tell
//! the one what the other did.

use super::*;
use grading::Child;

/// The second process: its own cache, which is told to forget each key that it hears.
pub(super) async fn writer<S: CacheAside>(mut child: Child) {
    let url: String = child.arguments();
    let cache = S::open(&url, PATIENT).expect("the parent's URL can be read");
    Child::say("ready");
    loop {
        let key = child.hear().await;
        match cache.invalidate(&key).await {
            Ok(()) => Child::say("done"),
            Err(error) => Child::say(&error.to_string()),
        }
    }
}

pub(super) async fn writer_elsewhere<S: CacheAside>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let reader = scene.cache::<S>("reader", PATIENT).await?;
    let wire = scene.world.client("writer").await?;
    let mut writer = scene.world.process(&wire.url())?;
    writer.expect("ready", SOON).await?;

    let slow = scene.world.fault("the reader has read the old row, and its answer is slow");
    let gate = scene.database.hold_loads();
    let mut reading = start_get(&reader, &scene.key);
    comes_to(&gate, &mut reading).await?;
    scene.database.stop_holding();
    scene.database.write(&scene.key, scene.new);
    let history = scene.world.history();
    let call = history.invoke("writer", format!("invalidate({})", scene.key));
    writer.say(&scene.key).await;
    let told = writer.expect("an answer to invalidate()", SOON).await?;
    if told != "done" {
        let evidence = Evidence::new("invalidate() to work, for Redis is up", told.clone());
        return Err(evidence.at(call.fail(told)).into());
    }
    let acknowledged = call.ok("done");
    gate.open();
    drop(slow);
    let _ = reading.await?;
    let answer = get(&reader, &scene.key).await;
    if matches!(answer, Ok(price) if price == scene.new) {
        return Ok(());
    }
    let expected = format!("{:?}, which another process wrote and told Redis of", scene.new);
    let saw = answer.map_or_else(|error| error.to_string(), |price| format!("{price:?}"));
    let evidence = Evidence::new(expected, saw).at(scene.last("database", "write"));
    Err(evidence.at(acknowledged).at(reader.last_answer()).into())
}
