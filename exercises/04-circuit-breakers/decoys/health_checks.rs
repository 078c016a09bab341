//! Wrong answers to health checks, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod asking;
mod leaving;
mod sharing;
mod usual;

use asking::{
    ByName, LeavesThemBehind, NoTimeout, OneAfterTheOther, OneTimeoutEach, PanicsToo, SumsTheClock,
    TimeOfAll, TimeoutOfItsOwn,
};
use circuit_breakers::health_checks::{Dependency, Report, Seen, Status};
use circuit_breakers_exercises::health_checks::check;
use grading::Decoy;
use http::{Response, StatusCode};
use leaving::{
    CountsFromTheBeginning, DoesNotWait, NoneIsLost, OneDrainAtATime, OneState, OnlyThoseOfThen,
    PanicsStay, WaitsForEver,
};
use serde_json::{Map, Value};
use sharing::{
    AskedByTheFirst, BadNewsForLonger, EachByItself, ForEver, FreshFromTheBeginning, NotForLater,
    OldOneMeanwhile, TakesTurns,
};
use std::time::Duration;
use usual::{Usual, Usually};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        LiveAsks: liveness_asks_nobody,
        LiveIsLastReady: liveness_asks_nobody,
        NotAliveUntilStarted: not_ready_before_start,
        ReadyFromTheStart: not_ready_before_start,
        AsksWhileStarting: not_ready_before_start,
        LiveStartsARound: liveness_asks_nobody,
        NoTimeout: hanging_redis,
        TimeoutOfItsOwn: timeout_is_configured,
        SumsTheClock: for_ever,
        FreshFromTheBeginning: fresh_from_its_end,
        OneDrainAtATime: drained_twice,
        OneAfterTheOther: all_at_once,
        OneTimeoutEach: hanging_together,
        PanicsToo: panicking_check,
        LeavesThemBehind: given_up,
        TimeOfAll: own_time,
        ByName: one_name,
        LastOfAName: one_name,
        EachByItself: flood_is_one_round,
        TakesTurns: flood_is_one_round,
        NotForLater: fresh_is_shared,
        ForEver: fresh_for_no_longer,
        BadNewsForLonger: fresh_for_no_longer,
        OldOneMeanwhile: fresh_for_no_longer,
        AskedByTheFirst: prober_hangs_up,
        AllAreCritical: optional_warns,
        LateIsFatal: optional_warns,
        WarnIsNotOk: optional_warns,
        ShowsTheError: secrets_stay_inside,
        SaysNothing: secrets_stay_inside,
        AlwaysOk: answer_by_status,
        OnlyChecksCount: answer_by_status,
        JustText: answer_by_status,
        DrainIsDeath: drain_fails_readiness,
        RemembersBeforeTheDrain: drain_fails_readiness,
        OneState: drain_fails_readiness,
        LooksBeforeOnly: drain_during_a_probe,
        DoesNotWait: under_way_is_waited_for,
        OnlyThoseOfThen: under_way_is_waited_for,
        CountsFromTheBeginning: under_way_is_waited_for,
        WaitsForEver: lost_are_counted,
        NoneIsLost: lost_are_counted,
        PanicsStay: who_breaks_off,
    ];
    all.sort_by_key(|decoy| decoy.name);
    all
}

/// A health endpoint that is honest: it asks Redis. As liveness it restarts every copy of the
/// service when Redis is slow. Rejected by `liveness_asks_nobody`.
struct LiveAsks;

impl Usual for LiveAsks {
    fn live(health: &Usually<Self>) -> Report {
        let ask = async {
            let mut seen = Vec::new();
            for dependency in health.dependencies.iter() {
                let patience = Duration::from_millis(50);
                let well = tokio::time::timeout(patience, dependency.ask()).await;
                let status = if matches!(well, Ok(Ok(()))) { Status::Pass } else { Status::Fail };
                let (name, took) = (dependency.name(), Duration::ZERO);
                seen.push(Seen { name, status, took, output: None });
            }
            Report::of(seen)
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(ask))
    }
}

/// Asks nobody: liveness is what readiness has found last. One endpoint behind two paths, and the
/// fault of Redis restarts the service. Rejected by `liveness_asks_nobody`.
struct LiveIsLastReady;

impl Usual for LiveIsLastReady {
    fn live(health: &Usually<Self>) -> Report {
        health.last().map_or_else(Report::pass, Report::of)
    }
}

/// Asks nobody, and only sees to it that the next answer of readiness is fresh. So liveness is what
/// asks a database that is slow, from every copy, once a second. Rejected by `liveness_asks_nobody`.
struct LiveStartsARound;

impl Usual for LiveStartsARound {
    fn live(health: &Usually<Self>) -> Report {
        let _ = health.join();
        Report::pass()
    }
}

/// What has not started does not live. Who takes longer to start than the probe has patience is
/// restarted, and starts again. Rejected by `not_ready_before_start`.
struct NotAliveUntilStarted;

impl Usual for NotAliveUntilStarted {
    fn live(health: &Usually<Self>) -> Report {
        if health.has_started() { Report::pass() } else { Report::fail("starting") }
    }
}

/// The port is open, so come in. The first customers meet a cold cache and half a migration.
/// Rejected by `not_ready_before_start`.
struct ReadyFromTheStart;

impl Usual for ReadyFromTheStart {
    fn away(health: &Usually<Self>) -> Option<Report> {
        health.is_draining().then(|| Report::fail("draining"))
    }
}

/// Asks first and looks at its own state afterwards. While a fleet starts, its probes ask a
/// database that is busy with the start. Rejected by `not_ready_before_start`.
struct AsksWhileStarting;

impl Usual for AsksWhileStarting {
    async fn ready(health: &Usually<Self>) -> Report {
        let seen = health.latest().await;
        Self::away(health).unwrap_or_else(|| Report::of(seen))
    }
}

/// Down is down. When the cache goes, all copies leave at once, and a shop that was slow is closed.
/// Rejected by `optional_warns`.
struct AllAreCritical;

impl Usual for AllAreCritical {
    fn failed(dependency: &Dependency, why: String, took: Duration) -> Seen {
        Seen { name: dependency.name(), status: Status::Fail, took, output: Some(why) }
    }
}

/// An error is weighed, a timeout is not: it comes from elsewhere in the code, where nobody knows any
/// more what is optional. Rejected by `optional_warns`.
struct LateIsFatal;

impl Usual for LateIsFatal {
    fn failed(dependency: &Dependency, why: String, took: Duration) -> Seen {
        let fatal = dependency.is_critical() || why == usual::LATE;
        let status = if fatal { Status::Fail } else { Status::Warn };
        Seen { name: dependency.name(), status, took, output: Some(why) }
    }
}

/// Only what passes is 200. The report says `warn`, the load balancer reads 503. Rejected by
/// `optional_warns`.
struct WarnIsNotOk;

impl Usual for WarnIsNotOk {
    fn answer(report: &Report) -> Response<String> {
        let mut response = usual::answer(report);
        if report.status != Status::Pass {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }
}

/// Puts the error into the report as it is: a driver says where it could not connect to, and as
/// whom. Rejected by `secrets_stay_inside`.
struct ShowsTheError;

impl Usual for ShowsTheError {
    fn told(error: &str) -> String {
        error.to_owned()
    }
}

/// Nothing secret is in a report that says nothing. At three in the morning somebody has to find
/// out what is wrong, from `failed`. Rejected by `secrets_stay_inside`.
struct SaysNothing;

impl Usual for SaysNothing {
    fn told(_: &str) -> String {
        "failed".to_owned()
    }
}

/// The question was answered, so 200; how the service is stands in the body, which nobody reads who
/// sends requests. Rejected by `answer_by_status`.
struct AlwaysOk;

impl Usual for AlwaysOk {
    fn answer(report: &Report) -> Response<String> {
        let mut response = usual::answer(report);
        *response.status_mut() = StatusCode::OK;
        response
    }
}

/// 503 if one of the dependencies fails. A service that is leaving has asked none of them, so none
/// fails. Rejected by `answer_by_status`.
struct OnlyChecksCount;

impl Usual for OnlyChecksCount {
    fn answer(report: &Report) -> Response<String> {
        let mut response = usual::answer(report);
        let fails = report.checks.iter().any(|seen| seen.status == Status::Fail);
        let ok = if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        *response.status_mut() = ok;
        response
    }
}

/// `up` or `down`. Of six dependencies, which? Rejected by `answer_by_status`.
struct JustText;

impl Usual for JustText {
    fn answer(report: &Report) -> Response<String> {
        let up = report.status != Status::Fail;
        let mut response = usual::answer(report);
        *response.body_mut() = if up { "up\n" } else { "down\n" }.to_owned();
        response
    }
}

/// JSON by way of a map: of two nodes with one name, people read about the second. Rejected by
/// `one_name`.
struct LastOfAName;

impl Usual for LastOfAName {
    fn answer(report: &Report) -> Response<String> {
        let mut response = usual::answer(report);
        let mut body: Value = serde_json::from_str(response.body()).unwrap_or_default();
        let lists = body["checks"].as_object_mut().into_iter().flat_map(Map::values_mut);
        for list in lists.filter_map(Value::as_array_mut) {
            list.drain(..list.len() - 1);
        }
        *response.body_mut() = body.to_string();
        response
    }
}

/// Who leaves is not healthy, so liveness fails as well. The process is killed with all that it
/// wanted to finish. Rejected by `drain_fails_readiness`.
struct DrainIsDeath;

impl Usual for DrainIsDeath {
    fn live(health: &Usually<Self>) -> Report {
        if health.is_draining() { Report::fail("draining") } else { Report::pass() }
    }
}

/// The drain is one more dependency, so its failure is fresh or not like others'. Until then the
/// last report says that all is well. Rejected by `drain_fails_readiness`.
struct RemembersBeforeTheDrain;

impl Usual for RemembersBeforeTheDrain {
    async fn ready(health: &Usually<Self>) -> Report {
        let starting = (!health.has_started()).then(|| Report::fail("starting"));
        if let Some(report) = starting.or_else(|| health.last().map(Report::of)) {
            return report;
        }
        let seen = health.latest().await;
        Self::away(health).unwrap_or_else(|| Report::of(seen))
    }
}

/// Looks at its state, then asks for a while, then answers by the state that it has looked at.
/// Rejected by `drain_during_a_probe`.
struct LooksBeforeOnly;

impl Usual for LooksBeforeOnly {
    async fn ready(health: &Usually<Self>) -> Report {
        match Self::away(health) {
            Some(away) => away,
            None => Report::of(health.latest().await),
        }
    }
}
