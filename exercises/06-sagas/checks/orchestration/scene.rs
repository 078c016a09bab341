//! Services that answer as they were told to, on a clock that moves only when everybody waits.
//!
//! Pauses and deadlines of seconds pass at once, and are measured to the millisecond: tokio's clock
//! is paused. That is sound only where nobody waits for a real socket, so `database` has none of it.

use grading::history::Step as Line;
use grading::{Evidence, Finding, History, World};
use rand::RngExt;
use rand::rngs::StdRng;
use sagas::orchestration::{Log, Orchestrator};
use sagas::saga::Patience;
use sagas::{Entry, Failure, Outcome, Run, Saga, Step};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::Instant;

/// Longer than any right answer takes in a scene; it passes at once.
pub(super) const FOREVER: Duration = Duration::from_secs(86_400);

/// More than any right answer calls in a scene. Then nobody answers any more, so that who repeats
/// for ever comes to an end.
const RUNAWAY: usize = 1_000;

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
        let services = Services { history: self.history.clone(), inner: Arc::default() };
        let log = Book { history: self.history.clone(), inner: Arc::default() };
        Scene { subject: Arc::new(S::new()), services, log, number: self.number }
    }
}

/// What all steps of a saga know.
#[derive(Debug)]
pub(super) struct Order(pub(super) u32);

/// A step as it is planned.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    name: &'static str,
    undo: bool,
    ask: bool,
    pivot: bool,
}

/// A step that can be undone, and of which nobody can be asked.
pub(super) const fn plan(name: &'static str) -> Plan {
    Plan { name, undo: true, ask: false, pivot: false }
}

impl Plan {
    pub(super) const fn for_good(self) -> Plan {
        Plan { undo: false, ..self }
    }

    pub(super) const fn asked(self) -> Plan {
        Plan { ask: true, ..self }
    }

    pub(super) const fn pivot(self) -> Plan {
        Plan { undo: false, pivot: true, ..self }
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

/// What of a step is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    Act,
    Undo,
    Ask,
}

/// What comes of one call.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// It is done. An inquiry says how it is.
    Done,
    Refused,
    NotDone,
    /// It is done, and the answer is lost. Of an inquiry: no answer.
    Lost,
    /// It is not done, and nobody can tell.
    NeverCame,
    /// It is done, so much later.
    Slow(Duration),
    /// No answer ever, and nothing is done.
    Hangs,
    /// No answer ever, and it is done so much later.
    Lands(Duration),
    /// It is done when the gate is open.
    Held(Gate),
    /// It panics in its middle, when it was done.
    Panics,
    /// It panics before there is a future, and nothing was done.
    PanicsAtOnce,
}

use Reply::Done;

/// A call as it came.
#[derive(Clone, Debug)]
pub(super) struct Called {
    pub(super) what: What,
    pub(super) step: &'static str,
    pub(super) id: String,
    pub(super) key: String,
    pub(super) attempt: u32,
    pub(super) order: u32,
    pub(super) at: Instant,
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Act => write!(f, "{}", self.step),
            What::Undo => write!(f, "undo {}", self.step),
            What::Ask => write!(f, "ask {}", self.step),
        }
    }
}

/// How things are under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Stands,
    TakenBack,
}

/// The services behind the steps: all of them keep their keys, and a key that was undone before it
/// came is kept out.
#[derive(Clone)]
pub(super) struct Services {
    history: History,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    says: HashMap<(What, &'static str), VecDeque<Reply>>,
    always: HashMap<(What, &'static str), Reply>,
    called: Vec<Called>,
    effects: BTreeMap<(&'static str, String), Effect>,
    left_alone: usize,
}

impl Services {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes of the next calls of this. After that, and before, everything is well.
    pub(super) fn says(
        &self,
        what: What,
        step: &'static str,
        replies: impl IntoIterator<Item = Reply>,
    ) {
        self.inner().says.insert((what, step), replies.into_iter().collect());
    }

    /// What comes of all calls of this, from now on.
    pub(super) fn always(&self, what: What, step: &'static str, reply: Reply) {
        let mut inner = self.inner();
        inner.says.remove(&(what, step));
        inner.always.insert((what, step), reply);
    }

    /// From now on everything is well.
    pub(super) fn are_well(&self) {
        let mut inner = self.inner();
        inner.says.clear();
        inner.always.clear();
    }

    /// All calls so far.
    pub(super) fn called(&self) -> Vec<Called> {
        self.inner().called.clone()
    }

    /// How many calls were dropped before they had an answer.
    pub(super) fn left_alone(&self) -> usize {
        self.inner().left_alone
    }

    /// How often the effect of `step` stands, over all keys.
    pub(super) fn stands(&self, step: &'static str) -> usize {
        let inner = self.inner();
        let of_step = inner.effects.iter().filter(|((name, _), _)| *name == step);
        of_step.filter(|(_, effect)| **effect == Effect::Stands).count()
    }

    /// The saga of these steps.
    pub(super) fn saga(
        &self,
        name: &'static str,
        plans: &[Plan],
        patience: Patience,
    ) -> Saga<Order> {
        let mut saga = Saga::named(name);
        for plan in plans {
            let name = plan.name;
            let mut step = Step::new(name, self.call(What::Act, name)).patience(patience);
            if plan.undo {
                step = step.undo(self.call(What::Undo, name));
            }
            if plan.ask {
                let asked = self.clone();
                let ask = self.call(What::Ask, name);
                step = step.ask(move |run: Run<Order>| {
                    let (services, key) = (asked.clone(), run.key.clone());
                    let answer = ask(run);
                    async move { answer.await.map(|()| services.knows(name, &key)) }
                });
            }
            if plan.pivot {
                step = step.pivot();
            }
            saga = saga.step(step);
        }
        saga
    }

    fn call(
        &self,
        what: What,
        step: &'static str,
    ) -> impl Fn(Run<Order>) -> Answering + Send + Sync + 'static {
        let services = self.clone();
        move |run| services.arrives(what, step, run)
    }

    fn knows(&self, step: &'static str, key: &str) -> bool {
        self.inner().effects.get(&(step, key.to_owned())) == Some(&Effect::Stands)
    }

    fn arrives(&self, what: What, step: &'static str, run: Run<Order>) -> Answering {
        let Run { id, key, attempt, context } = run;
        let order = context.0;
        let called = Called { what, step, id, key, attempt, order, at: Instant::now() };
        let reply = {
            let mut inner = self.inner();
            let next = inner.says.get_mut(&(what, step)).and_then(VecDeque::pop_front);
            let reply = match next.or_else(|| inner.always.get(&(what, step)).cloned()) {
                _ if inner.called.len() > RUNAWAY => Reply::Hangs,
                Some(reply) => reply,
                None => Done,
            };
            inner.called.push(called.clone());
            reply
        };
        let said = match (what, &reply) {
            (What::Ask, Done) if self.knows(step, &called.key) => "yes",
            (What::Ask, Done) => "no",
            (What::Ask, Reply::Lost) => "✂ answer lost",
            _ => reply.told(),
        };
        self.history.note("services", format!("{called} → {said}"));
        if let Reply::PanicsAtOnce = reply {
            panic!("on purpose: {called}");
        }
        let services = self.clone();
        Box::pin(async move {
            let mut waiting = Waiting { services: services.clone(), over: false };
            let answer = services.answer(reply, &called).await;
            waiting.over = true;
            answer
        })
    }

    async fn answer(&self, reply: Reply, called: &Called) -> Result<(), Failure> {
        let said = format!("{called} of order {}", called.order);
        match reply {
            Done => self.takes_effect(called),
            Reply::Refused => return Err(Failure::Refused(said)),
            Reply::NotDone => return Err(Failure::NotDone(said)),
            Reply::NeverCame => return Err(Failure::Unclear(said)),
            Reply::Lost => {
                self.takes_effect(called);
                return Err(Failure::Unclear(said));
            }
            Reply::Slow(later) => {
                tokio::time::sleep(later).await;
                self.takes_effect(called);
            }
            Reply::Hangs => std::future::pending::<()>().await,
            Reply::Lands(later) => {
                // In the service, which does not know that its caller has left.
                let (services, called) = (self.clone(), called.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(later).await;
                    services.history.note("services", format!("{called}: lands now"));
                    services.takes_effect(&called);
                });
                std::future::pending::<()>().await;
            }
            Reply::Held(gate) => {
                gate.pass().await;
                self.takes_effect(called);
            }
            Reply::Panics => {
                self.takes_effect(called);
                tokio::task::yield_now().await;
                panic!("on purpose: {called}");
            }
            Reply::PanicsAtOnce => {}
        }
        Ok(())
    }

    fn takes_effect(&self, called: &Called) {
        let mut inner = self.inner();
        let effect = inner.effects.entry((called.step, called.key.clone()));
        match called.what {
            What::Act => drop(effect.or_insert(Effect::Stands)),
            What::Undo => *effect.or_insert(Effect::TakenBack) = Effect::TakenBack,
            What::Ask => {}
        }
    }
}

type Answering = std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

impl Reply {
    fn told(&self) -> &'static str {
        match self {
            Done => "well",
            Reply::Refused => "refused",
            Reply::NotDone => "not done",
            Reply::Lost => "well ✂ answer lost",
            Reply::NeverCame => "✂ never came",
            Reply::Slow(_) => "well, after a while",
            Reply::Hangs => "silence",
            Reply::Lands(_) => "silence, still on its way",
            Reply::Held(_) => "well, but not now",
            Reply::Panics => "well, then a panic",
            Reply::PanicsAtOnce => "a panic",
        }
    }
}

/// A call that has no answer yet.
struct Waiting {
    services: Services,
    over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over && !std::thread::panicking() {
            self.services.inner().left_alone += 1;
        }
    }
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
        match (listed(expected), listed(&did)) {
            (expected, did) if expected == did => Ok(()),
            (expected, did) => Err(self.not(expected, did)),
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
    match items[..] {
        [] => "nothing".to_owned(),
        _ => items.join(", "),
    }
}

pub(super) fn plural(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
