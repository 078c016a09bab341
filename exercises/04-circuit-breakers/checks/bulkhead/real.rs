//! The same with a real Redis that hangs, and one that dies.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use grading::{Evidence, Finding, SOON, World};
use redis::aio::ConnectionManager;
use redis::{RedisError, cmd};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_service::Service;

/// Nobody here is saved by a timeout.
const NEVER: Duration = Duration::from_secs(60);
const PLACES: usize = 2;
/// Who serves requests, whatever they are about.
const WORKERS: usize = 4;
const SLOW: usize = 8;
const WELL: usize = 20;

fn of(places: usize) -> Config {
    Config { places, queue: 0, longest_wait: NEVER }
}

async fn get(mut connection: ConnectionManager) -> Result<u64, RedisError> {
    cmd("GET").arg("stock:7").query_async(&mut connection).await
}

/// Opens a connection, and writes what will be read.
async fn stock(url: &str) -> Result<ConnectionManager, Finding> {
    let mut connection = connection::open(url, NEVER)?;
    let () = cmd("SET").arg("stock:7").arg(7).query_async(&mut connection).await?;
    Ok(connection)
}

pub(super) async fn stalled_redis<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let history = world.history().clone();
    let other = testbed::redis::private().await?;
    let (stalls, is_well) = (stock(world.redis().url()).await?, stock(other.url()).await?);
    let (payment, catalogue) = (Arc::new(B::new(of(PLACES))), Arc::new(B::new(of(PLACES))));
    let workers = Arc::new(Semaphore::new(WORKERS));

    let fault = world.fault("the Redis of payment stands still (SIGSTOP)");
    world.redis().stop_process().await?;
    let mut slow = JoinSet::new();
    for _ in 0..SLOW {
        let (payment, workers) = (Arc::clone(&payment), Arc::clone(&workers));
        let (stalls, history) = (stalls.clone(), history.clone());
        slow.spawn(async move {
            let _worker = workers.acquire().await;
            let call = history.invoke("payment", "GET stock:7");
            let answer = payment.call(get(stalls)).await;
            call.end_with(&answer);
            answer
        });
    }
    for number in 0..SLOW - PLACES {
        let expected = format!("{} of {SLOW} to be refused at once", SLOW - PLACES);
        match tokio::time::timeout(SOON, slow.join_next()).await {
            Ok(Some(ended)) => match ended? {
                Err(Full::Queue) => {}
                answer => return Err(Evidence::new(expected, format!("{answer:?}")).into()),
            },
            Ok(None) => return Err(Finding::inconclusive("all calls ended while Redis stood")),
            Err(_) => {
                let saw = format!("{number} within {SOON:?}; the others hold all workers");
                return Err(Evidence::new(expected, saw).into());
            }
        }
    }
    // Others work on as if nothing had happened, with the workers that are left.
    let mut well = JoinSet::new();
    for _ in 0..WELL {
        let (catalogue, workers) = (Arc::clone(&catalogue), Arc::clone(&workers));
        let is_well = is_well.clone();
        well.spawn(async move {
            let _worker = workers.acquire().await;
            catalogue.call(get(is_well)).await
        });
    }
    for number in 0..WELL {
        let expected = format!("{WELL} answers of the Redis that is well");
        match tokio::time::timeout(SOON, well.join_next()).await {
            Ok(Some(ended)) => match ended? {
                Ok(Ok(7)) => {}
                // Two workers and two places: there is always one free.
                Ok(answer) => return Err(Finding::inconclusive(format!("{answer:?}"))),
                Err(full) => return Err(Evidence::new(expected, full.to_string()).into()),
            },
            _ => {
                let saw = format!("{number} within {SOON:?}");
                return Err(Evidence::new(expected, saw).into());
            }
        }
    }
    history.note("catalogue", format!("{WELL} × GET stock:7 = 7"));
    let expected = Counts { inside: PLACES, waiting: 0, refused: (SLOW - PLACES) as u64 };
    if payment.counts() != expected {
        let saw = format!("{:?}", payment.counts());
        return Err(Evidence::new(format!("{expected:?}"), saw).into());
    }

    world.redis().continue_process().await?;
    drop(fault);
    while let Some(ended) = slow.join_next().await {
        match ended? {
            Ok(Ok(7)) => {}
            answer => {
                return Err(Evidence::new("the two to be answered", format!("{answer:?}")).into());
            }
        }
    }
    // And their places are free.
    let again =
        async { tokio::join!(payment.call(get(stalls.clone())), payment.call(get(stalls))) };
    match tokio::time::timeout(SOON, again).await {
        Ok((Ok(Ok(7)), Ok(Ok(7)))) => Ok(()),
        answers => {
            let saw = format!("{answers:?}");
            Err(Evidence::new("two answers, for the two places are free", saw).into())
        }
    }
}

/// Reads the stock in Redis.
#[derive(Clone)]
struct Stock(ConnectionManager);

impl Service<()> for Stock {
    type Response = u64;
    type Error = RedisError;
    type Future = Pin<Box<dyn Future<Output = Result<u64, RedisError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RedisError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        Box::pin(get(self.0.clone()))
    }
}

async fn ask<D>(mut door: D) -> Result<u64, BoxError>
where
    D: Service<(), Response = u64, Error = BoxError>,
{
    poll_fn(|context| door.poll_ready(context)).await?;
    door.call(()).await
}

pub(super) async fn redis_that_dies<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let history = world.history().clone();
    let bulkhead = Arc::new(B::new(of(PLACES)));
    let door = Arc::clone(&bulkhead).around(Stock(stock(world.redis().url()).await?));
    let fault = world.fault("Redis stands still, and then dies (kill -9)");
    world.redis().stop_process().await?;
    let mut inside = JoinSet::new();
    for _ in 0..PLACES {
        inside.spawn(ask(door.clone()));
    }
    let full = async {
        while bulkhead.counts().inside < PLACES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(SOON, full).await.is_err() {
        let saw = format!("{:?}", bulkhead.counts());
        return Err(Evidence::new("two inside, who wait for Redis", saw).into());
    }
    match tokio::time::timeout(SOON, ask(door.clone())).await {
        Ok(Err(error)) if error.downcast_ref::<Full>() == Some(&Full::Queue) => {}
        answer => {
            let saw = format!("{answer:?}");
            return Err(Evidence::new("a third to be refused at once", saw).into());
        }
    }
    world.redis().kill().await?;
    drop(fault);
    for _ in 0..PLACES {
        let expected = "Redis's own error, for it is dead";
        match tokio::time::timeout(SOON, inside.join_next()).await {
            Ok(Some(ended)) => match ended? {
                Err(error) if error.is::<RedisError>() => {}
                answer => return Err(Evidence::new(expected, format!("{answer:?}")).into()),
            },
            _ => return Err(Finding::inconclusive("the connections did not break")),
        }
    }
    world.redis().restart().await?;
    history.note("callers", "Redis is back");
    // The first who comes may be told by Redis's client that its connection is gone. Nobody may be
    // told that there is no place: nobody is inside.
    for _ in 0..PLACES + 2 {
        let answer: Result<u64, BoxError> =
            match tokio::time::timeout(SOON, ask(door.clone())).await {
                Ok(answer) => answer,
                Err(_) => return Err(Evidence::new("an answer", "none").into()),
            };
        match answer {
            Err(error) if error.is::<Full>() => {
                let step = history.note("callers", format!("refused: {error}"));
                let saw = format!("{error}; {:?}", bulkhead.counts());
                return Err(Evidence::new("a place, for nobody is inside", saw).at(step).into());
            }
            // Empty after its restart, or broken once more: it was asked.
            _ => {}
        }
    }
    let empty = async {
        while bulkhead.counts().inside > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, empty).await.map_err(|_| {
        let saw = format!("{:?}", bulkhead.counts());
        Evidence::new("nobody inside", saw).into()
    })
}
