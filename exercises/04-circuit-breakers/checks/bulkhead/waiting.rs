//! Those who wait: for how long, at what cost, and what becomes of them at the last moment.

use super::scene::{LONG, Scene, poll_once};
use circuit_breakers::bulkhead::{Bulkhead, Config, Full};
use grading::{Evidence, Finding, SOON, World};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long one waits: first as short as a check likes to be, then as a busy machine needs it.
const SPANS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(1_500), Duration::from_secs(4)];

pub(super) async fn no_time_to_wait<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let none = Duration::ZERO;
    let config = Config { places: 1, queue: 2, longest_wait: none };
    let scene = Scene::<B>::with(world, config);
    // Twice, for the place is free again.
    for who in [0, 10] {
        let holder = scene.gets_in(who).await?;
        let mut waits = scene.calls(who + 1);
        let expected = format!("{} to be told at once that no place is free", who + 1);
        let calls = || scene.world.history().last("callers", &format!("{} calls", who + 1));
        let Ok(ended) = tokio::time::timeout(SOON, &mut waits.task).await else {
            let saw = if waits.gate.count() == 0 { "it still waits" } else { "it was called" };
            return Err(Evidence::new(expected, saw).at(calls()).into());
        };
        let ended = ended?;
        if ended.answer != Err(Full::Waited(none)) {
            let saw = format!("{:?}", ended.answer);
            return Err(Evidence::new(expected, saw).at(calls()).at(ended.step).into());
        }
        scene.was_not_called(&waits, ended.step)?;
        scene.ends(holder).await?;
    }
    scene.kept_to(1)
}

pub(super) async fn wait_has_one_clock<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let mut world = world;
    for longest in SPANS {
        world.history().turn_page();
        let scene = Scene::<B>::with(world, Config { places: 1, queue: 2, longest_wait: longest });
        let note = |text: &str| scene.world.history().note("callers", text);
        let yardstick = B::new(Config { places: 0, queue: 1, longest_wait: longest });
        let holder = scene.gets_in(0).await?;
        let began = Instant::now();
        let first = scene.calls(1);
        let moves = async {
            while scene.bulkhead.counts().waiting == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(SOON, moves).await;
        note("2 calls");
        let mut second = pin!(scene.bulkhead.call(async {}));
        let mut early = poll_once(second.as_mut()).await;
        tokio::time::sleep_until(began + longest * 3 / 10).await;
        note("3 calls, at a bulkhead in which nothing moves");
        let mut third = pin!(yardstick.call(async {}));
        if early.is_none() && poll_once(third.as_mut()).await.is_none() {
            tokio::time::sleep_until(began + longest * 6 / 10).await;
            early = poll_once(second.as_mut()).await;
        }
        // The queue moves, and 2 is the next, and no more than that.
        holder.gate.open();
        let _ = holder.task.await?;
        let moved = first.gate.arrived(1, SOON).await.is_ok();
        if began.elapsed() >= longest || early.is_some() || !moved {
            // Its time was over before anything had moved.
            let Scene { world: again, .. } = scene;
            world = again;
            continue;
        }
        let moved = note("the queue has moved: 1 has the place, and 2 is the next");
        let told = tokio::select! {
            // On a slow machine both may be over. Then the one that had to be first is looked at first.
            biased;
            told = tokio::time::timeout(SOON, second) => told,
            _ = third => {
                let expected = "2 to be told before 3, which came later and waits as long";
                let saw = "3 first: the clock of 2 began anew";
                return Err(Evidence::new(expected, saw).at(moved).into());
            }
        };
        let expected = format!("2 to be told after {longest:?} that no place came free");
        match told {
            Ok(Err(Full::Waited(told))) if told == longest => {}
            Ok(told) => return Err(Evidence::new(expected, format!("{told:?}")).into()),
            Err(_) => return Err(Evidence::new(expected, "it still waits").into()),
        }
        return scene.ends(first).await;
    }
    Err(Finding::inconclusive("the machine was too busy to move a queue in time"))
}

pub(super) async fn granted_and_late<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let mut world = world;
    for longest in SPANS {
        world.history().turn_page();
        let scene = Scene::<B>::with(world, Config { places: 1, queue: 1, longest_wait: longest });
        let (note, open) = (|text: &str| scene.world.history().note("callers", text), Gate::shut());
        open.open();
        let holder = scene.gets_in(0).await?;
        note("1 calls");
        let began = Instant::now();
        let mut waits = pin!(scene.bulkhead.call(scene.dependency.work(1, open)));
        let mut ended = None;
        while ended.is_none() && scene.bulkhead.counts().waiting == 0 && began.elapsed() < longest {
            ended = poll_once(waits.as_mut()).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        scene.ends(holder).await?;
        // It waits, and the place came in time: from now on it is one that is slow to wake up.
        let landed = ended.is_none() && began.elapsed() < longest;
        if !landed {
            let Scene { world: again, .. } = scene;
            world = again;
            continue;
        }
        tokio::time::sleep_until(began + longest + Duration::from_millis(20)).await;
        note("1 wakes up: the place came in time, and by now its time is over");
        // It may take the place, or leave it.
        let Ok(answer) = tokio::time::timeout(SOON, waits).await else {
            let saw = format!("it still waits after {SOON:?}");
            return Err(Evidence::new("1 to go in, or to be told", saw).into());
        };
        if !matches!(answer, Ok(1) | Err(Full::Waited(_))) {
            let saw = format!("{answer:?}");
            return Err(Evidence::new("1 to go in, or to be told", saw).into());
        }
        note(&format!("= {answer:?}"));
        let next = scene.gets_in(2).await?;
        scene.ends(next).await?;
        return scene.kept_to(1);
    }
    Err(Finding::inconclusive("the machine was too busy to give a place in time"))
}

pub(super) async fn made_holds_nothing<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 2, 1);
    // As in a list of calls that are made one after the other.
    let made: Vec<_> =
        (10..14).map(|who| scene.bulkhead.call(scene.dependency.work(who, Gate::shut()))).collect();
    scene.world.history().note("callers", "10, 11, 12 and 13 are made, and not polled");
    let first = scene.gets_in(0).await?;
    let second = scene.gets_in(1).await?;
    let third = scene.queues(2).await?;
    scene.is_refused(3, "a refusal at once: places taken, queue full").await?;
    drop(made);
    let mut third = third;
    for caller in [first, second] {
        scene.ends(caller).await?;
    }
    scene.is_at_work(&mut third).await?;
    scene.ends(third).await?;
    scene.kept_to(2)
}

pub(super) async fn woken_elsewhere<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 1);
    let holder = scene.gets_in(0).await?;
    let gate = Gate::shut();
    let (bulkhead, work) = (Arc::clone(&scene.bulkhead), scene.dependency.work(1, gate.clone()));
    let mut waits = Box::pin(async move { bulkhead.call(work).await });
    scene.world.history().note("callers", "1 calls, and is polled here");
    scene.stands_in_the_queue(waits.as_mut()).await?;
    // As when a `select!` gives up on it here, and it is waited for in a task.
    let moved = scene.world.history().note("callers", "1 goes on in a task of its own");
    let polled = Arc::new(Notify::new());
    let tells = Arc::clone(&polled);
    let task = tokio::spawn(poll_fn(move |context| {
        let answer = waits.as_mut().poll(context);
        tells.notify_one();
        answer
    }));
    if tokio::time::timeout(SOON, polled.notified()).await.is_err() {
        return Err(Finding::inconclusive("the task was not polled"));
    }
    scene.ends(holder).await?;
    if gate.arrived(1, SOON).await.is_err() {
        let expected = "1 to be woken where it was polled last, for a place is free";
        let saw = format!("it was not called within {SOON:?}");
        return Err(Evidence::new(expected, saw).at(moved).into());
    }
    gate.open();
    let ended = match tokio::time::timeout(SOON, task).await {
        Ok(ended) => Some(ended?),
        Err(_) => None,
    };
    if ended != Some(Ok(1)) {
        let saw = format!("{ended:?}");
        return Err(Evidence::new("1 to end, for its call has", saw).at(moved).into());
    }
    scene.kept_to(1)
}

/// Counts how often somebody is woken.
#[derive(Default)]
struct Alarms(AtomicUsize);

impl Wake for Alarms {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) async fn waits_at_rest<B: Bulkhead>(world: World) -> Result<(), Finding> {
    const LOOKS: usize = 10;
    let scene = Scene::<B>::with(world, Config { places: 1, queue: 1, longest_wait: LONG });
    let holder = scene.gets_in(0).await?;
    scene.world.history().note("callers", "1 calls");
    let mut waits = pin!(scene.bulkhead.call(scene.dependency.work(1, Gate::shut())));
    scene.stands_in_the_queue(waits.as_mut()).await?;
    let mut woken = 0;
    for _ in 0..LOOKS {
        let alarms = Arc::new(Alarms::default());
        let waker = Waker::from(Arc::clone(&alarms));
        match waits.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => {}
            Poll::Ready(answer) => {
                return Err(Evidence::new("it to wait", format!("{answer:?}")).into());
            }
        }
        // A wake may be put off until the runtime gets round to it.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        woken += usize::from(alarms.0.load(Ordering::SeqCst) > 0);
    }
    let step = scene.world.history().note("callers", format!("1 is woken {woken} times"));
    if woken == LOOKS {
        let expected = "who waits to sleep, while nothing comes free";
        let saw = "whenever it is polled, it asks to be polled again, at once";
        return Err(Evidence::new(expected, saw).at(step).into());
    }
    scene.ends(holder).await
}
