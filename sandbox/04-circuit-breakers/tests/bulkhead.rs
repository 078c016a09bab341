//! The reference where no check looks: odd sizes, many at once, and beside tower's own limit.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Compartment, Config, Counts, Full};
use std::future::{Ready, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tower::limit::ConcurrencyLimitLayer;
use tower_layer::Layer;
use tower_service::Service;

const LONG: Duration = Duration::from_secs(60);

fn of(places: usize, queue: usize, longest_wait: Duration) -> Compartment {
    Compartment::new(Config { places, queue, longest_wait })
}

#[tokio::test]
async fn there_may_be_none_and_there_may_be_no_end() {
    assert_eq!(of(0, 0, LONG).call(ready(1)).await, Err(Full::Queue));
    let brief = Duration::from_millis(5);
    assert_eq!(of(0, 1, brief).call(ready(1)).await, Err(Full::Waited(brief)));
    let endless = of(usize::MAX, usize::MAX, Duration::MAX);
    assert_eq!(endless.call(ready(1)).await, Ok(1));
    assert_eq!(endless.counts(), Counts::default());
}

#[tokio::test]
async fn with_no_time_to_wait_a_free_place_is_taken_all_the_same() {
    let bulkhead = of(1, 5, Duration::ZERO);
    assert_eq!(bulkhead.call(ready(1)).await, Ok(1));
    let inside = bulkhead.call(async {
        assert_eq!(bulkhead.call(ready(2)).await, Err(Full::Waited(Duration::ZERO)));
        bulkhead.counts()
    });
    assert_eq!(inside.await, Ok(Counts { inside: 1, waiting: 0, refused: 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_in_the_last_moment_is_taken() {
    let bulkhead = Arc::new(of(1, 1, Duration::from_millis(100)));
    let first = bulkhead.call(tokio::time::sleep(Duration::from_millis(99)));
    let second = bulkhead.call(ready(2));
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first, second), (Ok(()), Ok(2)));
}

/// Some end, some are refused, some give up, some go away, some panic: at no time are there too
/// many inside, and in the end all places are there, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_becomes_of_a_thousand_callers_no_place_is_lost() {
    const PLACES: usize = 3;
    let bulkhead = Arc::new(of(PLACES, 4, Duration::from_millis(2)));
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    struct Inside(Arc<AtomicUsize>);
    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let mut callers = Vec::new();
    for number in 0..1_000_u64 {
        let (bulkhead, inside, most) = (bulkhead.clone(), inside.clone(), most.clone());
        let caller = tokio::spawn(async move {
            let work = async {
                let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                let _inside = Inside(inside);
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_micros(number * 7 % 900)).await;
                if number % 11 == 0 {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
            };
            let _ = bulkhead.call(work).await;
        });
        if number % 5 == 0 {
            caller.abort();
        }
        callers.push(caller);
        if number % 8 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for caller in callers {
        let _ = caller.await;
    }
    assert!(most.load(Ordering::SeqCst) <= PLACES);
    let counts = bulkhead.counts();
    assert_eq!((counts.inside, counts.waiting), (0, 0), "{counts:?}");
    // All of them are there: as many get in, and then nobody.
    let full = bulkhead.call(bulkhead.call(bulkhead.call(bulkhead.call(ready(())))));
    assert_eq!(full.await, Ok(Ok(Ok(Err(Full::Waited(Duration::from_millis(2)))))));
}

/// Answers at once.
#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

async fn is_ready<S: Service<u32>>(service: &mut S) -> bool {
    poll_fn(|context| Poll::Ready(service.poll_ready(context).is_ready())).await
}

/// The trap of which the page tells. Should tower ever change, the page has to.
#[tokio::test]
async fn an_idle_clone_starves_others_of_towers_limit_and_not_of_a_bulkhead() {
    let limit = ConcurrencyLimitLayer::new(1).layer(Echo);
    let (mut idle, mut other) = (limit.clone(), limit);
    assert!(is_ready(&mut idle).await);
    assert!(!is_ready(&mut other).await, "one that only asked has the only permit");

    let bulkhead = Arc::new(of(1, 0, LONG));
    let service = BulkheadLayer::new(Arc::clone(&bulkhead)).layer(Echo);
    let (mut idle, mut other) = (service.clone(), service);
    assert!(is_ready(&mut idle).await);
    assert!(is_ready(&mut other).await);
    assert_eq!(other.call(7).await.expect("a place"), 7);
    assert_eq!(bulkhead.counts(), Counts::default());
}
