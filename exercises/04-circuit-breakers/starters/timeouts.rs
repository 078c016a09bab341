//! 04.4 · Timeouts
//!
//! A caller asks the first hop, that asks the second, and that the third. The caller waits for two
//! seconds. See to it that nobody works for it afterwards.
//!
//! What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. All hops share one deadline: each tells the next how much time is left, and no clock has to
//!    agree with another.
//! 2. Who has nothing left does nothing: no work is begun and no next hop called.
//! 3. All waiting counts: in a queue, for a connection, for the answer.
//! 4. At the deadline, and when the caller hangs up, the work ends, wherever it is.
//! 5. What is answered in time passes as if you were not there.
//!
//! The contract with all its details is the trait `Deadlines`:
//! sandbox/04-circuit-breakers/src/timeouts.rs. `Deadline` is a moment of this process's clock: it
//! has `in_time`, `at_most`, `left`, `is_over` and `instant`, and the earlier one is the smaller.
//! (`from_headers`, `tell` and `within` are a part of the answer. Leave them for later.)
//!
//! A first step: in `serve`, make a deadline of `longest`, put it into the request's extensions, and
//! call the service inside of `tokio::time::timeout_at`. Then run the checks and read the first
//! timeline. Any error becomes a `BoxError` by `.into()`.

use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Deadlines, Hop, Late};
use http::Request;
use std::future::Future;
use std::time::Duration;

/// Your deadlines.
pub struct MyDeadlines;

#[allow(clippy::manual_async_fn, unused_variables, unreachable_code)] // until you have written them
impl Deadlines for MyDeadlines {
    /// A request has come. `std::future::poll_fn(|context| service.poll_ready(context)).await` waits
    /// until the service is ready, `service.call(request).await` is its answer; both need
    /// `tower_service::Service`.
    fn serve<S, B>(
        service: S,
        request: Request<B>,
        longest: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        async { todo!("until when? then let the service answer, and end in time") }
    }

    /// The next hop is asked.
    fn ask<S, B>(
        service: S,
        request: Request<B>,
        patience: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        async { todo!("wait until it is ready, tell it what is left, and ask, all of it in time") }
    }

    /// Work goes on in a task of its own.
    fn spawn<T: Send + 'static>(
        deadline: Deadline,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Late>> + Send {
        async { todo!("begin it now, end it in time, and take it along when this is dropped") }
    }
}
