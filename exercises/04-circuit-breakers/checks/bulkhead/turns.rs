//! Whose turn it is.

use super::scene::{Scene, poll_once};
use circuit_breakers::bulkhead::Bulkhead;
use grading::{Evidence, Finding, SOON, World};
use std::time::Duration;
use testbed::gate::Gate;

pub(super) async fn served_in_order<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 5);
    let holder = scene.gets_in(0).await?;
    let mut behind = Vec::new();
    for who in 1..=5 {
        behind.push(scene.queues(who).await?);
    }
    // One in the middle goes away, and nobody takes its turn for another one's.
    let gone = behind.remove(1);
    scene.leaves(gone).await?;
    scene.ends(holder).await?;
    // All gates are open, so that they go through the one place one by one.
    for caller in &behind {
        caller.gate.open();
    }
    for caller in behind {
        scene.ends(caller).await?;
    }
    let began = scene.dependency.began();
    if began == [0, 1, 3, 4, 5] {
        return Ok(());
    }
    let begins = scene.world.history().last("dependency", &format!("{} begins", began[1]));
    let saw = format!("{began:?}");
    Err(Evidence::new("[0, 1, 3, 4, 5], as they came", saw).at(begins).into())
}

pub(super) async fn nobody_overtakes<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 2);
    let (history, open) = (scene.world.history(), Gate::shut());
    open.open();
    let holder = scene.gets_in(0).await?;
    // Nobody polls these two but this check: that is how one who waits is slow to wake up.
    history.note("callers", "1 calls");
    let mut waits = Box::pin(scene.bulkhead.call(scene.dependency.work(1, open.clone())));
    scene.stands_in_the_queue(waits.as_mut()).await?;
    scene.ends(holder).await?;
    history.note("callers", "2 calls, before 1 has woken up");
    let mut comes = Box::pin(scene.bulkhead.call(scene.dependency.work(2, open)));
    let mut second = poll_once(comes.as_mut()).await;
    let both = async {
        let (mut first, look) = (None, Duration::from_millis(1));
        while first.is_none() || second.is_none() {
            // A future that has ended must not be polled again.
            if first.is_none() {
                first = poll_once(waits.as_mut()).await;
            }
            if second.is_none() {
                second = poll_once(comes.as_mut()).await;
            }
            tokio::time::sleep(look).await;
        }
        (first, second)
    };
    let Ok((first, second)) = tokio::time::timeout(SOON, both).await else {
        let saw = format!("began: {:?}", scene.dependency.began());
        return Err(Evidence::new("both to be served in the end", saw).into());
    };
    let began = scene.dependency.began();
    if (first, second) == (Some(Ok(1)), Some(Ok(2))) && began == [0, 1, 2] {
        return Ok(());
    }
    let begins = history.last("dependency", "2 begins");
    let saw = format!("began: {began:?}");
    Err(Evidence::new("1, which has waited, before 2, which just came", saw).at(begins).into())
}
