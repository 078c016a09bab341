//! 03.7 · Limits over HTTP: a bot and a customer at one small server, and three ways to take a no.
//!
//! ```console
//! $ cargo run --example http_limits
//! ```
//!
//! Ends by itself after some seven seconds.

use anyhow::Context as _;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use rate_limiting::gcra::Gcra;
use rate_limiting::http_limits::{
    Forwarding, Handler, HttpLimits, Limits, Policy, Proxies, Rules, TowerLimits,
};
use rate_limiting::limiter::{Limiter, Options, Quota};
use rate_limiting_examples::wire::Server;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testbed::load::{Load, Report, Zipf};
use testbed::redis::Redis;
use tokio::sync::Mutex;
use tower_service::Service;

/// What the server needs for each request, one after the other: it can do 200 a second.
const WORK: Duration = Duration::from_millis(5);
const BOT: f64 = 300.0;
const CUSTOMER: f64 = 6.0;
const TIME: Duration = Duration::from_millis(1_200);

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("03.7 http_limits · who is asking, what it costs, and how to say no");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note("The server is real, on loopback; its work is a pause of 5 ms, one at a time.");
    told(&redis).await?;
    flood(&redis, seed).await?;
    obedience(&redis).await?;
    page::next(&[
        ("cargo lab start http_limits", "write it yourself, and be lied to"),
        ("cargo run -p shop -- compare limiter", "the same at the door of a whole shop"),
    ]);
    Ok(())
}

/// A server that does one thing at a time.
#[derive(Clone, Default)]
struct Shop {
    turn: Arc<Mutex<()>>,
    work: Duration,
    /// In microseconds.
    worked: Arc<AtomicU64>,
}

impl Service<Request<String>> for Shop {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let shop = self.clone();
        Box::pin(async move {
            let _turn = shop.turn.lock().await;
            let began = Instant::now();
            tokio::time::sleep(shop.work).await;
            shop.worked.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
            Ok(Response::new("a product\n".to_owned()))
        })
    }
}

/// How this server reads its requests: nobody logs in here, and a checkout costs ten reads.
struct ByPath;

impl Rules for ByPath {
    fn peer(&self, head: &Parts) -> Option<IpAddr> {
        head.extensions.get::<SocketAddr>().map(SocketAddr::ip)
    }

    fn who(&self, _: &Parts) -> Option<String> {
        None
    }

    fn cost(&self, head: &Parts) -> Option<u32> {
        Some(if head.uri.path() == "/checkout" { 10 } else { 1 })
    }
}

/// A server behind a limit, its quotas in Redis. The clients of this example come through a proxy
/// on this machine, so that they can have addresses of their own.
fn limited(
    redis: &Redis,
    shop: Shop,
    quota: Quota,
) -> anyhow::Result<impl Handler<String, String, Error = Infallible> + use<>> {
    let options = Options { timeout: Duration::from_secs(1), ..Options::default() };
    let proxies =
        Proxies { trusted: vec!["127.0.0.0/8".parse()?], header: Forwarding::XForwardedFor };
    let limits = Limits {
        limiter: Gcra::open(redis.url(), quota, options)?,
        policy: Policy::new("per-address", quota)?,
        proxies,
        rules: Box::new(ByPath),
    };
    Ok(TowerLimits::limit(shop, Arc::new(limits)))
}

fn from(address: &str) -> [(&'static str, String); 1] {
    [("x-forwarded-for", address.to_owned())]
}

/// Part 1: what it looks like.
async fn told(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "What a client is told");
    let quota = Quota::new(12, Duration::from_millis(1_500))?;
    let server = Server::serve(limited(redis, Shop::default(), quota)?).await?;
    let mut answers = Vec::new();
    for path in ["/products/7", "/checkout", "/checkout"] {
        let answer = server.get(path, &from("198.51.100.1")).await?;
        page::gap();
        page::note(format_args!("GET {path}"));
        let head = answer.headers().iter().filter(|(name, _)| *name != "content-length");
        page::note(format_args!("  {}", answer.status()));
        for (name, value) in head {
            page::note(format_args!("  {name}: {}", value.to_str()?));
        }
        answers.push(answer);
    }
    let [.., refused] = &answers[..] else { unreachable!("three answers") };
    anyhow::ensure!(refused.status() == StatusCode::TOO_MANY_REQUESTS, "it was not refused");
    page::gap();
    page::note("Twelve at once, and one more each 1.5 s: a read costs 1, a checkout 10.");
    Ok(())
}

/// Part 2: a bot and a customer.
async fn flood(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    page::part(2, "A bot and a customer");
    page::note("The bot asks 300 times a second, each time from another address, as it says.");
    page::note("The customer asks six times a second. Limited: 20 a second for each address.");
    let shop = || Shop { work: WORK, ..Shop::default() };
    let open = shop();
    let without = both(Server::serve(open.clone()).await?, open, seed).await;
    let (quota, closed) = (Quota::per_second(20, 20)?, shop());
    let server = Server::serve(limited(redis, closed.clone(), quota)?).await?;
    let with = both(server, closed, seed).await;

    page::heads(&["no limit", "limited"]);
    let row = |what: &str, told: &dyn Fn(&Both) -> String, ratio: &str| {
        page::row(what, told(&without), &[told(&with)], ratio);
    };
    let ratio = without.customer.p99().as_secs_f64() / with.customer.p99().as_secs_f64();
    row("customer: errors", &|both| page::count(both.customer.errors), "");
    row("customer: half waited at most", &|both| page::millis(both.customer.p50()), "");
    let ratio = format!("÷ {ratio:.0}");
    row("customer: 99 of 100", &|both| page::millis(both.customer.p99()), &ratio);
    row("bot: asked", &|both| page::count(both.bot.offered), "");
    row("bot: served", &|both| page::count(both.bot.offered - both.refused), "");
    row("bot: refused", &|both| page::count(both.refused), "");
    row("server: at work", &|both| format!("{:.0} %", 100.0 * both.at_work), "");
    page::note("A made-up address in X-Forwarded-For stands left of the one that the proxy");
    page::note("has seen. It is read from the right, so the bot is one client.");
    let late = without.late().max(with.late());
    if late > WORK {
        let late = page::millis(late);
        page::note(format_args!("Busy machine: requests began up to {late} late, which counts."));
    }
    Ok(())
}

struct Both {
    customer: Report,
    bot: Report,
    refused: u64,
    /// The part of the time in which the server worked.
    at_work: f64,
}

impl Both {
    fn late(&self) -> Duration {
        self.bot.late.max(self.customer.late)
    }
}

/// Both at once, by the clock.
async fn both(server: Server, shop: Shop, seed: u64) -> Both {
    let server = Arc::new(server);
    let refused = Arc::new(AtomicU64::new(0));
    let load = |rate| Load { rate, duration: TIME, seed, keys: Zipf::new(250, 0.0) };
    let (bots, customers) = (load(BOT), load(CUSTOMER));
    let bot = bots.run(|arrival| {
        let (server, refused) = (Arc::clone(&server), Arc::clone(&refused));
        async move {
            let made_up = format!("192.0.2.{}, 203.0.113.9", arrival.key);
            let answer = server.get("/products/7", &from(&made_up)).await?;
            let no = u64::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
            refused.fetch_add(no, Ordering::Relaxed);
            anyhow::Ok(())
        }
    });
    let customer = customers.run(|_| {
        let server = Arc::clone(&server);
        async move {
            let answer = server.get("/products/7", &from("198.51.100.7")).await?;
            anyhow::ensure!(answer.status() == StatusCode::OK, "refused");
            Ok(())
        }
    });
    let (bot, customer) = tokio::join!(bot, customer);
    let worked = Duration::from_micros(shop.worked.load(Ordering::Relaxed));
    let at_work = worked.as_secs_f64() / bot.elapsed.as_secs_f64();
    Both { customer, bot, refused: refused.load(Ordering::Relaxed), at_work }
}

/// What a client makes of what it is told.
#[derive(Clone, Copy)]
enum Manner {
    /// Asks again at once.
    Hammers,
    /// Waits for as long as `Retry-After` says.
    Obeys,
    /// Reads `RateLimit` on every answer, and spreads what is left over its time.
    Paces,
}

/// Part 3: three clients with the same work.
async fn obedience(redis: &Redis) -> anyhow::Result<()> {
    const WANTED: u64 = 4;
    page::part(3, "Three ways to take a no");
    page::note("Each wants four answers. Two may be had at once, and one more each 0.6 s.");
    let quota = Quota::new(2, Duration::from_millis(600))?;
    let server = Server::serve(limited(redis, Shop::default(), quota)?).await?;
    let client = async |manner, address| {
        let began = Instant::now();
        let (mut served, mut refused, mut first_retries) = (0, 0, 0);
        let mut was_refused = false;
        while served < WANTED {
            let answer = server.get("/products/7", &from(address)).await?;
            let no = answer.status() == StatusCode::TOO_MANY_REQUESTS;
            first_retries += u64::from(was_refused && no);
            (was_refused, served, refused) = (no, served + u64::from(!no), refused + u64::from(no));
            if served < WANTED {
                tokio::time::sleep(pause(manner, &answer)?).await;
            }
        }
        anyhow::Ok((refused, first_retries, began.elapsed()))
    };
    let (hammers, obeys, paces) = tokio::join!(
        client(Manner::Hammers, "198.51.100.11"),
        client(Manner::Obeys, "198.51.100.12"),
        client(Manner::Paces, "198.51.100.13"),
    );
    let told = [hammers?, obeys?, paces?];
    page::heads(&["hammers", "obeys", "paces"]);
    let row = |what: &str, cell: &dyn Fn(&(u64, u64, Duration)) -> String| {
        page::row(what, cell(&told[0]), &[cell(&told[1]), cell(&told[2])], "");
    };
    row("refused", &|(refused, _, _)| page::count(*refused));
    row("refused again at a retry", &|(_, again, _)| page::count(*again));
    row("had all four after", &|(_, _, took)| format!("{:.1} s", took.as_secs_f64()));
    page::note("Hammering gains a moment, and costs the server every answer of it. Who obeys");
    page::note("is never refused twice; who reads RateLimit is not refused at all.");
    Ok(())
}

/// How long a client of this manner waits after `answer`.
fn pause(manner: Manner, answer: &Response<String>) -> anyhow::Result<Duration> {
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let refused = text("retry-after").map(str::parse).transpose()?.map(Duration::from_secs);
    Ok(match (manner, refused) {
        // Not without any pause, or this would be a test of the network.
        (Manner::Hammers, _) => Duration::from_millis(5),
        (Manner::Obeys | Manner::Paces, Some(wait)) => wait,
        (Manner::Obeys, None) => Duration::ZERO,
        (Manner::Paces, None) => {
            let field = text("ratelimit").context("an answer without RateLimit")?;
            let number = |name: &str| {
                let parameter = field.split(';').find_map(|part| part.strip_prefix(name));
                parameter.and_then(|value| value.parse::<u32>().ok()).context("no RateLimit")
            };
            Duration::from_secs(number("t=")?.into()) / number("r=")?.max(1)
        }
    })
}
