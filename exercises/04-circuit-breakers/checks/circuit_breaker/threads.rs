//! Two threads that come at the very same moment.

use super::scene::{Answer, HOUR, judge};
use circuit_breakers::circuit_breaker::{CircuitBreaker, Config};
use grading::{Evidence, Finding, World};
use std::hint::spin_loop;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const THREADS: usize = 2;
/// One meeting may miss the moment. So many do not.
const ROUNDS: usize = 500;
/// On a machine that is busy they meet less often.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Where threads meet without going to sleep, for who wakes up is late.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    /// Gives up after a while: the other one may have panicked, and is told of when it is joined.
    fn wait(&self, nth: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let (mut looks, began) = (0_u32, Instant::now());
        while self.0.load(Ordering::SeqCst) < nth * THREADS {
            looks += 1;
            match looks % 1_000 {
                0 if began.elapsed() > PATIENCE => return,
                // The other one may need this very core.
                0 => std::thread::yield_now(),
                _ => spin_loop(),
            }
        }
    }
}

pub(super) async fn threads_at_half_open<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let runtime = tokio::runtime::Handle::current();
    let most = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let mut most = 0;
        for _ in 0..ROUNDS {
            most = most.max(meet::<S>(&runtime));
            if most > 1 || began.elapsed() > PATIENCE {
                break;
            }
        }
        most
    })
    .await?;
    let step = world.history().note("dependency", format!("at most {most} asked at half-open"));
    match most {
        0 | 1 => Ok(()),
        _ => Err(Evidence::new("one probe: there is one place", format!("{most} at once"))
            .at(step)
            .into()),
    }
}

/// One breaker whose time is over, and two who come. How many are let in?
fn meet<S: CircuitBreaker>(runtime: &tokio::runtime::Handle) -> usize {
    let breaker = S::new(Config {
        failures: 1,
        open_for: Duration::ZERO,
        probes: 1,
        slow_after: HOUR,
    });
    let ill: Answer = Err("down");
    let _ = runtime.block_on(breaker.call(judge, async { ill }));
    // Clocks have to have moved on.
    std::thread::sleep(Duration::from_micros(1));
    let (meeting, inside) = (Meeting::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let _runtime = runtime.enter();
                let came = AtomicUsize::new(0);
                let mut call = pin!(breaker.call(judge, async {
                    came.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<Answer>().await
                }));
                meeting.wait(1);
                let mut context = Context::from_waker(Waker::noop());
                // It may have to wait for a lock, for a moment.
                for _ in 0..1_000 {
                    let refused = call.as_mut().poll(&mut context) != Poll::Pending;
                    if refused || came.load(Ordering::SeqCst) > 0 {
                        break;
                    }
                    std::thread::yield_now();
                }
                // Who is in stays in until the other one has asked.
                meeting.wait(2);
            });
        }
    });
    inside.load(Ordering::SeqCst)
}
