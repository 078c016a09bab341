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
/// How much each call earns, and how many calls there are of each thread. Where most are denied a
/// retry they come close together; where half of them are repeated, two meet who both get one.
const EARNING: [(u32, usize); 2] = [(2, 3_000), (50, 500)];
/// How often a call is to follow on one of another thread. Which of them is first is luck, so a right
/// answer is right in every order, and a wrong one meets an order in which it is not.
const SWITCHES: usize = 50_000;
/// Where all threads share one core they hardly ever switch.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn threads_share_a_budget<S: Retry>(world: World) -> Result<(), Finding> {
    let (mut random, began, mut switches) = (world.random(), Instant::now(), 0);
    for (percent, calls) in EARNING.into_iter().cycle() {
        // With so large a reserve each share is saved. And each call that has earned its share asks
        // for a retry then, so that in the end none is left.
        let config = Config {
            attempts: 2,
            first: Duration::ZERO,
            longest: Duration::ZERO,
            budget: Budget { percent, ..GENEROUS },
            transient: |_| true,
        };
        let retry = Arc::new(S::new(config, random.random()));
        let (seen, start) = (Arc::<Seen>::default(), Arc::new(Barrier::new(THREADS)));
        let mut threads = Vec::new();
        for thread in 0..THREADS {
            let (retry, seen) = (Arc::clone(&retry), Arc::clone(&seen));
            let start = Arc::clone(&start);
            let fails = move || fails(&*retry, (thread, calls), &seen, &start);
            threads.push(tokio::task::spawn_blocking(fails));
        }
        for thread in threads {
            thread.await??;
        }
        switches += seen.switches.load(Ordering::SeqCst);
        let offered = calls * THREADS;
        let (retried, earned) =
            (seen.retried.load(Ordering::SeqCst), offered * percent as usize / 100);
        let step =
            world.history().note("clients", format!("{offered} calls of {THREADS} threads failed"));
        // In binary a sum of shares may be a little less.
        if retried > earned || retried + 1 < earned {
            let expected = format!("{earned} retries: each call earns {percent} hundredths of one");
            return Err(Evidence::new(expected, retried.to_string()).at(step).into());
        }
        let counts = retry.counts();
        let [offered, retried] = [offered, retried].map(|count| count as u64);
        if counts != (Counts { offered, retried, denied: offered - retried }) {
            let expected = format!("{offered} offered, {retried} retried, the others denied");
            return Err(Evidence::new(expected, format!("{counts:?}")).at(step).into());
        }
        if switches > SWITCHES || began.elapsed() > PATIENCE {
            break;
        }
    }
    Ok(())
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

/// A thread whose calls all fail. Its clock is paused, so that no pause takes time.
fn fails<S: Retry>(
    retry: &S,
    (thread, calls): (usize, usize),
    seen: &Arc<Seen>,
    start: &Barrier,
) -> Result<(), Finding> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    start.wait();
    let runtime = runtime.map_err(|error| Finding::inconclusive(error.to_string()))?;
    runtime.block_on(async {
        for _ in 0..calls {
            let seen = Arc::clone(seen);
            let attempt = move |nth| {
                seen.attempt(thread, nth);
                async { Outcome::Failed(()) }
            };
            retry.call(Repeatable::Yes, None, attempt).await;
        }
    });
    Ok(())
}
