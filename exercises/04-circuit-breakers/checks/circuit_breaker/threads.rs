//! Two threads that come at the very same moment.

use super::scene::{Answer, HOUR, judge};
use crate::meeting::{Together, Work, again_and_again, end_together};
use circuit_breakers::circuit_breaker::{CircuitBreaker, Config, State};
use grading::{Evidence, Finding, World};
use std::time::Duration;
use tokio::runtime::Handle;

pub(super) async fn threads_at_half_open<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let open_for = Duration::ZERO;
    let config = Config { failures: 1, open_for, probes: 1, slow_after: HOUR };
    let open = move |runtime: &Handle| {
        let (breaker, ill) = (S::new(config), Answer::Err("down"));
        let _ = runtime.block_on(breaker.call(judge, async { ill }));
        breaker
    };
    let call = async |breaker: &S, work: Work| {
        let _ = breaker.call(judge, work.stay::<Answer>()).await;
    };
    let most = again_and_again(open, call).await?;
    let step = world.history().note("dependency", format!("is asked by {most} at half-open"));
    if most > 1 {
        let expected = "one probe, for there is one place, whoever comes at the same moment";
        return Err(Evidence::new(expected, format!("{most}")).at(step).into());
    }
    Ok(())
}

pub(super) async fn threads_end_together<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let config = Config { failures: 2, open_for: HOUR, probes: 2, slow_after: HOUR };
    let fails = async |breaker: &S, other: Together| {
        let call = async move {
            other.meet();
            Answer::Err("down")
        };
        let _ = breaker.call(judge, call).await;
    };
    let stays = |breaker: &S| breaker.state() != State::Open;
    if end_together(move |_| S::new(config), fails, stays).await? {
        let step = world.history().note("caller", "two calls fail at the same moment");
        let expected = "Open after two failures, whoever fails at the same moment";
        return Err(Evidence::new(expected, "one of them was not counted").at(step).into());
    }
    let open_for = Duration::ZERO;
    let config = Config { failures: 1, open_for, ..config };
    let open = move |runtime: &Handle| {
        let (breaker, ill) = (S::new(config), Answer::Err("down"));
        let _ = runtime.block_on(breaker.call(judge, async { ill }));
        breaker
    };
    let succeeds = async |breaker: &S, other: Together| {
        let call = async move {
            other.meet();
            Answer::Ok("well")
        };
        let _ = breaker.call(judge, call).await;
    };
    let stays = |breaker: &S| breaker.state() != State::Closed;
    if end_together(open, succeeds, stays).await? {
        let step = world.history().note("caller", "two probes succeed at the same moment");
        let expected = "Closed after two probes, whoever succeeds at the same moment";
        return Err(Evidence::new(expected, "one of them was not counted").at(step).into());
    }
    Ok(())
}
