//! A shop whose requests take as long as the check says, by the check's own clock.

use super::scrape::Scrape;
use grading::history::Step;
use grading::{Evidence, Finding, History, World};
use http::{Method, StatusCode};
use observability::metrics::{Asked, Bucket, Clock, Metrics, Point, Sources};
use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::gate::Gate;

pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

tokio::task_local! {
    /// Whose work this task does.
    static TRACE: Arc<str>;
}

thread_local! {
    /// What happens when the subject asks on this thread whose work it is; once.
    static WHEN_ASKED: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn trace() -> Option<Arc<str>> {
    let hook = WHEN_ASKED.with(|hook| hook.borrow_mut().take());
    if let Some(hook) = hook {
        hook();
    }
    TRACE.try_with(Clone::clone).ok()
}

/// Does this as the work of `trace`.
pub(super) fn as_work_of<F: Future>(
    trace: &str,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    TRACE.scope(trace.into(), work)
}

/// On this thread, calls `hook` when the subject next asks whose work it is.
pub(super) fn when_asked(hook: impl FnOnce() + 'static) {
    WHEN_ASKED.with(|slot| *slot.borrow_mut() = Some(Box::new(hook)));
}

/// The subject with its type forgotten, so that the checks are compiled once and not for each wrong
/// answer.
trait Instance: Send + Sync {
    fn measure(self: Arc<Self>, ask: Ask, work: Later<StatusCode>) -> Later<StatusCode>;
    fn measure_bare(&'static self, ask: &'static Ask, work: Later<StatusCode>)
    -> Later<StatusCode>;
    fn take(self: Arc<Self>) -> Later<Box<dyn Any + Send>>;
    fn take_bare(&'static self) -> Later<()>;
    fn scrape(&self) -> String;
}

impl<D: Metrics> Instance for D {
    fn measure(self: Arc<Self>, ask: Ask, work: Later<StatusCode>) -> Later<StatusCode> {
        Box::pin(async move {
            let asked = Asked { method: &ask.method, path: &ask.path, route: ask.route.as_deref() };
            D::measure(&self, asked, work).await
        })
    }

    fn measure_bare(
        &'static self,
        ask: &'static Ask,
        work: Later<StatusCode>,
    ) -> Later<StatusCode> {
        let asked = Asked { method: &ask.method, path: &ask.path, route: ask.route.as_deref() };
        Box::pin(D::measure(self, asked, work))
    }

    fn take(self: Arc<Self>) -> Later<Box<dyn Any + Send>> {
        Box::pin(async move {
            let place: Box<dyn Any + Send> = Box::new(D::take(&self).await);
            place
        })
    }

    fn take_bare(&'static self) -> Later<()> {
        let taken = D::take(self);
        Box::pin(async { drop(taken.await) })
    }

    fn scrape(&self) -> String {
        D::scrape(self)
    }
}

/// Work that waits at the gate, and then answers.
pub(super) fn at(gate: &Gate) -> Later<StatusCode> {
    let gate = gate.clone();
    Box::pin(async move {
        gate.pass().await;
        StatusCode::OK
    })
}

/// What a check plays in.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) hand: Hand,
    open: fn(Sources, usize) -> Arc<dyn Instance>,
    pub(super) rate: fn(&[Vec<Point>]) -> Option<f64>,
    pub(super) quantile: fn(f64, &[Vec<Bucket>]) -> f64,
}

impl Scene {
    pub(super) fn of<D: Metrics>(world: World) -> Scene {
        let open = |sources, places| -> Arc<dyn Instance> { Arc::new(D::open(sources, places)) };
        Scene { world, hand: Hand::default(), open, rate: D::rate, quantile: D::quantile }
    }

    /// An instance that has just started, with a pool of two places.
    pub(super) fn open(&self, lane: &'static str) -> Shop {
        self.open_of(lane, PLACES)
    }

    /// One with a pool of so many places.
    pub(super) fn open_of(&self, lane: &'static str, places: usize) -> Shop {
        let sources = Sources { trace, clock: self.hand.clock(), ..Sources::default() };
        let (history, hand) = (self.world.history().clone(), self.hand.clone());
        Shop { lane, history, hand, places, subject: (self.open)(sources, places) }
    }
}

const PLACES: usize = 2;

/// A clock that somebody moves. A clone is the same clock.
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(super) fn moves(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let hand = self.clone();
        // Of a day after the beginning: zero is a bad guess for it.
        Clock::by(move || {
            Duration::from_secs(86_400) + Duration::from_nanos(hand.0.load(Ordering::SeqCst))
        })
    }
}

/// A request, and how it goes.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: Method,
    path: String,
    route: Option<String>,
    status: StatusCode,
    takes: Duration,
    trace: Option<Arc<str>>,
}

impl Ask {
    /// One for this route, answered with 200 at once.
    pub(super) fn of(route: &str) -> Ask {
        Ask {
            method: Method::GET,
            path: route.replace("{id}", "4711"),
            route: Some(route.to_owned()),
            status: StatusCode::OK,
            takes: Duration::ZERO,
            trace: None,
        }
    }

    /// One for a path of which no route knows.
    pub(super) fn lost(path: &str) -> Ask {
        let status = StatusCode::NOT_FOUND;
        Ask { path: path.to_owned(), route: None, status, ..Ask::of(path) }
    }

    pub(super) fn path(self, path: String) -> Ask {
        Ask { path, ..self }
    }

    pub(super) fn by(self, method: Method) -> Ask {
        Ask { method, ..self }
    }

    pub(super) fn answered(self, status: StatusCode) -> Ask {
        Ask { status, ..self }
    }

    pub(super) fn takes(self, takes: Duration) -> Ask {
        Ask { takes, ..self }
    }

    pub(super) fn traced(self, trace: &str) -> Ask {
        Ask { trace: Some(trace.into()), ..self }
    }

    fn told(&self) -> String {
        let path: String = self.path.escape_debug().take(18).collect();
        let trace = self.trace.as_ref().map(|trace| match trace.len() {
            ..20 => format!(", {trace}"),
            long => format!(", an id of {long}"),
        });
        format!("{} {path}, {}{}", self.method, told(self.takes), trace.unwrap_or_default())
    }
}

/// `5 ms`, `2.5 s`.
pub(super) fn told(time: Duration) -> String {
    match time {
        short if short < Duration::from_secs(1) => format!("{} ms", short.as_secs_f64() * 1e3),
        long => format!("{} s", long.as_secs_f64()),
    }
}

/// An instance. A clone is the same one.
#[derive(Clone)]
pub(super) struct Shop {
    lane: &'static str,
    history: History,
    hand: Hand,
    pub(super) places: usize,
    subject: Arc<dyn Instance>,
}

impl Shop {
    /// Measures `work` as this request.
    pub(super) fn measures(&self, ask: &Ask, work: Later<StatusCode>) -> Later<StatusCode> {
        let measured = Arc::clone(&self.subject).measure(ask.clone(), work);
        match &ask.trace {
            None => measured,
            Some(trace) => Box::pin(TRACE.scope(Arc::clone(trace), measured)),
        }
    }

    /// The same, by the subject's own future and not within a block of ours, which would be left by
    /// a panic before that future is dropped. What it borrows has to be there for ever.
    pub(super) fn measures_bare(&self, ask: &Ask, work: Later<StatusCode>) -> Later<StatusCode> {
        let subject: &'static Arc<dyn Instance> = Box::leak(Box::new(Arc::clone(&self.subject)));
        subject.measure_bare(Box::leak(Box::new(ask.clone())), work)
    }

    /// Serves a request, and writes nothing down.
    pub(super) fn serves(&self, ask: &Ask) -> Later<StatusCode> {
        let (hand, takes, status) = (self.hand.clone(), ask.takes, ask.status);
        let work = Box::pin(async move {
            tokio::task::yield_now().await;
            hand.moves(takes);
            status
        });
        self.measures(ask, work)
    }

    /// Serves a request; the customer gets what the service has answered.
    pub(super) async fn serve(&self, ask: Ask) -> Result<Step, Finding> {
        let call = self.history.invoke(self.lane, ask.told());
        // In a task of its own, as a server does it.
        let status = tokio::spawn(self.serves(&ask)).await?;
        let step = call.ok(status.as_u16().to_string());
        if status == ask.status {
            return Ok(step);
        }
        let (expected, saw) = (ask.status.as_u16().to_string(), status.as_u16().to_string());
        Err(Evidence::new(expected, saw).at(step).into())
    }

    /// A place in the pool, or the wait for one.
    pub(super) fn takes_place(&self) -> Later<Box<dyn Any + Send>> {
        Arc::clone(&self.subject).take()
    }

    /// The same, by the subject's own future: what it does when it is made has happened.
    pub(super) fn takes_bare(&self) -> Later<()> {
        let subject: &'static Arc<dyn Instance> = Box::leak(Box::new(Arc::clone(&self.subject)));
        subject.take_bare()
    }

    /// What happens beside.
    pub(super) fn note(&self, text: impl Into<String>) -> Step {
        self.history.note(self.lane, text)
    }

    /// What Prometheus is told now, time and again, and without a line for each.
    pub(super) fn quiet_scrape(&self) -> Result<Scrape, Finding> {
        let step = self.history.last(self.lane, "");
        Scrape::read(self.subject.scrape(), step, self.history.clone())
    }

    /// What Prometheus is told now.
    pub(super) fn scrape(&self) -> Result<Scrape, Finding> {
        let text = self.subject.scrape();
        let step = self.history.note("prometheus", format!("scrapes {}", self.lane));
        Scrape::read(text, Some(step), self.history.clone())
    }
}
