//! The layer before a service: who is asked first, who is called, what is told.

use http::request::Parts;
use http::{Request, Response, StatusCode};
use rate_limiting::http_limits::{HttpLimits, Limits, Policy, Proxies, Rules, TowerLimits};
use rate_limiting::limiter::{By, Decision, Limiter, Options, Outage, Quota};
use redis::RedisError;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// Says what it was told to say, and remembers what it was asked.
#[derive(Default)]
struct Script {
    says: Mutex<VecDeque<Decision>>,
    asked: Mutex<Vec<(String, u32)>>,
}

impl Limiter for Script {
    fn open(_: &str, _: Quota, _: Options) -> Result<Script, RedisError> {
        Ok(Script::default())
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((key.to_owned(), cost));
        self.says
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
            .expect("one more question than answers")
    }
}

/// Who asks stands in `user`, from where in `peer`, what it costs in `cost`.
struct ByHeader;

fn read<T: std::str::FromStr>(head: &Parts, name: &str) -> Option<T> {
    head.headers.get(name)?.to_str().ok()?.parse().ok()
}

impl Rules for ByHeader {
    fn peer(&self, head: &Parts) -> Option<IpAddr> {
        read(head, "peer")
    }

    fn who(&self, head: &Parts) -> Option<String> {
        read(head, "user")
    }

    fn cost(&self, head: &Parts) -> Option<u32> {
        read(head, "cost")
    }
}

/// A service with one place, found by `poll_ready` and held until the answer or the drop.
struct OnePlace {
    places: Arc<tokio::sync::Semaphore>,
    mine: Option<tokio::sync::OwnedSemaphorePermit>,
    served: Arc<Mutex<Vec<String>>>,
}

impl OnePlace {
    fn open() -> OnePlace {
        let places = Arc::new(tokio::sync::Semaphore::new(1));
        OnePlace { places, mine: None, served: Arc::default() }
    }
}

impl Clone for OnePlace {
    fn clone(&self) -> OnePlace {
        let (places, served) = (self.places.clone(), self.served.clone());
        OnePlace { places, mine: None, served }
    }
}

impl Service<Request<String>> for OnePlace {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.mine.is_none() {
            self.mine = self.places.clone().try_acquire_owned().ok();
        }
        // Nobody is woken here: a test that has to wait for a place has found a defect.
        assert!(self.mine.is_some(), "the place was not given back");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(self.mine.take().is_some(), "called without having been asked whether it is ready");
        self.served
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.uri().path().to_owned());
        let mut response = Response::new(request.into_body());
        *response.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}

fn limits(says: impl IntoIterator<Item = Decision>) -> Arc<Limits<Script>> {
    let quota = Quota::new(10, Duration::from_millis(1_500)).expect("a quota");
    Arc::new(Limits {
        limiter: Script { says: Mutex::new(says.into_iter().collect()), ..Script::default() },
        policy: Policy::new("default", quota).expect("a name"),
        proxies: Proxies::default(),
        rules: Box::new(ByHeader),
    })
}

fn allowed(remaining: u32) -> Decision {
    let retry_after = Some(Duration::ZERO);
    let reset_after = Duration::from_millis(1_500) * (10 - remaining);
    Decision { allowed: true, remaining, retry_after, reset_after, by: By::State }
}

fn refused(retry_after: Option<Duration>) -> Decision {
    Decision { allowed: false, retry_after, ..allowed(0) }
}

async fn ask<S: Service<Request<String>, Error = Infallible>>(
    service: &mut S,
    path: &str,
    headers: &[(&str, &str)],
) -> S::Response {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    poll_fn(|context| service.poll_ready(context)).await.expect("it never fails");
    let request = request.body("in".to_owned()).expect("a request");
    service.call(request).await.expect("it never fails")
}

fn text<'a>(response: &'a Response<String>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn every_answer_tells_and_a_refusal_is_a_problem() {
    let limits = limits([allowed(7), refused(Some(Duration::from_millis(1_400))), allowed(0)]);
    let shop = OnePlace::open();
    let mut service = TowerLimits::limit(shop.clone(), Arc::clone(&limits));

    let headers = [("cost", "3"), ("peer", "203.0.113.7"), ("user", "7")];
    let answer = ask(&mut service, "/one", &headers).await;
    assert_eq!((answer.status(), answer.body().as_str()), (StatusCode::NOT_FOUND, "in"));
    assert_eq!(text(&answer, "ratelimit-policy"), "\"default\";q=10;w=15");
    assert_eq!(text(&answer, "ratelimit"), "\"default\";r=7;t=11");

    let answer = ask(&mut service, "/two", &[("cost", "1"), ("peer", "203.0.113.7")]).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&answer, "retry-after"), "2");
    assert_eq!(text(&answer, "ratelimit"), "\"default\";r=0;t=2");
    assert_eq!(text(&answer, "content-type"), "application/problem+json");
    assert_eq!(
        answer.body(),
        "{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\
          \"title\":\"Quota Exceeded\",\"status\":429,\"detail\":\"try again in 2 s\",\
          \"violated-policies\":[\"default\"]}"
    );

    // The refusal has given its place back, and the one who was refused was never served.
    let answer = ask(&mut service, "/three", &[("cost", "1")]).await;
    assert_eq!(text(&answer, "ratelimit"), "\"default\";r=0;t=2");
    assert_eq!(*shop.served.lock().unwrap(), ["/one", "/three"]);
    let asked = limits.limiter.asked.lock().unwrap();
    let asked: Vec<_> = asked.iter().map(|(key, cost)| (key.as_str(), *cost)).collect();
    assert_eq!(asked, [("who:7", 3), ("from:203.0.113.7", 1), ("from:unknown", 1)]);
}

#[tokio::test]
async fn what_is_not_limited_is_left_alone() {
    let limits = limits([]);
    let mut service = TowerLimits::limit(OnePlace::open(), Arc::clone(&limits));
    let answer = ask(&mut service, "/health", &[]).await;
    assert_eq!(answer.headers().len(), 0);
    assert!(limits.limiter.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_outage_shows_no_quota_that_nobody_counts() {
    let quota = Quota::new(10, Duration::from_millis(1_500)).unwrap();
    let outage = |outage| Decision::in_outage(outage, quota, 1);
    let limits = limits([outage(Outage::Open), outage(Outage::Closed)]);
    let mut service = TowerLimits::limit(OnePlace::open(), limits);

    let answer = ask(&mut service, "/", &[("cost", "1")]).await;
    assert_eq!((answer.status(), answer.headers().len()), (StatusCode::NOT_FOUND, 0));

    let answer = ask(&mut service, "/", &[("cost", "1")]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((text(&answer, "retry-after"), text(&answer, "ratelimit")), ("1", ""));
    assert!(answer.body().contains("#temporary-reduced-capacity"), "{}", answer.body());
    assert!(answer.body().contains("\"violated-policies\":[]"), "{}", answer.body());
}

#[tokio::test]
async fn what_never_fits_is_not_asked_to_come_again() {
    let mut service = TowerLimits::limit(OnePlace::open(), limits([refused(None)]));
    let answer = ask(&mut service, "/", &[("cost", "12")]).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&answer, "retry-after"), "");
    assert!(answer.body().contains("this costs 12, and the quota holds 10"), "{}", answer.body());
}
