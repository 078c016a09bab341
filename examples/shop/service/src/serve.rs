//! Listening, and stopping without losing what is under way.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::{Request, Response};
use shop_contracts::peer::{Answering, Here};
use shop_contracts::{Kind, Problem};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::Service;

use crate::input::LONGEST_BODY;

/// How long a service that stops waits for what is under way, where nobody says otherwise.
pub const DRAIN: Duration = Duration::from_millis(1500);

/// Tells services to stop. The last clone of it that is dropped does so, too.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Sender<bool>,
    drain: Duration,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::within(DRAIN)
    }
}

impl Stop {
    /// One that gives what is under way this long to come to its end.
    pub fn within(drain: Duration) -> Stop {
        Stop { asked: watch::Sender::new(false), drain }
    }

    /// Now. What is under way is finished, nothing new is begun.
    pub fn now(&self) {
        self.asked.send_replace(true);
    }

    /// Ends when it is time to stop.
    pub fn asked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut asked = self.asked.subscribe();
        async move {
            // An error means that nobody is left who could ask.
            let _ = asked.wait_for(|asked| *asked).await;
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
    task: JoinHandle<bool>,
}

impl Running {
    /// Where it answers, as others write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it has stopped; whether all that was under way came to its end.
    pub async fn stopped(self) -> bool {
        self.task.await.unwrap_or(false)
    }
}

/// A place to listen at. Port 0 is any free one.
///
/// # Errors
/// The port is taken, or not ours to take.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves `router` on a free port that this machine alone can reach, until `stop`.
///
/// # Errors
/// No port is free.
pub async fn serve_locally(name: &'static str, router: Router, stop: &Stop) -> io::Result<Running> {
    serve(name, listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?, router, stop)
}

/// Serves `router` until `stop`, then for as long as that allows what is under way.
///
/// # Errors
/// The listener has no address: it is closed.
pub fn serve(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    stop: &Stop,
) -> io::Result<Running> {
    let address = listener.local_addr()?;
    let router = complete(router);
    // An answer is one small write, and Nagle's algorithm would hold it back.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    // Who limits by address needs to know it.
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let (drained, cut, drain) = (stop.asked(), stop.asked(), stop.drain);
    let task = tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(drained);
        tokio::select! {
            // axum's accept loop does not fail: it waits and tries again.
            _ = serving => true,
            () = async { cut.await; tokio::time::sleep(drain).await } => {
                tracing::warn!(service = name, "stopped with requests under way");
                false
            }
        }
    });
    Ok(Running { name, address, task })
}

/// `router` with what every service answers to what it does not know, or does not want to read.
fn complete(router: Router) -> Router {
    router
        .fallback(|| async { Problem::new(Kind::NotFound, "no such address here") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "this address takes other methods")
        })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
}

/// `router`, to be asked in this process: what [`serve`] would answer, without a socket.
pub fn here(router: Router) -> Here {
    let router = complete(router);
    Arc::new(move |request: Request<Bytes>| -> Answering {
        let mut router = router.clone();
        Box::pin(async move {
            let broken = |error| Problem::new(Kind::Unavailable, format!("it broke off: {error}"));
            let request = request.map(axum::body::Body::from);
            let answer = match Service::call(&mut router, request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            let (head, body) = answer.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.map_err(broken)?;
            Ok(Response::from_parts(head, body))
        })
    })
}
