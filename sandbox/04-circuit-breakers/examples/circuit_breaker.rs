//! 04.2 · Circuit breaker: a payment provider hangs, and callers who wait for it.
//!
//! ```console
//! $ cargo run --example circuit_breaker
//! ```
//!
//! Ends by itself after some six seconds.

use anyhow::Context as _;
use circuit_breakers::circuit_breaker::{
    Breaker, CallError, CircuitBreaker, Config, Judgement, State,
};
use failsafe::{backoff, failure_policy};
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testbed::load::{Load, Zipf};
use testbed::proxy::Proxy;
use testbed::redis::Redis;
use tokio::task::JoinSet;

/// After this a caller gives up.
const PATIENCE: Duration = Duration::from_millis(100);
const RATE: f64 = 200.0;
const TIME: Duration = Duration::from_millis(2_600);
/// When the provider hangs, and for how long.
const WELL: Duration = Duration::from_millis(500);
const HANGS: Duration = Duration::from_millis(1_500);

const CONFIG: Config = Config {
    failures: 5,
    open_for: Duration::from_millis(200),
    probes: 3,
    slow_after: Duration::from_millis(80),
};

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("04.2 circuit_breaker · a provider that hangs, and those who wait for it");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note("It plays the payment provider: a charge is an INCR, through a proxy that can");
    page::note("hang.");
    hang(&redis, seed).await?;
    crowd(&redis).await?;
    page::next(&[
        ("cargo lab start circuit_breaker", "write it, and be hung up on"),
        ("cargo run -p shop -- compare breaker", "the same in a whole shop"),
    ]);
    Ok(())
}

/// The provider, as its callers see it.
#[derive(Clone)]
struct Provider {
    connection: MultiplexedConnection,
    key: &'static str,
    /// Calls that were sent, and those that wait for their answer now and did at most.
    sent: Arc<AtomicU64>,
    waiting: Arc<AtomicU64>,
    most: Arc<AtomicU64>,
}

/// Somebody waits, until this is dropped.
struct Waiting(Arc<AtomicU64>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Provider {
    /// A client without a timeout of its own, as most are made.
    async fn at(proxy: &Proxy, key: &'static str) -> anyhow::Result<Provider> {
        let client = redis::Client::open(proxy.url())?;
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
        let [sent, waiting, most] = [(); 3].map(|()| Arc::default());
        Ok(Provider { connection, key, sent, waiting, most })
    }

    async fn charge(mut self) -> Result<u64, RedisError> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let now = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let _waiting = Waiting(Arc::clone(&self.waiting));
        redis::cmd("INCR").arg(self.key).query_async(&mut self.connection).await
    }
}

fn judge(result: &Result<u64, RedisError>) -> Judgement {
    if result.is_ok() { Judgement::Success } else { Judgement::Failure }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Charged,
    TryLater,
    NothingInTime,
}

struct Answer {
    began: Instant,
    ended: Instant,
    told: Told,
}

/// What came of a load.
struct Outcome {
    answers: Vec<Answer>,
    hung: Instant,
    well: Instant,
    sent_while_hung: u64,
    most: u64,
    charged: u64,
    /// How late a caller came at worst: this machine's own fault.
    late: Duration,
}

impl Outcome {
    fn told(&self, told: Told) -> u64 {
        self.answers.iter().filter(|answer| answer.told == told).count() as u64
    }

    /// How long those waited who came while it hung, shortest first.
    fn waits(&self) -> Vec<Duration> {
        let hung =
            self.answers.iter().filter(|one| self.hung <= one.began && one.began < self.well);
        let mut waits: Vec<_> = hung.map(|answer| answer.ended - answer.began).collect();
        waits.sort();
        waits
    }

    /// From the end of the fault to the last answer that was not a charge.
    fn well_again_after(&self) -> Duration {
        let bad = self.answers.iter().filter(|answer| answer.told != Told::Charged);
        let last = bad.map(|answer| answer.ended).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(self.well))
    }
}

/// Part 1: the same load, without a breaker and with one.
async fn hang(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    page::part(1, "The provider hangs");
    page::note("200 charges a second for 2.6 s. From 0.5 s to 2.0 s the provider takes what");
    page::note("it is sent, and says nothing. A caller gives up after 100 ms. The breaker");
    page::note("opens after five failures in a row, for 200 ms, and closes after 3 probes.");
    let without = load(redis, "without", seed, None).await?;
    let breaker = Arc::new(Breaker::new(CONFIG));
    let with = load(redis, "with", seed, Some(Arc::clone(&breaker))).await?;
    anyhow::ensure!(breaker.state() == State::Closed, "it is closed when all is well again");

    page::heads(&["no breaker", "breaker"]);
    let row = |what: &str, cell: &dyn Fn(&Outcome) -> String, ratio: &str| {
        page::row(what, cell(&without), &[cell(&with)], ratio);
    };
    let number = |number: &dyn Fn(&Outcome) -> u64| {
        let (without, with) = (number(&without), number(&with));
        format!("÷ {:.0}", without as f64 / with.max(1) as f64)
    };
    row("callers", &|outcome| page::count(outcome.answers.len() as u64), "");
    row("charged, and told so", &|outcome| page::count(outcome.told(Told::Charged)), "");
    row("told at once: try later", &|outcome| page::count(outcome.told(Told::TryLater)), "");
    let vain = |outcome: &Outcome| outcome.told(Told::NothingInTime);
    row("waited 100 ms for nothing", &|outcome| page::count(vain(outcome)), &number(&vain));
    page::note("While it hung:");
    let waited = |outcome: &Outcome, part: usize| {
        let waits = outcome.waits();
        page::millis(waits.get(waits.len() * part / 100).copied().unwrap_or_default())
    };
    row("half waited at most", &|outcome| waited(outcome, 50), "");
    row("99 of 100", &|outcome| waited(outcome, 99), "");
    row("waited at once, at most", &|outcome| page::count(outcome.most), "");
    let sent = |outcome: &Outcome| outcome.sent_while_hung;
    row("calls sent to the provider", &|outcome| page::count(sent(outcome)), &number(&sent));
    page::note("And afterwards:");
    let unknown = |outcome: &Outcome| outcome.charged - outcome.told(Told::Charged);
    row("charged, and nobody told", &|outcome| page::count(unknown(outcome)), &number(&unknown));
    row("all well again after", &|outcome| page::millis(outcome.well_again_after()), "");
    page::note("The breaker is late to notice by one patience, and late to notice the end by");
    page::note("as long as it is open for. In between, nobody waits but the probes.");
    let late = without.late.max(with.late);
    if late > CONFIG.slow_after / 4 {
        let late = page::millis(late);
        page::note(format_args!("Busy machine: callers came up to {late} late."));
    }
    Ok(())
}

async fn load(
    redis: &Redis,
    key: &'static str,
    seed: u64,
    breaker: Option<Arc<Breaker>>,
) -> anyhow::Result<Outcome> {
    let proxy = Proxy::before(redis.url()).await?;
    let provider = Provider::at(&proxy, key).await?;
    let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let work = Load { rate: RATE, duration: TIME, seed, keys: Zipf::new(1, 1.0) };
    let charging = work.run(|_| {
        let (provider, breaker) = (provider.clone(), breaker.clone());
        let answers = Arc::clone(&answers);
        async move {
            let began = Instant::now();
            let told = match breaker {
                None => match tokio::time::timeout(PATIENCE, provider.charge()).await {
                    Ok(charged) => charged.map(|_| Told::Charged)?,
                    Err(_) => Told::NothingInTime,
                },
                Some(breaker) => {
                    let call = breaker.call(judge, provider.charge());
                    match tokio::time::timeout(PATIENCE, call).await {
                        Ok(Ok(_)) => Told::Charged,
                        Ok(Err(CallError::Open(_))) => Told::TryLater,
                        Ok(Err(CallError::Call(error))) => return Err(error),
                        Err(_) => Told::NothingInTime,
                    }
                }
            };
            let answer = Answer { began, ended: Instant::now(), told };
            answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            Ok(())
        }
    });
    let hanging = async {
        tokio::time::sleep(WELL).await;
        let before = provider.sent.load(Ordering::SeqCst);
        proxy.stall();
        let hung = Instant::now();
        tokio::time::sleep(HANGS).await;
        let sent = provider.sent.load(Ordering::SeqCst) - before;
        let well = Instant::now();
        proxy.resume();
        (hung, well, sent)
    };
    let (report, (hung, well, sent_while_hung)) = tokio::join!(charging, hanging);
    anyhow::ensure!(report.errors == 0, "the provider fails, and was only to hang");
    // Behind all that was sent before, on the same connection.
    let mut connection = provider.connection.clone();
    let mut charged = redis::cmd("GET");
    let charged = charged.arg(key).query_async(&mut connection).await;
    let charged = charged.context("the provider is well again")?;
    let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
    let most = provider.most.load(Ordering::SeqCst);
    let late = report.late;
    Ok(Outcome { answers, hung, well, sent_while_hung, most, charged, late })
}

/// Part 2: the moment when its time is over, and the provider still hangs.
async fn crowd(redis: &Redis) -> anyhow::Result<()> {
    const CROWD: u64 = 100;
    page::part(2, "Half-open, and a hundred at once");
    page::note("The time is over, the provider still hangs, and a hundred have come. failsafe");
    page::note("alone decides when to ask again. Who may ask, it leaves to its caller.");
    let proxy = Proxy::before(redis.url()).await?;
    let policy =
        failure_policy::consecutive_failures(CONFIG.failures, backoff::constant(CONFIG.open_for));
    let bare = Arc::new(failsafe::Config::new().failure_policy(policy).build());
    let breaker = Arc::new(Breaker::new(CONFIG));
    let [alone, wrapped] =
        [Provider::at(&proxy, "bare").await?, Provider::at(&proxy, "ours").await?];
    proxy.stall();
    for _ in 0..CONFIG.failures {
        bare.on_error();
        let failed =
            breaker.call(judge, async { Err(RedisError::from(std::io::Error::other("down"))) });
        drop(failed.await);
    }
    anyhow::ensure!(breaker.state() == State::Open && !bare.is_call_permitted(), "both open");
    tokio::time::sleep(CONFIG.open_for + Duration::from_millis(5)).await;
    let mut callers = JoinSet::new();
    for _ in 0..CROWD {
        let (bare, alone) = (Arc::clone(&bare), alone.clone());
        callers.spawn(async move {
            let call = async {
                if bare.is_call_permitted() {
                    let result = alone.charge().await;
                    if result.is_ok() { bare.on_success() } else { bare.on_error() }
                }
            };
            drop(tokio::time::timeout(PATIENCE, call).await);
        });
        let (breaker, wrapped) = (Arc::clone(&breaker), wrapped.clone());
        callers.spawn(async move {
            drop(tokio::time::timeout(PATIENCE, breaker.call(judge, wrapped.charge())).await);
        });
    }
    callers.join_all().await;
    let again = [bare.is_call_permitted(), breaker.state() != State::Open];
    proxy.resume();
    let [alone, wrapped] = [alone, wrapped].map(|provider| provider.sent.load(Ordering::SeqCst));
    page::heads(&["failsafe alone", "wrapped"]);
    let ratio = format!("÷ {:.0}", alone as f64 / wrapped.max(1) as f64);
    page::row("sent to the provider", alone, &[page::count(wrapped)], &ratio);
    page::row("told at once: try later", CROWD - alone, &[page::count(CROWD - wrapped)], "");
    let [alone, wrapped] = again.map(|lets_in| if lets_in { "lets all in" } else { "open anew" });
    page::row("and after they gave up, it", alone, &[wrapped.to_owned()], "");
    page::note("A future that its caller drops returns nothing, so failsafe hears of nothing.");
    Ok(())
}
