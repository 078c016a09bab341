//! Honest load: an open loop of seeded arrivals, measured from when each should have begun.
//!
//! ```no_run
//! # async fn lesson() {
//! use std::time::Duration;
//! use testbed::load::{Load, Zipf};
//!
//! let load = Load {
//!     rate: 2_000.0,
//!     duration: Duration::from_secs(2),
//!     seed: 7,
//!     keys: Zipf::new(1_000, 1.0),
//! };
//! let report = load.run(|arrival| async move { read(arrival.key).await }).await;
//! println!("{report}");
//! # }
//! # async fn read(_key: usize) -> Result<(), ()> { Ok(()) }
//! ```
//!
//! # Why open
//!
//! Real users do not wait for each other. A closed loop, in which so many clients send the
//! next request when the last was answered, sends less while the server is slow: one stall of
//! 200 ms spoils one request for each client, and the hundreds that should have come meanwhile
//! were never sent. Here arrivals come at a constant rate whatever the server does, and a
//! latency runs from the *intended* arrival, so that queueing anywhere, in this generator too,
//! counts. That is coordinated omission made impossible: Gil Tene, "How NOT to Measure
//! Latency" (2013); Schroeder, Wierman, Harchol-Balter, "Open Versus Closed: A Cautionary
//! Tale" (NSDI 2006).
//!
//! # Traps
//!
//! - An open loop above the server's capacity queues without end: latency then tells how long
//!   the run was. Compare throughput with the rate first.
//! - [`Report::late`] tells how late this generator itself was at worst. If that is near the
//!   latencies, the machine is too busy to be believed.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

mod report;
mod zipf;

pub use report::Report;
pub use zipf::Zipf;

/// A load to come: the same one for the same fields.
#[derive(Debug, Clone)]
pub struct Load {
    /// Arrivals a second, evenly spaced.
    pub rate: f64,
    /// From the first arrival to where the next one after the last would be.
    pub duration: Duration,
    /// Of the keys.
    pub seed: u64,
    /// Which key each arrival asks for.
    pub keys: Zipf,
}

/// One request that should begin at `intended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Counted from 0.
    pub index: u64,
    /// Counted from 0, the most popular one.
    pub key: usize,
    /// Since the beginning of the run.
    pub intended: Duration,
}

impl Load {
    /// Every arrival, in order.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> + Send + 'static {
        let mut random = StdRng::seed_from_u64(self.seed);
        let keys = self.keys.clone();
        let rate = self.rate;
        // A rate of zero, below it or not a number offers nothing.
        let count = (rate * self.duration.as_secs_f64()).round().max(0.0) as u64;
        (0..count).map(move |index| Arrival {
            index,
            key: keys.at(random.random()),
            intended: Duration::from_secs_f64(index as f64 / rate),
        })
    }

    /// Begins an operation for each arrival, each as a task of its own, and returns when all
    /// have ended: an operation that may hang needs a time limit of its own. Dropping the
    /// future ends the load and aborts what is under way.
    ///
    /// # Panics
    /// If an operation does; outside a tokio runtime; if no thread can be started.
    pub async fn run<F, O, T, E>(&self, operation: F) -> Report
    where
        F: Fn(Arrival) -> O,
        O: Future<Output = Result<T, E>> + Send + 'static,
    {
        let begun = Instant::now();
        let mut arrivals = pace(begun, self.arrivals());
        let mut operations = JoinSet::new();
        let mut report = Report::new();
        let mut all_begun = false;
        while !all_begun || !operations.is_empty() {
            tokio::select! {
                // Starting what is due goes before counting what is done.
                biased;
                arrival = arrivals.recv(), if !all_begun => match arrival {
                    Some(arrival) => {
                        let intended = begun + arrival.intended;
                        report.begun(intended.elapsed());
                        let work = operation(arrival);
                        operations.spawn(async move {
                            let ok = work.await.is_ok();
                            (intended.elapsed(), ok)
                        });
                    }
                    None => all_begun = true,
                },
                Some(done) = operations.join_next() => match done {
                    Ok((latency, ok)) => report.ended(latency, ok),
                    Err(failed) => match failed.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => report.ended(Duration::ZERO, false),
                    },
                },
            }
        }
        report.finish(begun.elapsed());
        report
    }
}

/// Hands each arrival over when it is due. A late one is handed over at once and never left
/// out. On a thread, since tokio's clock ticks in milliseconds, ten times a Redis's answer;
/// the thread ends when nobody receives any more.
fn pace(
    begun: Instant,
    arrivals: impl Iterator<Item = Arrival> + Send + 'static,
) -> mpsc::UnboundedReceiver<Arrival> {
    let (due, receiver) = mpsc::unbounded_channel();
    let pace = move || {
        for arrival in arrivals {
            let wait = arrival.intended.saturating_sub(begun.elapsed());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            if due.send(arrival).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("testbed-load".into())
        .spawn(pace)
        .expect("the system starts one thread for a load");
    receiver
}
