//! 04.4 · Timeouts: a timeout for each hop, beside one deadline for all of them.
//!
//! ```console
//! $ cargo run --example timeouts
//! ```
//!
//! Ends by itself after some six seconds.

use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, DeadlineLayer, Late, TIME_LEFT, TimeoutLayer};
use circuit_breakers_examples::hops::{Answering, Door};
use http::{HeaderValue, Request, Response};
use redis::aio::MultiplexedConnection;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testbed::load::{Load, Report, Zipf};
use testbed::proxy::Proxy;
use testbed::redis::Redis;
use tokio::sync::Semaphore;
use tower_layer::Layer;
use tower_service::Service;

/// How long a customer waits.
const PATIENCE: Duration = Duration::from_millis(300);
/// The timeout that is configured at each hop.
const CONFIGURED: Duration = Duration::from_secs(2);
/// How far away Redis is.
const FAR: Duration = Duration::from_millis(10);
/// How many requests the stock service works on at once.
const PLACES: usize = 8;

const SMALL: usize = 4;
const LARGE: usize = 60;

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("04.4 timeouts · one deadline for a chain of calls");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note("A customer waits for 0.3 s. Gateway, orders, stock: each asks the next, and");
    page::note("stock asks Redis, 10 ms away, once for each line of the cart. A server does");
    page::note("not notice that its client has gone, as most do not until they answer.");
    one_cart(&redis).await?;
    many_carts(&redis, seed).await?;
    connecting(&redis).await?;
    page::next(&[
        ("cargo lab start timeouts", "write it yourself, and be hung up on"),
        ("cargo run --example retry", "asking again, within what is left"),
    ]);
    Ok(())
}

#[derive(Clone, Copy)]
enum Manner {
    ATimeoutEach,
    OneDeadline,
}

// ANCHOR: chain
/// A server at the end of a wire: what passes are headers and bodies.
fn server(manner: Manner, service: Door) -> Door {
    let service = match manner {
        Manner::ATimeoutEach => service,
        Manner::OneDeadline => Door::of(DeadlineLayer::new(CONFIGURED).layer(service)),
    };
    Door::new(move |request| {
        let (head, body) = request.into_parts();
        let mut arrives = Request::new(body);
        *arrives.headers_mut() = head.headers;
        let working = tokio::spawn(service.ask(arrives));
        async move { working.await? }
    })
}

/// A service in the middle: it asks `next`.
fn relay(manner: Manner, next: Door) -> Door {
    let client = match manner {
        Manner::ATimeoutEach => Door::new(move |request| {
            let answer = tokio::time::timeout(CONFIGURED, next.ask(request));
            async move { answer.await? }
        }),
        Manner::OneDeadline => Door::of(TimeoutLayer::new(CONFIGURED).layer(next)),
    };
    Door::new(move |request| {
        let mut on = Request::new(request.body().clone());
        if let Some(deadline) = request.extensions().get::<Deadline>() {
            // All that a service in the middle has to do about it.
            on.extensions_mut().insert(*deadline);
        }
        client.ask(on)
    })
}
// ANCHOR_END: chain

/// Places to work at, each with a connection of its own.
struct Places {
    free: Semaphore,
    connections: Mutex<Vec<MultiplexedConnection>>,
}

/// Given back when it is dropped, which is also what becomes of work at its deadline.
struct Place<'a> {
    places: &'a Places,
    connection: MultiplexedConnection,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut free = self.places.connections.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(self.connection.clone());
    }
}

impl Places {
    async fn take(&self) -> Result<Place<'_>, BoxError> {
        let permit = self.free.acquire().await?;
        let connection = self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = connection.ok_or("more permits than connections")?;
        Ok(Place { places: self, connection, _permit: permit })
    }
}

/// What the stock service has done.
#[derive(Default)]
struct Done {
    /// Whether customer number so and so has gone.
    gone: Mutex<Vec<Arc<AtomicBool>>>,
    commands: AtomicU64,
    for_nobody: AtomicU64,
    /// In microseconds, of all places together.
    worked_for_nobody: AtomicU64,
}

impl Done {
    fn customer(&self) -> (usize, Arc<AtomicBool>) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push(Arc::default());
        (gone.len() - 1, Arc::clone(&gone[gone.len() - 1]))
    }

    fn of(&self, customer: usize) -> Arc<AtomicBool> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.get(customer).cloned().unwrap_or_default()
    }

    /// Whatever still works for nobody is to be counted as well: waits until nothing happens.
    async fn settled(&self) {
        let began = Instant::now();
        let mut before = u64::MAX;
        loop {
            let commands = self.commands.load(Ordering::SeqCst);
            if commands == before || began.elapsed() > CONFIGURED / 2 {
                return;
            }
            before = commands;
            tokio::time::sleep(FAR * 8).await;
        }
    }
}

/// The shop: three hops, and a Redis that is far.
struct Shop {
    manner: Manner,
    door: Door,
    done: Arc<Done>,
    _far: Proxy,
}

impl Shop {
    async fn open(redis: &Redis, manner: Manner) -> anyhow::Result<Shop> {
        let far = Proxy::before(redis.url()).await?;
        let client = redis::Client::open(far.url())?;
        let mut connections = Vec::new();
        for _ in 0..PLACES {
            let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(CONFIGURED));
            connections.push(client.get_multiplexed_async_connection_with_config(&config).await?);
        }
        far.set_delay(FAR);
        let free = Semaphore::new(PLACES);
        let places = Arc::new(Places { free, connections: Mutex::new(connections) });
        let done = Arc::<Done>::default();
        let stock = Door::new({
            let done = Arc::clone(&done);
            move |request| reserve(Arc::clone(&places), Arc::clone(&done), request)
        });
        let orders = relay(manner, server(manner, stock));
        let gateway = relay(manner, server(manner, orders));
        Ok(Shop { manner, door: server(manner, gateway), done, _far: far })
    }

    /// A customer with so many lines in the cart, who waits for `PATIENCE`.
    async fn order(&self, lines: usize) -> Result<(), BoxError> {
        let (customer, gone) = self.done.customer();
        let mut request = Request::new(format!("{customer} {lines}"));
        if let Manner::OneDeadline = self.manner {
            let millis = PATIENCE.as_millis().to_string();
            request.headers_mut().insert(TIME_LEFT, HeaderValue::try_from(millis)?);
        }
        let answer = tokio::time::timeout(PATIENCE, self.door.ask(request)).await;
        gone.store(true, Ordering::SeqCst);
        answer??;
        Ok(())
    }
}

/// The stock service's work: a place, and then a command for each line.
async fn reserve(
    places: Arc<Places>,
    done: Arc<Done>,
    request: Request<String>,
) -> Result<Response<String>, BoxError> {
    let mut words = request.body().split(' ').map(str::parse::<usize>);
    let customer = words.next().ok_or("no customer")??;
    let lines = words.next().ok_or("no lines")??;
    let gone = done.of(customer);
    let mut place = places.take().await?;
    for line in 0..lines {
        let (began, late) = (Instant::now(), gone.load(Ordering::SeqCst));
        done.commands.fetch_add(1, Ordering::SeqCst);
        done.for_nobody.fetch_add(u64::from(late), Ordering::SeqCst);
        let mut reserve = redis::cmd("HINCRBY");
        reserve.arg("reserved").arg(line).arg(1);
        let _: u64 = reserve.query_async(&mut place.connection).await?;
        if late {
            let took = u64::try_from(began.elapsed().as_micros())?;
            done.worked_for_nobody.fetch_add(took, Ordering::SeqCst);
        }
    }
    Ok(Response::new("reserved".to_owned()))
}

/// What became of one cart.
struct Given {
    up_after: Duration,
    before: u64,
    afterwards: u64,
    worked_for_nobody: Duration,
}

/// Part 1: one customer, with a cart that is too large for the time.
async fn one_cart(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "One cart of 60 lines, for which 0.3 s are not enough");
    page::note("On the left each hop gives the next 2 s, as configured.");
    let mut given = Vec::new();
    for manner in [Manner::ATimeoutEach, Manner::OneDeadline] {
        let shop = Shop::open(redis, manner).await?;
        let began = Instant::now();
        anyhow::ensure!(shop.order(LARGE).await.is_err(), "it was in time");
        let up_after = began.elapsed();
        let before = shop.done.commands.load(Ordering::SeqCst);
        shop.done.settled().await;
        let afterwards = shop.done.commands.load(Ordering::SeqCst) - before;
        let micros = shop.done.worked_for_nobody.load(Ordering::SeqCst);
        let worked_for_nobody = Duration::from_micros(micros);
        given.push(Given { up_after, before, afterwards, worked_for_nobody });
    }
    page::heads(&["a timeout each", "one deadline"]);
    let row = |what: &str, cell: &dyn Fn(&Given) -> String| {
        page::row(what, cell(&given[0]), &[cell(&given[1])], "");
    };
    row("the customer gave up after", &|given| page::millis(given.up_after));
    row("commands until then", &|given| page::count(given.before));
    row("commands afterwards", &|given| page::count(given.afterwards));
    row("worked for nobody", &|given| page::millis(given.worked_for_nobody));
    Ok(())
}

/// Part 2: small carts, and some large ones among them.
async fn many_carts(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    page::part(2, "Small carts, and some large ones among them");
    page::note("60 orders a second for 0.9 s; stock has 8 places. A small cart has 4 lines.");
    let mut told = Vec::new();
    for manner in [Manner::ATimeoutEach, Manner::OneDeadline] {
        let shop = Arc::new(Shop::open(redis, manner).await?);
        let small = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let duration = Duration::from_millis(900);
        let load = Load { rate: 60.0, duration, seed, keys: Zipf::new(5, 0.0) };
        let report = load
            .run(|arrival| {
                let (shop, small) = (Arc::clone(&shop), Arc::clone(&small));
                async move {
                    let is_small = arrival.key != 0;
                    let ordered = shop.order(if is_small { SMALL } else { LARGE }).await;
                    if is_small {
                        small.0.fetch_add(1, Ordering::SeqCst);
                        small.1.fetch_add(u64::from(ordered.is_ok()), Ordering::SeqCst);
                    }
                    ordered
                }
            })
            .await;
        shop.done.settled().await;
        told.push((report, shop, small));
    }
    page::heads(&["a timeout each", "one deadline"]);
    type Told = (Report, Arc<Shop>, Arc<(AtomicU64, AtomicU64)>);
    let row = |what: &str, cell: &dyn Fn(&Told) -> u64, ratio: &str| {
        page::row(what, page::count(cell(&told[0])), &[page::count(cell(&told[1]))], ratio);
    };
    row("orders", &|(report, ..)| report.offered, "");
    row("of small carts", &|(.., small)| small.0.load(Ordering::SeqCst), "");
    row("of those, answered in time", &|(.., small)| small.1.load(Ordering::SeqCst), "");
    row("commands", &|(_, shop, _)| shop.done.commands.load(Ordering::SeqCst), "");
    row("of those, for nobody", &|(_, shop, _)| shop.done.for_nobody.load(Ordering::SeqCst), "");
    page::note("Who works for those who have gone has no place for those who still wait.");
    Ok(())
}

/// A client of a Redis; to be ready is to be connected.
#[derive(Clone)]
struct Connecting {
    url: String,
    under_way: Arc<Mutex<Option<Answering>>>,
}

impl Service<Request<String>> for Connecting {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let url = &self.url;
        let connecting = under_way.get_or_insert_with(|| {
            let url = url.clone();
            Box::pin(async move {
                let patient = redis::AsyncConnectionConfig::new().set_connection_timeout(None);
                let client = redis::Client::open(url)?;
                client.get_multiplexed_async_connection_with_config(&patient).await?;
                Ok(Response::default())
            })
        });
        connecting.as_mut().poll(context).map_ok(drop)
    }

    fn call(&mut self, _: Request<String>) -> Answering {
        Box::pin(async { Ok(Response::default()) })
    }
}

/// Part 3: the timeout that was put in the wrong place.
async fn connecting(redis: &Redis) -> anyhow::Result<()> {
    page::part(3, "Redis takes the connection, and says nothing");
    let proxy = Proxy::before(redis.url()).await?;
    proxy.stall();
    let seen = PATIENCE * 2;
    let client = || Connecting { url: proxy.url().to_owned(), under_way: Arc::default() };
    let mut first = client();
    let around_the_call = async move {
        std::future::poll_fn(|context| first.poll_ready(context)).await?;
        tokio::time::timeout(PATIENCE, first.call(Request::default())).await?
    };
    let around_all = Door::of(TimeoutLayer::new(PATIENCE).layer(client()));
    let mut told = Vec::new();
    let calls: [Answering; 2] = [Box::pin(around_the_call), around_all.ask(Request::default())];
    for call in calls {
        let began = Instant::now();
        told.push(match tokio::time::timeout(seen, call).await {
            Err(_) => "not in 0.6 s".to_owned(),
            Ok(Err(error)) if error.is::<Late>() => page::millis(began.elapsed()),
            Ok(other) => anyhow::bail!("the connection did not hang: {other:?}"),
        });
    }
    let [call, all] = &told[..] else { anyhow::bail!("two calls") };
    page::heads(&["around the call", "around all"]);
    page::row("the caller was told", call, std::slice::from_ref(all), "");
    page::note("To connect is to become ready, before the call, where no clock ran.");
    Ok(())
}
