//! 04.4 · Timeouts: one deadline for a chain of calls, past which nobody works.
//!
//! A timeout says how long *I* wait. Three hops with a timeout each wait three times, and whoever is
//! at the end of the chain works for a caller who has long gone. A deadline says until when the
//! answer is of any use, and it is the same for all. The contract [`Deadlines`] names the promises,
//! [`OneDeadline`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | All hops share one deadline | it travels as the header [`TIME_LEFT`], and each hop passes on what is left of it |
//! | No two clocks have to agree | what travels is a span of time, as in `grpc-timeout`, and not a time of day |
//! | Who has nothing left does nothing | a request that comes too late is refused before any work, and none is sent that would come too late |
//! | At the deadline the work ends | its future is dropped, and what was spawned by [`Deadlines::spawn`] is aborted |
//! | All waiting counts | the clock starts at arrival, so a queue counts; waiting for the service to be ready, which is where clients connect, counts as well |
//!
//! [`DeadlineLayer`] is the door of a server, [`TimeoutLayer`] goes around a client.
//!
//! What it does not promise:
//!
//! - **That what was sent is not carried out.** To stop waiting is not to undo. A command that
//!   Redis or a payment provider has got may still be carried out; who repeats it needs a key by
//!   which the second is known: 04.3 says more.
//! - **The time on the wire.** The next hop's clock starts when the request arrives. So each hop's
//!   end lies later than its caller's by that much; the caller gives up on its own, and drops it.
//! - **The body of an answer.** A service has answered when the head is there. Who reads a long
//!   body does so inside [`Deadline::within`].
//! - **To stop what never waits.** A future is dropped at an `.await`. A long computation has to ask
//!   [`Deadline::is_over`] by itself, and belongs on a thread of its own.
//!
//! Sources: [gRPC, *Deadlines*](https://grpc.io/docs/guides/deadlines/), on why what travels is
//! relative; B. Beyer and others, *Site Reliability Engineering*, 2016, chapter 22, "Deadline
//! propagation"; [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md),
//! `grpc-timeout`.

mod deadline;
mod layers;
mod within;

use crate::BoxError;
use http::{HeaderName, Request};
use std::future::{Future, poll_fn};
use std::time::Duration;
use tower_service::Service;

pub use deadline::Deadline;
pub use layers::{Asking, DeadlineLayer, Serving, TimeoutLayer};
pub use within::Within;

// ANCHOR: contract
/// The contract: what a hop does with a deadline when a request comes, when it asks the next hop,
/// and when it goes on in a task beside.
pub trait Deadlines: Send + Sync + 'static {
    /// A request has come: has `service` answer it, until its deadline.
    ///
    /// The deadline is the earliest of three: `longest` from now on; what [`TIME_LEFT`] says, from
    /// now on; and a [`Deadline`] that stands in the request's extensions already. *Now* is the
    /// call of this function, and not the first poll of its future: a request that waits in a queue
    /// gets older there.
    ///
    /// [`TIME_LEFT`] is a whole number of milliseconds. Zero, or less, is nothing left. A number too
    /// large for any integer is a large number. Of several, in one line with commas or in many, the
    /// smallest counts. What is no whole number is as good as not there, and spoils no other.
    ///
    /// `service` finds the deadline in the request's extensions, and no [`TIME_LEFT`] in its
    /// headers: from here on that would be old.
    ///
    /// The future ends with the service's own answer or error, or with [`Late`] at the deadline. By
    /// then the work is dropped, and nothing of it goes on; once the deadline is over it is not
    /// polled again, however late the machine itself is. With nothing left `service` is not even
    /// asked whether it is ready. Dropped before its end, the future takes the work along.
    fn serve<S, B>(
        service: S,
        request: Request<B>,
        longest: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static;

    /// Asks the next hop, which is `service`, for no longer than `patience`, and never past the
    /// [`Deadline`] in the request's extensions, where there is one. As in [`Deadlines::serve`], the
    /// clock starts with the call of this function.
    ///
    /// `service` is called only when it is ready; to connect is to become ready, so that counts. It
    /// gets what is left at that moment as the one and only [`TIME_LEFT`], in whole milliseconds,
    /// rounded down, and the deadline that counts in the request's extensions. With less than a
    /// millisecond left it is not called.
    ///
    /// The future ends as that of [`Deadlines::serve`].
    fn ask<S, B>(
        service: S,
        request: Request<B>,
        patience: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static;

    /// Begins `work` at once in a task of its own, and answers with what comes of it.
    ///
    /// The task ends at the deadline, whether or not anybody looks, and takes no step after it. It
    /// ends as soon as the returned future is dropped, too, polled or not. If `work` panics, so does the returned future.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    fn spawn<T: Send + 'static>(
        deadline: Deadline,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Late>> + Send;
}

/// Any tower service that is asked by HTTP requests with bodies of type `B`.
pub trait Hop<B>:
    Service<Request<B>, Response: Send, Error: Into<BoxError>, Future: Send> + Send + 'static
{
}

/// How much time is left for a request: a whole number of milliseconds, rounded down.
pub const TIME_LEFT: HeaderName = HeaderName::from_static("time-left");

/// The time was over: the deadline of the request, or the caller's own patience. Nobody waits for
/// the answer any more. What had been sent by then may still be carried out by whoever got it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("no time was left")]
pub struct Late;
// ANCHOR_END: contract

impl<S, B> Hop<B> for S where
    S: Service<Request<B>, Response: Send, Error: Into<BoxError>, Future: Send> + Send + 'static
{
}

/// The reference.
#[derive(Clone, Copy, Debug)]
pub struct OneDeadline;

impl Deadlines for OneDeadline {
    // ANCHOR: serve
    fn serve<S, B>(
        mut service: S,
        mut request: Request<B>,
        longest: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        // Not inside of the future: that begins to run when somebody polls it, and by then the
        // request may have waited in a queue for as long as its caller was willing to.
        let told = Deadline::from_headers(request.headers());
        // Two layers before one service: the outer has taken the header, and left this.
        let known = request.extensions().get::<Deadline>().copied();
        let own = Deadline::in_time(longest);
        let deadline = [told, known].into_iter().flatten().fold(own, Deadline::min);
        request.headers_mut().remove(TIME_LEFT);
        request.extensions_mut().insert(deadline);
        let work = deadline.within(async move {
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            service.call(request).await.map_err(Into::into)
        });
        async move { work.await? }
    }
    // ANCHOR_END: serve

    // ANCHOR: ask
    fn ask<S, B>(
        mut service: S,
        mut request: Request<B>,
        patience: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        let known = request.extensions().get::<Deadline>();
        let deadline = match known {
            Some(deadline) => deadline.at_most(patience),
            None => Deadline::in_time(patience),
        };
        let answer = deadline.within(async move {
            // Where a service connects when it is asked whether it is ready, this is where a
            // connection hangs: https://docs.rs/tower/latest/tower/reconnect/
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            // Only now is it known what is left: to connect may have taken most of it. If that is
            // less than a millisecond, the deadline ends it, as it ends everything: Late before it
            // would be taken by a breaker in between for a failure of a hop that nobody has asked.
            if deadline.tell(request.headers_mut()).is_err() {
                std::future::pending::<()>().await;
            }
            request.extensions_mut().insert(deadline);
            service.call(request).await.map_err(Into::into)
        });
        async move { answer.await? }
    }
    // ANCHOR_END: ask

    // ANCHOR: spawn
    fn spawn<T: Send + 'static>(
        deadline: Deadline,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Late>> + Send {
        within::spawn(deadline, work)
    }
    // ANCHOR_END: spawn
}
