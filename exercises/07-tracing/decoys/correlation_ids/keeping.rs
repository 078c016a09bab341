//! Those who keep the id in the wrong place, or for the wrong time.

use super::right::{NOW, believed, method, now, put, ready, right};
use observability::correlation_ids::CorrelationIds;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tracing::Instrument;
use tracing::instrument::Instrumented;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

thread_local! {
    static HERE: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

fn set(id: Option<Arc<str>>) -> Option<Arc<str>> {
    HERE.with(|here| here.replace(id))
}

fn here() -> Option<Arc<str>> {
    HERE.with(|here| here.borrow().clone())
}

/// A decoy, by how it lets a service answer in the name of an id. What is beside a request goes into
/// the task-local, where `current` looks first.
macro_rules! keeping {
    ($decoy:ident: |$service:ident, $request:ident, $id:ident| $answer:expr, $current:expr) => {
        impl CorrelationIds for $decoy {
            method!(serve($service, $request) {
                let $id = believed($request.headers());
                put($request.headers_mut(), &$id);
                let told = Arc::clone(&$id);
                let answer = $answer;
                async move {
                    let mut response = answer.await?;
                    put(response.headers_mut(), &told);
                    Ok(response)
                }
            });

            right!(ask);

            method!(in_task(work) {
                NOW.scope(Self::current(), work)
            });

            method!(in_thread(work) {
                let id = Self::current();
                move || NOW.sync_scope(id, work)
            });

            fn current() -> Option<Arc<str>> {
                now().or_else($current)
            }
        }
    };
}

/// One place for the whole program. It is always somebody's. Rejected by `nowhere_else`.
pub struct OneForAll;

static CURRENT: Mutex<Option<Arc<str>>> = Mutex::new(None);

keeping!(OneForAll: |service, request, id| async move {
    ready(&mut service).await?;
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    service.call(request).await
}, || CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone());

/// A thread-local, as it is done where each request has a thread. Here a thread has many requests,
/// and the one that waits finds another's id when it goes on. Rejected by `interleaved`.
pub struct OnTheThread;

keeping!(OnTheThread: |service, request, id| async move {
    set(Some(id));
    ready(&mut service).await?;
    let answer = service.call(request).await;
    set(None);
    answer
}, here);

struct Entered(Option<Arc<str>>);

impl Drop for Entered {
    fn drop(&mut self) {
        set(self.0.take());
    }
}

/// With a guard, so that nothing is forgotten: and held across the await, which is what
/// `span.enter()` in async code does. Rejected by `interleaved`.
pub struct GuardAcrossAwait;

keeping!(GuardAcrossAwait: |service, request, id| async move {
    let _entered = Entered(set(Some(id)));
    ready(&mut service).await?;
    service.call(request).await
}, here);

/// As far as the first wait. After it, the future is polled by somebody who knows of nothing.
/// Rejected by `every_line`.
pub struct UntilTheFirstWait;

keeping!(UntilTheFirstWait: |service, request, id| async move {
    ready(&mut service).await?;
    let mut answer = Box::pin(service.call(request));
    let mut first = Some(id);
    poll_fn(|context| match first.take() {
        Some(id) => NOW.sync_scope(Some(id), || answer.as_mut().poll(context)),
        None => answer.as_mut().poll(context),
    })
    .await
}, || None);

/// Around the future that `call` returns, and not around `call`. A layer that logs when it is called
/// logs for nobody. Rejected by `every_line`.
pub struct CalledOutside;

keeping!(CalledOutside: |service, request, id| async move {
    NOW.scope(Some(Arc::clone(&id)), ready(&mut service)).await?;
    let answer = service.call(request);
    NOW.scope(Some(id), answer).await
}, || None);

/// In the request's extensions, where a handler may fetch it and write it into each of its lines.
/// It does so in the first. Rejected by `every_line`.
pub struct InTheExtensions;

keeping!(InTheExtensions: |service, request, id| async move {
    tracing::info!(request_id = &*id, "a request has come");
    request.extensions_mut().insert(id);
    ready(&mut service).await?;
    service.call(request).await
}, || None);

/// For the first line. The others stand right behind it, on the developer's machine. Rejected by
/// `every_line`.
pub struct OnlyTheFirstLine;

tokio::task_local! {
    static ONCE: RefCell<Option<Arc<str>>>;
}

keeping!(OnlyTheFirstLine: |service, request, id| ONCE.scope(RefCell::new(Some(id)), async move {
    ready(&mut service).await?;
    service.call(request).await
}), || ONCE.try_with(RefCell::take).ok().flatten());

pin_project! {
    /// Sets the thread's id at each poll.
    struct Polled<F> {
        id: Arc<str>,
        guarded: bool,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let before = set(Some(Arc::clone(this.id)));
        if *this.guarded {
            let _entered = Entered(before);
            return this.work.poll(context);
        }
        let polled = this.work.poll(context);
        set(before);
        polled
    }
}

/// Set at each poll, and taken back behind it. Whoever hangs up polls nothing: the future is dropped,
/// and what is given back then is given back for nobody. Rejected by `hung_up_on`.
pub struct PolledOnly;

keeping!(PolledOnly: |service, request, id| Polled { id, guarded: true, work: async move {
    ready(&mut service).await?;
    service.call(request).await
} }, here);

/// Taken back in the line after the poll. That line is not reached by a panic, and the thread works
/// on in the name of whoever met it. Rejected by `unwinding`.
pub struct NotTakenBack;

keeping!(NotTakenBack: |service, request, id| Polled { id, guarded: false, work: async move {
    ready(&mut service).await?;
    service.call(request).await
} }, here);

/// In a table, by the task. A task that waits for what another has begun is asked whose that is, and
/// has only one answer. Rejected by `waited_for`.
pub struct ByTask;

static BY_TASK: Mutex<BTreeMap<String, Arc<str>>> = Mutex::new(BTreeMap::new());

/// Enters this for the task that runs here, and gives back what was there.
fn enter(id: Option<Arc<str>>) -> Option<Arc<str>> {
    let task = tokio::task::try_id()?.to_string();
    let mut table = BY_TASK.lock().unwrap_or_else(PoisonError::into_inner);
    match id {
        Some(id) => table.insert(task, id),
        None => table.remove(&task),
    }
}

fn of_this_task() -> Option<Arc<str>> {
    let task = tokio::task::try_id()?.to_string();
    BY_TASK.lock().unwrap_or_else(PoisonError::into_inner).get(&task).cloned()
}

impl CorrelationIds for ByTask {
    method!(serve(service, request) {
        let id = believed(request.headers());
        put(request.headers_mut(), &id);
        async move {
            enter(Some(Arc::clone(&id)));
            ready(&mut service).await?;
            let answer = service.call(request).await;
            enter(None);
            let mut response = answer?;
            put(response.headers_mut(), &id);
            Ok(response)
        }
    });

    right!(ask);

    method!(in_task(work) {
        let id = of_this_task();
        async move {
            enter(id);
            let done = work.await;
            enter(None);
            done
        }
    });

    method!(in_thread(work) {
        let id = of_this_task();
        move || NOW.sync_scope(id, work)
    });

    fn current() -> Option<Arc<str>> {
        now().or_else(of_this_task)
    }
}

/// In a span, where everything else is. In production the log shows warnings only, spans of level
/// `INFO` are not even made, and the warnings have no id; nor has the next service. Rejected by
/// `quiet_log`.
pub struct LivesInASpan;

struct OfSpan(Arc<str>);

fn span(id: &Arc<str>) -> tracing::Span {
    let span = tracing::info_span!("request");
    span.with_subscriber(|(span, dispatch)| {
        if let Some(found) = dispatch.downcast_ref::<Registry>().and_then(|all| all.span(span)) {
            found.extensions_mut().insert(OfSpan(Arc::clone(id)));
        }
    });
    span
}

fn in_the_span() -> Option<Arc<str>> {
    let current = tracing::Span::current();
    current.with_subscriber(|(span, dispatch)| {
        let found = dispatch.downcast_ref::<Registry>().and_then(|all| all.span(span))?;
        found.extensions().get::<OfSpan>().map(|id| Arc::clone(&id.0))
    })?
}

fn within<F: Future>(id: Option<&Arc<str>>, work: F) -> Instrumented<F> {
    work.instrument(id.map_or_else(tracing::Span::none, span))
}

impl CorrelationIds for LivesInASpan {
    method!(serve(service, request) {
        let id = believed(request.headers());
        put(request.headers_mut(), &id);
        let told = Arc::clone(&id);
        within(Some(&id), async move {
            ready(&mut service).await?;
            let mut response = service.call(request).await?;
            put(response.headers_mut(), &told);
            Ok(response)
        })
    });

    right!(ask);

    method!(in_task(work) {
        within(in_the_span().as_ref(), work)
    });

    method!(in_thread(work) {
        let id = in_the_span();
        move || id.as_ref().map_or_else(tracing::Span::none, span).in_scope(work)
    });

    fn current() -> Option<Arc<str>> {
        in_the_span()
    }
}
