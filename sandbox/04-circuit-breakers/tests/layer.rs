//! The breaker around a service: what is refused is not called, and waits for no place.

use circuit_breakers::BoxError;
use circuit_breakers::circuit_breaker::{
    Breaker, BreakerLayer, CircuitBreaker, Config, Guarded, Judgement, Open, State,
};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;
use tower_service::Service;

const HOUR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_millis(100);

type Acquiring = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>;

/// A service with so many places. Asked for "hang" it does, and keeps the place.
struct Shop {
    places: Arc<Semaphore>,
    acquiring: Option<Acquiring>,
    place: Option<OwnedSemaphorePermit>,
    called: Arc<AtomicU64>,
}

impl Shop {
    fn of(places: usize) -> Shop {
        let places = Arc::new(Semaphore::new(places));
        Shop { places, acquiring: None, place: None, called: Arc::default() }
    }
}

/// As tower has it: a clone has no place.
impl Clone for Shop {
    fn clone(&self) -> Shop {
        let (places, called) = (Arc::clone(&self.places), Arc::clone(&self.called));
        Shop { places, acquiring: None, place: None, called }
    }
}

impl Service<&'static str> for Shop {
    type Response = &'static str;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, io::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        if self.place.is_none() {
            let places = &self.places;
            let acquiring = self.acquiring.get_or_insert_with(|| {
                let places = Arc::clone(places);
                Box::pin(async move { places.acquire_owned().await.expect("never closed") })
            });
            self.place = Some(std::task::ready!(acquiring.as_mut().poll(context)));
            self.acquiring = None;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        let place = self.place.take().expect("called without having been ready");
        self.called.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let _place = place;
            match request {
                "hang" => std::future::pending().await,
                "fail" => Err(io::Error::other("down")),
                answer => Ok(answer),
            }
        })
    }
}

fn guarded(shop: Shop, config: Config) -> (Arc<Breaker>, Guarded<Breaker, Shop, &'static str>) {
    let breaker = Arc::new(Breaker::new(config));
    let layer = BreakerLayer::new(Arc::clone(&breaker), |result| match result {
        Ok(_) => Judgement::Success,
        Err(_) => Judgement::Failure,
    });
    (breaker, layer.layer(shop))
}

async fn ask(
    service: &mut Guarded<Breaker, Shop, &'static str>,
    request: &'static str,
) -> Result<&'static str, BoxError> {
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await
}

fn config() -> Config {
    Config { failures: 2, open_for: HOUR, probes: 1, slow_after: Duration::ZERO }
}

#[tokio::test]
async fn what_the_breaker_refuses_is_told_apart_from_what_the_service_says() {
    let shop = Shop::of(1);
    let called = Arc::clone(&shop.called);
    let (breaker, mut service) = guarded(shop, config());
    assert_eq!(ask(&mut service, "hello").await.unwrap(), "hello");
    for _ in 0..2 {
        let error = ask(&mut service, "fail").await.unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), "down");
    }
    let error = ask(&mut service.clone(), "hello").await.unwrap_err();
    let open = error.downcast_ref::<Open>().unwrap();
    assert!(open.retry_after > HOUR / 2 && open.retry_after <= HOUR);
    assert_eq!(called.load(Ordering::SeqCst), 3, "clones share the breaker");
    let metrics = breaker.metrics();
    assert_eq!((metrics.calls(), metrics.refused, metrics.opened), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_counts_and_is_refused_at_once() {
    let shop = Shop::of(1);
    let called = Arc::clone(&shop.called);
    let (breaker, mut service) = guarded(shop, config());
    let hanging = tokio::spawn({
        let mut service = service.clone();
        async move { ask(&mut service, "hang").await }
    });
    while called.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // The only place is taken. These two never reach the service, and it is its fault.
    for _ in 0..2 {
        assert!(tokio::time::timeout(PATIENCE, ask(&mut service, "hello")).await.is_err());
    }
    assert_eq!(breaker.state(), State::Open);
    let error = tokio::time::timeout(PATIENCE, ask(&mut service, "hello")).await;
    assert!(error.expect("no wait for a place").unwrap_err().is::<Open>());
    assert_eq!(called.load(Ordering::SeqCst), 1);
    hanging.abort();
}

#[tokio::test]
async fn a_service_that_was_asked_and_not_called_keeps_no_place() {
    let (_, mut service) = guarded(Shop::of(1), config());
    for _ in 0..3 {
        poll_fn(|context| service.poll_ready(context)).await.unwrap();
        let call = service.call("never polled");
        drop(call);
    }
    let answer = tokio::time::timeout(HOUR, ask(&mut service, "hello"));
    assert_eq!(answer.await.unwrap().unwrap(), "hello");
}
