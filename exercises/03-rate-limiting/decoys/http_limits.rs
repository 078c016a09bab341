//! Wrong answers to limits over HTTP, as people write them in good faith. The head of each says
//! what is wrong and which check finds out.

mod address;
mod service;
mod usual;

use address::{
    BelievesAnybody, BelievesTheOtherHeader, EveryHostOfANetwork, FirstLineOnly, HeaderWithoutPeer,
    Leftmost, MappedCutShort, NameLikeAnAddress, NearestHop, OnlyByAddress, OnlyXForwardedFor,
    PanicsWithoutHeader, PanicsWithoutPeer, RealIp, SkipsTheUnknown,
};
use grading::Decoy;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use rate_limiting::http_limits::Policy;
use rate_limiting::limiter::{By, Decision};
use rate_limiting_exercises::http_limits::check;
use service::{
    AsksAfterwards, CallsAClone, ForgetsTheMethod, HidesErrors, LooksFirst, MakesTheRequestAnew,
    NothingIsUnlimited, OneAfterTheOther, WaitsForAClone,
};
use std::time::Duration;
use usual::{Usual, Usually};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        OnlyWhenRefused: every_answer_tells,
        ThreeOldFields: every_answer_tells,
        CountsTheNextOne: every_answer_tells,
        WholeUntilReset: spread_is_within_quota,
        Forbidden: refusal_is_a_problem,
        EmptyBody: refusal_is_a_problem,
        JustJson: refusal_is_a_problem,
        RoundsToNearest: retry_after_is_whole,
        WaitsForTheBurst: retry_after_is_whole,
        NeverIsOneSecond: retry_after_is_whole,
        RoundsDown: obeying_client,
        ShowsWhatNobodyCounts: outage_open,
        AccusesInAnOutage: outage_closed,
        FailsInAnOutage: outage_closed,
        OneEach: cost_by_route,
        LimitsTheHealthCheck: cost_by_route,
        OnlyByAddress: who_before_where,
        NameLikeAnAddress: who_before_where,
        BelievesAnybody: forged_address,
        RealIp: forged_address,
        Leftmost: address_behind_proxies,
        NearestHop: address_behind_proxies,
        FirstLineOnly: address_behind_proxies,
        BelievesTheOtherHeader: address_behind_proxies,
        EveryHostOfANetwork: ipv6_by_64,
        MappedCutShort: ipv6_by_64,
        NothingLeftIfRefused: every_answer_tells,
        AlwaysRetryAfter: every_answer_tells,
        ReplacesTheirPolicy: passed_on,
        NeverIsAnOutage: outage_closed,
        SkipsTheUnknown: address_behind_proxies,
        OnlyXForwardedFor: address_behind_proxies,
        PanicsWithoutHeader: address_behind_proxies,
        PanicsWithoutPeer: forged_address,
        HeaderWithoutPeer: forged_address,
    ];
    all.extend(grading::decoys![check;
        AsksAfterwards: asked_first,
        LooksFirst: asked_first,
        CallsAClone: ready_one_is_called,
        WaitsForAClone: place_given_back,
        MakesTheRequestAnew: passed_on,
        HidesErrors: passed_on,
        NothingIsUnlimited: cost_by_route,
        ForgetsTheMethod: passed_on,
        OneAfterTheOther: passed_on,
    ]);
    all
}

/// Tells of the quota where it is used up. Until then nobody can slow down in time. Rejected by
/// `every_answer_tells`.
struct OnlyWhenRefused;

impl Usual for OnlyWhenRefused {
    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        if !decision.allowed {
            usual::tell(policy, decision, headers);
        }
    }
}

/// The fields of the drafts up to 06, as thousands of servers still send them. Rejected by
/// `every_answer_tells`.
struct ThreeOldFields;

impl Usual for ThreeOldFields {
    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        let reset = usual::whole_seconds(decision.reset_after);
        headers.insert("ratelimit-limit", policy.quota().burst().into());
        headers.insert("ratelimit-remaining", decision.remaining.into());
        headers.insert("ratelimit-reset", reset.into());
    }
}

/// Takes off the cost once more: the limiter's answer is read as what was there before. At 0 it
/// would go below, and is cut off, so only those notice who still have something. Rejected by
/// `every_answer_tells`.
struct CountsTheNextOne;

impl Usual for CountsTheNextOne {
    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        let remaining = decision.remaining.saturating_sub(1);
        usual::tell(policy, &Decision { remaining, ..*decision }, headers);
    }
}

/// `t` is when all is back, as it was in the earlier drafts. After one request of a hundred that
/// is in a second, and a client reads: 99 a second. Rejected by `spread_is_within_quota`.
struct WholeUntilReset;

impl Usual for WholeUntilReset {
    fn window(_: &Policy, decision: &Decision) -> u64 {
        usual::whole_seconds(decision.reset_after)
    }
}

/// 403, as some firewalls answer: the client concludes that it may never. Rejected by
/// `refusal_is_a_problem`.
struct Forbidden;

impl Usual for Forbidden {
    const REFUSED: StatusCode = StatusCode::FORBIDDEN;
}

/// 429 and nothing else. Who debugs it sees an empty page. Rejected by `refusal_is_a_problem`.
struct EmptyBody;

impl Usual for EmptyBody {
    fn body(_: String) -> String {
        String::new()
    }
}

/// A problem that does not say that it is one: `application/json`. Rejected by
/// `refusal_is_a_problem`.
struct JustJson;

impl Usual for JustJson {
    const CONTENT: &str = "application/json";
}

/// `as_secs()`: 0.7 s is 0, and the obedient client is back at once. Rejected by
/// `obeying_client`.
struct RoundsDown;

impl Usual for RoundsDown {
    fn seconds(wait: Duration) -> u64 {
        wait.as_secs()
    }
}

/// `round()`: right half of the time. Rejected by `retry_after_is_whole`.
struct RoundsToNearest;

impl Usual for RoundsToNearest {
    fn seconds(wait: Duration) -> u64 {
        wait.as_secs_f64().round() as u64
    }
}

/// Sends everybody away until the whole burst is back, all of it idle meanwhile. Rejected by
/// `retry_after_is_whole`.
struct WaitsForTheBurst;

impl Usual for WaitsForTheBurst {
    fn wait(decision: &Decision) -> Option<Duration> {
        Some(decision.reset_after)
    }
}

/// A default for what has no answer: come again in a second, for ever. Rejected by
/// `retry_after_is_whole`.
struct NeverIsOneSecond;

impl Usual for NeverIsOneSecond {
    fn wait(decision: &Decision) -> Option<Duration> {
        decision.retry_after.or(Some(Duration::from_secs(1)))
    }
}

/// An open limiter that is lost still shows a number. It is always the same, and every client
/// believes that it has all of it. Rejected by `outage_open`.
struct ShowsWhatNobodyCounts;

impl Usual for ShowsWhatNobodyCounts {
    fn known(_: &Decision) -> bool {
        true
    }
}

/// A 429 for everybody, since the limiter said no. Rejected by `outage_closed`.
struct AccusesInAnOutage;

impl Usual for AccusesInAnOutage {
    fn refuse<O: From<String>>(policy: &Policy, decision: &Decision) -> Response<O> {
        usual::refuse::<Self, O>(policy, &Decision { by: By::State, ..*decision })
    }
}

/// An error of the limiter is an error of the server, is a 500: a program sees a defect and no
/// reason to come again. Rejected by `outage_closed`.
struct FailsInAnOutage;

impl Usual for FailsInAnOutage {
    fn refuse<O: From<String>>(policy: &Policy, decision: &Decision) -> Response<O> {
        let mut response = usual::refuse::<Self, O>(policy, decision);
        if decision.by == By::Outage {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
        }
        response
    }
}

/// A request is a request: a checkout costs what a picture does. Rejected by `cost_by_route`.
struct OneEach;

impl Usual for OneEach {
    fn cost(cost: Option<u32>) -> Option<u32> {
        cost.map(|_| 1)
    }
}

/// Limits everything, and so the load balancer's question whether the server is alive. On a busy
/// day it is answered 429, and the server is taken out. Rejected by `cost_by_route`.
struct LimitsTheHealthCheck;

impl Usual for LimitsTheHealthCheck {
    fn cost(cost: Option<u32>) -> Option<u32> {
        Some(cost.unwrap_or(1))
    }
}

/// Refused, so nothing is left. But a checkout of 10 is refused with 3 left, and the client could
/// have had three pictures meanwhile. Rejected by `every_answer_tells`.
struct NothingLeftIfRefused;

impl Usual for NothingLeftIfRefused {
    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        let remaining = if decision.allowed { decision.remaining } else { 0 };
        usual::tell(policy, &Decision { remaining, ..*decision }, headers);
    }
}

/// Writes Retry-After wherever the decision has one, and an allowed one has zero: every answer says
/// "come again in a second", and the service's own Retry-After is gone. Rejected by
/// `every_answer_tells`.
struct AlwaysRetryAfter;

impl Usual for AlwaysRetryAfter {
    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        usual::tell(policy, decision, headers);
        if let Some(wait) = decision.retry_after {
            headers.insert(RETRY_AFTER, usual::whole_seconds(wait).into());
        }
    }
}

/// Puts its policy in the place of the service's own. Rejected by `passed_on`.
struct ReplacesTheirPolicy;

impl Usual for ReplacesTheirPolicy {
    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        headers.remove("ratelimit-policy");
        usual::tell(policy, decision, headers);
    }
}

/// In an outage everything that is refused is refused for now. What costs more than the burst
/// comes again each second, for ever. Rejected by `outage_closed`.
struct NeverIsAnOutage;

impl Usual for NeverIsAnOutage {
    fn wait(decision: &Decision) -> Option<Duration> {
        match decision.by {
            By::Outage => decision.retry_after.or(Some(Duration::from_secs(1))),
            By::State => decision.retry_after,
        }
    }
}
