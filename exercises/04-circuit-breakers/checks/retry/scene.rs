//! A shop that answers as it was told to, on a clock that moves only when everybody waits.
//!
//! Pauses of seconds pass at once, and are measured to the millisecond: tokio's clock is paused.
//! That is sound only where nobody waits for a real socket, so `wire` has none of this.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{Budget, Config, Retry};
use grading::history::Step;
use grading::{Evidence, Finding, History, World};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::Instant;

/// Longer than any right answer waits in a scene; it passes at once.
pub(super) const FOREVER: Duration = Duration::from_secs(86_400);

/// More than any right answer asks in a scene. Then the shop says nothing any more, so that who
/// repeats for ever comes to an end.
const RUNAWAY: usize = 5_000;

/// So much is shown of what happened.
const SHOWN: usize = 60;

/// Enough that the budget decides nothing.
pub(super) const GENEROUS: Budget = Budget { percent: 100_000, reserve: 100_000 };

pub(super) type Answer = Result<Response<String>, BoxError>;
pub(super) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Plays a scene in virtual time.
pub(super) async fn play<F>(
    world: World,
    scene: impl FnOnce(Stage) -> F + Send + 'static,
) -> Result<(), Finding>
where
    F: Future<Output = Result<(), Finding>>,
{
    let stage = Stage { random: world.random(), history: world.history().clone() };
    let played = tokio::task::spawn_blocking(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| Finding::inconclusive(error.to_string()))?;
        runtime.block_on(scene(stage))
    });
    played.await?
}

/// What a scene begins with.
pub(super) struct Stage {
    pub(super) random: StdRng,
    pub(super) history: History,
}

impl Stage {
    /// Three attempts, a first pause of up to some hundred milliseconds, budget enough.
    pub(super) fn config(&mut self) -> Config {
        Config {
            attempts: 3,
            first: Duration::from_millis(self.random.random_range(80..400)),
            longest: Duration::from_secs(10),
            budget: GENEROUS,
            transient: |_| true,
        }
    }

    /// The subject, and a shop behind it.
    pub(super) fn client<S: Retry>(&mut self, config: Config) -> Client<S> {
        let shop = Shop { history: self.history.clone(), inner: Arc::default() };
        Client { retry: Arc::new(S::new(config, self.random.random())), shop }
    }
}

/// The subject before a shop.
pub(super) struct Client<S> {
    pub(super) retry: Arc<S>,
    pub(super) shop: Shop,
}

impl<S> Clone for Client<S> {
    fn clone(&self) -> Client<S> {
        Client { retry: Arc::clone(&self.retry), shop: self.shop.clone() }
    }
}

impl<S: Retry> Client<S> {
    /// Sends a request through the subject.
    pub(super) fn send(&self, request: Request<String>) -> impl Future<Output = Answer> + use<S> {
        let (retry, shop) = (Arc::clone(&self.retry), self.shop.clone());
        async move { retry.send(request, move |request| shop.ask(request)).await }
    }

    /// Sends it, and looks at what happened. No two at once.
    pub(super) async fn sends(&self, request: Request<String>) -> Result<Ended, Finding> {
        let told = format!("{} {}", request.method(), request.uri());
        self.shop.watches(told, self.send(request)).await
    }
}

/// A call that is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) answer: Answer,
    pub(super) asked: Vec<Asked>,
    pub(super) began: Instant,
    pub(super) took: Duration,
    step: Option<Step>,
}

impl Ended {
    pub(super) fn not(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.step).into()
    }

    /// Whether the shop was asked so often.
    pub(super) fn times(&self, times: usize, why: &str) -> Result<(), Finding> {
        match self.asked.len() {
            asked if asked == times => Ok(()),
            asked => {
                Err(self
                    .not(format!("{}: {why}", plural(times, "attempt")), plural(asked, "attempt")))
            }
        }
    }

    /// Whether the caller got this status.
    pub(super) fn status(&self, status: u16) -> Result<(), Finding> {
        match &self.answer {
            Ok(answer) if answer.status() == status => Ok(()),
            Ok(answer) => Err(self.not(format!("{status}"), answer.status().as_u16().to_string())),
            Err(error) => Err(self.not(format!("{status}"), format!("an error: {error}"))),
        }
    }

    /// From the answer of each attempt to the next. The shop answers in no time.
    pub(super) fn pauses(&self) -> Vec<Duration> {
        self.asked.windows(2).map(|two| two[1].at - two[0].at).collect()
    }

    /// From the last attempt to the caller's answer.
    pub(super) fn afterwards(&self) -> Duration {
        self.asked.last().map_or(self.took, |last| self.began + self.took - last.at)
    }
}

pub(super) fn plural(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A request as it arrived.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request<String>,
    pub(super) at: Instant,
}

/// A dependency.
#[derive(Clone)]
pub(super) struct Shop {
    history: History,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    says: VecDeque<Reply>,
    always: Option<Reply>,
    asked: Vec<Asked>,
    /// In one call.
    times: usize,
    shown: usize,
    left_alone: usize,
}

/// What the shop says.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Status(u16),
    /// A status, and `Retry-After` as it stands there.
    Later(u16, &'static str),
    /// The same, after so long.
    Slow(Duration, u16, &'static str),
    /// No answer: an error of the transport, with a number.
    Broken(u32),
    /// Nothing, ever.
    Hangs,
    /// A status, when the gate is open.
    Held(u16, Gate),
}

/// An error of the transport: the request or its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection reset ({0})")]
pub(super) struct Broken(pub(super) u32);

impl Shop {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says next. After that, and before, everything is well.
    pub(super) fn says(&self, replies: impl IntoIterator<Item = Reply>) {
        let mut inner = self.inner();
        inner.says = replies.into_iter().collect();
        inner.always = None;
    }

    /// What it says from now on.
    pub(super) fn always(&self, reply: Reply) {
        let mut inner = self.inner();
        inner.says.clear();
        inner.always = Some(reply);
    }

    /// Looks at a call. No two at once.
    pub(super) async fn watches(
        &self,
        told: String,
        call: impl Future<Output = Answer>,
    ) -> Result<Ended, Finding> {
        let shown = {
            let mut inner = self.inner();
            inner.asked.clear();
            inner.times = 0;
            inner.shown < SHOWN
        };
        let began = Instant::now();
        let record = shown.then(|| self.history.invoke("client", told));
        let answer = tokio::time::timeout(FOREVER, call).await;
        let asked = std::mem::take(&mut self.inner().asked);
        let took = began.elapsed();
        let Ok(answer) = answer else {
            let step = record.map(|record| record.unknown("no answer"));
            let saw = format!("none after {}", plural(asked.len(), "attempt"));
            return Err(Evidence::new("an answer", saw).at(step).into());
        };
        let step = record.map(|record| match &answer {
            Ok(answer) => record.ok(format!("{} after {took:?}", answer.status().as_u16())),
            Err(error) => record.fail(format!("{error}, after {took:?}")),
        });
        Ok(Ended { answer, asked, began, took, step })
    }

    /// Begins a clean page of the history.
    pub(super) fn turn_page(&self) {
        self.history.turn_page();
        self.inner().shown = 0;
    }

    /// How often it was asked since the last call that was looked at.
    pub(super) fn asked(&self) -> usize {
        self.inner().asked.len()
    }

    /// How many attempts were dropped before they had an answer.
    pub(super) fn left_alone(&self) -> usize {
        self.inner().left_alone
    }

    pub(super) fn note(&self, lane: &str, text: impl Into<String>) -> Step {
        self.history.note(lane, text)
    }

    pub(super) fn ask(&self, request: Request<String>) -> Answering {
        let shop = self.clone();
        Box::pin(async move {
            let reply = shop.arrives(request);
            let mut waiting = Waiting { shop: shop.clone(), over: false };
            let answer = reply.answer().await;
            waiting.over = true;
            answer
        })
    }

    fn arrives(&self, request: Request<String>) -> Reply {
        let mut inner = self.inner();
        inner.times += 1;
        let reply = match inner.says.pop_front() {
            _ if inner.times > RUNAWAY => Reply::Hangs,
            Some(reply) => reply,
            None => inner.always.clone().unwrap_or(Reply::Status(200)),
        };
        let at = Instant::now();
        inner.shown += 1;
        if inner.shown < SHOWN {
            let pause = match inner.asked.last() {
                Some(last) => format!("+{:?} ", at - last.at),
                None => String::new(),
            };
            self.history.note("shop", format!("{pause}{} → {}", request.method(), reply.told()));
        }
        inner.asked.push(Asked { request, at });
        reply
    }
}

/// An attempt that has no answer yet.
struct Waiting {
    shop: Shop,
    over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shop.inner().left_alone += usize::from(!self.over);
    }
}

impl Reply {
    fn told(&self) -> String {
        match self {
            Reply::Status(status) => status.to_string(),
            Reply::Later(status, after) => format!("{status}, Retry-After: {after}"),
            Reply::Slow(time, status, after) => {
                format!("{status} after {time:?}, Retry-After: {after}")
            }
            Reply::Broken(_) => "connection reset".to_owned(),
            Reply::Hangs => "nothing".to_owned(),
            Reply::Held(status, _) => format!("{status}, but not now"),
        }
    }

    async fn answer(self) -> Answer {
        let (status, after) = match self {
            Reply::Status(status) => (status, None),
            Reply::Later(status, after) => (status, Some(after)),
            Reply::Slow(time, status, after) => {
                tokio::time::sleep(time).await;
                (status, Some(after))
            }
            Reply::Broken(number) => return Err(Broken(number).into()),
            Reply::Hangs => std::future::pending().await,
            Reply::Held(status, gate) => {
                gate.pass().await;
                (status, None)
            }
        };
        let mut response = Response::new(format!("the shop says {status}"));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.version_mut() = Version::HTTP_2;
        response.extensions_mut().insert(Served(status));
        let headers = response.headers_mut();
        for shelf in SHELVES {
            headers.append("shelf", HeaderValue::from_static(shelf));
        }
        if let Some(after) = after {
            let after = HeaderValue::from_bytes(after.as_bytes()).expect("a header");
            headers.insert(RETRY_AFTER, after);
        }
        Ok(response)
    }
}

/// What lies beside each answer: two lines of a header, and this in its extensions.
pub(super) const SHELVES: [&str; 2] = ["7", "9"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served(pub(super) u16);

/// What may be repeated.
pub(super) fn get() -> Request<String> {
    request(Method::GET)
}

pub(super) fn request(method: Method) -> Request<String> {
    let request = Request::builder().method(method).uri("/stock/7");
    request.body("what the client sent".to_owned()).expect("a request")
}

/// A header as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
