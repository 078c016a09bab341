//! 04.2 · Circuit breaker
//!
//! A dependency hangs. Each call to it waits until its caller gives up, and while they wait they
//! hold memory, connections and patience. Build what stops asking, and finds out when it is well
//! again.
//!
//! What you build has to keep six promises, and the checks will try to break each of them:
//!
//! 1. `failures` in a row open it, however slowly they come, and each time for as long. While it is
//!    open, nothing is called: the future is not polled. Who is refused is told at once how long that
//!    still lasts.
//! 2. After `open_for` at most `probes` calls are let in, those in flight and those that succeeded
//!    together, also if a hundred come at once. When so many have succeeded it closes. One failure
//!    opens it anew.
//! 3. A call that is dropped or panics, and one whose judge panics, gives its place back. It is a
//!    failure if it had run for `slow_after`, and says nothing otherwise. Nobody will tell you that
//!    a future was dropped, unless something of yours is dropped with it.
//! 4. Each change of state begins a new generation. What began in an older one changes nothing.
//! 5. An ignored error neither opens, nor ends a row of failures, nor heals.
//! 6. Calls overlap. No lock is held while one runs, nor while its judge thinks: it is the judge who
//!    says what a result means, and an `Ok` may be a failure.
//!
//! The contract with all its details is the trait `CircuitBreaker`:
//! sandbox/04-circuit-breakers/src/circuit_breaker.rs. You may write the states yourself or put
//! `failsafe::StateMachine` to work inside; it is there. Alone it keeps half of the promises.
//!
//! A first step: a `Mutex` around the state and a count of failures, and a `call` that looks before
//! and counts afterwards. Then run the checks and read the first timeline.

use circuit_breakers::circuit_breaker::{CallError, CircuitBreaker, Config, Judgement, State};

/// Your breaker.
#[allow(dead_code)] // until call uses it
pub struct MyBreaker {
    config: Config,
}

impl CircuitBreaker for MyBreaker {
    fn new(config: Config) -> MyBreaker {
        MyBreaker { config }
    }

    async fn call<T, E, F>(
        &self,
        _judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        _call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        todo!("ask for a permit, await the call, and give the permit back with what it meant")
    }

    fn state(&self) -> State {
        todo!("where it stands")
    }
}
