//! What a client is told: the two fields, and refusals.

use super::{Policy, QUOTA_EXCEEDED, REDUCED_CAPACITY};
use crate::limiter::{By, Decision};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::time::Duration;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl Policy {
    // ANCHOR: tell
    /// Writes what `decision` means for the client into `headers`.
    pub(super) fn tell(&self, decision: &Decision, headers: &mut HeaderMap) {
        let (name, quota) = (self.name, self.quota);
        let window = whole_seconds(quota.window());
        let remaining = decision.remaining;
        // The time in which the rest comes back. The time until everything is back would be shorter
        // the more is left: 99 of 100 in one second, from which a client reads that it may send 99
        // in each (section 8.5 of the draft). With nothing left, it is the next unit that counts.
        let rest = u64::from(remaining.max(1)) * quota.every_micros();
        let mut effective = whole_seconds(Duration::from_micros(rest));
        if let Some(retry_after) = decision.retry_after.filter(|_| !decision.allowed) {
            // Retry-After is not to lie before the end of this window: section 6.
            effective = effective.min(whole_seconds(retry_after));
        }
        // Appended: the service may have limits of its own to tell of.
        headers.append(POLICY, text(format!("\"{name}\";q={};w={window}", quota.burst())));
        headers.append(LIMIT, text(format!("\"{name}\";r={remaining};t={effective}")));
    }
    // ANCHOR_END: tell

    // ANCHOR: refuse
    /// The answer to a request of this `cost` that `decision` refuses.
    pub(super) fn refuse<O: From<String>>(&self, decision: &Decision, cost: u32) -> Response<O> {
        let wait = decision.retry_after.map(whole_seconds);
        let known = decision.by == By::State;
        // What never fits is refused for that, whether anybody counts or not.
        let sent_too_much = known || wait.is_none();
        // 429 says "you sent too much" (RFC 6585, section 4), which nobody knows in an outage.
        // 503 says "not at the moment" (RFC 9110, section 15.6.4), which is the truth.
        // The titles are those under which the draft registers the types.
        let (status, kind, title) = if sent_too_much {
            (StatusCode::TOO_MANY_REQUESTS, QUOTA_EXCEEDED, "Quota Exceeded")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, REDUCED_CAPACITY, "Temporary Reduced Capacity")
        };
        let (violated, burst) = (self.name, self.quota.burst());
        let detail = match wait {
            Some(wait) => format!("try again in {wait} s"),
            None => format!("this costs {cost}, and the quota holds {burst}: it never fits"),
        };
        let violated = if sent_too_much { format!("\"{violated}\"") } else { String::new() };
        // Nothing in it needs to be escaped: a policy's name is plain, the rest is ours.
        let problem = format!(
            r#"{{"type":"{kind}","title":"{title}","status":{},"detail":"{detail}","violated-policies":[{violated}]}}"#,
            status.as_u16(),
        );
        let mut response = Response::new(O::from(problem));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        if known {
            self.tell(decision, headers);
        }
        response
    }
    // ANCHOR_END: refuse
}

// ANCHOR: seconds
/// Rounded up, for there are no fractions in `Retry-After` (RFC 9110, section 10.2.3). Rounded
/// down, every client that obeys comes back a moment too early, is refused again, and the most
/// obedient ones ask most often.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}
// ANCHOR_END: seconds

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("digits, quotes and a name that was checked for this")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::Quota;

    #[test]
    fn seconds_are_whole_and_never_too_early() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX, "and no overflow");
    }

    #[test]
    fn a_client_that_spreads_what_is_left_is_never_too_fast() {
        // 100 at once, one each 600 ms: 100 a minute.
        let quota = Quota::new(100, Duration::from_millis(600)).unwrap();
        let policy = Policy::new("default", quota).unwrap();
        let told = |remaining| {
            let decision = Decision {
                allowed: true,
                remaining,
                retry_after: Some(Duration::ZERO),
                reset_after: Duration::from_millis(600) * (100 - remaining),
                by: By::State,
            };
            let mut headers = HeaderMap::new();
            policy.tell(&decision, &mut headers);
            let text = |name| headers[name].to_str().unwrap().to_owned();
            (text("ratelimit-policy"), text("ratelimit"))
        };
        let as_told = |limit: &str| ("\"default\";q=100;w=60".to_owned(), limit.to_owned());
        assert_eq!(told(99), as_told("\"default\";r=99;t=60"));
        assert_eq!(told(50), as_told("\"default\";r=50;t=30"));
        assert_eq!(told(0), as_told("\"default\";r=0;t=1"));
    }
}
