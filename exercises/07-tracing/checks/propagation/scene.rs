//! Services, each with a tracer of its own, and what travels between them.

use super::book::{Book, Page};
use super::door::{BoxError, Door, Held, Later, Subject, apart, arrived, to};
use grading::{Evidence, Finding, SOON, World};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use observability::propagation::{Carrier, Delivery, Peer, Propagation, TRACEPARENT};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinError;

/// What a check plays in.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) book: Book,
    make: fn(BoxedTracer) -> Arc<dyn Subject>,
}

/// A service. Clones are the same.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) subject: Arc<dyn Subject>,
    pub(super) tracer: SdkTracer,
    note: Arc<dyn Fn(String) + Send + Sync>,
    book: Book,
}

pub(super) fn provider(page: Page<impl super::book::Keeps>, root: Sampler) -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_simple_exporter(page)
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .build()
}

impl Scene {
    pub(super) fn of<D: Propagation>(world: World) -> Scene {
        let book = Book::new(world.history());
        Scene { world, book, make: |tracer| Arc::new(D::new(tracer)) }
    }

    /// A service that records whatever is not decided elsewhere.
    pub(super) fn service(&self, name: &'static str) -> Service {
        self.sampling(name, Sampler::AlwaysOn)
    }

    /// A service that decides so of what begins in it.
    pub(super) fn sampling(&self, name: &'static str, root: Sampler) -> Service {
        let provider = provider(Page { service: name, to: self.book.clone() }, root);
        let tracer = provider.tracer("shop");
        let subject = (self.make)(BoxedTracer::new(Box::new(tracer.clone())));
        let history = self.world.history().clone();
        let note = Arc::new(move |text| {
            history.note(name, text);
        });
        Service { subject, tracer, note, book: self.book.clone() }
    }

    /// Somebody asks a service, from outside of everything.
    pub(super) async fn ask(
        &self,
        lane: &str,
        door: &Door,
        mut request: Request<()>,
        headers: &[(&str, &[u8])],
    ) -> Result<Response<()>, Finding> {
        for (name, value) in headers {
            let unsent = |_| Finding::inconclusive("the check's own request cannot be sent");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsent(()))?;
            let value = HeaderValue::from_bytes(value).map_err(|_| unsent(()))?;
            request.headers_mut().append(name, value);
        }
        let says = told(request.headers(), &self.book);
        let call = self.world.invoke(lane, format!("{} {}{says}", request.method(), request.uri()));
        let door = door.clone();
        let asked = apart(async move { door.ask(request).await });
        match tokio::time::timeout(SOON, asked.result()).await {
            Ok(Ok(Ok(answer))) => {
                let _ = call.ok(answer.status().as_u16().to_string());
                Ok(answer)
            }
            Ok(Ok(Err(error))) => {
                let step = call.fail(error.to_string());
                Err(match found(error) {
                    Finding::Invalid(evidence) => evidence.at(step).into(),
                    other => other,
                })
            }
            Ok(Err(stopped)) => Err(stopped.into()),
            Err(_) => {
                let step = call.unknown("waits");
                Err(Evidence::new("an answer", "none").at(step).into())
            }
        }
    }
}

/// What an error of a call says of the subject.
pub(super) fn found(error: BoxError) -> Finding {
    match error.downcast::<JoinError>() {
        Ok(stopped) => (*stopped).into(),
        Err(error) => Evidence::new("an answer", error.to_string()).into(),
    }
}

/// In which trace headers say that they are.
fn told(headers: &HeaderMap, book: &Book) -> String {
    let line = headers.get(TRACEPARENT).and_then(|line| line.to_str().ok());
    match line.map(|line| line.get(3..35).filter(|_| line.len() >= 55)) {
        None => String::new(),
        Some(Some(trace)) => format!(", {}", book.names.of(trace)),
        Some(None) => ", an odd traceparent".to_owned(),
    }
}

impl<T> Held<T> {
    pub(super) async fn result(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl Service {
    /// The service, as those see it who ask: a request goes over a wire.
    pub(super) fn at(&self, caller: Peer, route: Option<&'static str>, inside: Door) -> Door {
        let service = self.clone();
        Door::new(move |sent| {
            let request = arrived(&sent, route);
            let headers = told(request.headers(), &service.book);
            (service.note)(format!("{} {}{headers}", request.method(), request.uri().path()));
            let (subject, inside) = (Arc::clone(&service.subject), inside.clone());
            let serving = apart(async move { subject.serve(caller, inside, request).await });
            async move { serving.result().await? }
        })
    }

    /// Asks another service, in the context of here and now.
    pub(super) async fn ask(&self, door: Door, request: Request<()>) -> Result<(), BoxError> {
        self.subject.ask(Peer::Ours, door, request).await.map(drop)
    }

    /// What is to be kept beside a message, as the bytes of a row.
    pub(super) fn writes(&self, queue: &str) -> String {
        (self.note)(format!("writes to {queue}"));
        self.subject.enqueue(queue).to_json()
    }

    /// Sends what lies in a row, in the context of here and now; what arrives in the queue.
    pub(super) async fn carries(&self, queue: &str, row: &str) -> Result<String, Finding> {
        let sent = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&sent);
        (self.note)(format!("sends to {queue}"));
        let publish = Box::new(move |carrier: Carrier| -> Later<()> {
            *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(carrier.to_json());
            Box::pin(std::future::ready(()))
        });
        // Asked here, and polled in a task that is nobody's, as by a relay that sends all at once.
        apart(self.subject.send(queue, Carrier::from_json(row), publish)).result().await?;
        let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).take();
        sent.ok_or_else(|| Evidence::new("the message is published", "it is not").into())
    }

    /// Works on messages, in the context of here and now.
    pub(super) fn works(
        &self,
        queue: &str,
        messages: &[Delivery],
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Later<()> {
        let again = if messages.iter().any(|one| one.redelivered) { ", again" } else { "" };
        (self.note)(format!("works on {queue}{again}"));
        self.subject.receive(queue, messages, Box::pin(work))
    }

    /// Works on a message, in a task of its own.
    pub(super) async fn hears(&self, queue: &'static str, bytes: &str) -> Result<(), Finding> {
        let (service, messages) = (self.clone(), [delivery(bytes, false)]);
        let work = apart(async move { service.works(queue, &messages, async {}).await });
        Ok(work.result().await?)
    }
}

pub(super) fn delivery(bytes: &str, redelivered: bool) -> Delivery {
    Delivery { carrier: Carrier::from_json(bytes), redelivered }
}

/// A list that grows: rows, messages, or what somebody has seen.
#[derive(Clone, Debug)]
pub(super) struct Rows<T = String>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows(Arc::default())
    }
}

impl<T> Rows<T> {
    pub(super) fn push(&self, row: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    /// The oldest, which is then gone.
    pub(super) fn take(&self) -> Result<T, Finding> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.is_empty() {
            true => Err(Evidence::new("the service has done its work", "it has not").into()),
            false => Ok(rows.remove(0)),
        }
    }
}

/// The service of most checks: writes a message for each order into its outbox.
pub(super) struct Orders {
    pub(super) rows: Rows,
    pub(super) door: Door,
}

impl Orders {
    pub(super) fn in_scene(scene: &Scene) -> Orders {
        let (service, rows) = (scene.service("orders"), Rows::default());
        let inside = Door::after({
            let (service, rows) = (service.clone(), rows.clone());
            move |_| {
                let (service, rows) = (service.clone(), rows.clone());
                async move { rows.push(service.writes("orders")) }
            }
        });
        let door = service.at(Peer::Ours, Some("/orders"), inside);
        Orders { rows, door }
    }

    /// A customer's order, and the row that it leaves.
    pub(super) async fn order(
        &self,
        scene: &Scene,
        headers: &[(&str, &[u8])],
    ) -> Result<String, Finding> {
        scene.ask("customer", &self.door, to("POST", "/orders"), headers).await?;
        self.rows.take()
    }
}
