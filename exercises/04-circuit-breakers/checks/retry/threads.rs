//! One budget, and threads that share it.

use super::scene::GENEROUS;
use circuit_breakers::retry::{Budget, Config, Counts, Outcome, Repeatable, Retry};
use grading::{Evidence, Finding, World};
use rand::RngExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// More than cores: where some are kept waiting by other programs, others run; and one that is kept
/// waiting between two steps of a wrong answer has all the others come in between.
const THREADS: usize = 8;
/// How much a call earns, in hundredths of a retry.
const PERCENT: usize = 10;
/// Calls of all that are made at once.
const MANY: usize = THREADS * 500;
/// How often a call is to follow on one of another thread. Which of them is first is luck, so a right
/// answer is right in every order, and a wrong one meets an order in which it is not.
const SWITCHES: usize = 30_000;
/// Where all threads share one core they hardly ever switch.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the threads do at once, and one thread alone does before or after. Never both together:
/// threads in step lose shares, and spend retries twice, in pairs, and in the end nothing is missing.
#[derive(Clone, Copy)]
enum Race {
    /// Calls that are answered, so they only earn. Alone they are asked for it later.
    Earn,
    /// Calls that fail, more than can be repeated by what was saved before, alone.
    Spend,
}

pub(super) async fn threads_share_a_budget<S: Retry>(world: World) -> Result<(), Finding> {
    let (mut random, began, mut switches) = (world.random(), Instant::now(), 0);
    for race in [Race::Earn, Race::Spend].into_iter().cycle() {
        // With so large a reserve each share is saved.
        let config = Config {
            attempts: 2,
            first: Duration::ZERO,
            longest: Duration::ZERO,
            budget: Budget { percent: PERCENT as u32, ..GENEROUS },
            transient: |_| true,
        };
        let client =
            Client { retry: Arc::new(S::new(config, random.random())), seen: Arc::default() };
        match race {
            Race::Earn => {
                client.calls(THREADS, false).await?;
                client.calls(1, true).await?;
            }
            Race::Spend => {
                client.calls(1, false).await?;
                client.calls(THREADS, true).await?;
            }
        }
        let retried = client.seen.retried.load(Ordering::SeqCst);
        let (offered, earned) = (2 * MANY, 2 * MANY * PERCENT / 100);
        let (all, one) = (format!("{THREADS} threads at once"), "one alone");
        let what = match race {
            Race::Earn => format!("{MANY} calls of {all} are answered, then {MANY} of {one} fail"),
            Race::Spend => format!("{MANY} calls of {one} are answered, then {MANY} of {all} fail"),
        };
        let step = world.history().note("clients", what);
        // In binary a sum of shares may be a little less.
        if retried > earned || retried + 1 < earned {
            let expected = format!("{earned} retries: each call earns {PERCENT} hundredths of one");
            return Err(Evidence::new(expected, retried.to_string()).at(step).into());
        }
        let (counts, denied) = (client.retry.counts(), MANY - retried);
        let [offered, retried, denied] = [offered, retried, denied].map(|count| count as u64);
        if counts != (Counts { offered, retried, denied }) {
            let expected = format!("{offered} offered, {retried} retried, {denied} denied");
            return Err(Evidence::new(expected, format!("{counts:?}")).at(step).into());
        }
        switches += client.seen.switches.load(Ordering::SeqCst);
        if switches > SWITCHES || began.elapsed() > PATIENCE {
            break;
        }
    }
    Ok(())
}

/// One client, used by threads.
struct Client<S> {
    retry: Arc<S>,
    seen: Arc<Seen>,
}

/// What all threads have seen.
#[derive(Default)]
struct Seen {
    last: AtomicUsize,
    switches: AtomicUsize,
    retried: AtomicUsize,
}

impl Seen {
    fn attempt(&self, thread: usize, nth: u32) {
        let other = self.last.swap(thread, Ordering::SeqCst) != thread;
        self.switches.fetch_add(usize::from(other), Ordering::SeqCst);
        self.retried.fetch_add(usize::from(nth > 1), Ordering::SeqCst);
    }
}

impl<S: Retry> Client<S> {
    /// [`MANY`] calls by so many threads, which begin together.
    async fn calls(&self, threads: usize, fail: bool) -> Result<(), Finding> {
        let start = Arc::new(Barrier::new(threads));
        let begin = |thread| {
            let (retry, seen) = (Arc::clone(&self.retry), Arc::clone(&self.seen));
            let start = Arc::clone(&start);
            tokio::task::spawn_blocking(move || {
                let runtime = paused();
                start.wait();
                runtime?.block_on(async {
                    for _ in 0..MANY / threads {
                        let seen = Arc::clone(&seen);
                        let attempt = move |nth| {
                            seen.attempt(thread, nth);
                            let outcome =
                                if fail { Outcome::Failed(()) } else { Outcome::Final(()) };
                            std::future::ready(outcome)
                        };
                        retry.call(Repeatable::Yes, None, attempt).await;
                    }
                });
                Ok::<_, Finding>(())
            })
        };
        let threads: Vec<_> = (0..threads).map(begin).collect();
        for thread in threads {
            thread.await??;
        }
        Ok(())
    }
}

/// With a clock that is paused, so that no pause takes time.
fn paused() -> Result<tokio::runtime::Runtime, Finding> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.map_err(|error| Finding::inconclusive(error.to_string()))
}
