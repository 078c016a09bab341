//! Services that speak HTTP, each with threads and a log of its own, and their customer.

use super::door::{Answering, Door, Later, client};
use super::log::{Log, Names};
use axum::ServiceExt;
use axum::body::Body;
use futures_util::FutureExt;
use grading::history::Step;
use grading::{Evidence, Finding, World};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use observability::correlation_ids::{CorrelationIds, LONGEST, REQUEST_ID};
use observability::lines::Lines;
use std::any::Any;
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::task::{Context, Poll};
use tokio::runtime::Runtime;
use tracing::dispatcher::{DefaultGuard, Dispatch};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The subject with its type forgotten: so that axum, hyper and these services are compiled once,
/// and not for each wrong answer.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    pub(super) serve: fn(Door, Request<Body>) -> Answering,
    pub(super) ask: fn(Door, Request<Body>) -> Answering,
    pub(super) in_task: fn(Later<()>) -> Later<()>,
    pub(super) in_thread: fn(Job) -> Job,
    pub(super) current: fn() -> Option<Arc<str>>,
}

impl Subject {
    pub(super) fn of<D: CorrelationIds>() -> Subject {
        Subject {
            serve: |service, request| Box::pin(D::serve(service, request)),
            ask: |client, request| Box::pin(D::ask(client, request)),
            in_task: |work| Box::pin(D::in_task(work)),
            in_thread: |job| Box::new(D::in_thread(job)),
            current: D::current,
        }
    }

    /// Begins a task in the name of whoever begins it here.
    pub(super) fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn((self.in_task)(Box::pin(work)));
    }
}

/// What a check plays in.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) subject: Subject,
    pub(super) names: Names,
    /// What the subject panicked with, if it did.
    broken: Arc<Mutex<Option<String>>>,
}

/// A running service. It ends when it is dropped.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) log: Log,
    runtime: Option<Runtime>,
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Service {
    /// One that runs in another process, and whose log is read from there.
    pub(super) fn elsewhere(address: SocketAddr, log: Log) -> Service {
        Service { address, log, runtime: None }
    }

    /// Runs `work` on the service's own thread, in no request's name.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Finding> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.spawn(work).await?),
            None => Err(Finding::inconclusive("the service has ended")),
        }
    }
}

impl Scene {
    pub(super) fn of<D: CorrelationIds>(world: World) -> Scene {
        let subject = Subject::of::<D>();
        Scene { world, subject, names: Names::default(), broken: Arc::default() }
    }

    /// Opens a service that logs everything.
    pub(super) fn open(&self, lane: &'static str, door: Door) -> Result<Service, Finding> {
        self.open_at(LevelFilter::TRACE, lane, door)
    }

    /// Opens a service that logs what is as grave as this.
    pub(super) fn open_at(
        &self,
        level: LevelFilter,
        lane: &'static str,
        door: Door,
    ) -> Result<Service, Finding> {
        let failed = |error: std::io::Error| {
            Finding::inconclusive(format!("{lane} cannot be opened: {error}"))
        };
        let log = Log::new(lane, self.world.history(), &self.names);
        let runtime = runtime(log.clone(), level, self.subject.current).map_err(failed)?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (history, names) = (self.world.history().clone(), self.names.clone());
        let note = Arc::new(move |what: &str, headers: &HeaderMap| {
            history.note(lane, format!("{what}{}", named(headers, &names)));
        });
        let served = Served { door, subject: self.subject, note, broken: Arc::clone(&self.broken) };
        runtime.spawn(serve(listener, served));
        Ok(Service { address, log, runtime: Some(runtime) })
    }

    /// A customer asks, and says with each of these lines who they are.
    pub(super) async fn ask(
        &self,
        customer: &str,
        service: &Service,
        path: &str,
        ids: &[&[u8]],
    ) -> Result<Answer, Finding> {
        let mut request = Request::new(Body::empty());
        let odd = |_| Finding::inconclusive("the check's own request cannot be sent");
        *request.uri_mut() =
            format!("http://{}{path}", service.address).parse().map_err(|_| odd(()))?;
        for id in ids {
            self.names.given(&String::from_utf8_lossy(id));
            let value = HeaderValue::from_bytes(id).map_err(|_| odd(()))?;
            request.headers_mut().append(REQUEST_ID, value);
        }
        let asks = format!("GET {path}{}", self.told(request.headers()));
        let call = self.world.invoke(customer, asks);
        match client().request(request).await {
            Ok(answer) => {
                let ids = told(answer.headers());
                let status = answer.status();
                let step = call.ok(format!("{}{}", status.as_u16(), self.told(answer.headers())));
                Ok(Answer { status, ids, step, names: self.names.clone() })
            }
            Err(_) => {
                let step = call.unknown("hung up on");
                Err(Evidence::new("an answer", self.why_none()).at(step).into())
            }
        }
    }

    /// Why a service has hung up.
    pub(super) fn why_none(&self) -> String {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        match broken.as_deref() {
            Some(todo) if todo.starts_with("not yet") => {
                "a todo!() that still waits for it".to_owned()
            }
            Some(text) => format!("a panic: {text}"),
            None => "the service hung up".to_owned(),
        }
    }

    fn told(&self, headers: &HeaderMap) -> String {
        named(headers, &self.names)
    }
}

fn named(headers: &HeaderMap, names: &Names) -> String {
    told(headers).iter().map(|id| format!(", {}", names.of(id))).collect()
}

/// All ids that stand in these headers.
pub(super) fn told(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(REQUEST_ID).iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
}

/// Whether an id is of the form that the contract asks for.
pub(super) fn is_plain(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What a customer got.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) ids: Vec<String>,
    pub(super) step: Step,
    names: Names,
}

impl Answer {
    /// The one id that it carries, which is of the right form.
    pub(super) fn id(&self) -> Result<&str, Finding> {
        let expected = "one x-request-id on the answer";
        match &self.ids[..] {
            [id] if is_plain(id) => Ok(id),
            [id] => {
                let expected = format!("{expected}, of 1 to {LONGEST} plain characters");
                Err(Evidence::new(expected, self.names.of(id)).at(self.step).into())
            }
            [] => Err(Evidence::new(expected, "none").at(self.step).into()),
            ids => {
                let names: Vec<String> = ids.iter().map(|id| self.names.of(id)).collect();
                Err(Evidence::new(expected, names.join(", and ")).at(self.step).into())
            }
        }
    }

    /// It carries this id and no other.
    pub(super) fn is(&self, id: &str) -> Result<(), Finding> {
        match self.id()? {
            same if same == id => Ok(()),
            other => {
                let expected = format!("the id {} on the answer", self.names.of(id));
                Err(Evidence::new(expected, self.names.of(other)).at(self.step).into())
            }
        }
    }

    /// It carries one that was made for it.
    pub(super) fn is_new(&self, sent: &[&str]) -> Result<&str, Finding> {
        let id = self.id()?;
        if sent.contains(&id) {
            let saw = format!("{}, as it came", self.names.of(id));
            return Err(Evidence::new("a new id", saw).at(self.step).into());
        }
        Ok(id)
    }
}

/// A runtime of one thread, so that two requests meet on it, whose lines all go into this log.
pub(super) fn runtime<W>(
    log: W,
    level: LevelFilter,
    current: fn() -> Option<Arc<str>>,
) -> std::io::Result<Runtime>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    listen();
    let subscriber = tracing_subscriber::registry().with(level).with(Lines::new(log, current));
    let dispatch = Dispatch::new(subscriber);
    // Panics on threads of this name are laid at the check's door.
    let name = std::thread::current().name().unwrap_or("check").to_owned();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .on_thread_start(move || {
            let guard = tracing::dispatcher::set_default(&dispatch);
            LISTENING.with(|listening| *listening.borrow_mut() = Some(guard));
        })
        .build()
}

thread_local! {
    static LISTENING: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// Somebody has to listen everywhere. Otherwise a line that is first logged by a thread without a
/// log may be taken for one that nobody wants, and stay so: tracing asks once for each line of code.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let all = Lines::new(std::io::sink, || None);
        let all = tracing_subscriber::registry().with(all);
        // Where there is one already, it listens.
        let _ = tracing::subscriber::set_global_default(all);
    });
}

pub(super) async fn serve(listener: std::net::TcpListener, served: Served) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let _ = axum::serve(listener, ServiceExt::<Request<Body>>::into_make_service(served)).await;
}

/// Hears of what happens at a door, and of the headers that came.
pub(super) type Note = Arc<dyn Fn(&str, &HeaderMap) + Send + Sync>;

/// The subject at the door of a service.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) door: Door,
    pub(super) subject: Subject,
    pub(super) note: Note,
    pub(super) broken: Arc<Mutex<Option<String>>>,
}

impl tower_service::Service<Request<Body>> for Served {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Later<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        (self.note)("is asked", request.headers());
        let served = self.clone();
        Box::pin(async move {
            let answer = async { (served.subject.serve)(served.door, request).await };
            match AssertUnwindSafe(answer).catch_unwind().await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => {
                    (served.note)(&format!("error: {error}"), &HeaderMap::new());
                    let mut answer = Response::new(Body::empty());
                    *answer.status_mut() = StatusCode::BAD_GATEWAY;
                    Ok(answer)
                }
                Err(panic) => {
                    let mut broken = served.broken.lock().unwrap_or_else(PoisonError::into_inner);
                    broken.get_or_insert_with(|| text(panic.as_ref()));
                    drop(broken);
                    std::panic::resume_unwind(panic)
                }
            }
        })
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
