//! Three services, many customers at once; and a service that is another process.

use super::asking::to_checkout;
use super::door::{BoxError, Door};
use super::log::Log;
use super::scene::{Answer, Scene, Served, Service, Subject, runtime, serve};
use axum::body::Body;
use grading::{Child, Evidence, Finding, Process, SOON, World};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use observability::correlation_ids::CorrelationIds;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use testbed::gate::Gate;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Which customer it is, for the lines' text: services pass it on as a part of the order.
const CUSTOMER: HeaderName = HeaderName::from_static("x-customer");

fn customer(request: &Request<Body>) -> HeaderValue {
    let query = request.uri().query().and_then(|query| HeaderValue::from_str(query).ok());
    let told = request.headers().get(CUSTOMER).cloned();
    told.or(query).unwrap_or_else(|| HeaderValue::from_static("nobody"))
}

/// Answers with what comes from the next service, or with 502.
fn answered(answer: Result<Response<Body>, BoxError>) -> Response<Body> {
    answer.unwrap_or_else(|_| {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    })
}

/// A service in the middle: it works beside, and asks the next.
fn relay(subject: Subject, next: Door) -> Door {
    Door::checkout(move |request| {
        let next = next.clone();
        async move {
            let who = customer(&request);
            let name = who.to_str().unwrap_or_default().to_owned();
            tracing::info!("{name} begins");
            let beside = name.clone();
            subject.spawn(async move {
                tokio::task::yield_now().await;
                tracing::info!("{beside}'s task");
            });
            let mut on = to_checkout();
            on.headers_mut().insert(CUSTOMER, who);
            let answer = (subject.ask)(next, on).await;
            tracing::info!("{name} ends");
            answered(answer)
        }
    })
}

const MANY: usize = 8;

pub(super) async fn three_services<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let (subject, all_there) = (scene.subject, Gate::barrier(MANY));
    let payments = scene.open(
        "payments",
        Door::checkout({
            let all_there = all_there.clone();
            move |request| {
                let all_there = all_there.clone();
                async move {
                    let name = customer(&request).to_str().unwrap_or_default().to_owned();
                    tracing::info!("{name} begins");
                    // All customers are under way, in all services, when the first is answered.
                    all_there.pass().await;
                    tracing::info!("{name} ends");
                    Response::new(Body::empty())
                }
            }
        }),
    )?;
    let orders = scene.open("orders", relay(subject, Door::to(payments.address)))?;
    let gateway = scene.open("gateway", relay(subject, Door::to(orders.address)))?;
    let asks = (0..MANY).map(|nth| {
        let (scene, gateway) = (&scene, &gateway);
        async move {
            let (lane, id) = (format!("c{nth}"), format!("order-{nth}"));
            // Half of them have an id of their own.
            let ids = [id.as_bytes()];
            let ids = if nth % 2 == 0 { &ids[..] } else { &[] };
            let path = format!("/checkout?c{nth}");
            (lane.clone(), scene.ask(&lane, gateway, &path, ids).await)
        }
    });
    let asked = futures_util::future::join_all(asks);
    let answers = tokio::time::timeout(SOON, asked)
        .await
        .map_err(|_| Finding::inconclusive("not all customers came to the last service at once"))?;
    let answers: BTreeMap<String, Answer> = answers
        .into_iter()
        .map(|(name, answer)| Ok::<_, Finding>((name, answer?)))
        .collect::<Result<_, _>>()?;
    for (name, answer) in &answers {
        let id = answer.id()?;
        let (begins, task, ends) =
            (format!("{name} begins"), format!("{name}'s task"), format!("{name} ends"));
        for service in [&gateway, &orders, &payments] {
            service.log.carry(id, &[&begins, &ends]).await?;
        }
        for service in [&gateway, &orders] {
            service.log.carry(id, &[&task]).await?;
        }
    }
    Ok(())
}

/// The log of a second process: its standard output, a line each.
#[derive(Clone, Copy)]
struct Out;

impl<'a> MakeWriter<'a> for Out {
    type Writer = Out;

    fn make_writer(&'a self) -> Out {
        Out
    }
}

impl io::Write for Out {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        Child::say(String::from_utf8_lossy(written).trim_end());
        Ok(written.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The second process: a service that says where it listens, and then only what it logs.
pub(super) async fn payments<D: CorrelationIds>(mut child: Child) {
    let subject = Subject::of::<D>();
    let door = Door::checkout(move |_| async move {
        tracing::info!("charges the card");
        subject.spawn(async { tracing::info!("tells the bank") });
        Response::new(Body::empty())
    });
    let opened = || {
        let runtime = runtime(Out, LevelFilter::INFO, subject.current)?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let served = Served { door, subject, note: Arc::new(|_, _| ()), broken: Arc::default() };
        runtime.spawn(serve(listener, served));
        Ok::<_, io::Error>((runtime, address))
    };
    let (runtime, address) = opened().expect("a port of this machine's own");
    Child::say(&address.to_string());
    child.hear().await;
    runtime.shutdown_background();
}

/// It, as its parent sees it.
struct Elsewhere {
    process: Process,
    service: Service,
}

impl Elsewhere {
    async fn start(scene: &Scene, lane: &'static str) -> Result<Elsewhere, Finding> {
        let mut process = scene.world.process(&())?;
        let said = process.expect("its address", SOON).await?;
        let address =
            said.parse().map_err(|_| Finding::inconclusive(format!("not an address: {said}")))?;
        let log = Log::new(lane, scene.world.history(), &scene.names);
        Ok(Elsewhere { process, service: Service::elsewhere(address, log) })
    }

    /// Reads the two lines that each request leaves, and holds them against its id.
    async fn lines_carry(&mut self, id: &str) -> Result<(), Finding> {
        for _ in 0..2 {
            let line = self.process.expect("a line of its log", SOON).await?;
            self.service.log.read(line.as_bytes());
        }
        self.service.log.carry(id, &["charges the card", "tells the bank"]).await
    }
}

pub(super) async fn another_process<D: CorrelationIds>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world);
    let mut first = Elsewhere::start(&scene, "payments").await?;
    let gateway = scene.open("gateway", relay(scene.subject, Door::to(first.service.address)))?;
    for sent in [&[b"checkout-7".as_slice()][..], &[]] {
        let answer = scene.ask("customer", &gateway, "/checkout", sent).await?;
        first.lines_carry(answer.id()?).await?;
    }
    // Two instances that have both begun just now, and strangers who bring no id.
    scene.world.history().turn_page();
    let mut second = Elsewhere::start(&scene, "payments 2").await?;
    let mut made = BTreeMap::new();
    for _ in 0..4 {
        for instance in [&mut first, &mut second] {
            let answer = scene.ask("customer", &instance.service, "/checkout", &[]).await?;
            let id = answer.id()?.to_owned();
            instance.lines_carry(&id).await?;
            if let Some(before) = made.insert(id.clone(), answer.step) {
                let expected = "ids that no other process has made";
                let saw = format!("{id:?} from two of them");
                return Err(Evidence::new(expected, saw).at(before).at(answer.step).into());
            }
        }
    }
    Ok(())
}
