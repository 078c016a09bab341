//! Numbers at their edges, and any policy of failsafe's.

use circuit_breakers::circuit_breaker::{
    Breaker, CallError, CircuitBreaker, Config, Judgement, Open, State,
};
use failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use failsafe::{FailurePolicy, backoff, clock};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn judge(result: &Result<(), ()>) -> Judgement {
    if result.is_ok() { Judgement::Success } else { Judgement::Failure }
}

async fn ask(breaker: &Breaker, result: Result<(), ()>) -> Result<(), CallError<()>> {
    breaker.call(judge, async { result }).await
}

#[tokio::test]
async fn none_is_read_as_one() {
    let config = Config { failures: 0, open_for: Duration::ZERO, probes: 0, slow_after: SECOND };
    let breaker = Breaker::new(config);
    assert_eq!(ask(&breaker, Err(())).await, Err(CallError::Call(())));
    assert_eq!(breaker.state(), State::Open);
    // failsafe's clock has to have moved on.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(ask(&breaker, Ok(())).await, Ok(()));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn for_ever_is_a_year() {
    let config = Config { failures: 1, open_for: Duration::MAX, ..Config::default() };
    let breaker = Breaker::new(config);
    assert_eq!(ask(&breaker, Err(())).await, Err(CallError::Call(())));
    let refused = ask(&breaker, Ok(())).await;
    let Err(CallError::Open(Open { retry_after })) = refused else { panic!("{refused:?}") };
    assert!(retry_after > 365 * 24 * 3_600 * SECOND);
}

#[test]
fn a_rate_over_a_window_opens_it_and_backs_off() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    clock::freeze(|clock| {
        let growing = backoff::exponential(10 * SECOND, 300 * SECOND);
        let rate = success_rate_over_time_window(0.8, 5, 30 * SECOND, growing.clone());
        let policy = rate.or_else(consecutive_failures(100, growing));
        let breaker = Breaker::with_policy(policy, 1, SECOND);
        let ask = |result| runtime.block_on(ask(&breaker, result));
        // Half of the calls fail, for a minute; in the first window that says nothing yet.
        let mut asked = 0;
        while breaker.state() == State::Closed {
            let _ = ask(if asked % 2 == 0 { Err(()) } else { Ok(()) });
            clock.advance(SECOND);
            asked += 1;
        }
        assert!((30..60).contains(&asked), "{asked}");
        // The second time is longer than the first.
        for open_for in [10, 20] {
            clock.advance(open_for * SECOND - 2 * SECOND);
            assert!(matches!(ask(Ok(())), Err(CallError::Open(_))));
            clock.advance(3 * SECOND);
            assert_eq!(ask(Err(())), Err(CallError::Call(())), "a probe");
            clock.advance(SECOND);
        }
        assert_eq!(breaker.metrics().opened, 3);
    });
}
