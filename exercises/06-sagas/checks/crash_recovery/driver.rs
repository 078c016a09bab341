//! A real process that drives sagas, and is killed or stopped.

use super::*;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// What the process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) services: String,
    pub(super) redis: String,
    pub(super) ttl: u64,
    /// They are started; or, where they have been, taken over.
    pub(super) start: bool,
    /// The payment provider knows no keys.
    pub(super) forgetful: bool,
    pub(super) jobs: Vec<Job>,
}

/// One saga, and where its driver is to be met.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) order: Order,
    pub(super) postgres: String,
    pub(super) stop: Option<Stop>,
}

/// Before or after the effect of what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub(super) what: String,
    pub(super) after: bool,
}

impl Stop {
    pub(super) fn at(what: &str, after: bool) -> Stop {
        Stop { what: what.to_owned(), after }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", if self.after { "after the effect of" } else { "before" }, self.what)
    }
}

/// Drives what it is told to, says where each saga stands still, and waits there until it is told to
/// go on, which may be never.
pub(super) async fn driver<S: Recovery>(child: Child) {
    let Orders { services, redis, ttl, start, forgetful, jobs } = child.arguments();
    let options = Options { ttl: Duration::from_millis(ttl), ..LONG_LEASE };
    let services = Services::open(&services, "driver", None);
    let Ok(services) = services else { return Child::say("no services") };
    let stops: HashMap<String, Option<Stop>> =
        jobs.iter().map(|job| (job.id.clone(), job.stop.clone())).collect();
    let child = Arc::new(Mutex::new(child));
    let stop = hook(move |moment: Moment| {
        let stop = stops.get(&moment.saga).cloned().flatten();
        let here = stop.is_some_and(|stop| stop == Stop::at(moment.what, moment.after));
        let child = Arc::clone(&child);
        async move {
            if here {
                Child::say(&format!("at {}", moment.saga));
                child.lock().await.hear().await;
            }
            Ok(())
        }
    });
    let saga = Arc::new(checkout(&services, &stop, forgetful));
    let mut recoveries = HashMap::new();
    let mut tasks = Vec::new();
    for job in jobs {
        let recovery = recoveries.entry(job.postgres.clone()).or_insert_with(|| {
            let opened = S::open(&job.postgres, &redis, options);
            Arc::new(opened.expect("the parent's URLs can be read"))
        });
        let (recovery, saga) = (Arc::clone(recovery), Arc::clone(&saga));
        tasks.push(tokio::spawn(async move {
            if !start {
                // One that is driven stands still at its stop, and does not come back.
                for looks in 1.. {
                    let taken = recovery.take_over(&saga).await;
                    if looks > 3 && matches!(taken, Ok(taken) if taken == TakenOver::default()) {
                        return Child::say(&format!("left {}", job.id));
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            let said = match recovery.start(&saga, &job.id, job.order).await {
                Ok(outcome) => outcome.word().to_owned(),
                Err(error) => format!("error: {error}"),
            };
            Child::say(&format!("end {} {said}", job.id));
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
    // It lives until it is killed, or its parent is gone.
    std::future::pending::<()>().await;
}

/// Until each saga stands still, at its stop or at its gate. Gives back those that have ended without.
pub(super) async fn all_stand_still(
    process: &mut Process,
    jobs: &[Job],
    gates: &HashMap<String, Gate>,
) -> Result<Vec<String>, Finding> {
    let mut left: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let mut ended = Vec::new();
    let began = Instant::now();
    while !left.is_empty() {
        if let Some(line) = process.hear(Duration::from_millis(5)).await? {
            match line.split_once(' ') {
                Some(("at", id)) => left.retain(|of| *of != id),
                Some(("end", how)) => {
                    let (id, how) = how.split_once(' ').unwrap_or((how, ""));
                    if how.starts_with("error") {
                        let what = format!("{id} driven by the other process");
                        return Err(Evidence::new(what, how).into());
                    }
                    ended.push(id.to_owned());
                    left.retain(|of| *of != id);
                }
                Some(("left", id)) => {
                    let what = format!("{id} taken over by the other process: nobody drives it");
                    return Err(Evidence::new(what, "it is not").into());
                }
                _ => return Err(Finding::inconclusive(format!("the other process said {line}"))),
            }
        }
        left.retain(|id| gates.get(*id).is_none_or(|gate| gate.count() == 0));
        if began.elapsed() > LONG / 2 {
            let what = "every saga to come to its point in the other process";
            return Err(Evidence::new(what, format!("not {}", left.join(", "))).into());
        }
    }
    Ok(ended)
}
