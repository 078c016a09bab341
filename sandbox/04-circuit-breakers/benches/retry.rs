//! What a call that succeeds pays for retries that it does not need.
//!
//! ```console
//! $ cargo bench -p circuit_breakers --bench retry
//! ```
//!
//! The service answers at once, so what is left is the layer: the budget, a copy of the request with
//! a header more, a boxed future. Beside it tower's own, with its backoff, its budget and a policy
//! that decides the same; it writes no header, so it does not know of other layers. After criterion's
//! figures come the ratios of this run. It fails if a call takes more than twice what tower's
//! does, or if a call without HTTP takes longer than a bare request.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{Outcome, Repeatable, Retries, Retry, RetryLayer};
use criterion::Criterion;
use http::{Request, Response};
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use testbed::ratios::{self, Ratios};
use tokio::time::Sleep;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower_layer::Layer;
use tower_service::Service;

/// Answers at once.
#[derive(Clone)]
struct Nothing;

impl Service<Request<String>> for Nothing {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Ready<Result<Response<String>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

/// tower's parts, put together as its documentation does.
#[derive(Clone)]
struct Policy {
    budget: Arc<TpsBudget>,
    backoff: ExponentialBackoff,
    left: u32,
}

impl tower::retry::Policy<Request<String>, Response<String>, BoxError> for Policy {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<String>,
        answer: &mut Result<Response<String>, BoxError>,
    ) -> Option<Sleep> {
        match answer {
            Ok(response) if !response.status().is_server_error() => {
                self.budget.deposit();
                None
            }
            _ if self.left == 0 || !self.budget.withdraw() => None,
            _ => {
                self.left -= 1;
                Some(self.backoff.next_backoff())
            }
        }
    }

    fn clone_request(&mut self, request: &Request<String>) -> Option<Request<String>> {
        request.method().is_idempotent().then(|| request.clone())
    }
}

/// As a client's requests are: some headers, a short body.
fn request() -> Request<String> {
    let request = Request::builder()
        .uri("/products/7")
        .header("accept", "application/json")
        .header("host", "catalogue.example")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    request.body(String::new()).expect("a request")
}

async fn ask<S>(service: &S)
where
    S: Service<Request<String>, Response = Response<String>, Error = BoxError> + Clone,
{
    let mut service = service.clone();
    let answer = match poll_fn(|context| service.poll_ready(context)).await {
        Ok(()) => service.call(request()).await,
        Err(error) => Err(error),
    };
    let _ = black_box(answer);
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let retries = Arc::new(Retries::new(Default::default(), 7));
    let layered = RetryLayer::new(Arc::clone(&retries)).layer(Nothing);
    let policy = Policy {
        budget: Arc::new(TpsBudget::default()),
        backoff: ExponentialBackoffMaker::default().make_backoff(),
        left: 2,
    };
    let towers = tower::retry::Retry::new(policy, Nothing);
    let bare = async || ask(&Nothing).await;
    let ours = async || ask(&layered).await;
    let towers = async || ask(&towers).await;
    let call = async || {
        let attempt = |_| ready(Outcome::Final(black_box(7)));
        black_box(retries.call(Repeatable::Yes, None, attempt).await);
    };

    let mut criterion = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("retry");
    group.bench_function("a request, bare", |b| b.to_async(&runtime).iter(bare));
    group.bench_function("a request, tower's retry", |b| b.to_async(&runtime).iter(towers));
    group.bench_function("a request, with retries", |b| b.to_async(&runtime).iter(ours));
    group.bench_function("a call without HTTP", |b| b.to_async(&runtime).iter(call));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("retry");
            ratios.compare("tower's retry / bare", bare, towers).await;
            ratios.compare("with retries / bare", bare, ours).await;
            ratios.at_most(2.0, "with retries / tower's retry", towers, ours).await;
            ratios.at_most(1.0, "a call without HTTP / a bare request", bare, call).await;
            ratios.end();
        });
    }
    Ok(())
}
