//! 04.3 · Retry
//!
//! A call to a dependency has failed. Perhaps the next one would not; and perhaps the dependency is
//! down, and everybody's next one is what keeps it there.
//!
//! What you build has to keep six promises, and the checks will try to break each of them:
//!
//! 1. A dependency that is down is asked at most 1.1 times as often as you are called, at any
//!    moment, whoever calls.
//! 2. Clients that failed together do not come back together.
//! 3. Nothing is done twice that may not be done twice, and what is sent again is the same request.
//! 4. Three layers of your code around one another make three attempts, and not 27.
//! 5. Nobody waits for nothing: not past the deadline, not after the last attempt, not in order to
//!    be denied. Who leaves takes everything along.
//! 6. What the caller gets is what the dependency said last, as it was.
//!
//! The contract with all its details is the trait `Retry`: sandbox/04-circuit-breakers/src/retry.rs.
//!
//! A first step: in `call`, attempt until the outcome is final or the attempts are used up. Run the
//! checks. Then `send`, which stands on `call`: what may be repeated, and which answers are final.
//! Then the pauses, and then the budget.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{Config, Counts, Outcome, Repeatable, Retry};
use circuit_breakers::timeouts::Deadline;
use http::{Request, Response};

/// Your retries. They are shared by everybody who calls this dependency, so whatever changes has to
/// be an atomic, or behind a lock that nobody holds while they wait.
pub struct MyRetries {
    #[allow(dead_code)] // until call uses it
    config: Config,
}

impl Retry for MyRetries {
    fn new(config: Config, _seed: u64) -> MyRetries {
        MyRetries { config }
    }

    async fn call<T, A, F>(
        &self,
        _repeatable: Repeatable,
        _deadline: Option<Deadline>,
        _attempt: A,
    ) -> T
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        todo!("attempt(1).await, and then decide")
    }

    async fn send<B, R, A, F>(
        &self,
        _request: Request<B>,
        _attempt: A,
    ) -> Result<Response<R>, BoxError>
    where
        B: Clone + Send + 'static,
        R: Send + 'static,
        A: FnMut(Request<B>) -> F + Send + 'static,
        F: Future<Output = Result<Response<R>, BoxError>> + Send + 'static,
    {
        todo!("self.call, with a copy of the request for each attempt")
    }

    fn counts(&self) -> Counts {
        todo!("what was offered, retried, denied")
    }
}
