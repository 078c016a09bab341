//! Those whose spans are too short or too long, or who are not everywhere in them.

use super::right::{Right, answer, method, wrong};
use http::Request;
use observability::propagation::{Ending, Within, conventions};
use opentelemetry::trace::{FutureExt, TraceContextExt};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tower_service::Service;

/// Keeps the guard in the function, which returns at once, and not in the future: the span has
/// ended before the work begins, and all work takes no time. Rejected by `as_long`.
pub struct EndsTooEarly(Right);

wrong! {
    EndsTooEarly; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let context = self.0.processes(from, deliveries);
        let _ending = Ending::of(&context);
        Within::of(context, work)
    });
}

/// The span is long enough, and is not current while the message is published. Rejected by
/// `as_long`.
pub struct SendsOutsideOfIt(Right);

wrong! {
    SendsOutsideOfIt; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        let ending = Ending::of(&self.0.sends(to, &stored));
        async move {
            let _ending = ending;
            publish(stored).await
        }
    });
}

/// A future that ends a span when it is dropped.
struct Ends<F> {
    work: Pin<Box<F>>,
    _ending: Ending,
}

impl<F: Future> Future for Ends<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<F::Output> {
        self.work.as_mut().poll(task)
    }
}

/// The guard is a field of the future. A consumer that polls its work by reference, to hear of the
/// end of all things in between, still has it while it acknowledges. Rejected by `as_long`.
pub struct EndsWhenDropped(Right);

wrong! {
    EndsWhenDropped; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let context = self.0.processes(from, deliveries);
        let ending = Ending::of(&context);
        Ends { work: Box::pin(Within::of(context, work)), _ending: ending }
    });
}

/// The span ends by hand, after the answer. Where the customer hangs up there is none, and it ends
/// with the last task that holds it. Rejected by `as_long`.
pub struct EndsWithTheAnswer(Right);

wrong! {
    EndsWithTheAnswer; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let context = self.0.serves(caller, &request);
        Within::of(context.clone(), async move {
            let answer = answer(service, request, context.clone(), 500).await;
            context.span().end();
            answer
        })
    });
}

/// The span of a call ends when nobody holds it any more, and whatever the client has spawned does:
/// a pool, a retry, a second request just in case. Rejected by `as_long`.
pub struct AsksUntilTheLast(Right);

wrong! {
    AsksUntilTheLast; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let context = self.0.asks(callee, &mut request);
        Within::of(context.clone(), answer(client, request, context, 400))
    });
}

/// `with_context` around a call. It is dropped at its deadline, and what the client does then is
/// not in its span. Rejected by `as_long`.
pub struct WhileItAsks(Right);

wrong! {
    WhileItAsks; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let context = self.0.asks(callee, &mut request);
        let ending = Ending::of(&context);
        let work = answer(client, request, context.clone(), 400);
        async move {
            let _ending = ending;
            work.await
        }
        .with_context(context)
    });
}

/// Publishes in a task of its own, which goes on when nobody waits for it any more. Rejected by
/// `as_long`.
pub struct SendsInATask(Right);

wrong! {
    SendsInATask; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        let sending = tokio::spawn(self.0.one.send(to, stored, publish));
        async move {
            match sending.await {
                Ok(sent) => sent,
                Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
            }
        }
    });
}

/// Calls without having waited.
#[derive(Clone)]
struct Hasty<S>(S);

impl<S: Service<Request<I>>, I> Service<Request<I>> for Hasty<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut std::task::Context<'_>) -> Poll<Result<(), S::Error>> {
        let _ = self.0.poll_ready(task);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<I>) -> S::Future {
        self.0.call(request)
    }
}

/// Asks whether the service is ready, and does not wait for the answer. In a test it always is. A
/// limit on concurrency panics then, or lets everybody in. Rejected by `ready`.
pub struct DoesNotWait(Right);

wrong! {
    DoesNotWait; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        self.0.one.serve(caller, Hasty(service), request)
    });
}

/// Waits for the client in nobody's context, and counts from when it is ready: what is slow about
/// a call is most often the wait for a connection. Rejected by `ready`.
pub struct ReadyElsewhere(Right);

wrong! {
    ReadyElsewhere; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let context = self.0.asks(callee, &mut request);
        let ending = Ending::of(&context);
        async move {
            poll_fn(|task| client.poll_ready(task)).await?;
            Within::of(context, async move {
                let answer = client.call(request).await;
                conventions::answered(&ending.span(), answer.as_ref(), 400);
                answer
            })
            .await
        }
    });
}
