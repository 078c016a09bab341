//! Without HTTP: what holds for `send` holds for `call`.

use super::scene::{GENEROUS, Reply, get, play, plural};
use circuit_breakers::retry::{Budget, Config, Outcome, Repeatable, Retry};
use circuit_breakers::timeouts::Deadline;
use grading::{Evidence, Finding, History, World};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A call that is over: what each attempt was told and when it came, and the number of the one
/// whose answer came out.
pub(super) struct Called {
    pub(super) told: Vec<(u32, Instant)>,
    answer: usize,
    pub(super) took: Duration,
}

/// Calls something that comes to `outcomes`, one after the other, and is well after that.
pub(super) async fn call<S: Retry>(
    retry: &S,
    repeatable: Repeatable,
    deadline: Option<Deadline>,
    outcomes: impl IntoIterator<Item = Outcome<()>>,
) -> Called {
    let (began, told) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let mut outcomes: VecDeque<_> = outcomes.into_iter().collect();
    let attempt = {
        let told = Arc::clone(&told);
        move |nth| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push((nth, Instant::now()));
            let this = told.len();
            let outcome = match outcomes.pop_front() {
                Some(Outcome::Failed(())) => Outcome::Failed(this),
                Some(Outcome::Busy((), wait)) => Outcome::Busy(this, wait),
                Some(Outcome::Final(())) | None => Outcome::Final(this),
            };
            async move { outcome }
        }
    };
    let answer = retry.call(repeatable, deadline, attempt).await;
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Called { told, answer, took: began.elapsed() }
}

pub(super) async fn called_without_http<S: Retry>(world: World) -> Result<(), Finding> {
    const SECOND: Duration = Duration::from_secs(1);
    let failed = Outcome::Failed(());
    play(world, async move |mut stage| {
        let config = Config { attempts: 4, ..stage.config() };
        let history = stage.history.clone();
        let client = stage.client::<S>(config);
        let retry = &*client.retry;

        history.turn_page();
        let called = call(retry, Repeatable::Yes, None, [failed; 3]).await;
        let numbers: Vec<_> = called.told.iter().map(|(nth, _)| *nth).collect();
        if numbers != [1, 2, 3, 4] {
            let expected = "four attempts, which are told 1, 2, 3, 4";
            return told(&history, "three failures", expected, format!("{numbers:?}"));
        }
        once(&history, "three failures", &called, 4)?;

        history.turn_page();
        let busy = Outcome::Busy((), 5 * SECOND);
        let called = call(retry, Repeatable::Yes, None, [busy]).await;
        once(&history, "busy for 5 s", &called, 2)?;
        if called.took < 5 * SECOND {
            let saw = format!("after {:?}", called.took);
            return told(&history, "busy for 5 s", "the second attempt after 5 s", saw);
        }

        let later = Outcome::Busy((), config.longest + Duration::from_millis(1));
        for (what, repeatable, deadline, outcome) in [
            ("busy for 5 s, and a deadline in 2 s", Repeatable::Yes, Some(2 * SECOND), busy),
            ("busy for longer than the longest", Repeatable::Yes, None, later),
            ("a failure of what may not be repeated", Repeatable::No, None, failed),
        ] {
            history.turn_page();
            let deadline = deadline.map(Deadline::in_time);
            let called = call(retry, repeatable, deadline, [outcome]).await;
            once(&history, what, &called, 1)?;
            if !called.took.is_zero() {
                let saw = format!("{:?} later", called.took);
                return told(&history, what, "the answer at once", saw);
            }
        }

        // Calls and requests spend from one budget.
        history.turn_page();
        let budget = Budget { percent: 10, ..GENEROUS };
        let client = stage.client::<S>(Config { budget, ..config });
        for _ in 0..10 {
            call(&*client.retry, Repeatable::Yes, None, []).await;
        }
        client.shop.says([Reply::Status(503)]);
        let ended = client.sends(get()).await?;
        ended.times(2, "ten calls have earned a retry")
    })
    .await
}

fn once(history: &History, what: &str, called: &Called, times: usize) -> Result<(), Finding> {
    if called.told.len() != times {
        let saw = plural(called.told.len(), "attempt");
        return told(history, what, &plural(times, "attempt"), saw);
    }
    match called.answer == times {
        true => Ok(()),
        false => told(history, what, "the last answer", format!("that of {}", called.answer)),
    }
}

fn told(history: &History, what: &str, expected: &str, saw: String) -> Result<(), Finding> {
    let step = history.note("client", format!("call(…): {what}"));
    Err(Evidence::new(expected, saw).at(step).into())
}
