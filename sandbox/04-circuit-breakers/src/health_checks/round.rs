//! Asking all dependencies at once, and once for all who want to know.

use super::report::{Seen, Status, masked};
use super::{Config, Dependency};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};

/// The round that is under way, or the last one.
#[derive(Debug)]
pub(super) struct Rounds {
    config: Config,
    dependencies: Arc<[Dependency]>,
    latest: Mutex<Option<Round>>,
}

/// `None` until the round has ended.
type Round = watch::Receiver<Option<Found>>;

#[derive(Clone, Debug)]
struct Found {
    at: Instant,
    seen: Vec<Seen>,
}

impl Rounds {
    pub(super) fn new(config: Config, dependencies: Vec<Dependency>) -> Rounds {
        Rounds { config, dependencies: dependencies.into(), latest: Mutex::default() }
    }

    // ANCHOR: latest
    /// What the round found that is under way, or was so at most `fresh_for` ago; or else a new one.
    pub(super) async fn latest(&self) -> Vec<Seen> {
        let mut round = self.join();
        match round.wait_for(Option::is_some).await {
            Ok(found) => found.as_ref().map(|found| found.seen.clone()).unwrap_or_default(),
            // Only a runtime that shuts down ends a round without a word.
            Err(_) => {
                self.dependencies.iter().map(|one| failed(one, LOST, Duration::ZERO)).collect()
            }
        }
    }

    fn join(&self) -> Round {
        // Whole after each of its operations, also where a thread panicked.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(round) = latest.as_ref().filter(|round| self.still_good(round)) {
            return round.clone();
        }
        let (tell, round) = watch::channel(None);
        let (dependencies, timeout) = (Arc::clone(&self.dependencies), self.config.timeout);
        // A task of its own, and not the future of whoever came first: that one may hang up, and
        // the others would wait for a round that nobody drives.
        tokio::spawn(async move {
            let seen = ask_all(&dependencies, timeout).await;
            tell.send_replace(Some(Found { at: Instant::now(), seen }));
        });
        *latest = Some(round.clone());
        round
    }

    fn still_good(&self, round: &Round) -> bool {
        match &*round.borrow() {
            Some(found) => found.at.elapsed() < self.config.fresh_for,
            // Under way, unless who should tell is gone.
            None => round.has_changed().is_ok(),
        }
    }
    // ANCHOR_END: latest
}

// ANCHOR: ask_all
/// Asks all of them at once. Ends after `timeout`, whatever they do.
async fn ask_all(dependencies: &[Dependency], timeout: Duration) -> Vec<Seen> {
    let until = Instant::now() + timeout.min(LONGEST);
    // Collected first: a lazy iterator would ask the second when the first has answered.
    let asked: Vec<_> = dependencies.iter().map(Asked::begin).collect();
    let mut seen = Vec::with_capacity(asked.len());
    for (dependency, mut asked) in dependencies.iter().zip(asked) {
        // The limit is around the task and not in it: a check that blocks its thread does not
        // come back to where a limit would be looked at.
        seen.push(match timeout_at(until, &mut asked.answer).await {
            Ok(Ok((Ok(()), took))) => {
                Seen { name: dependency.name, status: Status::Pass, took, output: None }
            }
            Ok(Ok((Err(wrong), took))) => failed(dependency, &wrong, took),
            // What it said goes to stderr by the panic hook. It is not for the outside.
            Ok(Err(lost)) => failed(dependency, why_lost(&lost), asked.began.elapsed()),
            Err(_) => failed(dependency, &format!("no answer within {timeout:?}"), timeout),
        });
    }
    seen
}

/// One that was asked. Dropped, it is given up: a hanging dependency would otherwise gather one
/// waiting task, and one connection, for every round.
struct Asked {
    began: Instant,
    answer: JoinHandle<(Result<(), String>, Duration)>,
    stop: AbortHandle,
}

impl Asked {
    fn begin(dependency: &Dependency) -> Asked {
        let (dependency, began) = (dependency.clone(), Instant::now());
        // In a task of its own a panic is an answer like others, and is looked at when its turn
        // comes; the clock is stopped at once.
        let answer = tokio::spawn(async move {
            let answer = dependency.ask().await.map_err(|error| masked(&error.to_string()));
            (answer, began.elapsed())
        });
        Asked { began, stop: answer.abort_handle(), answer }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.stop.abort();
    }
}
// ANCHOR_END: ask_all

/// A clock cannot hold any time, and the sum would panic.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

const LOST: &str = "the check was lost";

fn why_lost(lost: &JoinError) -> &'static str {
    if lost.is_panic() { "the check panicked" } else { LOST }
}

fn failed(dependency: &Dependency, why: &str, took: Duration) -> Seen {
    let status = if dependency.critical { Status::Fail } else { Status::Warn };
    Seen { name: dependency.name, status, took, output: Some(why.to_owned()) }
}
