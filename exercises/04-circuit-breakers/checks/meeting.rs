//! Two threads that come at the very same moment, again and again.
//!
//! Which of them is first is luck, so a right answer must be right in every order; a wrong one, which
//! is wrong in a few only, meets them within so many rounds.

use grading::Finding;
use std::future::Future;
use std::hint::spin_loop;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread::Builder;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

const THREADS: usize = 2;
/// In so many rounds they meet without stopping in between: a busy machine gives them a moment
/// together now and then, and it has to be used.
const BATCH: usize = 250;
const BATCHES: usize = 8;
/// However busy the machine is: in each of them, a wrong answer is as likely found out as not.
const FEWEST: usize = 20;
/// On a machine that is busy they meet less often.
const PATIENCE: Duration = Duration::from_secs(2);

/// A thread beside this one, and of its name: a panic in it is laid at the subject's door.
pub(crate) fn beside() -> Builder {
    Builder::new().name(std::thread::current().name().unwrap_or_default().to_owned())
}

/// Plays rounds, each with a subject of its own, until both threads get in or there were enough.
/// Tells how many were in at once at most.
pub(crate) async fn again_and_again<S: Send + Sync>(
    subject: impl Fn(&Handle) -> S + Send + 'static,
    call: impl AsyncFn(&S, Work) + Send + Sync + 'static,
) -> Result<usize, Finding> {
    let runtime = Handle::current();
    let play = move || {
        let (began, mut most) = (Instant::now(), 0);
        for _ in 0..BATCHES {
            let subjects: Vec<S> = (0..BATCH).map(|_| subject(&runtime)).collect();
            // Their clocks have to have moved on.
            std::thread::sleep(Duration::from_millis(1));
            most = most.max(meet(&runtime, &subjects, &call));
            if most == THREADS || began.elapsed() > PATIENCE {
                break;
            }
        }
        most
    };
    Ok(tokio::task::spawn_blocking(play).await?)
}

/// Each thread makes its call to each of the subjects, and begins it when both are there.
fn meet<S: Send + Sync>(
    runtime: &Handle,
    subjects: &[S],
    call: &(impl AsyncFn(&S, Work) + Sync),
) -> usize {
    let last = Last::begin();
    let rounds: Vec<_> = subjects
        .iter()
        .map(|one| (one, Meeting::default(), Arc::<AtomicUsize>::default()))
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let _runtime = runtime.enter();
                for (nth, (subject, meeting, inside)) in rounds.iter().enumerate() {
                    let came = Arc::default();
                    let work = Work { came: Arc::clone(&came), inside: Arc::clone(inside) };
                    let mut call = pin!(call(subject, work));
                    meeting.wait(1);
                    let mut context = Context::from_waker(Waker::noop());
                    // It may have to wait for a lock, for a moment.
                    for _ in 0..1_000 {
                        let refused = call.as_mut().poll(&mut context).is_ready();
                        if refused || came.load(Ordering::SeqCst) > 0 {
                            break;
                        }
                        std::thread::yield_now();
                    }
                    // Who is in stays in until the other one has asked.
                    if !meeting.wait(2) || last.is(nth) {
                        return;
                    }
                }
            });
        }
    });
    rounds.iter().map(|(_, _, inside)| inside.load(Ordering::SeqCst)).max().unwrap_or(0)
}

/// Plays rounds, each with a subject of its own, in which both threads have their calls end at the
/// same moment. Tells whether one of the subjects was wrong afterwards.
pub(crate) async fn end_together<S: Send + Sync>(
    subject: impl Fn(&Handle) -> S + Send + 'static,
    call: impl AsyncFn(&S, Together) + Send + Sync + 'static,
    is_wrong: impl Fn(&S) -> bool + Send + 'static,
) -> Result<bool, Finding> {
    let runtime = Handle::current();
    let play = move || {
        let began = Instant::now();
        for _ in 0..BATCHES {
            let rounds: Vec<_> =
                (0..BATCH).map(|_| (subject(&runtime), Round::default())).collect();
            // Their clocks have to have moved on.
            std::thread::sleep(Duration::from_millis(1));
            let last = Last::begin();
            let thread = || {
                for (nth, (subject, round)) in rounds.iter().enumerate() {
                    runtime.block_on(call(subject, Together(Arc::clone(&round.meeting))));
                    round.ended.fetch_add(1, Ordering::SeqCst);
                    // Who did not meet proves nothing, and goes home.
                    if round.meeting.came() < THREADS || last.is(nth) {
                        return;
                    }
                }
            };
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    beside().spawn_scoped(scope, thread)?;
                }
                std::io::Result::Ok(())
            })?;
            let over = |round: &Round| round.ended.load(Ordering::SeqCst) == THREADS;
            if rounds.iter().any(|(subject, round)| over(round) && is_wrong(subject)) {
                return Ok(true);
            }
            if began.elapsed() > PATIENCE {
                break;
            }
        }
        std::io::Result::Ok(false)
    };
    let wrong = tokio::task::spawn_blocking(play).await?;
    wrong.map_err(|error| Finding::inconclusive(format!("no thread for the check: {error}")))
}

/// Which round is the last, on a machine that is too busy for all of them.
struct Last {
    began: Instant,
    nth: AtomicUsize,
}

impl Last {
    fn begin() -> Last {
        Last { began: Instant::now(), nth: AtomicUsize::new(usize::MAX) }
    }

    /// Whether this one is. They have to agree: the other one may be in the next one already, where
    /// it waits.
    fn is(&self, nth: usize) -> bool {
        if nth >= FEWEST && self.began.elapsed() > PATIENCE {
            self.nth.fetch_min(nth + 1, Ordering::SeqCst);
        }
        nth >= self.nth.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct Round {
    meeting: Arc<Meeting>,
    ended: AtomicUsize,
}

/// What both are called with, each on its thread.
pub(crate) struct Together(Arc<Meeting>);

impl Together {
    /// Comes back when the other one is there as well.
    pub(crate) fn meet(self) {
        self.0.wait(1);
    }
}

/// What is called: it counts that it was, and stays.
pub(crate) struct Work {
    came: Arc<AtomicUsize>,
    inside: Arc<AtomicUsize>,
}

impl Work {
    pub(crate) async fn stay<T>(self) -> T {
        self.inside.fetch_add(1, Ordering::SeqCst);
        self.came.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

/// Where threads meet without going to sleep, for who wakes up is late.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    fn came(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Gives up after a while: the other one may have panicked, which is told when it is joined.
    fn wait(&self, nth: usize) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst);
        let (mut looks, began) = (0_u32, Instant::now());
        while self.0.load(Ordering::SeqCst) < nth * THREADS {
            looks += 1;
            match looks % 1_000 {
                0 if began.elapsed() > PATIENCE => return false,
                // The other one may need this very core.
                0 => std::thread::yield_now(),
                _ => spin_loop(),
            }
        }
        true
    }
}
