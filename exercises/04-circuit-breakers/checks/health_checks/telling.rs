//! What a report says, and to whom.

use super::scene::{PATIENT, Scene, Stand, at_once, brief, redis_at, seen, well};
use circuit_breakers::BoxError;
use circuit_breakers::health_checks::{Dependency, Health, Report, Seen, Status};
use grading::{Evidence, Finding, World};
use http::header::CONTENT_TYPE;
use rand::RngExt;
use serde_json::Value;
use std::time::{Duration, Instant};

pub(super) async fn one_name<S: Health>(world: World) -> Result<(), Finding> {
    let nodes = [Stand::up(&world, "node"), Stand::up(&world, "node")];
    let dependencies = nodes.iter().map(Stand::critical).collect();
    let scene = Scene::<S>::running(&world, at_once(PATIENT), dependencies);
    // Whichever of the two is told, if only one is, it is once the wrong one.
    for broken in &nodes {
        world.history().turn_page();
        broken.breaks(true);
        let report = scene.must(Status::Fail, "one of two nodes is broken").await?;
        broken.breaks(false);
        let told = |of: &Report, status| of.checks.iter().filter(|s| s.status == status).count();
        if (told(&report, Status::Pass), told(&report, Status::Fail)) != (1, 1) {
            let saw = format!("{} of `node`", report.checks.len());
            return Err(Evidence::new("two lines about `node`: pass and fail", saw)
                .at(scene.last_answer())
                .into());
        }
        let answer = S::answer(&report);
        let step = world.history().note("balancer", answer.body().clone());
        let body: Value = serde_json::from_str(answer.body()).unwrap_or_default();
        let listed = body["checks"]["node:responseTime"].as_array().map_or(0, Vec::len);
        if listed != 2 {
            let saw = answer.body().clone();
            let evidence = Evidence::new("both in the list of `node:responseTime`", saw);
            return Err(evidence.at(step).into());
        }
    }
    Ok(())
}

pub(super) async fn own_time<S: Health>(world: World) -> Result<(), Finding> {
    const DELAY: Duration = Duration::from_millis(60);
    let proxy = world.client("redis").await?;
    let near = Stand::up(&world, "near");
    let dependencies = vec![redis_at(proxy.url())?, near.critical()];
    let scene = Scene::<S>::running(&world, at_once(PATIENT), dependencies);
    scene.comes_back("the start").await?;
    world.history().turn_page();
    proxy.set_delay(DELAY);
    let began = Instant::now();
    let report = scene.must(Status::Pass, "both are well, one of them is far").await?;
    let whole = began.elapsed();
    let (redis, near) = (seen(&report, "redis")?.took, seen(&report, "near")?.took);
    let wrong = |expected: String, saw: Duration| {
        let evidence = Evidence::new(expected, format!("{saw:?}"));
        Err(Finding::from(evidence.at(scene.last_answer())))
    };
    // Whole milliseconds are precise enough for people.
    if redis + Duration::from_millis(1) < DELAY || redis > whole + Duration::from_millis(1) {
        return wrong(format!("from {DELAY:?} to {whole:?} for Redis"), redis);
    }
    if near >= redis {
        return wrong(format!("less than {redis:?} for who answers at once"), near);
    }
    Ok(())
}

pub(super) async fn optional_warns<S: Health>(world: World) -> Result<(), Finding> {
    let (database, cache) = (Stand::up(&world, "database"), Stand::up(&world, "cache"));
    let dependencies = vec![database.critical(), cache.optional()];
    let scene = Scene::<S>::running(&world, at_once(PATIENT), dependencies);
    let (pass, warn, fail) = (Status::Pass, Status::Warn, Status::Fail);
    for (database_down, cache_down, all, of_database, of_cache) in [
        (false, false, pass, pass, pass),
        (false, true, warn, pass, warn),
        (true, true, fail, fail, warn),
        (true, false, fail, fail, pass),
        (false, false, pass, pass, pass),
    ] {
        world.history().turn_page();
        database.breaks(database_down);
        cache.breaks(cache_down);
        let report = scene.must(all, "the cache only helps, the database is needed").await?;
        for (name, status) in [("database", of_database), ("cache", of_cache)] {
            if seen(&report, name)?.status != status {
                return Err(scene.not(format!("{} for the {name}", status.name()), &report));
            }
        }
        let code = S::answer(&report).status().as_u16();
        let expected = if all == fail { 503 } else { 200 };
        if code != expected {
            let evidence = Evidence::new(format!("{expected}: {}", all.name()), code.to_string());
            return Err(evidence.at(scene.last_answer()).into());
        }
    }
    // It may fail in other ways, too.
    let hangs = Dependency::optional("search", std::future::pending);
    let as_expected = false;
    let panics = Dependency::optional("search", move || async move {
        assert!(as_expected, "a check that meets what it did not expect");
        Ok(())
    });
    // Long enough that a busy machine does not make the database late.
    let timeout = Duration::from_millis(400);
    for (search, how) in [(hangs, "hangs"), (panics, "panics")] {
        world.history().turn_page();
        let dependencies = vec![Dependency::critical("database", well), search];
        let scene = Scene::<S>::running(&world, at_once(timeout), dependencies);
        let band = world.fault(format!("the search, which only helps, {how}"));
        let report = scene.must(warn, "the search only helps").await?;
        drop(band);
        if seen(&report, "search")?.status != warn {
            return Err(scene.not("warn for the search", &report));
        }
    }
    Ok(())
}

pub(super) async fn secrets_stay_inside<S: Health>(world: World) -> Result<(), Finding> {
    let number: u32 = world.random().random_range(10_000..100_000);
    let password = format!("hunter{number}");
    let errors = [
        format!("connection refused: redis://shop:{password}@cache:6379/0"),
        format!("connection refused (redis+unix:///run/redis.sock?db=0&pass={password})"),
        format!("connection refused: host=db user=shop password={password} dbname=shop"),
    ];
    let tells = |name, error: String| {
        Dependency::critical(name, move || {
            std::future::ready(Err::<(), BoxError>(error.clone().into()))
        })
    };
    let mut dependencies: Vec<_> =
        ["redis", "socket", "database"].into_iter().zip(errors).map(|(n, e)| tells(n, e)).collect();
    let said = format!("no such user: {password}");
    dependencies.push(Dependency::critical("odd", move || {
        let said = said.clone();
        async move {
            assert!(said.is_empty(), "{said}");
            Ok(())
        }
    }));
    let scene = Scene::<S>::running(&world, at_once(PATIENT), dependencies);
    let report = scene.must(Status::Fail, "nobody can be reached").await?;
    let told = format!("{} {report:?}", S::answer(&report).body());
    if let Some(at) = told.find(&password) {
        let before: String = told[..at].chars().rev().take(40).collect();
        let before: String = before.chars().rev().collect();
        let evidence = Evidence::new("no password in the report", format!("…{before}{password}"));
        return Err(evidence.at(scene.last_answer()).into());
    }
    for name in ["redis", "socket", "database", "odd"] {
        let output = seen(&report, name)?.output.clone().unwrap_or_default();
        let told = if name == "odd" { !output.is_empty() } else { output.contains("refused") };
        if !told {
            let expected = format!("what was wrong with {name}: people have to find it");
            let evidence = Evidence::new(expected, format!("{output:?}"));
            return Err(evidence.at(scene.last_answer()).into());
        }
    }
    Ok(())
}

pub(super) async fn answer_by_status<S: Health>(world: World) -> Result<(), Finding> {
    let took = Duration::from_micros(world.random().random_range(1_000..900_000));
    for (status, code) in [(Status::Pass, 200), (Status::Warn, 200), (Status::Fail, 503)] {
        let output = (status != Status::Pass).then(|| "a \"word\",\n\\ and another".to_owned());
        let report = Report::of(vec![Seen { name: "redis", status, took, output: output.clone() }]);
        let call = world.history().invoke("balancer", format!("answer({})", brief(&report)));
        let answer = S::answer(&report);
        let step = call.ok(format!("{} {}", answer.status().as_u16(), answer.body()));
        let wrong = |expected: &str, saw: String| {
            Err(Finding::from(Evidence::new(expected.to_owned(), saw).at(step)))
        };
        if answer.status().as_u16() != code {
            let expected = format!("{code}: nobody reads the body before they send requests");
            return wrong(&expected, answer.status().as_u16().to_string());
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("none");
        if kind.split(';').next() != Some("application/health+json") {
            return wrong("Content-Type: application/health+json", kind.to_owned());
        }
        let body: Value = match serde_json::from_str(answer.body()) {
            Ok(body) => body,
            Err(error) => return wrong("JSON", error.to_string()),
        };
        let redis = &body["checks"]["redis:responseTime"][0];
        let millis = redis["observedValue"].as_f64().unwrap_or(f64::NAN);
        let right = body["status"] == status.name()
            && redis["status"] == status.name()
            && redis["observedUnit"] == "ms"
            && (millis - took.as_secs_f64() * 1e3).abs() <= 1.0
            && redis["output"].as_str() == output.as_deref();
        if !right {
            return wrong("the report, in the shape of Report::json", answer.body().clone());
        }
    }
    // Nobody was asked, and it is not well all the same.
    for (report, code) in [(Report::pass(), 200), (Report::fail("draining"), 503)] {
        world.history().turn_page();
        let call = world.history().invoke("balancer", format!("answer({})", brief(&report)));
        let answer = S::answer(&report);
        let step = call.ok(format!("{} {}", answer.status().as_u16(), answer.body()));
        let body: Value = serde_json::from_str(answer.body()).unwrap_or_default();
        let told = body["output"].as_str() == report.output;
        if answer.status().as_u16() != code || body["status"] != report.status.name() || !told {
            let expected = format!("{code} and {}", report.json());
            let saw = format!("{} and {}", answer.status().as_u16(), answer.body());
            return Err(Evidence::new(expected, saw).at(step).into());
        }
    }
    Ok(())
}
