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
/// So many subjects. Which of the threads is first is luck, so a right answer is right in every order,
/// and a wrong one meets an order in which it is not.
const ROUNDS: usize = 20;
/// How much each call earns, and how many calls there are of each thread. Where most are denied a
/// retry they come close together; where half of them are repeated, two meet who both get one.
const EARNING: [(u32, usize); 2] = [(2, 2_000), (50, 200)];
/// Enough on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn threads_share_a_budget<S: Retry>(world: World) -> Result<(), Finding> {
    let (mut random, began) = (world.random(), Instant::now());
    for (percent, calls) in [EARNING; ROUNDS].into_iter().flatten() {
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
        let (retried, start) = (Arc::<AtomicUsize>::default(), Arc::new(Barrier::new(THREADS)));
        let threads = [(); THREADS].map(|()| {
            let (retry, retried) = (Arc::clone(&retry), Arc::clone(&retried));
            let start = Arc::clone(&start);
            tokio::task::spawn_blocking(move || fails(&*retry, calls, &retried, &start))
        });
        for thread in threads {
            thread.await??;
        }
        let offered = calls * THREADS;
        let (retried, earned) = (retried.load(Ordering::SeqCst), offered * percent as usize / 100);
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
        if began.elapsed() > PATIENCE {
            break;
        }
    }
    Ok(())
}

/// A thread whose calls all fail. Its clock is paused, so that no pause takes time.
fn fails<S: Retry>(
    retry: &S,
    calls: usize,
    retried: &Arc<AtomicUsize>,
    start: &Barrier,
) -> Result<(), Finding> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    start.wait();
    let runtime = runtime.map_err(|error| Finding::inconclusive(error.to_string()))?;
    runtime.block_on(async {
        for _ in 0..calls {
            let retried = Arc::clone(retried);
            let attempt = move |nth| {
                retried.fetch_add(usize::from(nth > 1), Ordering::SeqCst);
                async { Outcome::Failed(()) }
            };
            retry.call(Repeatable::Yes, None, attempt).await;
        }
    });
    Ok(())
}
