//! Right over HTTP, and wrong where there is none: `send` does its own work, and `call` is what was
//! left over.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{Config, Counts, Outcome, Repeatable, Retries, Retry};
use circuit_breakers::timeouts::Deadline;
use http::{Request, Response};

/// A decoy, by how it calls. It sends and counts as it should.
macro_rules! calling {
    ($decoy:ident: |$inner:ident, $repeatable:ident, $deadline:ident, $attempt:ident| $body:expr) => {
        impl Retry for $decoy {
            fn new(config: Config, seed: u64) -> $decoy {
                $decoy(Retries::new(config, seed))
            }

            async fn call<T, A, F>(
                &self,
                $repeatable: Repeatable,
                $deadline: Option<Deadline>,
                #[allow(unused_mut)] mut $attempt: A,
            ) -> T
            where
                T: Send + 'static,
                A: FnMut(u32) -> F + Send + 'static,
                F: Future<Output = Outcome<T>> + Send + 'static,
            {
                let $inner = &self.0;
                $body.await
            }

            async fn send<B, R, A, F>(
                &self,
                request: Request<B>,
                attempt: A,
            ) -> Result<Response<R>, BoxError>
            where
                B: Clone + Send + 'static,
                R: Send + 'static,
                A: FnMut(Request<B>) -> F + Send + 'static,
                F: Future<Output = Result<Response<R>, BoxError>> + Send + 'static,
            {
                self.0.send(request, attempt).await
            }

            fn counts(&self) -> Counts {
                self.0.counts()
            }
        }
    };
}

/// The deadline is a matter of requests, and here is none. Rejected by `called_without_http`.
pub(super) struct NoDeadlineHere(Retries);

calling!(NoDeadlineHere: |inner, repeatable, _deadline, attempt| {
    inner.call(repeatable, None, attempt)
});

/// Each attempt is told that it is the first. Rejected by `called_without_http`.
pub(super) struct AlwaysTheFirst(Retries);

calling!(AlwaysTheFirst: |inner, repeatable, deadline, attempt| {
    inner.call(repeatable, deadline, move |_| attempt(1))
});

/// `Retry-After` is a header, so nobody can be busy but over HTTP. Rejected by
/// `called_without_http`.
pub(super) struct BusyIsFailed(Retries);

calling!(BusyIsFailed: |inner, repeatable, deadline, attempt| {
    inner.call(repeatable, deadline, move |nth| {
        let outcome = attempt(nth);
        async move {
            match outcome.await {
                Outcome::Busy(answer, _) => Outcome::Failed(answer),
                other => other,
            }
        }
    })
});
