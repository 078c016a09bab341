//! Those who are wrong about the service.

use super::usual::{Doors, Inside, Right, Usual, Usually};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

pub(super) type Places = Usually<Right>;
pub(super) type Answering<O> = Pin<Box<dyn Future<Output = Result<O, BoxError>> + Send>>;

/// How one of them calls the service. The rest of tower's boilerplate is the same.
pub(super) trait Calling: Send + Sync + 'static {
    fn ready<S, R>(_: &Places, _: &mut S, _: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        Poll::Ready(Ok(()))
    }

    fn call<S, R>(places: Arc<Places>, inner: &mut S, request: R) -> Answering<S::Response>
    where
        S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
        R: Send + 'static;
}

pub(super) struct Around<C, S> {
    pub(super) inner: S,
    pub(super) places: Arc<Places>,
    pub(super) calling: PhantomData<C>,
}

impl<C, S: Clone> Clone for Around<C, S> {
    fn clone(&self) -> Self {
        let (inner, places) = (self.inner.clone(), Arc::clone(&self.places));
        Around { inner, places, calling: PhantomData }
    }
}

impl<C, S, R> Service<R> for Around<C, S>
where
    C: Calling,
    S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        C::ready(&self.places, &mut self.inner, context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        C::call(Arc::clone(&self.places), &mut self.inner, request)
    }
}

/// A bulkhead that is right, but for the service around it, which is what `$make` makes.
macro_rules! around {
    ($decoy:ident: |$places:ident, $inner:ident| $make:expr) => {
        impl Bulkhead for $decoy {
            fn new(config: Config) -> Self {
                $decoy(Arc::new(Places::new(config)))
            }

            fn call<F>(&self, call: F) -> impl Future<Output = Result<F::Output, Full>> + Send
            where
                F: Future<Output: Send> + Send,
            {
                self.0.call(call)
            }

            fn counts(&self) -> Counts {
                self.0.counts()
            }

            fn around<S, R>(
                self: Arc<Self>,
                $inner: S,
            ) -> impl Service<R, Response = S::Response, Error = BoxError, Future: Send + 'static>
            + Clone
            + Send
            + 'static
            where
                S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send>
                    + Clone
                    + Send
                    + 'static,
                R: Send + 'static,
            {
                let $places = Arc::clone(&self.0);
                $make
            }
        }
    };
}

/// A decoy, by how it calls the service.
macro_rules! calling {
    ($decoy:ident: |$places:ident, $inner:ident, $request:ident| $body:expr $(; $($ready:tt)*)?) => {
        impl Calling for $decoy {
            $($($ready)*)?

            fn call<S, R>(
                $places: Arc<Places>,
                $inner: &mut S,
                $request: R,
            ) -> Answering<S::Response>
            where
                S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send>
                    + Clone
                    + Send
                    + 'static,
                R: Send + 'static,
            {
                $body
            }
        }

        around!($decoy: |places, inner| Around::<$decoy, S> {
            inner,
            places,
            calling: PhantomData,
        });
    };
}
pub(super) use {around, calling};

pub(super) fn taken<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    std::mem::replace(inner, clone)
}

pub(super) async fn asked_and_called<S, R>(
    mut inner: S,
    request: R,
) -> Result<S::Response, BoxError>
where
    S: Service<R, Error: Into<BoxError>>,
{
    poll_fn(|context| inner.poll_ready(context)).await.map_err(Into::into)?;
    inner.call(request).await.map_err(Into::into)
}

/// Makes the call's future first, and then gives it to the bulkhead: it is lazy, is it not? Futures
/// are. What `Service::call` does before it returns one is not. Rejected by `called_only_inside`.
pub(super) struct CallsOutside(Arc<Places>);

calling!(CallsOutside: |places, inner, request| {
    let call = taken(inner).call(request);
    Box::pin(async move { places.call(async move { call.await.map_err(Into::into) }).await? })
};
    fn ready<S, R>(_: &Places, inner: &mut S, context: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        inner.poll_ready(context).map_err(Into::into)
    }
);

/// Passes `poll_ready` on, as every layer does, and takes the one that is ready along into the
/// queue. So each who waits for a place has taken a connection from somebody who could use it.
/// Rejected by `queue_holds_nothing`.
pub(super) struct ReadyInTheQueue(Arc<Places>);

calling!(ReadyInTheQueue: |places, inner, request| {
    let mut ready = taken(inner);
    Box::pin(async move {
        places.call(async move { ready.call(request).await.map_err(Into::into) }).await?
    })
};
    fn ready<S, R>(_: &Places, inner: &mut S, context: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        inner.poll_ready(context).map_err(Into::into)
    }
);

/// Asks nobody: there is a place, so there will be a connection. Rejected by
/// `ready_one_is_called`.
pub(super) struct NeverAsks(Arc<Places>);

calling!(NeverAsks: |places, inner, request| {
    let mut inner = inner.clone();
    Box::pin(async move {
        places.call(async move { inner.call(request).await.map_err(Into::into) }).await?
    })
});

/// The refusal as a text. Who wants to tell it from an error of the dependency compares strings,
/// until somebody changes the words. Rejected by `errors_are_typed`.
pub(super) struct FullIsText(Arc<Places>);

calling!(FullIsText: |places, inner, request| {
    let inner = inner.clone();
    Box::pin(async move {
        let answer = places.call(asked_and_called(inner, request)).await;
        answer.map_err(|full| BoxError::from(full.to_string()))?
    })
});

/// Spawns the work, so that it is done even if the caller goes away, and the place stays with the
/// caller. On a day of timeouts the work piles up behind a bulkhead that is empty. Rejected by
/// `work_goes_with_its_caller`.
pub(super) struct SpawnsTheWork(Arc<Places>);

calling!(SpawnsTheWork: |places, inner, request| {
    let inner = inner.clone();
    Box::pin(async move {
        places.call(async { tokio::spawn(asked_and_called(inner, request)).await? }).await?
    })
});

/// Takes a place, calls, and gives it back, with a `?` on the way: an error keeps the place. A
/// dependency that fails once for each place is never called again. Rejected by
/// `redis_that_dies`.
pub(super) struct GivesBackOnSuccess(Arc<Places>);

calling!(GivesBackOnSuccess: |places, inner, request| {
    let inner = inner.clone();
    Box::pin(async move {
        let doors = &places.doors;
        Right::enter(doors).await?.forget();
        let response = asked_and_called(inner, request).await?;
        doors.tickets.add_permits(1);
        doors.places.add_permits(1);
        Ok(response)
    })
});

/// A bulkhead that is cloned with the service, as configurations are. Each connection has its own,
/// of full size. Rejected by `clones_share`.
pub(super) struct EachCloneItsOwn(Arc<Places>);

struct Own<S> {
    inner: S,
    places: Arc<Places>,
}

impl<S: Clone> Clone for Own<S> {
    fn clone(&self) -> Self {
        let places = Places::new(self.places.doors.config);
        Own { inner: self.inner.clone(), places: Arc::new(places) }
    }
}

impl<S, R> Service<R> for Own<S>
where
    S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (inner, places) = (self.inner.clone(), Arc::clone(&self.places));
        Box::pin(async move { places.call(asked_and_called(inner, request)).await? })
    }
}

around!(EachCloneItsOwn: |places, inner| Own { inner, places });

/// Takes the place in `poll_ready`, as tower's own ConcurrencyLimit does: there it can wait, so
/// that is where it waits. A clone that was asked and is not called keeps its place. Rejected by
/// `ready_holds_nothing`.
pub(super) struct ReservesWhenAsked(Arc<Places>);

struct Reserved<S> {
    inner: S,
    places: Arc<Places>,
    mine: Mine,
}

enum Mine {
    Nothing,
    Asked(Pin<Box<dyn Future<Output = Result<Inside, Full>> + Send>>),
    // Held, and never looked at: what counts is when it is dropped.
    #[expect(dead_code)]
    Place(Inside),
}

impl<S: Clone> Clone for Reserved<S> {
    fn clone(&self) -> Self {
        let places = Arc::clone(&self.places);
        Reserved { inner: self.inner.clone(), places, mine: Mine::Nothing }
    }
}

impl<S, R> Service<R> for Reserved<S>
where
    S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if matches!(self.mine, Mine::Nothing) {
            let doors: Doors = self.places.doors.clone();
            self.mine = Mine::Asked(Box::pin(async move { Right::enter(&doors).await }));
        }
        if let Mine::Asked(asked) = &mut self.mine {
            match ready!(asked.as_mut().poll(context)) {
                Ok(inside) => self.mine = Mine::Place(inside),
                Err(full) => {
                    self.mine = Mine::Nothing;
                    return Poll::Ready(Err(full.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mine = std::mem::replace(&mut self.mine, Mine::Nothing);
        let inner = self.inner.clone();
        Box::pin(async move {
            let _held = mine;
            asked_and_called(inner, request).await
        })
    }
}

around!(ReservesWhenAsked: |places, inner| Reserved { inner, places, mine: Mine::Nothing });
