//! Two threads that come at the very same moment.

use super::scene::{Answer, HOUR, judge};
use crate::meeting::{Work, again_and_again};
use circuit_breakers::circuit_breaker::{CircuitBreaker, Config};
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
