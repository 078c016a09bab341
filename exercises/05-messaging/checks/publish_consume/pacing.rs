//! How much is under way at once, and how it ends.

use super::*;
use rand::RngExt;

pub(super) async fn prefetch_is_kept<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let prefetch: u16 = scene.world.random().random_range(3..6);
    let many = usize::from(prefetch);
    let client = scene.client::<S>("client", PATIENT).await?;
    let gate = Gate::shut();
    let waits = How::At(gate.clone());
    let works = Works::new(&scene, "client", move |_| waits.clone());
    let messages = scene.messages(12);
    scene.put(&messages).await?;
    let running = client.starts(&scene, 0, prefetch, &works);
    let what = format!("{prefetch} messages at work at once: the prefetch");
    works.come_to(what, SOON, |seen| seen.begun.len() >= many).await?;
    let limit = u64::from(prefetch);
    let expected = format!("{prefetch} unacked: the prefetch, and the rest for others");
    scene.queue_never(&expected, move |queue| queue.unacked > limit).await?;
    gate.open();
    works.done(&messages).await?;
    scene.is_empty(SOON).await?;
    let peak = works.seen().peak;
    if peak > many {
        return Err(Evidence::new(format!("{prefetch} at work at once"), peak.to_string()).into());
    }
    running.goes_on()
}

pub(super) async fn one_that_hangs<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let messages = scene.messages(8);
    let hangs = messages[0].id.clone();
    let works = Works::new(&scene, "client", move |delivered| match &delivered.message.id {
        id if *id == hangs => How::Hangs,
        _ => How::Well,
    });
    scene.put(&messages).await?;
    let running = client.starts(&scene, 0, 3, &works);
    works.done(&messages[1..]).await?;
    let what = "1 unacked: the one that hangs";
    scene.queue_comes_to(what, SOON, |queue| queue.ready == 0 && queue.unacked <= 1).await?;
    scene.queue_never(what, |queue| queue.unacked == 0).await?;
    running.goes_on()
}

pub(super) async fn dropped<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let messages = scene.messages(4);
    let gate = Gate::shut();
    let waits = How::At(gate.clone());
    let works = Works::new(&scene, "client", move |_| waits.clone());
    scene.put(&messages).await?;
    let running = client.starts(&scene, 0, 2, &works);
    works.begun(2).await?;
    drop(running);
    scene.world.history().note("client", "(its consume() is dropped)");
    let what = "4 ready, 0 unacked: nobody is at them any more";
    scene.queue_comes_to(what, SOON, |queue| (queue.ready, queue.unacked) == (4, 0)).await?;
    // Had somebody gone on in the background, it would come to its end now.
    gate.open();
    tokio::time::sleep(A_MOMENT).await;
    match works.seen().done.len() {
        0 => {}
        done => {
            let expected = "all work broken off";
            return Err(Evidence::new(expected, format!("{done} done afterwards")).into());
        }
    }
    // The same courier, and another call.
    let next = Works::well(&scene, "client");
    let running = client.starts(&scene, 0, 2, &next);
    next.done(&messages).await?;
    running.tell();
    running.ends().await.map(drop)
}

pub(super) async fn drains<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let messages = scene.messages(6);
    let gate = Gate::shut();
    let waits = How::At(gate.clone());
    let works = Works::new(&scene, "client", move |_| waits.clone());
    // The third has left the broker, and is still on its way when the consumer is told to end.
    let late = messages[2].id.clone();
    let on_its_way =
        client.proxy.hold_from_server(move |said| said.is("basic.deliver") && said.mentions(&late));
    scene.put(&messages).await?;
    let running = client.starts(&scene, 0, 3, &works);
    works.begun(2).await?;
    on_its_way.arrived(1, SOON).await?;
    running.tell();
    // Until it has heard of it, which shows if it unsubscribes; some just close.
    let deadline = Instant::now() + A_MOMENT;
    let unsubscribed = || client.proxy.counts().commands.contains_key("basic.cancel");
    while !unsubscribed() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    client.proxy.clear_rules();
    on_its_way.open();
    // One second, in which it must not take what it has got now.
    tokio::time::sleep(A_MOMENT).await;
    let seen = works.seen();
    if seen.begun.len() > 2 {
        let last = scene.world.history().last("client", "begins");
        let saw = format!("{} begun", works::listed(works::distinct(&seen.begun).into_iter()));
        return Err(Evidence::new("nothing begun after it was told to end", saw).at(last).into());
    }
    gate.open();
    let drained = running.ends().await?;
    let seen = works.seen();
    if seen.done.len() != 2 {
        let expected = "what was under way done, before it returned";
        let done = works::listed(works::distinct(&seen.done).into_iter());
        return Err(Evidence::new(expected, format!("{done} done")).into());
    }
    let what = "4 ready, 0 unacked: the two are acknowledged, the rest given back";
    scene.queue_comes_to(what, SOON, |queue| (queue.ready, queue.unacked) == (4, 0)).await?;
    if drained != (Drained { done: 2, failed: 0 }) {
        let expected = "what it did: 2 done, 0 failed";
        return Err(Evidence::new(expected, format!("{drained:?}")).into());
    }
    // And the next one gets the rest; told to end with nothing to do, it ends.
    let next = Works::well(&scene, "client");
    let running = client.starts(&scene, 0, 3, &next);
    next.done(&messages[2..]).await?;
    scene.is_empty(SOON).await?;
    running.tell();
    running.ends().await.map(drop)
}
