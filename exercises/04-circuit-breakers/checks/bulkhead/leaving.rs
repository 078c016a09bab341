//! Callers that go away: with a place, in the queue, and on the way from one to the other.

use super::scene::Scene;
use circuit_breakers::bulkhead::Bulkhead;
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testbed::gate::Gate;

pub(super) async fn dropped_inside<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let places = world.random().random_range(1..4);
    let scene = Scene::<B>::set(world, places, 1);
    // Twice, so that a place too many shows as well.
    for round in [0, 10] {
        let mut inside = Vec::new();
        for who in round..round + places {
            inside.push(scene.gets_in(who).await?);
        }
        for caller in inside {
            scene.leaves(caller).await?;
        }
    }
    let mut inside = Vec::new();
    for who in 20..20 + places {
        inside.push(scene.gets_in(who).await?);
    }
    let mut waits = scene.queues(30).await?;
    // And it is the next one's at once.
    scene.leaves(inside.swap_remove(0)).await?;
    scene.is_at_work(&mut waits).await?;
    for caller in inside.into_iter().chain([waits]) {
        scene.ends(caller).await?;
    }
    scene.kept_to(places)
}

pub(super) async fn panic_gives_back<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 1);
    for who in [0, 10] {
        let begins = Gate::shut();
        let (bulkhead, gate) = (Arc::clone(&scene.bulkhead), begins.clone());
        let at_work = scene.dependency.clone();
        let panics = tokio::spawn(async move {
            let work = async move {
                let _at_work = at_work.begins(who);
                gate.pass().await;
                std::panic::resume_unwind(Box::new("the driver has a defect"));
            };
            bulkhead.call(work).await
        });
        begins.arrived(1, SOON).await.map_err(|_| {
            Evidence::new("a place, for it is free", format!("no call within {SOON:?}"))
        })?;
        let mut waits = scene.queues(who + 1).await?;
        begins.open();
        match panics.await {
            Err(panicked) if panicked.is_panic() => {}
            ended => {
                let saw = format!("{:?}", ended.map(drop));
                return Err(Evidence::new("the panic to reach its caller", saw).into());
            }
        }
        scene.world.history().note("callers", format!("{who} panicked"));
        scene.is_at_work(&mut waits).await?;
        scene.ends(waits).await?;
    }
    scene.kept_to(1)
}

/// At its drop it looks who is inside.
struct LooksBack<B: Bulkhead> {
    bulkhead: Arc<B>,
    saw: Arc<AtomicUsize>,
}

impl<B: Bulkhead> Drop for LooksBack<B> {
    fn drop(&mut self) {
        self.saw.store(self.bulkhead.counts().inside, Ordering::SeqCst);
    }
}

pub(super) async fn held_until_gone<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 1);
    for goes_away in [true, false] {
        let gate = Gate::shut();
        let saw = Arc::new(AtomicUsize::new(usize::MAX));
        let last = LooksBack { bulkhead: Arc::clone(&scene.bulkhead), saw: Arc::clone(&saw) };
        let (bulkhead, at_gate) = (Arc::clone(&scene.bulkhead), gate.clone());
        let task = tokio::spawn(async move {
            let work = async move {
                let _last = last;
                at_gate.pass().await;
                1
            };
            bulkhead.call(work).await
        });
        gate.arrived(1, SOON).await.map_err(|_| {
            Evidence::new("a place, for it is free", format!("no call within {SOON:?}"))
        })?;
        let how = match goes_away {
            true => "its caller goes away",
            false => "its work is done",
        };
        match goes_away {
            true => task.abort(),
            false => gate.open(),
        }
        match task.await {
            Err(stopped) if stopped.is_cancelled() && goes_away => {}
            Ok(Ok(1)) if !goes_away => {}
            Ok(_) if goes_away => {
                return Err(Finding::inconclusive("the call ended before it could be dropped"));
            }
            Ok(answer) => {
                return Err(Evidence::new("an answer", format!("{answer:?}")).into());
            }
            Err(panicked) => return Err(panicked.into()),
        }
        let inside = saw.load(Ordering::SeqCst);
        let step = scene.world.history().note("callers", format!("{how}: inside: {inside}"));
        if inside != 1 {
            let expected = format!("{how}: 1 inside, until the call is dropped to its end");
            return Err(Evidence::new(expected, format!("{inside}")).at(step).into());
        }
    }
    // Afterwards it is free.
    let next = scene.gets_in(2).await?;
    scene.ends(next).await
}

pub(super) async fn leaves_the_queue<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let queue = world.random().random_range(1..4);
    let scene = Scene::<B>::set(world, 1, queue);
    let holder = scene.gets_in(0).await?;
    for round in [10, 20] {
        let mut behind = Vec::new();
        for who in round..round + queue {
            behind.push(scene.queues(who).await?);
        }
        for caller in behind {
            scene.leaves(caller).await?;
        }
        scene.waiting(0).await?;
    }
    // There is room for as many as ever, and not for more.
    let mut behind = Vec::new();
    for who in 30..30 + queue {
        behind.push(scene.queues(who).await?);
    }
    scene.is_refused(40, "a refusal at once: the queue is full, of those who are there").await?;
    scene.ends(holder).await?;
    for mut caller in behind {
        scene.is_at_work(&mut caller).await?;
        scene.ends(caller).await?;
    }
    scene.kept_to(1)
}

pub(super) async fn gone_waiter_gets_no_place<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 3);
    let holder = scene.gets_in(0).await?;
    let first = scene.queues(1).await?;
    let second = scene.queues(2).await?;
    let mut third = scene.queues(3).await?;
    scene.leaves(first).await?;
    scene.leaves(second).await?;
    scene.ends(holder).await?;
    scene.is_at_work(&mut third).await?;
    scene.ends(third).await?;
    let next = scene.gets_in(4).await?;
    scene.ends(next).await?;
    scene.kept_to(1)
}

pub(super) async fn granted_and_gone<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 1);
    for who in [0, 10] {
        let holder = scene.gets_in(who).await?;
        scene.world.history().note("callers", format!("{} calls", who + 1));
        let gate = Gate::shut();
        let mut waits = Box::pin(scene.bulkhead.call(scene.dependency.work(who + 1, gate)));
        scene.stands_in_the_queue(waits.as_mut()).await?;
        scene.ends(holder).await?;
        // The place is its own by now, and it does not know: it was not polled since.
        scene.world.history().note("callers", format!("{} goes away", who + 1));
        drop(waits);
        let next = scene.gets_in(who + 2).await?;
        scene.ends(next).await?;
    }
    scene.kept_to(1)
}
