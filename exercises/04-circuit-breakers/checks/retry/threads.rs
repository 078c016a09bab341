//! One budget, and threads that share it.

use super::scene::GENEROUS;
use circuit_breakers::retry::{Budget, Config, Counts, Outcome, Repeatable, Retry};
use grading::{Evidence, Finding, World};
use rand::RngExt;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 2;
/// So many calls of each thread, to one subject, and so many subjects: which of the two is first is
/// luck, so a right answer is right in every order, and a wrong one meets the order in which it is not.
const CALLS: usize = 100;
const ROUNDS: usize = 50;
/// On a machine that is busy they meet less often.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn threads_share_a_budget<S: Retry>(world: World) -> Result<(), Finding> {
    let (mut random, began) = (world.random(), Instant::now());
    for _ in 0..ROUNDS {
        // With so large a reserve each share is saved. Each call asks for one retry after it has
        // earned a half, so there is never more than a half that nobody has asked for.
        let config = Config {
            attempts: 2,
            first: Duration::ZERO,
            longest: Duration::ZERO,
            budget: Budget { percent: 50, ..GENEROUS },
            transient: |_| true,
        };
        let retry = Arc::new(S::new(config, random.random()));
        let meeting = Arc::<Meeting>::default();
        let threads = [(); THREADS].map(|()| {
            let (retry, meeting) = (Arc::clone(&retry), Arc::clone(&meeting));
            tokio::task::spawn_blocking(move || fails(&*retry, &meeting))
        });
        for thread in threads {
            thread.await??;
        }
        let offered = CALLS * THREADS;
        let (retried, earned) = (meeting.retried.load(Ordering::SeqCst), offered / 2);
        let step =
            world.history().note("clients", format!("{offered} calls of two threads failed"));
        // In binary a sum of shares may be a little less.
        if retried > earned || retried + 1 < earned {
            let expected = format!("{earned} retries, for each call has earned a half");
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

/// A thread whose calls all fail, each at the same moment as one of the other thread's. Its clock is
/// paused, so that no pause takes time.
fn fails<S: Retry>(retry: &S, meeting: &Arc<Meeting>) -> Result<(), Finding> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| Finding::inconclusive(error.to_string()))?;
    runtime.block_on(async {
        for call in 1..=CALLS {
            let meeting = Arc::clone(meeting);
            let attempt = move |nth| {
                let meeting = Arc::clone(&meeting);
                async move {
                    match nth {
                        1 => meeting.wait(call),
                        _ => drop(meeting.retried.fetch_add(1, Ordering::SeqCst)),
                    }
                    Outcome::Failed(())
                }
            };
            retry.call(Repeatable::Yes, None, attempt).await;
        }
    });
    Ok(())
}

/// Where the threads meet without going to sleep, for who wakes up is late.
#[derive(Default)]
struct Meeting {
    came: AtomicUsize,
    retried: AtomicUsize,
    over: AtomicBool,
}

impl Meeting {
    /// The other one may have panicked, or may not be let in while this one is: then they do without.
    fn wait(&self, nth: usize) {
        self.came.fetch_add(1, Ordering::SeqCst);
        let (mut looks, began) = (0_u32, Instant::now());
        while self.came.load(Ordering::SeqCst) < nth * THREADS && !self.over.load(Ordering::SeqCst)
        {
            looks += 1;
            match looks % 1_000 {
                0 if began.elapsed() > PATIENCE / 3 => self.over.store(true, Ordering::SeqCst),
                // The other one may need this very core; but who gives it away at once is not
                // there when the other one comes.
                0 if began.elapsed() > Duration::from_millis(2) => std::thread::yield_now(),
                _ => spin_loop(),
            }
        }
    }
}
