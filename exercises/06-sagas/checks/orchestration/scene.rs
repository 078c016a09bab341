//! Services that answer as they were told to, on a clock that moves only when everybody waits.
//!
//! Pauses and deadlines of seconds pass at once, and are measured to the millisecond: tokio's clock
//! is paused. That is sound only where nobody waits for a real socket, so `database` has none of it.

use super::services::Services;
pub(super) use super::services::{Called, Order, Plan, Reply, What, plan};
use grading::history::Step as Line;
use grading::{Evidence, Finding, History, World};
use rand::RngExt;
use rand::rngs::StdRng;
use sagas::orchestration::{Log, Orchestrator};
use sagas::saga::Patience;
use sagas::{Entry, Outcome, Saga};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::Instant;

/// Longer than any right answer takes in a scene; it passes at once.
pub(super) const FOREVER: Duration = Duration::from_secs(86_400);

/// Plays a scene in virtual time.
pub(super) async fn play<F>(
    world: World,
    scene: impl FnOnce(Stage) -> F + Send + 'static,
) -> Result<(), Finding>
where
    F: Future<Output = Result<(), Finding>>,
{
    let mut random = world.random();
    let number = random.random_range(100..1_000);
    let stage = Stage { random, number, history: world.history().clone() };
    let played = tokio::task::spawn_blocking(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| Finding::inconclusive(error.to_string()))?;
        runtime.block_on(scene(stage))
    });
    played.await?
}

/// What a scene begins with.
pub(super) struct Stage {
    pub(super) random: StdRng,
    /// Of the first order, so that no answer can know it beforehand.
    pub(super) number: u32,
    pub(super) history: History,
}

impl Stage {
    /// Two to four attempts, pauses of some hundred milliseconds, a deadline of some seconds.
    pub(super) fn patience(&mut self) -> Patience {
        Patience {
            attempts: self.random.random_range(2..=4),
            first: Duration::from_millis(self.random.random_range(80..400)),
            longest: Duration::from_secs(2),
            deadline: Duration::from_secs(self.random.random_range(3..9)),
        }
    }

    /// The subject, and services that do whatever they are asked to. A page of the timeline for each.
    pub(super) fn scene<S: Orchestrator>(&self) -> Scene<S> {
        self.history.turn_page();
        let services = Services::at(self.history.clone());
        let log = Book { history: self.history.clone(), inner: Arc::default() };
        Scene { subject: Arc::new(S::new()), services, log, number: self.number }
    }
}

/// What the steps of the scenes are called.
pub(super) const STEPS: [&str; 5] = ["reserve", "charge", "pack", "send", "thank"];

/// A saga of the first so many of them.
pub(super) fn first(steps: usize) -> Vec<Plan> {
    STEPS[..steps].iter().map(|name| plan(name)).collect()
}

/// `done` of the first so many steps.
pub(super) fn dones(steps: usize) -> Vec<String> {
    STEPS[..steps].iter().map(|step| format!("done {step}")).collect()
}

/// `undo`, or `undone`, of the first so many steps, the last of them first.
pub(super) fn back(word: &str, steps: usize) -> Vec<String> {
    STEPS[..steps].iter().rev().map(|step| format!("{word} {step}")).collect()
}

/// The log of all sagas of a scene.
#[derive(Clone)]
pub(super) struct Book {
    history: History,
    inner: Arc<Mutex<Pages>>,
}

#[derive(Default)]
struct Pages {
    entries: HashMap<String, Vec<Entry>>,
    appended: usize,
    hold: Option<Gate>,
    fails_at: Option<usize>,
}

impl Book {
    fn inner(&self) -> MutexGuard<'_, Pages> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the saga `id`.
    pub(super) fn entries(&self, id: &str) -> Vec<Entry> {
        self.inner().entries.get(id).cloned().unwrap_or_default()
    }

    pub(super) fn appended(&self) -> usize {
        self.inner().appended
    }

    /// From now on each entry waits at a gate of its own, which this gives when it is asked.
    pub(super) fn holds(&self, gate: Option<Gate>) {
        self.inner().hold = gate;
    }

    /// The how many-eth entry from the beginning cannot be kept.
    pub(super) fn fails_at(&self, nth: usize) {
        self.inner().fails_at = Some(nth);
    }
}

impl Log for Book {
    type Error = io::Error;

    async fn append(&self, id: &str, entry: &Entry) -> io::Result<()> {
        let gate = self.inner().hold.clone();
        if let Some(gate) = gate {
            self.history.note("log", format!("{}, held", told(entry)));
            gate.pass().await;
        }
        let mut pages = self.inner();
        pages.appended += 1;
        if pages.fails_at == Some(pages.appended) {
            self.history.note("log", format!("{}: the disk is full", told(entry)));
            return Err(io::Error::other("the disk is full"));
        }
        self.history.note("log", told(entry));
        pages.entries.entry(id.to_owned()).or_default().push(entry.clone());
        Ok(())
    }
}

/// An entry without its reason.
pub(super) fn told(entry: &Entry) -> String {
    match entry {
        Entry::Done { step } => format!("done {step}"),
        Entry::Refused { step, .. } => format!("refused {step}"),
        Entry::Unknown { step, .. } => format!("unknown {step}"),
        Entry::Undone { step } => format!("undone {step}"),
        Entry::Parked { step, .. } => format!("parked {step}"),
        Entry::Resumed => "resumed".to_owned(),
    }
}

/// The subject between services and a log.
pub(super) struct Scene<S> {
    pub(super) subject: Arc<S>,
    pub(super) services: Services,
    pub(super) log: Book,
    pub(super) number: u32,
}

impl<S> Clone for Scene<S> {
    fn clone(&self) -> Scene<S> {
        let Scene { subject, services, log, number } = self;
        let (subject, services, log) = (Arc::clone(subject), services.clone(), log.clone());
        Scene { subject, services, log, number: *number }
    }
}

type Answer = Result<Outcome, sagas::orchestration::Error>;

impl<S: Orchestrator> Scene<S> {
    /// Runs a saga. Its context is the scene's order.
    pub(super) async fn run(&self, saga: &Saga<Order>, id: &str) -> Answer {
        let order = Arc::new(Order(self.number));
        let call = self.services.history.invoke("orchestrator", format!("run {id}"));
        let answer = self.subject.run(saga, id, order, &self.log).await;
        call.end_with(&answer);
        answer
    }

    /// Goes on with it, from these entries, which are in the log.
    pub(super) async fn resume(&self, saga: &Saga<Order>, id: &str, entries: Vec<Entry>) -> Answer {
        let order = Arc::new(Order(self.number));
        let call = self.services.history.invoke("orchestrator", format!("resume {id}"));
        self.log.inner().entries.insert(id.to_owned(), entries.clone());
        let answer = self.subject.resume(saga, id, order, entries, &self.log).await;
        call.end_with(&answer);
        answer
    }

    /// Runs one to its end, and looks at what happened. No two at once.
    pub(super) async fn runs(&self, saga: &Saga<Order>) -> Result<Ended, Finding> {
        let id = format!("order-{}", self.number);
        self.watches(&id, self.run(saga, &id)).await
    }

    /// The same, from these entries.
    pub(super) async fn resumes(
        &self,
        saga: &Saga<Order>,
        entries: Vec<Entry>,
    ) -> Result<Ended, Finding> {
        let id = format!("order-{}", self.number);
        self.watches(&id, self.resume(saga, &id, entries)).await
    }

    async fn watches(
        &self,
        id: &str,
        answer: impl Future<Output = Answer>,
    ) -> Result<Ended, Finding> {
        let (before, began) = (self.services.called().len(), Instant::now());
        let Ok(answer) = tokio::time::timeout(FOREVER, answer).await else {
            let calls = self.services.called().len() - before;
            let line = self.note("nothing more happens");
            let saw = format!("none in a day, after {}", plural(calls, "call"));
            return Err(Evidence::new("an end", saw).at(line).into());
        };
        Ok(Ended {
            answer,
            called: self.services.called().split_off(before),
            entries: self.log.entries(id),
            took: began.elapsed(),
            history: self.services.history.clone(),
        })
    }

    pub(super) fn note(&self, text: impl Into<String>) -> Line {
        self.services.history.note("orchestrator", text)
    }

    /// Whether so many effects of each of these steps stand.
    pub(super) fn stand(&self, steps: &[(&'static str, usize)], why: &str) -> Result<(), Finding> {
        for (step, expected) in steps {
            let stand = self.services.stands(step);
            if stand != *expected {
                let line = self.note(format!("of {step} {} left", plural(stand, "effect")));
                let expected = format!("of {step} {}: {why}", plural(*expected, "effect"));
                return Err(Evidence::new(expected, stand.to_string()).at(line).into());
            }
        }
        Ok(())
    }
}

/// A run that is over.
pub(super) struct Ended {
    pub(super) answer: Answer,
    pub(super) called: Vec<Called>,
    pub(super) entries: Vec<Entry>,
    pub(super) took: Duration,
    history: History,
}

impl Ended {
    pub(super) fn not(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        let line = self.history.last("orchestrator", "= ");
        Evidence::new(expected, saw).at(line).into()
    }

    /// Whether it came to this.
    pub(super) fn is(&self, expected: Outcome) -> Result<(), Finding> {
        match &self.answer {
            Ok(outcome) if *outcome == expected => Ok(()),
            Ok(outcome) => Err(self.not(format!("{expected:?}"), format!("{outcome:?}"))),
            Err(error) => Err(self.not(format!("{expected:?}"), format!("an error: {error}"))),
        }
    }

    /// Whether just these calls were made, in this order: `charge`, `ask charge`, `undo charge`.
    pub(super) fn did(&self, expected: &[impl AsRef<str>]) -> Result<(), Finding> {
        let did: Vec<String> = self.called.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        match did == expected {
            true => Ok(()),
            false => Err(self.not(listed(&expected), listed(&did))),
        }
    }

    /// Whether just these entries are in the log, in this order, by [`told`].
    pub(super) fn wrote(&self, expected: &[impl AsRef<str>]) -> Result<(), Finding> {
        let wrote: Vec<String> = self.entries.iter().map(told).collect();
        match (listed(expected), listed(&wrote)) {
            (expected, wrote) if expected == wrote => Ok(()),
            (expected, wrote) => Err(self.not(format!("in the log: {expected}"), wrote)),
        }
    }

    /// Whether the one entry with a reason says what was said last.
    pub(super) fn because(&self, said: &str) -> Result<(), Finding> {
        let reason = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Refused { reason, .. }
            | Entry::Unknown { reason, .. }
            | Entry::Parked { reason, .. } => Some(reason),
            _ => None,
        });
        match reason {
            Some(reason) if reason.contains(said) => Ok(()),
            Some(reason) => {
                Err(self.not(format!("the reason: {said}"), format!("the reason: {reason}")))
            }
            None => Err(self.not(format!("the reason: {said}"), "no reason in the log")),
        }
    }

    /// From each call to the next.
    pub(super) fn between(&self) -> Vec<Duration> {
        self.called.windows(2).map(|two| two[1].at - two[0].at).collect()
    }
}

fn listed(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    // Who goes on without an end is told from the beginning.
    const SHOWN: usize = 20;
    match items.len() {
        0 => "nothing".to_owned(),
        all @ ..=SHOWN => items[..all].join(", "),
        all => format!("{}, and {} more", items[..SHOWN].join(", "), all - SHOWN),
    }
}

pub(super) fn plural(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
