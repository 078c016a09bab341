//! What a limit adds to a request, in memory and on Redis.
//!
//! ```console
//! $ cargo bench -p rate_limiting --bench http_limits
//! ```
//!
//! The service behind the limit answers at once, so that what is left is the limit: who is asking,
//! the decision, two fields on the answer. After criterion's own figures come the ratios of this
//! run. It fails if a limited request costs more than 1.15 decisions of the limiter on Redis.

use criterion::Criterion;
use http::request::Parts;
use http::{Request, Response};
use rate_limiting::gcra::{Gcra, Local};
use rate_limiting::http_limits::{
    Handler, HttpLimits, Limits, Policy, Proxies, Rules, TowerLimits,
};
use rate_limiting::limiter::{Decision, Limiter, Options, Quota};
use redis::RedisError;
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tower_service::Service;

/// Answers at once.
#[derive(Clone)]
struct Nothing;

impl Service<Request<String>> for Nothing {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

struct OneEach;

impl Rules for OneEach {
    fn peer(&self, _: &Parts) -> Option<IpAddr> {
        Some(PEER)
    }

    fn who(&self, _: &Parts) -> Option<String> {
        None
    }

    fn cost(&self, _: &Parts) -> Option<u32> {
        Some(1)
    }
}

/// The limiter in memory, as the contract has it.
struct InMemory(Local);

impl Limiter for InMemory {
    fn open(_: &str, quota: Quota, _: Options) -> Result<InMemory, RedisError> {
        Ok(InMemory(Local::new(quota, 1_000)))
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.decide(key, cost)
    }
}

/// One that says yes without looking: what is left is the layer.
struct Yes(Quota);

impl Limiter for Yes {
    fn open(_: &str, quota: Quota, _: Options) -> Result<Yes, RedisError> {
        Ok(Yes(quota))
    }

    async fn decide(&self, _: &str, _: u32) -> Decision {
        let remaining = black_box(self.0.burst() - 1);
        let reset_after = Duration::from_micros(self.0.every_micros());
        let by = rate_limiting::limiter::By::State;
        Decision { allowed: true, remaining, retry_after: Some(Duration::ZERO), reset_after, by }
    }
}

fn limited(limiter: impl Limiter, quota: Quota) -> Door {
    let policy = Policy::new("default", quota).expect("a plain name");
    let (proxies, rules) = (Proxies::default(), Box::new(OneEach));
    let limits = Limits { limiter, policy, proxies, rules };
    let service = TowerLimits::limit(Nothing, Arc::new(limits));
    Box::new(move || {
        let service = service.clone();
        Box::pin(ask(service))
    })
}

/// A service with its type forgotten, so that all of them can be asked alike.
type Door = Box<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>>;

async fn ask(mut service: impl Handler<String, String, Error = Infallible>) {
    let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
    let request = Request::new(String::new());
    let Ok(answer) = service.call(request).await;
    black_box(answer);
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    // Nobody is refused here: a refusal costs less.
    let quota = Quota::new(1_000_000, Duration::from_micros(1))?;
    let options = Options { timeout: Duration::from_secs(5), ..Options::default() };
    let _inside = runtime.enter();
    let bare: Door = Box::new(|| Box::pin(ask(Nothing)));
    let layer = limited(Yes(quota), quota);
    let memory = limited(InMemory(Local::new(quota, 1_000)), quota);
    let remote = limited(Gcra::open(redis.url(), quota, options.clone())?, quota);
    let alone = Gcra::open(redis.url(), quota, options)?;
    let decide = async || {
        black_box(alone.decide("from:203.0.113.7", 1).await);
    };

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("http_limits");
    for (name, door) in [
        ("no limit", &bare),
        ("the layer, with a limiter that only says yes", &layer),
        ("limited, in memory", &memory),
        ("limited, on Redis", &remote),
    ] {
        group.bench_function(name, |b| b.to_async(&runtime).iter(door));
    }
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("http_limits");
            let (bare, layer, memory) =
                (async || bare().await, async || layer().await, async || memory().await);
            ratios.compare("the layer / no limit", bare, layer).await;
            ratios.compare("limited in memory / no limit", bare, memory).await;
            let bound = 1.15;
            let what = "limited on Redis / the decision alone";
            ratios.at_most(bound, what, decide, async || remote().await).await;
            ratios.end();
        });
    }
    Ok(())
}
