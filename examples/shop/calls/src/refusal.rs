//! What an answer says of the service that gave it, and what is told where there is none.

use std::time::Duration;

use bytes::Bytes;
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::Full;
use circuit_breakers::circuit_breaker::{Judgement, Open};
use circuit_breakers::retry::worth_repeating;
use circuit_breakers::timeouts::Late;
use http::Response;
use shop_contracts::peer::late;
use shop_contracts::{Kind, Problem};

/// What comes of a call.
pub(crate) type Answer = Result<Response<Bytes>, BoxError>;

// ANCHOR: judge
/// What an answer says of the service that gave it, for its breaker.
///
/// "Sold out" and "declined" are answers of a service that is well. So is a refusal that names an
/// order: it was decided, and written down. Otherwise an outage of the payment provider, of which
/// orders tells by 503, would open the gateway's breaker before orders, and customers could not
/// even look at what they have bought.
pub(crate) fn judge(answer: &Answer) -> Judgement {
    match answer {
        Ok(answer) if !answer.status().is_server_error() || decided(answer) => Judgement::Success,
        Ok(_) => Judgement::Failure,
        // The bulkhead is on our side.
        Err(error) if error.is::<Full>() => Judgement::Ignored,
        Err(error) => match error.downcast_ref::<Problem>() {
            Some(problem) if !may_pass(problem) => Judgement::Ignored,
            _ => Judgement::Failure,
        },
    }
}
// ANCHOR_END: judge

fn decided(answer: &Response<Bytes>) -> bool {
    let problem = serde_json::from_slice::<Problem>(answer.body());
    problem.is_ok_and(|problem| problem.instance.is_some())
}

/// Whether the same call may have another end in a moment.
pub(crate) fn transient(error: &BoxError) -> bool {
    worth_repeating(error) && error.downcast_ref::<Problem>().is_none_or(may_pass)
}

fn may_pass(problem: &Problem) -> bool {
    problem.is(Kind::TimedOut) || problem.is(Kind::Unavailable)
}

/// What is told of a call to `name` that had no answer. It was waited for as long as `patience`, or
/// until the deadline of whatever is being answered; `sent` says whether any attempt of it has gone
/// out.
pub(crate) fn told(name: &str, patience: Option<Duration>, sent: bool, error: BoxError) -> Problem {
    let problem = match error.downcast::<Problem>() {
        Ok(problem) => *problem,
        Err(error) => match error.downcast_ref::<Open>() {
            Some(open) => {
                // In whole seconds: RFC 9110, section 10.2.3. Never none: that would be a call
                // for everybody to come at once.
                let seconds = open.retry_after.as_secs_f64().ceil().max(1.0) as u64;
                let detail = format!(
                    "the service `{name}` has failed too often and is not asked for now; try \
                     again in {seconds} s"
                );
                Problem::new(Kind::Unavailable, detail).after(Some(seconds))
            }
            None if error.is::<Full>() => {
                let detail = format!("too many wait for the service `{name}` already; try again");
                Problem::new(Kind::Unavailable, detail)
            }
            None if error.is::<Late>() => match patience {
                Some(patience) => late(name, patience),
                None => {
                    let detail = format!("no time was left for the service `{name}`");
                    Problem::new(Kind::TimedOut, detail)
                }
            },
            None => Problem::new(Kind::Unavailable, format!("the service `{name}`: {error}")),
        },
    };
    Problem { unsent: !sent, ..problem }
}
