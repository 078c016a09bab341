//! What is right about a decoy that makes its one mistake elsewhere.

/// The two thirds of a decoy that are right.
macro_rules! right {
    (serve) => {
        fn serve<S, B>(
            service: S,
            request: http::Request<B>,
            longest: std::time::Duration,
        ) -> impl Future<Output = Result<S::Response, circuit_breakers::BoxError>> + Send
        where
            S: circuit_breakers::timeouts::Hop<B>,
            B: Send + 'static,
        {
            circuit_breakers::timeouts::OneDeadline::serve(service, request, longest)
        }
    };
    (ask) => {
        fn ask<S, B>(
            service: S,
            request: http::Request<B>,
            patience: std::time::Duration,
        ) -> impl Future<Output = Result<S::Response, circuit_breakers::BoxError>> + Send
        where
            S: circuit_breakers::timeouts::Hop<B>,
            B: Send + 'static,
        {
            circuit_breakers::timeouts::OneDeadline::ask(service, request, patience)
        }
    };
    (spawn) => {
        fn spawn<T: Send + 'static>(
            deadline: circuit_breakers::timeouts::Deadline,
            work: impl Future<Output = T> + Send + 'static,
        ) -> impl Future<Output = Result<T, circuit_breakers::timeouts::Late>> + Send {
            circuit_breakers::timeouts::OneDeadline::spawn(deadline, work)
        }
    };
}
pub(super) use right;
