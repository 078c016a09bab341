//! What wrong answers do right: each makes one mistake, and takes the rest from here.

use http::{Request, Response, StatusCode};
use observability::spans::{Hop, METHODS, Place, Recorder, Route};
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::pin;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

pub(super) fn below(name: &'static str) -> Span {
    tracing::info_span!(
        "step",
        otel.name = name,
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        cancelled = Empty,
    )
}

pub(super) fn known_method<I>(request: &Request<I>) -> Option<&str> {
    Some(request.method().as_str()).filter(|method| METHODS.contains(method))
}

pub(super) fn route<I>(request: &Request<I>) -> Option<&str> {
    request.extensions().get::<Route>().map(|Route(route)| &**route)
}

pub(super) fn name<I>(request: &Request<I>) -> String {
    let verb = known_method(request).unwrap_or("HTTP");
    route(request).map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"))
}

/// The span of a request; with these a wrong answer differs.
pub(super) fn door<I>(request: &Request<I>, name: &str, kind: &str, method: &str) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "request",
        otel.name = name,
        otel.kind = kind,
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route(request),
        http.response.status_code = Empty,
        url.path = Empty,
        error.type = Empty,
        cancelled = Empty,
    );
    if let Some(caller) = request.extensions().get::<Place>() {
        Recorder::set_parent(&span, *caller);
    }
    span
}

pub(super) fn right_door<I>(request: &Request<I>) -> Span {
    door(request, &name(request), "server", known_method(request).unwrap_or("_OTHER"))
}

pub(super) async fn answer<S: Hop<I, O>, I, O>(
    mut service: S,
    request: Request<I>,
) -> Result<Response<O>, S::Error> {
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await
}

pub(super) fn fail(span: &Span, kind: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}

pub(super) fn judge_from<O, E>(lowest: u16) -> impl FnOnce(&Span, &Result<Response<O>, E>) + Send {
    move |span, ended| match ended {
        Ok(response) => {
            let status: StatusCode = response.status();
            span.record("http.response.status_code", status.as_u16());
            if status.as_u16() >= lowest {
                fail(span, status.as_str());
            }
        }
        Err(_) => fail(span, std::any::type_name::<E>()),
    }
}

pub(super) fn judge<O, E>(span: &Span, ended: &Result<Response<O>, E>) {
    judge_from(500)(span, ended);
}

pub(super) fn judge_step<T, E: Display>(span: &Span, ended: &Result<T, E>) {
    if let Err(error) = ended {
        fail(span, std::any::type_name::<E>());
        span.record("otel.status_description", display(error));
    }
}

/// What is said of work that was dropped: outside of a poll, and within one.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) cancelled: fn(&Span),
    pub(super) panicked: fn(&Span),
    pub(super) by_the_thread: bool,
}

pub(super) const RIGHT: Ends = Ends {
    cancelled: |span| {
        span.record("cancelled", true);
    },
    panicked: |span| fail(span, "panic"),
    by_the_thread: false,
};

pub(super) struct Watch {
    span: Span,
    ends: Ends,
    works: bool,
    ended: bool,
}

impl Watch {
    pub(super) fn over(span: Span, ends: Ends) -> Watch {
        Watch { span, ends, works: false, ended: false }
    }

    pub(super) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.works = true;
        let done = work();
        self.works = false;
        done
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let panicked = match self.ends.by_the_thread {
            true => std::thread::panicking(),
            false => self.works,
        };
        match (self.ended, panicked) {
            (true, _) => {}
            (false, true) => (self.ends.panicked)(&self.span),
            (false, false) => (self.ends.cancelled)(&self.span),
        }
    }
}

/// Sees how it ends, and enters nothing.
pub(super) fn watched<F>(
    span: Span,
    work: F,
    ends: Ends,
    judge: impl FnOnce(&Span, &F::Output) + Send,
) -> impl Future<Output = F::Output> + Send
where
    F: Future<Output: Send> + Send,
{
    let mut watch = Watch::over(span, ends);
    async move {
        let mut work = pin!(work);
        let ended = poll_fn(|context| watch.during(|| work.as_mut().poll(context))).await;
        judge(&watch.span, &ended);
        watch.end();
        ended
    }
}

pub(super) fn within<F>(
    span: Span,
    work: F,
    ends: Ends,
    judge: impl FnOnce(&Span, &F::Output) + Send,
) -> impl Future<Output = F::Output> + Send
where
    F: Future<Output: Send> + Send,
{
    let watched = watched(span.clone(), work, ends, judge).instrument(span);
    #[expect(clippy::redundant_async_block, reason = "it lets go of the span: see the reference")]
    async move {
        watched.await
    }
}

/// A method as it should be.
macro_rules! right {
    ($($method:ident),+) => {
        $($crate::decoys::spans::right::right! { @ $method })+
    };
    (@ serve) => {
        $crate::decoys::spans::right::method!(serve(service, request) {
            observability::spans::TracingSpans::serve(service, request)
        });
    };
    (@ step) => {
        $crate::decoys::spans::right::method!(step(name, work) {
            observability::spans::TracingSpans::step(name, work)
        });
    };
    (@ in_task) => {
        $crate::decoys::spans::right::method!(in_task(name, work) {
            observability::spans::TracingSpans::in_task(name, work)
        });
    };
    (@ in_thread) => {
        $crate::decoys::spans::right::method!(in_thread(name, work) {
            observability::spans::TracingSpans::in_thread(name, work)
        });
    };
}

/// A method, by its body.
macro_rules! method {
    (serve($service:ident, $request:ident) $body:block) => {
        #[allow(unused_mut)]
        fn serve<S, I, O>(
            mut $service: S,
            mut $request: http::Request<I>,
        ) -> impl Future<Output = Result<http::Response<O>, S::Error>> + Send
        where
            S: observability::spans::Hop<I, O>,
            I: Send + 'static,
            O: Send + 'static,
        $body
    };
    (step($name:ident, $work:ident) $body:block) => {
        fn step<F, T, E>(
            $name: &'static str,
            $work: F,
        ) -> impl Future<Output = Result<T, E>> + Send
        where
            F: Future<Output = Result<T, E>> + Send,
            T: Send,
            E: std::fmt::Display + Send,
        $body
    };
    (in_task($name:ident, $work:ident) $body:block) => {
        fn in_task<F>($name: &'static str, $work: F) -> impl Future<Output = F::Output> + Send
        where
            F: Future<Output: Send> + Send + 'static,
        $body
    };
    (in_thread($name:ident, $work:ident) $body:block) => {
        fn in_thread<T>(
            $name: &'static str,
            $work: impl FnOnce() -> T + Send + 'static,
        ) -> impl FnOnce() -> T + Send + 'static
        $body
    };
}

/// A decoy, by how it lets a service answer.
macro_rules! serving {
    ($decoy:ident: |$service:ident, $request:ident| $answer:expr) => {
        impl Spans for $decoy {
            $crate::decoys::spans::right::method!(serve($service, $request) { $answer });
            $crate::decoys::spans::right::right!(step, in_task, in_thread);
        }
    };
}

pub(super) use {method, right, serving};
