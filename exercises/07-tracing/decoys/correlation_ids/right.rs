//! What wrong answers do right: each makes one mistake, and takes the rest from here.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use observability::correlation_ids::{Hop, LONGEST, REQUEST_ID};
use std::future::{Future, poll_fn};
use std::sync::Arc;

tokio::task_local! {
    pub(super) static NOW: Option<Arc<str>>;
}

pub(super) fn now() -> Option<Arc<str>> {
    NOW.try_with(Clone::clone).ok().flatten()
}

pub(super) fn fresh() -> Arc<str> {
    uuid::Uuid::now_v7().to_string().into()
}

pub(super) fn value(id: &str) -> HeaderValue {
    HeaderValue::from_bytes(id.as_bytes()).unwrap_or(HeaderValue::from_static("odd"))
}

pub(super) fn put(headers: &mut HeaderMap, id: &str) {
    headers.insert(REQUEST_ID, value(id));
}

pub(super) fn is_plain_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

pub(super) fn plain(value: &HeaderValue) -> Option<Arc<str>> {
    let text = value.to_str().ok()?;
    let is_plain = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_plain_letter);
    is_plain.then(|| text.into())
}

/// The one line, where there is one.
pub(super) fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(REQUEST_ID).iter();
    lines.next().filter(|_| lines.next().is_none())
}

pub(super) fn believed(headers: &HeaderMap) -> Arc<str> {
    only(headers).and_then(plain).unwrap_or_else(fresh)
}

pub(super) async fn ready<S: Hop<I, O>, I, O>(service: &mut S) -> Result<(), S::Error> {
    poll_fn(|context| service.poll_ready(context)).await
}

/// Answers in the name of `id`, and has `tell` write it into the answer.
pub(super) fn served<S, I, O>(
    mut service: S,
    mut request: Request<I>,
    id: Arc<str>,
    tell: fn(&mut HeaderMap, &str, StatusCode),
) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
where
    S: Hop<I, O>,
    I: Send + 'static,
    O: Send + 'static,
{
    put(request.headers_mut(), &id);
    NOW.scope(Some(Arc::clone(&id)), async move {
        ready(&mut service).await?;
        let mut response = service.call(request).await?;
        let status = response.status();
        tell(response.headers_mut(), &id, status);
        Ok(response)
    })
}

/// A method as it should be.
macro_rules! right {
    (serve) => {
        $crate::decoys::correlation_ids::right::method!(serve(service, request) {
            let id = $crate::decoys::correlation_ids::right::believed(request.headers());
            let tell = |headers: &mut http::HeaderMap, id: &str, _: http::StatusCode| {
                $crate::decoys::correlation_ids::right::put(headers, id);
            };
            $crate::decoys::correlation_ids::right::served(service, request, id, tell)
        });
    };
    (ask) => {
        $crate::decoys::correlation_ids::right::method!(ask(client, request) {
            let id = Self::current();
            if let Some(id) = &id {
                $crate::decoys::correlation_ids::right::put(request.headers_mut(), id);
            }
            Self::in_task(async move {
                $crate::decoys::correlation_ids::right::ready(&mut client).await?;
                client.call(request).await
            })
        });
    };
    (in_task) => {
        $crate::decoys::correlation_ids::right::method!(in_task(work) {
            let id = $crate::decoys::correlation_ids::right::now();
            $crate::decoys::correlation_ids::right::NOW.scope(id, work)
        });
    };
    (in_thread) => {
        $crate::decoys::correlation_ids::right::method!(in_thread(work) {
            let id = $crate::decoys::correlation_ids::right::now();
            move || $crate::decoys::correlation_ids::right::NOW.sync_scope(id, work)
        });
    };
    (current) => {
        fn current() -> Option<std::sync::Arc<str>> {
            $crate::decoys::correlation_ids::right::now()
        }
    };
}

/// A method, by its body.
macro_rules! method {
    (in_task($work:ident) $body:block) => {
        fn in_task<F>($work: F) -> impl Future<Output = F::Output> + Send
        where
            F: Future + Send + 'static,
        $body
    };
    (in_thread($work:ident) $body:block) => {
        fn in_thread<T>(
            $work: impl FnOnce() -> T + Send + 'static,
        ) -> impl FnOnce() -> T + Send + 'static
        $body
    };
    ($method:ident($service:ident, $request:ident) $body:block) => {
        #[allow(unused_mut)]
        fn $method<S, I, O>(
            mut $service: S,
            mut $request: http::Request<I>,
        ) -> impl Future<Output = Result<http::Response<O>, S::Error>> + Send
        where
            S: observability::correlation_ids::Hop<I, O>,
            I: Send + 'static,
            O: Send + 'static,
        $body
    };
}

pub(super) use {method, right};
