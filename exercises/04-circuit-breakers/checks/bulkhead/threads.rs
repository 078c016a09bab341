//! Two threads that come, wait or go at the very same moment.

use super::scene::{LONG, poll_once};
use crate::meeting::{Together, Work, again_and_again, end_together};
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts};
use grading::{Evidence, Finding, SOON, World};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Who has just gone may take a moment to be gone.
const MOMENT: Duration = Duration::from_secs(1);

pub(super) async fn threads_take_places<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let config = Config { places: 1, queue: 0, longest_wait: LONG };
    let call = async |bulkhead: &B, work: Work| {
        let _ = bulkhead.call(work.stay::<()>()).await;
    };
    let most = again_and_again(move |_| B::new(config), call).await?;
    let step = world.history().note("dependency", format!("is called by {most}"));
    if most > 1 {
        let expected = "one call, for there is one place, whoever comes at the same moment";
        return Err(Evidence::new(expected, format!("{most}")).at(step).into());
    }
    Ok(())
}

pub(super) async fn threads_queue<B: Bulkhead>(world: World) -> Result<(), Finding> {
    // Nobody gets in, and one may wait.
    let config = Config { places: 0, queue: 1, longest_wait: LONG };
    let most = Arc::<AtomicUsize>::default();
    let saw = Arc::clone(&most);
    let call = async move |bulkhead: &B, work: Work| {
        let mut waits = pin!(bulkhead.call(async {}));
        // It may have to wait for a lock, for a moment.
        for _ in 0..50 {
            if poll_once(waits.as_mut()).await.is_some() {
                return;
            }
            saw.fetch_max(bulkhead.counts().waiting, Ordering::SeqCst);
        }
        // And until the other one has come, it waits.
        work.stay::<()>().await;
    };
    again_and_again(move |_| B::new(config), call).await?;
    let most = most.load(Ordering::SeqCst);
    let step = world.history().note("counts", format!("waiting: {most}"));
    if most > 1 {
        let expected = "one who waits: there is room for one, whoever comes at the same moment";
        return Err(Evidence::new(expected, format!("{most}")).at(step).into());
    }
    Ok(())
}

/// Whether the counts are something else, and stay so.
fn tells_else<B: Bulkhead>(bulkhead: &B, expected: Counts) -> bool {
    let began = Instant::now();
    while bulkhead.counts() != expected {
        if began.elapsed() > MOMENT {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

pub(super) async fn threads_go<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let config = Config { places: 2, queue: 0, longest_wait: LONG };
    let ends = async |bulkhead: &B, other: Together| {
        let call = bulkhead.call(async move { other.meet() });
        let _ = tokio::time::timeout(SOON, call).await;
    };
    let lost = |bulkhead: &B| tells_else(bulkhead, Counts::default());
    if end_together(move |_| B::new(config), ends, lost).await? {
        let step = world.history().note("callers", "two calls end at the same moment");
        let expected = "nobody inside when both have ended, at whatever moment";
        return Err(Evidence::new(expected, "a place that did not come back").at(step).into());
    }
    let config = Config { places: 0, ..config };
    let is_refused = async |bulkhead: &B, other: Together| {
        other.meet();
        let _ = tokio::time::timeout(SOON, bulkhead.call(async {})).await;
    };
    let expected = Counts { inside: 0, waiting: 0, refused: 2 };
    let forgets = move |bulkhead: &B| tells_else(bulkhead, expected);
    if end_together(move |_| B::new(config), is_refused, forgets).await? {
        let step = world.history().note("callers", "two are refused at the same moment");
        let expected = "two refused, whoever is refused at the same moment";
        return Err(Evidence::new(expected, "one of them was not counted").at(step).into());
    }
    Ok(())
}

/// A bulkhead of one place, from which one goes while another one comes.
struct Passing<B> {
    bulkhead: B,
    came: AtomicUsize,
    inside: AtomicBool,
    /// For how long who goes stays on when the other one comes: so that it goes before that one has
    /// looked, after it, and in between.
    stays: Duration,
    /// Whether who came was passed over. Whoever plays after that need not.
    sleeps: Arc<AtomicBool>,
}

pub(super) async fn threads_pass<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let config = Config { places: 1, queue: 1, longest_wait: LONG };
    let sleeps = Arc::<AtomicBool>::default();
    let found = Arc::clone(&sleeps);
    let round = AtomicU64::new(0);
    let subject = move |_: &Handle| Passing {
        bulkhead: B::new(config),
        stays: Duration::from_micros(20 * (round.fetch_add(1, Ordering::SeqCst) % 5)),
        came: AtomicUsize::new(0),
        inside: AtomicBool::new(false),
        sleeps: Arc::clone(&sleeps),
    };
    let pass = async |passing: &Passing<B>, other: Together| {
        if passing.came.fetch_add(1, Ordering::SeqCst) == 0 {
            let goes = async move {
                passing.inside.store(true, Ordering::SeqCst);
                other.meet();
                let met = Instant::now();
                while met.elapsed() < passing.stays {
                    std::hint::spin_loop();
                }
            };
            let _ = tokio::time::timeout(SOON, passing.bulkhead.call(goes)).await;
            return;
        }
        let began = Instant::now();
        while !passing.inside.load(Ordering::SeqCst) && began.elapsed() < MOMENT {
            std::thread::yield_now();
        }
        other.meet();
        if !passing.sleeps.load(Ordering::SeqCst) {
            let comes = tokio::time::timeout(SOON, passing.bulkhead.call(async {}));
            if comes.await.is_err() {
                passing.sleeps.store(true, Ordering::SeqCst);
            }
        }
    };
    end_together(subject, pass, |passing| passing.sleeps.load(Ordering::SeqCst)).await?;
    if found.load(Ordering::SeqCst) {
        let step = world.history().note("callers", "one goes at the moment in which one comes");
        let expected = "a place for who comes: it is free";
        let saw = format!("nothing within {SOON:?}: it looked before, and began to wait after");
        return Err(Evidence::new(expected, saw).at(step).into());
    }
    Ok(())
}
