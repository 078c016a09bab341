//! One budget, and callers who are at it in the same nanosecond.
//!
//! The other checks run on one thread, on which nothing comes between two steps without an `.await`.
//! Here four threads are at it, and nobody can hold one of them between a load and a store. So the
//! check does what it forbids beside the subject, in each attempt, and goes on until that was
//! interrupted often enough: on a machine where the threads never meet it has proved nothing.

use circuit_breakers::retry::{Budget, Config, Outcome, Repeatable, Retry};
use grading::{Evidence, Finding, World};
use rand::RngExt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const THREADS: u64 = 4;
/// By each thread in each round.
const CALLS: u64 = 1_000;
/// Half of them would do.
const MEETINGS: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(20);

/// A number that is read and written in two steps, and how often somebody came between.
#[derive(Default)]
struct TwoSteps {
    number: AtomicU64,
    met: AtomicU64,
}

impl TwoSteps {
    fn change(&self) {
        let seen = self.number.load(SeqCst);
        if self.number.compare_exchange(seen, seen + 1, SeqCst, SeqCst).is_err() {
            self.met.fetch_add(1, SeqCst);
        }
    }
}

pub(super) async fn many_threads_one_budget<S: Retry>(world: World) -> Result<(), Finding> {
    let budget = Budget { percent: 50, reserve: 1_000_000 };
    let (first, longest) = (Duration::ZERO, Duration::ZERO);
    let config = Config { attempts: u32::MAX, first, longest, budget, transient: |_| true };
    let retry = Arc::new(S::new(config, world.random().random()));
    let history = world.history().clone();
    let played = tokio::task::spawn_blocking(move || {
        let (earning, spending) = (TwoSteps::default(), TwoSteps::default());
        let began = Instant::now();
        for round in 1.. {
            history.turn_page();
            on_threads(async || {
                for _ in 0..CALLS {
                    let well = |_| async { Outcome::Final(()) };
                    earning.change();
                    retry.call(Repeatable::Yes, None, well).await;
                }
            })?;
            // In this round; what was earned before is spent.
            let calls = THREADS * (CALLS + 1);
            history.note("client", format!("4 threads make {calls} calls, and 4 of them fail"));
            let spent = Arc::new(AtomicU64::new(0));
            let met = Arc::new(TwoSteps::default());
            on_threads(async || {
                let (spent, met) = (Arc::clone(&spent), Arc::clone(&met));
                let fails = move |nth| {
                    let (spent, met) = (Arc::clone(&spent), Arc::clone(&met));
                    async move {
                        let so_far = match nth {
                            1 => 0,
                            _ => spent.fetch_add(1, SeqCst),
                        };
                        met.change();
                        // Who takes from what is not there has no end.
                        if so_far > calls { Outcome::Final(()) } else { Outcome::Failed(()) }
                    }
                };
                retry.call(Repeatable::Yes, None, fails).await;
            })?;
            spending.met.fetch_add(met.met.load(SeqCst), SeqCst);
            let (earned, spent) = (calls / 2, spent.load(SeqCst));
            // A fraction of a retry may be left from the round before.
            if spent.abs_diff(earned) > 1 {
                let step = history.note("client", format!("round {round}: {spent} retries"));
                let expected = format!("{earned} retries: each call has earned half of one");
                return Err(Evidence::new(expected, spent.to_string()).at(step).into());
            }
            let met = earning.met.load(SeqCst).min(spending.met.load(SeqCst));
            if met >= MEETINGS {
                break;
            }
            if began.elapsed() > PATIENCE {
                let why = format!("four threads have met {met} times in {PATIENCE:?}");
                return Err(Finding::inconclusive(why));
            }
        }
        Ok(())
    });
    played.await?
}

/// Does `work` on all threads, which begin together, each on a clock that no pause keeps waiting.
fn on_threads<W: AsyncFn() + Sync>(work: W) -> Result<(), Finding> {
    let together = Barrier::new(THREADS as usize);
    let one = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        together.wait();
        runtime.map(|runtime| runtime.block_on(work()))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
        for thread in threads {
            match thread.join() {
                Ok(done) => done.map_err(|error| Finding::inconclusive(error.to_string()))?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}
