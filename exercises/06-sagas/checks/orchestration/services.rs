//! The services behind the steps, and what they say to a call.

use grading::History;
use sagas::saga::Patience;
use sagas::{Failure, Run, Saga, Step};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::Instant;

/// More than any right answer calls in a scene. Then nobody answers any more, so that who repeats
/// for ever comes to an end.
const RUNAWAY: usize = 1_000;

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
    refusal_is_final: bool,
}

/// A step that can be undone, and of which nobody can be asked.
pub(super) const fn plan(name: &'static str) -> Plan {
    Plan { name, undo: true, ask: false, pivot: false, refusal_is_final: false }
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

    /// Also a pivot.
    pub(super) const fn undoable(self) -> Plan {
        Plan { undo: true, ..self }
    }

    pub(super) const fn final_refusal(self) -> Plan {
        Plan { refusal_is_final: true, ..self }
    }
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
    pub(super) history: History,
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
    pub(super) fn at(history: History) -> Services {
        Services { history, inner: Arc::default() }
    }

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
            if plan.refusal_is_final {
                step = step.final_refusal();
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
        let said = format!("{called} of order {}, attempt {}", called.order, called.attempt);
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
