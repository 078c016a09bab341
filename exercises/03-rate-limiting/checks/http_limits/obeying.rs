//! The whole of it: real Redis, real time, a client that does as it is told.

use super::scene::{Ask, Scene};
use grading::{Evidence, Finding, World};
use http::StatusCode;
use rate_limiting::gcra::Gcra;
use rate_limiting::http_limits::{HttpLimits, Limits, Policy, Proxies};
use rate_limiting::limiter::{Limiter, Options, Outage, Quota};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn obeying_client<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    // Two at once, and the next one after less than a second: rounded down, that is at once.
    let quota = Quota::new(2, Duration::from_millis(700)).expect("a quota");
    let redis = scene.world.client("redis").await?;
    // A limiter that is not reached must not look like one that allows.
    let options =
        Options { timeout: Duration::from_secs(2), outage: Outage::Closed, ..Options::default() };
    let policy = Policy::new(scene.policy.name(), quota).expect("a name");
    let limits = Limits {
        limiter: Gcra::open(redis.url(), quota, options)?,
        policy,
        proxies: Proxies::default(),
        rules: scene.rules(),
    };
    let mut door = S::limit(scene.shop.clone(), Arc::new(limits));
    let refusal = loop {
        let answer = scene.ask(&mut door, Ask::plain()).await?;
        match answer.status {
            StatusCode::TOO_MANY_REQUESTS => break answer,
            StatusCode::SERVICE_UNAVAILABLE => {
                return Err(Finding::inconclusive("the limiter did not reach its Redis"));
            }
            // On a machine that stands still for a second, the quota comes back meanwhile.
            StatusCode::OK if scene.shop.served() < 20 => {}
            _ => return Err(answer.not("429 after two requests at once")),
        }
    };
    let wait = refusal.retry_after()?;
    if wait > 2 {
        let expected = "a wait of 1 s, for the next unit comes in 0.7 s";
        return Err(refusal.saw(expected, format!("{wait} s")));
    }
    let waits = scene.world.history().note("client", format!("waits {wait} s, as it was told"));
    tokio::time::sleep(Duration::from_secs(wait)).await;
    let answer = scene.ask(&mut door, Ask::plain()).await?;
    match answer.status {
        StatusCode::OK => Ok(()),
        status => {
            let expected = "200 at the first retry, for the client did as it was told";
            let evidence = Evidence::new(expected, status.to_string());
            Err(evidence.at(refusal.step).at(waits).at(answer.step).into())
        }
    }
}
