//! What a client is told: the two fields, refusals, outages.

use super::scene::{Answer, Ask, Scene};
use grading::{Finding, World};
use http::StatusCode;
use rand::RngExt;
use rate_limiting::http_limits::{HttpLimits, Proxies, QUOTA_EXCEEDED, REDUCED_CAPACITY};
use rate_limiting::limiter::Outage;
use serde::Deserialize;
use std::time::Duration;

const POLICY: &str = "ratelimit-policy";
const LIMIT: &str = "ratelimit";

pub(super) async fn every_answer_tells<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    let burst = scene.policy.quota().burst();
    for status in [200, 404, 201, 303, 409, 500] {
        let remaining = match status {
            404 => 0,
            201 => burst - 1,
            _ => scene.random.random_range(1..burst - 1),
        };
        scene.world.history().turn_page();
        scene.says_yes(remaining);
        scene.shop.answers(status);
        let answer = scene.ask(&mut door, Ask::plain()).await?;
        if answer.status.as_u16() != status {
            return Err(answer.not(format!("{status}, which the service said")));
        }
        tells(&scene, &answer, remaining)?;
        if let Some(told) = answer.text("retry-after") {
            let expected = "no Retry-After: it was allowed, and the service did not write one";
            return Err(answer.saw(expected, format!("Retry-After: {told}")));
        }
    }
    // With something left, too: what was refused costs more than that.
    for remaining in [0, 3] {
        scene.world.history().turn_page();
        scene.says_too_much(remaining, Some(Duration::from_millis(100)));
        let answer = scene.ask(&mut door, Ask { cost: Some(5), ..Ask::plain() }).await?;
        if answer.status == StatusCode::OK {
            return Err(answer.not("a refusal, for the limiter said no"));
        }
        tells(&scene, &answer, remaining)?;
    }
    Ok(())
}

fn tells(scene: &Scene, answer: &Answer, remaining: u32) -> Result<(), Finding> {
    let (name, quota) = (scene.policy.name(), scene.policy.quota());
    let window = quota.window().as_micros().div_ceil(1_000_000) as u64;
    let is = |field, parameter, expected: u64, why: &str| match answer
        .parameter(field, name, parameter)?
    {
        told if told == expected => Ok(()),
        told => Err(answer.saw(
            format!("{parameter}={expected} in {field}: {why}"),
            format!("{parameter}={told}"),
        )),
    };
    is(POLICY, "q", quota.burst().into(), "the quota's burst")?;
    is(POLICY, "w", window, "the quota's window, rounded up")?;
    is(LIMIT, "r", remaining.into(), "what the limiter said is left")?;
    answer.parameter(LIMIT, name, "t").map(drop)
}

pub(super) async fn spread_is_within_quota<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    let quota = scene.policy.quota();
    let (burst, name) = (quota.burst(), scene.policy.name());
    let some = scene.random.random_range(2..burst - 1);
    for remaining in [burst - 1, some, 1, 0] {
        scene.world.history().turn_page();
        scene.says_yes(remaining);
        let answer = scene.passes(&mut door, Ask::plain()).await?;
        let r = answer.parameter(LIMIT, name, "r")?;
        let t = answer.parameter(LIMIT, name, "t")?;
        // r / t at most burst / window, in whole numbers: in t seconds so many units come back.
        let allowed = t.saturating_mul(1_000_000) / quota.every_micros();
        if t == 0 || r > allowed {
            let expected = format!("at most {allowed} in {t} s, as fast as the quota comes back");
            return Err(answer.saw(expected, format!("r={r};t={t}")));
        }
        let window = quota.window().as_secs() + 1;
        if t > window {
            let expected = format!("t of at most {window} s, in which everything comes back");
            return Err(answer.saw(expected, format!("t={t}")));
        }
    }
    Ok(())
}

/// RFC 9457, as far as it is judged.
#[derive(Deserialize)]
struct Problem {
    r#type: String,
    status: Option<u16>,
}

/// A refusal that a program can read: status, kind of content, type.
fn problem(answer: &Answer, status: StatusCode, kind: &str) -> Result<(), Finding> {
    if answer.status != status {
        return Err(answer.not(status.to_string()));
    }
    let content = answer.text("content-type").unwrap_or("none");
    if content.split(';').next() != Some("application/problem+json") {
        let expected = "Content-Type: application/problem+json";
        return Err(answer.saw(expected, content));
    }
    let problem: Problem = serde_json::from_str(&answer.body)
        .map_err(|error| answer.saw("problem details (RFC 9457)", format!("{error}")))?;
    if problem.r#type != kind {
        return Err(answer.saw(kind, problem.r#type));
    }
    match problem.status {
        Some(told) if told != status.as_u16() => {
            Err(answer.saw(format!("status {} in it, too", status.as_u16()), told.to_string()))
        }
        _ => Ok(()),
    }
}

pub(super) async fn refusal_is_a_problem<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    for retry_after in [Some(Duration::from_millis(1_200)), None] {
        scene.world.history().turn_page();
        scene.says_no(retry_after);
        let answer = scene.ask(&mut door, Ask::plain()).await?;
        problem(&answer, StatusCode::TOO_MANY_REQUESTS, QUOTA_EXCEEDED)?;
    }
    Ok(())
}

pub(super) async fn retry_after_is_whole<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    let micros = [1, 400_000, 999_999, 1_000_000, 1_000_001, 59_400_000];
    let drawn = scene.random.random_range(2_000_000..4_000_000_000_u64);
    for micros in micros.into_iter().chain([drawn]) {
        scene.world.history().turn_page();
        scene.says_no(Some(Duration::from_micros(micros)));
        let answer = scene.ask(&mut door, Ask::plain()).await?;
        let (told, first) = (answer.retry_after()?, micros.div_ceil(1_000_000));
        let after = Duration::from_micros(micros);
        if told != first {
            let why = if told < first { "too early" } else { "later than it has to be" };
            let expected = format!("{first}, since the next unit comes in {after:?}");
            return Err(answer.saw(expected, format!("{told}, which is {why}")));
        }
        let t = answer.parameter(LIMIT, scene.policy.name(), "t")?;
        if told < t {
            let expected = format!("t of at most {told}, which is Retry-After");
            return Err(answer.saw(expected, format!("t={t}: who obeys it comes later")));
        }
    }
    scene.world.history().turn_page();
    scene.says_no(None);
    let answer = scene.ask(&mut door, Ask::plain()).await?;
    match answer.text("retry-after") {
        None => Ok(()),
        Some(told) => {
            let expected = "no Retry-After: the cost is above the burst, and never allowed";
            Err(answer.saw(expected, format!("Retry-After: {told}")))
        }
    }
}

pub(super) async fn outage_open<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    let lost = scene.world.fault("the limiter cannot reach its state, and is open");
    scene.says_outage(Outage::Open, 1);
    let answer = scene.passes(&mut door, Ask::plain()).await?;
    drop(lost);
    nothing_told(&answer)?;
    // And when it is back, so are the fields.
    scene.says_yes(3);
    let answer = scene.passes(&mut door, Ask::plain()).await?;
    tells(&scene, &answer, 3)
}

fn nothing_told(answer: &Answer) -> Result<(), Finding> {
    for field in [LIMIT, POLICY] {
        if let Some(told) = answer.text(field) {
            let expected = format!("no {field}: in an outage nobody counts");
            return Err(answer.saw(expected, told));
        }
    }
    Ok(())
}

pub(super) async fn outage_closed<S: HttpLimits>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world);
    let mut door = scene.door::<S>(Proxies::default());
    let lost = scene.world.fault("the limiter cannot reach its state, and is closed");
    scene.says_outage(Outage::Closed, 1);
    let answer = scene.ask(&mut door, Ask::plain()).await?;
    drop(lost);
    if scene.shop.served() > 0 {
        return Err(answer.saw("a refusal, for the limiter is closed", "it was served"));
    }
    problem(&answer, StatusCode::SERVICE_UNAVAILABLE, REDUCED_CAPACITY)?;
    answer.retry_after()?;
    nothing_told(&answer)?;

    // What costs more than the burst is refused for that, and not for the outage.
    scene.world.history().turn_page();
    let never = scene.policy.quota().burst() + 1;
    let lost = scene.world.fault("the limiter cannot reach its state, and is closed");
    scene.says_outage(Outage::Closed, never);
    let answer = scene.ask(&mut door, Ask { cost: Some(never), ..Ask::plain() }).await?;
    drop(lost);
    if let Some(told) = answer.text("retry-after") {
        let expected = "no Retry-After: the cost is above the burst, and never allowed";
        return Err(answer.saw(expected, format!("Retry-After: {told}")));
    }
    problem(&answer, StatusCode::TOO_MANY_REQUESTS, QUOTA_EXCEEDED)?;
    nothing_told(&answer)
}
