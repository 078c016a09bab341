//! Those who lose the id on its way: into a task, a thread, another service.

use super::right::{NOW, fresh, method, now, put, ready, right, value};
use observability::correlation_ids::{CorrelationIds, REQUEST_ID};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Weak};

/// A decoy, by what becomes of work in a task.
macro_rules! tasks {
    ($decoy:ident: |$work:ident| $body:block) => {
        impl CorrelationIds for $decoy {
            right!(serve);
            right!(ask);
            method!(in_task($work) $body);
            right!(in_thread);
            right!(current);
        }
    };
}

/// A decoy, by what becomes of work in a thread.
macro_rules! threads {
    ($decoy:ident: |$work:ident| $body:block, $current:expr) => {
        impl CorrelationIds for $decoy {
            right!(serve);
            right!(ask);
            right!(in_task);
            method!(in_thread($work) $body);

            fn current() -> Option<Arc<str>> {
                $current
            }
        }
    };
}

/// A decoy, by how it asks.
macro_rules! asking {
    ($decoy:ident: |$client:ident, $request:ident| $body:block) => {
        impl CorrelationIds for $decoy {
            right!(serve);
            method!(ask($client, $request) $body);
            right!(in_task);
            right!(in_thread);
            right!(current);
        }
    };
}

/// `tokio::spawn` as it is. A task inherits nothing. Rejected by `in_a_task`.
pub struct BareSpawn;

tasks!(BareSpawn: |work| { work });

/// An `async` block that asks whose work this is. It runs when it is polled, which is in the new task,
/// and there it is nobody's. Rejected by `in_a_task`.
pub struct AsksInTheTask;

tasks!(AsksInTheTask: |work| { async move { NOW.scope(now(), work).await } });

tokio::task_local! {
    static WEAKLY: Weak<str>;
}

/// A weak reference, so that no task keeps a request alive. What goes on after the answer is then
/// nobody's. Rejected by `in_a_task`.
pub struct UntilTheAnswer;

impl CorrelationIds for UntilTheAnswer {
    right!(serve);
    right!(ask);

    method!(in_task(work) {
        // Of none: of one that is gone already.
        let weak = Arc::downgrade(&Self::current().unwrap_or_else(fresh));
        WEAKLY.scope(weak, work)
    });

    right!(in_thread);

    fn current() -> Option<Arc<str>> {
        WEAKLY.try_with(Weak::upgrade).ok().or_else(|| Some(now())).flatten()
    }
}

/// Whoever polls it is whose it is. The load of a price that two wait for is then logged for the one
/// who happened to poll. Rejected by `waited_for`.
pub struct WhoeverPolls;

tasks!(WhoeverPolls: |work| {
    let id = now();
    async move {
        let mut work = pin!(work);
        poll_fn(|context| match now() {
            Some(_) => work.as_mut().poll(context),
            None => NOW.sync_scope(id.clone(), || work.as_mut().poll(context)),
        })
        .await
    }
});

/// With no id there is nothing to do, and the work stays as it is. A request that waits for it lends
/// it its own. Rejected by `begun_for_nobody`.
pub struct NothingToCarry;

tasks!(NothingToCarry: |work| {
    let id = now();
    async move {
        match id {
            None => work.await,
            Some(id) => NOW.scope(Some(id), work).await,
        }
    }
});

/// `spawn_blocking` as it is. A thread of the pool is nobody's. Rejected by `in_a_thread`.
pub struct BareThread;

threads!(BareThread: |work| { work }, now());

/// Asks on the thread whose work this is. Rejected by `in_a_thread`.
pub struct AsksOnTheThread;

threads!(AsksOnTheThread: |work| { move || NOW.sync_scope(now(), work) }, now());

thread_local! {
    static LEFT: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

fn left() -> Option<Arc<str>> {
    now().or_else(|| LEFT.with(|left| left.borrow().clone()))
}

/// Sets it, and leaves it: the thread is gone afterwards. In a pool it is not. Rejected by
/// `clean_threads`.
pub struct LeftOnTheThread;

threads!(LeftOnTheThread: |work| {
    let id = left();
    move || {
        LEFT.with(|left| left.replace(id));
        work()
    }
}, left());

/// Takes it back behind the work. A panic does not come that far. Rejected by `clean_threads`.
pub struct TakenBackWithoutGuard;

threads!(TakenBackWithoutGuard: |work| {
    let id = left();
    move || {
        let before = LEFT.with(|left| left.replace(id));
        let done = work();
        LEFT.with(|left| left.replace(before));
        done
    }
}, left());

/// The next service is asked, and not told. It makes an id of its own. Rejected by `passed_on`.
pub struct TellsTheNextNothing;

asking!(TellsTheNextNothing: |client, request| {
    Self::in_task(async move {
        ready(&mut client).await?;
        client.call(request).await
    })
});

/// `append`: the next service finds two, and believes none, or the wrong one. Rejected by
/// `passed_on`.
pub struct AppendsOnTheWay;

asking!(AppendsOnTheWay: |client, request| {
    if let Some(id) = now() {
        request.headers_mut().append(REQUEST_ID, value(&id));
    }
    Self::in_task(async move {
        ready(&mut client).await?;
        client.call(request).await
    })
});

/// Where one stands already, that stays. It was copied along, and is of yesterday. Rejected by
/// `passed_on`.
pub struct KeepsWhatWasCopied;

asking!(KeepsWhatWasCopied: |client, request| {
    if let (Some(id), None) = (now(), request.headers().get(REQUEST_ID)) {
        put(request.headers_mut(), &id);
    }
    Self::in_task(async move {
        ready(&mut client).await?;
        client.call(request).await
    })
});

/// A new one for each call, so that retries can be told apart. Nothing joins them with what they are
/// for. Rejected by `three_services`.
pub struct NewForEachCall;

asking!(NewForEachCall: |client, request| {
    if now().is_some() {
        put(request.headers_mut(), &fresh());
    }
    Self::in_task(async move {
        ready(&mut client).await?;
        client.call(request).await
    })
});

/// An `async fn`: it asks whose call this is when it is polled. Rejected by `asked_in_a_bare_task`.
pub struct AsksWhenPolled;

asking!(AsksWhenPolled: |client, request| {
    async move {
        if let Some(id) = now() {
            put(request.headers_mut(), &id);
        }
        ready(&mut client).await?;
        client.call(request).await
    }
});

/// Tells the next service at once, and lets the client work for whoever polls it: its retries and
/// its timeouts are logged for nobody. Rejected by `asked_in_a_bare_task`.
pub struct ClientOfNobody;

asking!(ClientOfNobody: |client, request| {
    if let Some(id) = now() {
        put(request.headers_mut(), &id);
    }
    async move {
        ready(&mut client).await?;
        client.call(request).await
    }
});

/// Makes an id where there is none. It stands in the next service's lines, and in none here. Rejected
/// by `asked_for_nobody`.
pub struct MakesOneForNobody;

asking!(MakesOneForNobody: |client, request| {
    put(request.headers_mut(), &now().unwrap_or_else(fresh));
    Self::in_task(async move {
        ready(&mut client).await?;
        client.call(request).await
    })
});

/// Takes away what stands there, also where it has nothing better: the job that has an id of its own
/// loses it. Rejected by `asked_for_nobody`.
pub struct TakesItAway;

asking!(TakesItAway: |client, request| {
    request.headers_mut().remove(REQUEST_ID);
    if let Some(id) = now() {
        put(request.headers_mut(), &id);
    }
    Self::in_task(async move {
        ready(&mut client).await?;
        client.call(request).await
    })
});

/// Calls a client that has not said that it is ready: it is not connected yet, or has no place.
/// Rejected by `every_answer`.
pub struct AsksTheUnready;

asking!(AsksTheUnready: |client, request| {
    if let Some(id) = now() {
        put(request.headers_mut(), &id);
    }
    Self::in_task(async move { client.call(request).await })
});
