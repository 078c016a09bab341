//! What a place costs: beside nothing, beside a bare semaphore, and beside tower's own limit.
//!
//! ```console
//! $ cargo bench -p circuit_breakers --bench bulkhead
//! ```
//!
//! The call answers at once and a place is free, so that what is left is the bulkhead. After
//! criterion's own figures come the ratios of this run. It fails if a place, which is two permits
//! that are tried for, costs more than 1.5 times one permit that is waited for.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Compartment, Config};
use criterion::Criterion;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimitLayer;
use tower_layer::Layer;
use tower_service::Service;

const PLACES: usize = 16;
/// Calls in one measurement: a single one is shorter than a look at the clock.
const CALLS: u32 = 100;

/// Answers at once.
#[derive(Clone)]
struct Nothing;

impl Service<u32> for Nothing {
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

async fn bare() {
    for call in 0..CALLS {
        black_box(ready(black_box(call)).await);
    }
}

async fn semaphore(places: &Semaphore) {
    for call in 0..CALLS {
        let _place = places.acquire().await.expect("nobody closes it");
        black_box(ready(black_box(call)).await);
    }
}

async fn bulkhead(bulkhead: &Compartment) {
    for call in 0..CALLS {
        black_box(bulkhead.call(ready(black_box(call))).await).expect("a place");
    }
}

async fn service<S: Service<u32, Error = BoxError> + Clone>(service: &S) {
    let mut service = service.clone();
    for call in 0..CALLS {
        poll_fn(|context| service.poll_ready(context)).await.expect("ready");
        black_box(service.call(black_box(call)).await.map(drop)).expect("an answer");
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let places = Semaphore::new(PLACES);
    let longest_wait = Duration::from_secs(1);
    let compartment =
        Arc::new(Compartment::new(Config { places: PLACES, queue: 16, longest_wait }));
    let limited = ConcurrencyLimitLayer::new(PLACES).layer(Nothing);
    let behind = BulkheadLayer::new(Arc::clone(&compartment)).layer(Nothing);

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("bulkhead, a hundred calls");
    group.bench_function("bare", |b| b.to_async(&runtime).iter(bare));
    group.bench_function("a bare semaphore", |b| b.to_async(&runtime).iter(|| semaphore(&places)));
    group.bench_function("bulkhead", |b| b.to_async(&runtime).iter(|| bulkhead(&compartment)));
    group.bench_function("bare service", |b| b.to_async(&runtime).iter(|| service(&Nothing)));
    group.bench_function("tower's ConcurrencyLimit", |b| {
        b.to_async(&runtime).iter(|| service(&limited));
    });
    group.bench_function("bulkhead layer", |b| b.to_async(&runtime).iter(|| service(&behind)));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("bulkhead, a hundred calls each");
            let bare_service = async || service(&Nothing).await;
            let with_permit = async || semaphore(&places).await;
            let with_place = async || bulkhead(&compartment).await;
            ratios.compare("a semaphore's permit / bare", async || bare().await, with_permit).await;
            let what = "a place / a semaphore's permit";
            ratios.at_most(1.5, what, with_permit, with_place).await;
            let (limit, layer) =
                (async || service(&limited).await, async || service(&behind).await);
            ratios.compare("ConcurrencyLimit / bare service", bare_service, limit).await;
            ratios.compare("the layer / bare service", bare_service, layer).await;
            ratios.compare("the layer / ConcurrencyLimit", limit, layer).await;
            ratios.end();
        });
    }
    Ok(())
}
