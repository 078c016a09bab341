//! One attempt, which always comes to something.

use crate::saga::{Act, Failure, Run};
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

/// Makes one attempt of an action, a compensation or an inquiry. One that has no answer within
/// `deadline` is dropped, and one that panics is caught: of what either had done by then nobody
/// knows, so it is [`Failure::Unclear`]. One that blocks its thread is waited for.
///
/// # Errors
/// What the attempt says, and the two above.
pub async fn attempt<C, T>(
    call: &Act<C, T>,
    run: Run<C>,
    deadline: Duration,
) -> Result<T, Failure> {
    // It may panic before there is a future. What has unwound is given up at once, so nobody meets
    // it half changed.
    let mut doing = match catch_unwind(AssertUnwindSafe(|| call(run))) {
        Ok(doing) => doing,
        Err(panic) => return Err(panicked(panic.as_ref())),
    };
    let caught =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| doing.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
        });
    match tokio::time::timeout(deadline, caught).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::Unclear(format!("no answer within {deadline:?}"))),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::Unclear(format!("it panicked: {}", text.unwrap_or("and did not say why")))
}
