//! The bulkhead around a tower service.

use super::scene::{AtWork, Dependency, Scene};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Full};
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use testbed::gate::Gate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tower_service::Service;

pub(super) async fn clones_share<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let (scene, shop) = set::<B>(world, 1, 0, 8);
    let door = Arc::clone(&scene.bulkhead).around(shop.clone());
    let first = asks(&scene, door.clone(), Order::of(0));
    is_served(&scene, &first).await?;
    let refused = asks(&scene, door.clone().clone(), Order::of(1)).hears().await?;
    refused
        .is(&Heard::Full(Full::Queue), "a refusal: the only place is taken, by another clone")?;
    // And a second service around the same bulkhead, too.
    let again = Arc::clone(&scene.bulkhead).around(shop);
    let refused = asks(&scene, again, Order::of(2)).hears().await?;
    refused.is(&Heard::Full(Full::Queue), "a refusal: the only place is taken")?;
    first.order.gate.open();
    first.hears().await?.is(&Heard::Done(0), "its answer")?;
    scene.kept_to(1)
}

pub(super) async fn ready_holds_nothing<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let places = world.random().random_range(1..4);
    let (scene, shop) = set::<B>(world, places, 0, places);
    let door = Arc::clone(&scene.bulkhead).around(shop.clone());
    // Idle connections: their services were asked, and nobody calls them.
    let mut idle = Vec::new();
    for number in 0..places + 2 {
        let mut clone = door.clone();
        let ready = poll_fn(|context| Poll::Ready(clone.poll_ready(context))).await;
        let step = scene.world.history().note("callers", "one asks whether there is a place");
        match ready {
            Poll::Ready(Ok(())) => idle.push(clone),
            Poll::Ready(Err(error)) => {
                let expected = "ready: it is called, or refused, when it is called";
                return Err(Evidence::new(expected, error.to_string()).at(step).into());
            }
            Poll::Pending => {
                let expected = "ready: nobody is inside";
                let saw = format!("{number} that only asked keep it waiting");
                return Err(Evidence::new(expected, saw).at(step).into());
            }
        }
    }
    let mut inside = Vec::new();
    for who in 0..places {
        let asked = asks(&scene, door.clone(), Order::of(who));
        is_served(&scene, &asked).await?;
        inside.push(asked);
    }
    for asked in inside {
        asked.order.gate.open();
        let who = asked.order.who;
        asked.hears().await?.is(&Heard::Done(who), "its answer")?;
    }
    drop(idle);
    Ok(())
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

/// A scene, and a service with so many connections.
fn set<B: Bulkhead>(
    world: World,
    places: usize,
    queue: usize,
    connections: usize,
) -> (Scene<B>, Shop) {
    let scene = Scene::set(world, places, queue);
    let connections = Arc::new(Semaphore::new(connections));
    let shop = Shop { dependency: scene.dependency.clone(), connections, mine: Mine::Nothing };
    (scene, shop)
}

/// What is asked for.
#[derive(Clone)]
struct Order {
    who: usize,
    /// Where the work waits.
    gate: Gate,
    fails: bool,
}

impl Order {
    fn of(who: usize) -> Order {
        Order { who, gate: Gate::shut(), fails: false }
    }
}

/// The service's own error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(&'static str);

/// A service with connections, as tower's own limits have permits: `poll_ready` takes one for this
/// very clone, which is free again with the answer, or when the clone is dropped. And, as a service
/// may, it begins its work in `call`, and not when the future is first polled.
struct Shop {
    dependency: Dependency,
    connections: Arc<Semaphore>,
    mine: Mine,
}

type Acquiring =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, tokio::sync::AcquireError>> + Send>>;

enum Mine {
    Nothing,
    Asked(Acquiring),
    Connection(OwnedSemaphorePermit),
}

impl Clone for Shop {
    fn clone(&self) -> Shop {
        let (dependency, connections) = (self.dependency.clone(), Arc::clone(&self.connections));
        Shop { dependency, connections, mine: Mine::Nothing }
    }
}

impl Service<Order> for Shop {
    type Response = usize;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<usize, Broken>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if matches!(self.mine, Mine::Nothing) {
            self.mine = Mine::Asked(Box::pin(Arc::clone(&self.connections).acquire_owned()));
        }
        if let Mine::Asked(acquiring) = &mut self.mine {
            match std::task::ready!(acquiring.as_mut().poll(context)) {
                Ok(connection) => self.mine = Mine::Connection(connection),
                Err(_) => return Poll::Ready(Err(Broken("no connection"))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, order: Order) -> Self::Future {
        let Mine::Connection(connection) = std::mem::replace(&mut self.mine, Mine::Nothing) else {
            self.dependency.note("called on a clone that never said that it is ready");
            return Box::pin(async { Err(Broken("called before it said that it is ready")) });
        };
        let at_work: AtWork = self.dependency.begins(order.who);
        Box::pin(async move {
            order.gate.pass().await;
            drop((at_work, connection));
            match order.fails {
                true => Err(Broken("the shop's own error")),
                false => Ok(order.who),
            }
        })
    }
}

/// What a caller of the service heard.
#[derive(Debug, PartialEq)]
enum Heard {
    Done(usize),
    Full(Full),
    Broken,
    Other(String),
}

fn heard(answer: Result<usize, BoxError>) -> Heard {
    match answer {
        Ok(who) => Heard::Done(who),
        Err(error) => match (error.downcast_ref::<Full>(), error.downcast_ref::<Broken>()) {
            (Some(full), _) => Heard::Full(*full),
            (_, Some(Broken("the shop's own error" | "no connection"))) => Heard::Broken,
            _ => Heard::Other(format!("an error of another kind: {error}")),
        },
    }
}

impl Heard {
    fn is(&self, expected: &Heard, why: &str) -> Result<(), Finding> {
        match self == expected {
            true => Ok(()),
            false => Err(Evidence::new(why, format!("{self:?}")).into()),
        }
    }
}

/// Somebody who asks the service.
struct Asked {
    order: Order,
    task: JoinHandle<Heard>,
}

impl Asked {
    async fn hears(self) -> Result<Heard, Finding> {
        match tokio::time::timeout(SOON, self.task).await {
            Ok(heard) => Ok(heard?),
            Err(_) => {
                let saw = format!("{} hears nothing within {SOON:?}", self.order.who);
                Err(Evidence::new("an answer or a refusal", saw).into())
            }
        }
    }
}

fn asks<B, D>(scene: &Scene<B>, mut door: D, order: Order) -> Asked
where
    B: Bulkhead,
    D: Service<Order, Response = usize, Error = BoxError, Future: Send> + Send + 'static,
{
    let (asked, history) = (order.clone(), scene.world.history().clone());
    let task = tokio::spawn(async move {
        let call = history.invoke("callers", format!("{} asks the service", order.who));
        let answer = async {
            poll_fn(|context| door.poll_ready(context)).await?;
            door.call(order).await
        };
        let heard = heard(answer.await);
        match &heard {
            Heard::Done(who) => call.ok(format!("{who} is done")),
            other => call.fail(format!("{other:?}")),
        };
        heard
    });
    Asked { order: asked, task }
}

/// Waits until the work for `asked` has begun.
async fn is_served<B: Bulkhead>(scene: &Scene<B>, asked: &Asked) -> Result<(), Finding> {
    asked.order.gate.arrived(1, SOON).await.map_err(|_| {
        let began = scene.dependency.began();
        let expected = format!("{} to have a place, for one is free", asked.order.who);
        Evidence::new(expected, format!("not called within {SOON:?}; called: {began:?}")).into()
    })
}
