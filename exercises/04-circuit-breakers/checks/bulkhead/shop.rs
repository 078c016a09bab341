//! A service to put a bulkhead around, and callers of it.

use super::scene::{AtWork, Dependency, Scene};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Full};
use grading::{Evidence, Finding, SOON, World};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use testbed::gate::Gate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tower_service::Service;

/// A scene, and a service with so many connections.
pub(super) fn set<B: Bulkhead>(
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
pub(super) struct Order {
    pub(super) who: usize,
    /// Where the work waits.
    pub(super) gate: Gate,
    pub(super) fails: bool,
}

impl Order {
    pub(super) fn of(who: usize) -> Order {
        Order { who, gate: Gate::shut(), fails: false }
    }
}

/// The service's own error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(&'static str);

/// A service with connections, as tower's own limits have permits: `poll_ready` takes one for this
/// very clone, which is free again with the answer, or when the clone is dropped. And, as a service
/// may, it begins its work in `call`, and not when the future is first polled.
pub(super) struct Shop {
    dependency: Dependency,
    pub(super) connections: Arc<Semaphore>,
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
pub(super) enum Heard {
    Done(usize),
    Full(Full),
    Broken,
    Other(String),
}

pub(super) fn heard(answer: Result<usize, BoxError>) -> Heard {
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
    pub(super) fn is(&self, expected: &Heard, why: &str) -> Result<(), Finding> {
        match self == expected {
            true => Ok(()),
            false => Err(Evidence::new(why, format!("{self:?}")).into()),
        }
    }
}

/// Somebody who asks the service.
pub(super) struct Asked {
    pub(super) order: Order,
    pub(super) task: JoinHandle<Heard>,
}

impl Asked {
    pub(super) async fn hears(self) -> Result<Heard, Finding> {
        match tokio::time::timeout(SOON, self.task).await {
            Ok(heard) => Ok(heard?),
            Err(_) => {
                let saw = format!("{} hears nothing within {SOON:?}", self.order.who);
                Err(Evidence::new("an answer or a refusal", saw).into())
            }
        }
    }
}

pub(super) fn asks<B, D>(scene: &Scene<B>, mut door: D, order: Order) -> Asked
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
pub(super) async fn is_served<B: Bulkhead>(scene: &Scene<B>, asked: &Asked) -> Result<(), Finding> {
    asked.order.gate.arrived(1, SOON).await.map_err(|_| {
        let began = scene.dependency.began();
        let expected = format!("{} to have a place, for one is free", asked.order.who);
        Evidence::new(expected, format!("not called within {SOON:?}; called: {began:?}")).into()
    })
}
