//! Listening, and stopping without losing what is under way.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::serve::ListenerExt;
use axum::{Router, ServiceExt as _};
use bytes::Bytes;
use circuit_breakers::health_checks::{Drained, Health, Vitals};
use http::{HeaderValue, Request, header};
use observability::correlation_ids::IdLayer;
use shop_contracts::peer::{Answering, Here};
use shop_contracts::{Kind, Problem};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::{Layer, Service, ServiceExt};

use crate::health::Healthy;
use crate::input::LONGEST_BODY;

/// How a service leaves. First it is not ready any more; then it is served for a while as ever, until
/// those who send requests have heard of it; then it listens no longer, and what is under way comes
/// to its end.
///
/// That order matters. Kubernetes sends SIGTERM and tells the network at the same moment, and the
/// network takes its time: who closes the door first refuses those who are still sent to it.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// How long it is served after it has become unready. Longer than a balancer takes to look.
    pub lame_duck: Duration,
    /// How long, after that, it waits for what is under way.
    pub drain: Duration,
}

impl Default for Closing {
    /// At once, and 1.5 s for what is under way: for tests, and whoever has nothing to lose.
    fn default() -> Closing {
        Closing { lame_duck: Duration::ZERO, drain: Duration::from_millis(1500) }
    }
}

/// Tells services to stop. The last clone of it that is dropped does so, too.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Sender<Option<Closing>>,
    closing: Closing,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::by(Closing::default())
    }
}

impl Stop {
    /// One that stops services in this manner.
    pub fn by(closing: Closing) -> Stop {
        Stop { asked: watch::Sender::new(None), closing }
    }

    /// Now. What is under way is finished.
    pub fn now(&self) {
        self.now_by(self.closing);
    }

    /// Now, and in another manner.
    pub fn now_by(&self, closing: Closing) {
        self.asked.send_replace(Some(closing));
    }

    /// Ends when it is time to stop, and says how.
    fn asked(&self) -> impl Future<Output = Closing> + Send + 'static {
        let (mut asked, closing) = (self.asked.subscribe(), self.closing);
        async move {
            // An error means that nobody is left who could ask.
            asked.wait_for(Option::is_some).await.ok().and_then(|asked| *asked).unwrap_or(closing)
        }
    }
}

/// A service that answers.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub name: &'static str,
    /// Where it answers.
    pub address: SocketAddr,
    health: Arc<Vitals>,
    task: JoinHandle<Drained>,
}

impl Running {
    /// Where it answers, as others write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// It is going to leave: not ready from now on, and served as ever until it is stopped.
    pub fn drain(&self) {
        self.health.drain();
    }

    /// Waits until it has stopped, and says what became of what was under way.
    pub async fn stopped(self) -> Drained {
        let lost = || self.health.drained(Duration::ZERO);
        match self.task.await {
            Ok(drained) => drained,
            Err(_) => lost().await,
        }
    }
}

/// A place to listen at. Port 0 is any free one.
///
/// # Errors
/// The port is taken, or not ours to take.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves `service` on a free port that this machine alone can reach, until `stop`.
///
/// # Errors
/// No port is free.
pub async fn serve_locally(
    name: &'static str,
    service: impl Into<Healthy>,
    stop: &Stop,
) -> io::Result<Running> {
    serve(name, listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?, service, stop)
}

/// Serves `service` until `stop`, and then leaves by it.
///
/// # Errors
/// The listener has no address: it is closed.
pub fn serve(
    name: &'static str,
    listener: TcpListener,
    service: impl Into<Healthy>,
    stop: &Stop,
) -> io::Result<Running> {
    let address = listener.local_addr()?;
    let Healthy { router, health } = service.into();
    let service = answers(router).map_response({
        let health = Arc::clone(&health);
        move |answer| last_words(&health, answer)
    });
    // An answer is one small write, and Nagle's algorithm would hold it back.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    // Who limits by address needs to know it.
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    let (leaving, late) = (stop.asked(), stop.asked());
    let task = tokio::spawn({
        let health = Arc::clone(&health);
        async move {
            let unready = Arc::clone(&health);
            let closed = async move {
                let Closing { lame_duck, .. } = leaving.await;
                unready.drain();
                tokio::time::sleep(lame_duck).await;
            };
            let serving = axum::serve(listener, service).with_graceful_shutdown(closed);
            let time_is_up = async {
                let Closing { lame_duck, drain } = late.await;
                tokio::time::sleep(lame_duck + drain).await;
            };
            tokio::select! {
                // axum's accept loop does not fail: it waits and tries again.
                _ = serving => {}
                () = time_is_up => tracing::warn!(service = name, "stopped with requests under way"),
            }
            health.drained(Duration::ZERO).await
        }
    });
    // Its database is open and up to date, and the door is.
    health.started();
    Ok(Running { name, address, health, task })
}

/// A client that keeps its connection would ask on it again, just when it is closed. So it is told:
/// RFC 9112, section 9.6.
fn last_words(health: &Vitals, mut answer: Response) -> Response {
    if health.is_draining() {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// `router`, with a problem for who asks what it does not know. Before anything is put around it: a
/// layer of axum's holds for what is there when it is put, and what nobody takes is to be counted,
/// traced and limited like the rest, or who tries every address is never seen.
pub fn complete<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.fallback(unknown).method_not_allowed_fallback(other_methods)
}

async fn unknown() -> Problem {
    Problem::new(Kind::NotFound, "no such address here")
}

async fn other_methods() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "this address takes other methods")
}

/// `router` under the id of each request, and with no more of its body than a service wants to read.
fn answers(router: Router) -> impl Answers {
    // What came to it after it was complete.
    let router = router.method_not_allowed_fallback(other_methods);
    // Around the router as a whole: it copies each layer of a route for each request.
    IdLayer.layer(DefaultBodyLimit::max(LONGEST_BODY).layer(router.with_state(())))
}

/// What answers requests, whatever becomes of them.
trait Answers:
    Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// `router`, to be asked in this process: what [`serve`] would answer, without a socket.
pub fn here(router: Router) -> Here {
    let service = answers(router);
    Arc::new(move |request: Request<Bytes>| -> Answering {
        let answer = service.clone().oneshot(request.map(Body::from));
        Box::pin(async move {
            let broken = |error| Problem::new(Kind::Unavailable, format!("it broke off: {error}"));
            let (head, body) = match answer.await {
                Ok(answer) => answer.into_parts(),
                Err(never) => match never {},
            };
            let body = axum::body::to_bytes(body, usize::MAX).await.map_err(broken)?;
            Ok(Response::from_parts(head, body))
        })
    })
}
