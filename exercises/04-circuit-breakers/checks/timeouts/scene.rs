//! The next hop as the checks need it, and how a call of the subject ended.

use super::work::Work;
use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Late, TIME_LEFT};
use grading::history::{Call, Step};
use grading::{Evidence, Finding, History, SOON};
use http::{Request, Response};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_service::Service;

/// Longer than any check: whoever waits for it has missed every deadline.
pub(super) const AGES: Duration = Duration::from_secs(9);

/// Until when: first as short as a check likes to be, then as long as a busy machine needs.
pub(super) const SPANS: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(1_500)];

/// The hop's own error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

pub(super) type Answering =
    Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;
type Connecting = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// What one request looked like when it came.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) request: Request<String>,
    /// Just before the hop said that it was ready, and when it was called.
    pub(super) ready_at: Instant,
    pub(super) called_at: Instant,
    pub(super) step: Step,
}

#[derive(Default)]
struct Notes {
    asked_ready: usize,
    ready_at: Option<Instant>,
    seen: Vec<Seen>,
}

/// A hop that remembers what it was asked. A clone is the same hop on a connection of its own.
pub(super) struct Next {
    lane: &'static str,
    history: History,
    notes: Arc<Mutex<Notes>>,
    connect: Arc<dyn Fn() -> Connecting + Send + Sync>,
    answer: Arc<dyn Fn(Request<String>) -> Answering + Send + Sync>,
    connecting: Option<Connecting>,
    ready_at: Option<Instant>,
}

impl Clone for Next {
    fn clone(&self) -> Next {
        Next {
            lane: self.lane,
            history: self.history.clone(),
            notes: Arc::clone(&self.notes),
            connect: Arc::clone(&self.connect),
            answer: Arc::clone(&self.answer),
            connecting: None,
            ready_at: None,
        }
    }
}

impl Next {
    /// One that is ready at once, and answers "done" at once.
    pub(super) fn new(history: &History, lane: &'static str) -> Next {
        Next {
            lane,
            history: history.clone(),
            notes: Arc::default(),
            connect: Arc::new(|| Box::pin(async { Ok(()) })),
            answer: Arc::new(|_| Box::pin(async { Ok(Response::new("done".to_owned())) })),
            connecting: None,
            ready_at: None,
        }
    }

    /// One that is ready when this is done.
    pub(super) fn connecting<F>(self, connect: impl Fn() -> F + Send + Sync + 'static) -> Next
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Next { connect: Arc::new(move || Box::pin(connect())), ..self }
    }

    /// One that answers with what comes of this.
    pub(super) fn answering<F>(
        self,
        answer: impl Fn(Request<String>) -> F + Send + Sync + 'static,
    ) -> Next
    where
        F: Future<Output = Result<Response<String>, BoxError>> + Send + 'static,
    {
        Next { answer: Arc::new(move |request| Box::pin(answer(request))), ..self }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.notes().seen.clone()
    }

    /// The one request that it got.
    pub(super) fn only(&self) -> Result<Seen, Finding> {
        match &self.seen()[..] {
            [seen] => Ok(seen.clone()),
            seen => {
                let saw = format!("{} came", seen.len());
                Err(Evidence::new("one request at the next hop", saw).into())
            }
        }
    }

    /// Waits until it has been called by `asking`. False if that ended before.
    pub(super) async fn gets_called<T>(self, asking: &JoinHandle<T>) -> bool {
        let began = Instant::now();
        while self.seen().is_empty() && !asking.is_finished() && began.elapsed() < SOON {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        !self.seen().is_empty() && !asking.is_finished()
    }

    /// Whether it has said that it was ready, and in time.
    pub(super) fn was_ready_before(&self, moment: Instant) -> bool {
        self.notes().ready_at.is_some_and(|ready| ready < moment)
    }

    /// Nobody has asked it for anything, not even whether it is ready.
    pub(super) fn untouched(&self, why: &str) -> Result<(), Finding> {
        let expected = format!("{} not to be asked: {why}", self.lane);
        if let Some(seen) = self.seen().last() {
            return Err(Evidence::new(expected, "it was called").at(seen.step).into());
        }
        if self.notes().asked_ready > 0 {
            let step = self.history.last(self.lane, "connects");
            return Err(Evidence::new(expected, "it was made to connect").at(step).into());
        }
        Ok(())
    }

    /// It was not called; that somebody has waited for it to be ready does not count.
    pub(super) fn uncalled(&self, why: &str) -> Result<(), Finding> {
        match self.seen().last() {
            None => Ok(()),
            Some(seen) => {
                let expected = format!("{} not to be called: {why}", self.lane);
                Err(Evidence::new(expected, "it was").at(seen.step).into())
            }
        }
    }
}

impl Service<Request<String>> for Next {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.ready_at.is_some() {
            return Poll::Ready(Ok(()));
        }
        let begins = self.connecting.is_none();
        let connect = Arc::clone(&self.connect);
        let connecting = self.connecting.get_or_insert_with(|| connect());
        let polled = connecting.as_mut().poll(context);
        if begins {
            self.notes().asked_ready += 1;
            if polled.is_pending() {
                self.history.note(self.lane, "connects");
            }
        }
        let connected = std::task::ready!(polled);
        self.connecting = None;
        self.ready_at = connected.is_ok().then(Instant::now);
        self.notes().ready_at = self.ready_at;
        Poll::Ready(connected)
    }

    fn call(&mut self, request: Request<String>) -> Answering {
        let called_at = Instant::now();
        let told = match told(&request) {
            Some(told) => format!("is called, {TIME_LEFT}: {told}"),
            None => "is called".to_owned(),
        };
        let step = self.history.note(self.lane, told);
        let Some(ready_at) = self.ready_at.take() else {
            return Box::pin(async { Err(Broken("called before it was ready").into()) });
        };
        let seen = Seen { request: request.clone(), ready_at, called_at, step };
        self.notes().seen.push(seen);
        (self.answer)(request)
    }
}

/// All that stands in the header, lines joined.
pub(super) fn told(request: &Request<String>) -> Option<String> {
    let lines: Vec<_> = request
        .headers()
        .get_all(TIME_LEFT)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
        .collect();
    (!lines.is_empty()).then(|| lines.join(" | "))
}

impl Seen {
    /// The one whole number that the header has to be.
    pub(super) fn millis(&self) -> Result<u64, Finding> {
        let told = told(&self.request);
        let millis = told.as_deref().and_then(|told| told.parse().ok());
        millis.ok_or_else(|| {
            let saw = told.unwrap_or_else(|| "none".to_owned());
            let expected = format!("one {TIME_LEFT} of whole milliseconds");
            Evidence::new(expected, saw).at(self.step).into()
        })
    }

    /// The deadline that it was given.
    pub(super) fn deadline(&self) -> Result<Deadline, Finding> {
        self.request.extensions().get::<Deadline>().copied().ok_or_else(|| {
            let expected = "the deadline in the request's extensions";
            Evidence::new(expected, "none").at(self.step).into()
        })
    }
}

/// A request with this in the header.
pub(super) fn request(time_left: &[&str]) -> Request<String> {
    let mut request = Request::new("what the caller sent".to_owned());
    for line in time_left {
        let value = http::HeaderValue::from_bytes(line.as_bytes()).expect("a value");
        request.headers_mut().append(TIME_LEFT, value);
    }
    request
}

/// A request with this deadline, as an outgoing one has it.
pub(super) fn until(deadline: Deadline) -> Request<String> {
    let mut request = request(&[]);
    request.extensions_mut().insert(deadline);
    request
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Ended {
    Answer(Response<String>),
    Late,
    Failed(BoxError),
}

impl Ended {
    pub(super) fn of(result: Result<Response<String>, BoxError>) -> Ended {
        match result {
            Ok(response) => Ended::Answer(response),
            Err(error) if error.is::<Late>() => Ended::Late,
            Err(error) => Ended::Failed(error),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Answer(response) => write!(f, "\"{}\"", response.body()),
            Ended::Late => f.write_str("Late"),
            Ended::Failed(error) => write!(f, "error: {error}"),
        }
    }
}

/// Waits for what `lane` has asked, and no longer than `within`.
pub(super) async fn ends(
    history: &History,
    lane: &str,
    what: &str,
    within: Duration,
    asked: impl Future<Output = Result<Response<String>, BoxError>>,
) -> Result<(Ended, Step), Finding> {
    finishes(history.invoke(lane, what), within, asked).await
}

/// Waits for what was asked before.
pub(super) async fn finishes(
    call: Call,
    within: Duration,
    asked: impl Future<Output = Result<Response<String>, BoxError>>,
) -> Result<(Ended, Step), Finding> {
    match tokio::time::timeout(within, asked).await {
        Ok(result) => {
            let ended = Ended::of(result);
            let step = call.ok(ended.to_string());
            Ok((ended, step))
        }
        Err(_) => {
            let step = call.unknown("still waits");
            let expected = "an answer, or Late, in time";
            let saw = format!("neither, {within:?} after it was asked");
            Err(Evidence::new(expected, saw).at(step).into())
        }
    }
}

/// Waits for what `lane` has asked, which has to be late, and soon.
pub(super) async fn is_late(
    history: &History,
    lane: &str,
    what: &str,
    asked: impl Future<Output = Result<Response<String>, BoxError>>,
) -> Result<Step, Finding> {
    turns_late(history.invoke(lane, what), asked).await
}

/// Waits for what was asked before, which has to be late, and soon.
pub(super) async fn turns_late(
    call: Call,
    asked: impl Future<Output = Result<Response<String>, BoxError>>,
) -> Result<Step, Finding> {
    match finishes(call, SOON, asked).await? {
        (Ended::Late, step) => Ok(step),
        (other, step) => Err(Evidence::new("Late", other.to_string()).at(step).into()),
    }
}

/// A hop whose only answer is this work.
pub(super) fn working(history: &History, lane: &'static str, work: Work) -> Next {
    let work = Arc::new(Mutex::new(Some(work)));
    Next::new(history, lane).answering(move |_| {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            match work {
                Some(work) => work.run(async |_| ()).await,
                None => Err(Broken("asked a second time").into()),
            }
        }
    })
}

/// A hop that is never ready: to connect to it is this work.
pub(super) fn unready(history: &History, lane: &'static str, work: Work) -> Next {
    let work = Arc::new(Mutex::new(Some(work)));
    Next::new(history, lane).connecting(move || {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            match work {
                Some(work) => work.run(async |_| ()).await.map(drop),
                None => std::future::pending().await,
            }
        }
    })
}

/// Polls once, as a runtime does that has got round to it.
pub(super) async fn poll_once<F: Future + ?Sized>(future: &mut Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
