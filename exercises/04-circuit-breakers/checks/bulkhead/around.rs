//! The bulkhead around a tower service.

use super::scene::{Dependency, Scene};
use super::shop::{Heard, Order, asks, heard, is_served, set};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Config, Full};
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

pub(super) async fn clones_share<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 2, 0, 8);
    let door = Arc::clone(&scene.bulkhead).around(shop.clone());
    // Both at once, each by a clone: what they share are the places, and not the service.
    let first = asks(&scene, door.clone(), Order::of(0));
    is_served(&scene, &first).await?;
    let second = asks(&scene, door.clone().clone(), Order::of(1));
    is_served(&scene, &second).await?;
    let expected = Heard::Full(Full::Queue);
    let refused = asks(&scene, door.clone().clone(), Order::of(2)).hears().await?;
    refused.is(&expected, "a refusal: both places are taken, by other clones")?;
    // And a second service around the same bulkhead, too.
    let again = Arc::clone(&scene.bulkhead).around(shop);
    let refused = asks(&scene, again, Order::of(3)).hears().await?;
    refused.is(&expected, "a refusal: both places are taken")?;
    scene.is_refused(4, "a refusal at once: the service's callers have both places").await?;
    for asked in [first, second] {
        asked.order.gate.open();
        let who = asked.order.who;
        asked.hears().await?.is(&Heard::Done(who), "its answer")?;
    }
    scene.kept_to(2)
}

/// Asks a service whether it is ready, which it has to be.
async fn says_ready<B, D>(scene: &Scene<B>, door: &mut D, saw: &str) -> Result<(), Finding>
where
    B: Bulkhead,
    D: Service<Order, Error = BoxError>,
{
    let ready = poll_fn(|context| Poll::Ready(door.poll_ready(context))).await;
    let step = scene.world.history().note("callers", "one asks whether there is a place");
    match ready {
        Poll::Ready(Ok(())) => Ok(()),
        Poll::Ready(Err(error)) => {
            let expected = "ready: it is called, or refused, when it is called";
            Err(Evidence::new(expected, error.to_string()).at(step).into())
        }
        Poll::Pending => {
            let expected = "ready: who asks is not the one who waits";
            Err(Evidence::new(expected, saw).at(step).into())
        }
    }
}

pub(super) async fn ready_holds_nothing<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let places = world.random().random_range(1..4);
    let (scene, shop) = set::<B>(world, places, 0, places);
    let door = Arc::clone(&scene.bulkhead).around(shop.clone());
    // Idle connections: their services were asked, and nobody calls them.
    let mut idle = Vec::new();
    for number in 0..places + 2 {
        let mut clone = door.clone();
        let saw = format!("{number} that only asked keep it waiting");
        says_ready(&scene, &mut clone, &saw).await?;
        idle.push(clone);
    }
    let mut inside = Vec::new();
    for who in 0..places {
        let asked = asks(&scene, door.clone(), Order::of(who));
        is_served(&scene, &asked).await?;
        inside.push(asked);
    }
    // To be told no is an answer to a call. Whose `poll_ready` fails is thrown away, with the
    // connection that it belongs to.
    for clone in &mut idle {
        says_ready(&scene, clone, "it waits for those who are inside").await?;
    }
    for asked in inside {
        asked.order.gate.open();
        let who = asked.order.who;
        asked.hears().await?.is(&Heard::Done(who), "its answer")?;
    }
    Ok(())
}

pub(super) async fn service_waits<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let brief = Duration::from_millis(60);
    let (scene, shop) = set::<B>(world, 1, 1, 8);
    let config = Config { places: 1, queue: 1, longest_wait: brief };
    let scene = Scene { bulkhead: Arc::new(B::new(config)), ..scene };
    let door = Arc::clone(&scene.bulkhead).around(shop);
    let first = asks(&scene, door.clone(), Order::of(0));
    is_served(&scene, &first).await?;
    // Its wait began later than the other one's call: were that timed, it would be over as well.
    let second = asks(&scene, door.clone(), Order::of(1)).hears().await?;
    let expected = "to be told that no place came free, by the service as by the bulkhead";
    second.is(&Heard::Full(Full::Waited(brief)), expected)?;
    tokio::time::sleep(brief).await;
    first.order.gate.open();
    first.hears().await?.is(&Heard::Done(0), "its answer: it had a place, however long it took")?;
    // And whoever has a place without the service has it.
    let holder = scene.gets_in(2).await?;
    let third = asks(&scene, door, Order::of(3)).hears().await?;
    third.is(&Heard::Full(Full::Waited(brief)), expected)?;
    scene.ends(holder).await?;
    scene.kept_to(1)
}

/// Where it panics.
#[derive(Clone, Copy, Debug)]
enum At {
    PollReady,
    Call,
    Answer,
}

/// A service with a defect.
#[derive(Clone)]
struct Falls {
    at: At,
    dependency: Dependency,
}

impl Falls {
    fn falls(&self) -> ! {
        self.dependency.note(&format!("panics: {:?}", self.at));
        // Not by panic!(), which would be told of as if it were a bug of the code under test.
        std::panic::resume_unwind(Box::new("the driver has a defect"))
    }
}

impl Service<()> for Falls {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.at {
            At::PollReady => self.falls(),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, (): ()) -> Self::Future {
        if let At::Call = self.at {
            self.falls();
        }
        let falls = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            falls.falls()
        })
    }
}

pub(super) async fn service_that_panics<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 1, 0);
    for (round, at) in [At::PollReady, At::Call, At::Answer].into_iter().enumerate() {
        let falls = Falls { at, dependency: scene.dependency.clone() };
        let mut door = Arc::clone(&scene.bulkhead).around(falls);
        let step = scene.world.history().note("callers", "one asks the service");
        let asked = tokio::spawn(async move {
            poll_fn(|context| door.poll_ready(context)).await?;
            door.call(()).await
        });
        match tokio::time::timeout(SOON, asked).await {
            Ok(Err(panicked)) if panicked.is_panic() => {}
            other => {
                let saw = match other {
                    Ok(ended) => format!("{ended:?}"),
                    Err(_) => format!("nothing within {SOON:?}"),
                };
                return Err(Evidence::new("the panic to reach its caller", saw).at(step).into());
            }
        }
        let next = scene.gets_in(round).await?;
        scene.ends(next).await?;
    }
    scene.kept_to(1)
}

pub(super) async fn queue_holds_nothing<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 1, 2, 3);
    let door = Arc::clone(&scene.bulkhead).around(shop.clone());
    let first = asks(&scene, door.clone(), Order::of(0));
    is_served(&scene, &first).await?;
    let mut behind = Vec::new();
    for who in [1, 2] {
        behind.push(asks(&scene, door.clone(), Order::of(who)));
        scene.waiting(who).await?;
    }
    let free = shop.connections.available_permits();
    let step = scene.world.history().note("dependency", format!("{free} of 3 connections free"));
    if free != 2 {
        let expected = "2 of 3 connections free: one is at work, two wait for a place";
        return Err(Evidence::new(expected, format!("{free} free")).at(step).into());
    }
    for asked in [first].into_iter().chain(behind) {
        is_served(&scene, &asked).await?;
        asked.order.gate.open();
        let who = asked.order.who;
        asked.hears().await?.is(&Heard::Done(who), "its answer")?;
    }
    scene.kept_to(1)
}

pub(super) async fn called_only_inside<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 1, 1, 8);
    let door = Arc::clone(&scene.bulkhead).around(shop);
    let first = asks(&scene, door.clone(), Order::of(0));
    is_served(&scene, &first).await?;
    let second = asks(&scene, door.clone(), Order::of(1));
    scene.waiting(1).await?;
    let refused = asks(&scene, door, Order::of(2)).hears().await?;
    refused.is(&Heard::Full(Full::Queue), "a refusal: places taken, queue full")?;
    let began = scene.dependency.began();
    if began != [0] {
        let begins = scene.world.history().last("dependency", "begins");
        let expected = "only 0 to be called: 1 waits, and 2 was refused";
        return Err(Evidence::new(expected, format!("{began:?}")).at(begins).into());
    }
    first.order.gate.open();
    first.hears().await?.is(&Heard::Done(0), "its answer")?;
    is_served(&scene, &second).await?;
    second.order.gate.open();
    second.hears().await?.is(&Heard::Done(1), "its answer")?;
    scene.kept_to(1)
}

pub(super) async fn ready_one_is_called<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 2, 0, 1);
    let mut door = Arc::clone(&scene.bulkhead).around(shop);
    for who in 0..3 {
        let asked = asks(&scene, door.clone(), Order::of(who));
        asked.order.gate.open();
        asked.hears().await?.is(&Heard::Done(who), "an answer of a service that is ready")?;
    }
    // The same one again and again, as a connection does. And one that waits for it inside.
    for who in 10..13 {
        let order = Order::of(who);
        order.gate.open();
        let answer = async {
            poll_fn(|context| door.poll_ready(context)).await?;
            door.call(order).await
        };
        let heard = tokio::time::timeout(SOON, answer).await.map(heard);
        match heard {
            Ok(Heard::Done(done)) if done == who => {}
            heard => {
                let expected = "an answer of a service that is ready";
                return Err(Evidence::new(expected, format!("{heard:?}")).into());
            }
        }
    }
    let first = asks(&scene, door.clone(), Order::of(20));
    is_served(&scene, &first).await?;
    let second = asks(&scene, door, Order::of(21));
    first.order.gate.open();
    second.order.gate.open();
    first.hears().await?.is(&Heard::Done(20), "its answer")?;
    second.hears().await?.is(&Heard::Done(21), "its answer, when the connection is free")
}

pub(super) async fn errors_are_typed<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 1, 0, 1);
    let door = Arc::clone(&scene.bulkhead).around(shop.clone());
    let fails = asks(&scene, door.clone(), Order { fails: true, ..Order::of(0) });
    is_served(&scene, &fails).await?;
    let refused = asks(&scene, door.clone(), Order::of(1)).hears().await?;
    refused.is(&Heard::Full(Full::Queue), "an error that is `Full::Queue`, by downcast_ref")?;
    fails.order.gate.open();
    let expected = "the service's own error, by downcast_ref";
    fails.hears().await?.is(&Heard::Broken, expected)?;
    // It cannot even say that it is ready.
    shop.connections.close();
    asks(&scene, door, Order::of(2)).hears().await?.is(&Heard::Broken, expected)?;
    let refused = scene.bulkhead.counts().refused;
    match refused {
        1 => Ok(()),
        _ => {
            let saw = format!("{refused}");
            Err(Evidence::new("1 refused: an error of the service is none", saw).into())
        }
    }
}

pub(super) async fn work_goes_with_its_caller<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 1, 0, 8);
    let door = Arc::clone(&scene.bulkhead).around(shop);
    let first = asks(&scene, door.clone(), Order::of(0));
    is_served(&scene, &first).await?;
    scene.world.history().note("callers", "0 goes away");
    first.task.abort();
    match first.task.await {
        Err(stopped) if stopped.is_cancelled() => {}
        Err(panicked) => return Err(panicked.into()),
        Ok(_) => return Err(Finding::inconclusive("it ended before its caller could go away")),
    }
    let second = asks(&scene, door, Order::of(1));
    is_served(&scene, &second).await?;
    scene.kept_to(1)?;
    first.order.gate.open();
    second.order.gate.open();
    second.hears().await?.is(&Heard::Done(1), "its answer")
}
