//! A bulkhead, a dependency behind it that takes as long as the check wants, and callers.

use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use grading::history::Step;
use grading::{Evidence, Finding, History, SOON, World};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::task::JoinHandle;

/// Longer than a check.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// Between two looks at what cannot be waited for.
const LOOK: Duration = Duration::from_millis(1);

/// The stage.
pub(super) struct Scene<B> {
    pub(super) world: World,
    pub(super) bulkhead: Arc<B>,
    pub(super) dependency: Dependency,
}

impl<B: Bulkhead> Scene<B> {
    /// Nobody here waits in vain for less than [`LONG`].
    pub(super) fn set(world: World, places: usize, queue: usize) -> Scene<B> {
        Scene::with(world, Config { places, queue, longest_wait: LONG })
    }

    pub(super) fn with(world: World, config: Config) -> Scene<B> {
        let Config { places, queue, .. } = config;
        world.history().note("callers", format!("places: {places}, queue: {queue}"));
        let dependency = Dependency::of(world.history(), "dependency");
        Scene { bulkhead: Arc::new(B::new(config)), dependency, world }
    }

    /// `who` calls, in a task of its own.
    pub(super) fn calls(&self, who: usize) -> Caller {
        let gate = Gate::shut();
        let (bulkhead, history) = (Arc::clone(&self.bulkhead), self.world.history().clone());
        let work = self.dependency.work(who, gate.clone());
        let task = tokio::spawn(async move {
            let call = history.invoke("callers", format!("{who} calls"));
            let answer = bulkhead.call(work).await;
            let step = match answer {
                Ok(who) => call.ok(format!("{who} is done")),
                Err(full) => call.fail(format!("{who}: {full}")),
            };
            Answer { answer, step }
        });
        Caller { who, gate, task }
    }

    /// `who` calls, and has to be at work soon.
    pub(super) async fn gets_in(&self, who: usize) -> Result<Caller, Finding> {
        let mut caller = self.calls(who);
        self.is_at_work(&mut caller).await?;
        Ok(caller)
    }

    pub(super) async fn is_at_work(&self, caller: &mut Caller) -> Result<(), Finding> {
        let expected = format!("{} to have a place, for one is free", caller.who);
        let calls = self.world.history().last("callers", &format!("{} calls", caller.who));
        tokio::select! {
            came = caller.gate.arrived(1, SOON) => match came {
                Ok(()) => Ok(()),
                Err(_) => {
                    let saw = format!("it was not called within {SOON:?}");
                    Err(Evidence::new(expected, saw).at(calls).into())
                }
            },
            ended = &mut caller.task => {
                let Answer { answer, step } = ended?;
                Err(Evidence::new(expected, format!("{answer:?}")).at(step).into())
            }
        }
    }

    /// `who` calls, and has to wait.
    pub(super) async fn queues(&self, who: usize) -> Result<Caller, Finding> {
        let before = self.bulkhead.counts().waiting;
        let mut caller = self.calls(who);
        let expected = format!("{who} to wait in the queue");
        // A step too late does no harm: the counts are what says that it stands there.
        let waits = async {
            while self.bulkhead.counts().waiting <= before && caller.gate.count() == 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            waits = tokio::time::timeout(SOON, waits) => match waits {
                Ok(()) if caller.gate.count() == 0 => Ok(caller),
                Ok(()) => {
                    let begins = self.world.history().last("dependency", &format!("{who} begins"));
                    Err(Evidence::new(expected, "it was called").at(begins).into())
                }
                Err(_) => {
                    let saw = format!("waiting: {}", self.bulkhead.counts().waiting);
                    Err(Evidence::new(format!("{expected}, and the counts to say so"), saw).into())
                }
            },
            ended = &mut caller.task => {
                let Answer { answer, step } = ended?;
                Err(Evidence::new(expected, format!("{answer:?}")).at(step).into())
            }
        }
    }

    /// `who` calls, and has to be refused without waiting.
    pub(super) async fn is_refused(&self, who: usize, expected: &str) -> Result<(), Finding> {
        let mut caller = self.calls(who);
        let calls = || self.world.history().last("callers", &format!("{who} calls"));
        let refused = match tokio::time::timeout(SOON, &mut caller.task).await {
            Ok(ended) => ended?,
            Err(_) => {
                let saw = match caller.gate.count() {
                    0 => "it waits",
                    _ => "it was called",
                };
                return Err(Evidence::new(expected, saw).at(calls()).into());
            }
        };
        if refused.answer != Err(Full::Queue) {
            let saw = format!("{:?}", refused.answer);
            return Err(Evidence::new(expected, saw).at(refused.step).into());
        }
        self.was_not_called(&caller, refused.step)
    }

    /// Whoever was refused must not have been called.
    pub(super) fn was_not_called(&self, caller: &Caller, refused: Step) -> Result<(), Finding> {
        if caller.gate.count() == 0 {
            return Ok(());
        }
        let who = caller.who;
        let begins = self.world.history().last("dependency", &format!("{who} begins"));
        let expected = format!("{who}, which was refused, not to be called");
        Err(Evidence::new(expected, "it was").at(begins).at(refused).into())
    }

    /// The caller's call ends, and the caller hears of it.
    pub(super) async fn ends(&self, caller: Caller) -> Result<(), Finding> {
        let Caller { who, gate, task } = caller;
        gate.open();
        let expected = format!("{who} to end, for its call has");
        match tokio::time::timeout(SOON, task).await {
            Ok(ended) => {
                let Answer { answer, step } = ended?;
                match answer == Ok(who) {
                    true => Ok(()),
                    false => Err(Evidence::new(expected, format!("{answer:?}")).at(step).into()),
                }
            }
            Err(_) => Err(Evidence::new(expected, format!("nothing within {SOON:?}")).into()),
        }
    }

    /// The caller goes away, and its future is dropped.
    pub(super) async fn leaves(&self, caller: Caller) -> Result<(), Finding> {
        self.world.history().note("callers", format!("{} goes away", caller.who));
        caller.task.abort();
        match caller.task.await {
            Err(stopped) if stopped.is_cancelled() => Ok(()),
            Err(panicked) => Err(panicked.into()),
            Ok(_) => Err(Finding::inconclusive("the caller had its answer before it could leave")),
        }
    }

    /// Waits until the counts are as they should be: who has just gone may take a moment.
    pub(super) async fn tells(&self, what: &str, expected: Counts) -> Result<(), Finding> {
        let told = async {
            while self.bulkhead.counts() != expected {
                tokio::time::sleep(LOOK).await;
            }
        };
        let told = tokio::time::timeout(SOON, told).await;
        let counts = self.bulkhead.counts();
        let step = self.world.history().note("counts", format!("{counts:?}"));
        told.map_err(|_| {
            let expected = format!("{what}: {expected:?}");
            Evidence::new(expected, format!("{counts:?}")).at(step).into()
        })
    }

    /// Waits until so many are in the queue.
    pub(super) async fn waiting(&self, expected: usize) -> Result<(), Finding> {
        let comes = async {
            while self.bulkhead.counts().waiting != expected {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(SOON, comes).await.map_err(|_| {
            let saw = format!("{:?}", self.bulkhead.counts());
            Evidence::new(format!("{expected} to wait"), saw).into()
        })
    }

    /// Polls a call until it stands in the queue, as the only one there, and not once more: from
    /// then on it is one that is slow to wake up.
    pub(super) async fn stands_in_the_queue(
        &self,
        mut call: Pin<&mut impl Future<Output = Result<usize, Full>>>,
    ) -> Result<(), Finding> {
        let stands = async {
            loop {
                if let Some(answer) = poll_once(call.as_mut()).await {
                    return Err(Evidence::new("it to wait", format!("{answer:?}")));
                }
                if self.bulkhead.counts().waiting == 1 {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(SOON, stands).await {
            Ok(stands) => Ok(stands?),
            Err(_) => {
                let saw = format!("{:?}", self.bulkhead.counts());
                Err(Evidence::new("1 to wait", saw).into())
            }
        }
    }

    /// Never more at once than `places`.
    pub(super) fn kept_to(&self, places: usize) -> Result<(), Finding> {
        let most = self.dependency.most();
        if most <= places {
            return Ok(());
        }
        let begins = self.world.history().last("dependency", "begins");
        let saw = format!("{most} at once");
        Err(Evidence::new(format!("{places} calls at once at most"), saw).at(begins).into())
    }
}

/// Somebody who calls.
pub(super) struct Caller {
    pub(super) who: usize,
    /// Where its call waits.
    pub(super) gate: Gate,
    pub(super) task: JoinHandle<Answer>,
}

/// What a caller heard, and where it stands in the history.
pub(super) struct Answer {
    pub(super) answer: Result<usize, Full>,
    pub(super) step: Step,
}

/// What is called. It counts who is at work, in which order they began, and how many at once.
#[derive(Clone)]
pub(super) struct Dependency {
    history: History,
    lane: &'static str,
    record: Arc<Mutex<Record>>,
}

#[derive(Default)]
struct Record {
    at_work: usize,
    most: usize,
    began: Vec<usize>,
}

impl Dependency {
    pub(super) fn of(history: &History, lane: &'static str) -> Dependency {
        Dependency { history: history.clone(), lane, record: Arc::default() }
    }

    /// Work for `who`, which begins when it is first polled and ends when `gate` opens.
    pub(super) fn work(
        &self,
        who: usize,
        gate: Gate,
    ) -> impl Future<Output = usize> + Send + 'static {
        let dependency = self.clone();
        async move {
            let _at_work = dependency.begins(who);
            gate.pass().await;
            who
        }
    }

    /// Somebody is at work until what is returned is dropped.
    pub(super) fn begins(&self, who: usize) -> AtWork {
        {
            let mut record = self.record();
            record.at_work += 1;
            record.most = record.most.max(record.at_work);
            record.began.push(who);
        }
        self.history.note(self.lane, format!("{who} begins"));
        AtWork { dependency: self.clone(), who }
    }

    pub(super) fn note(&self, text: &str) {
        self.history.note(self.lane, text);
    }

    pub(super) fn most(&self) -> usize {
        self.record().most
    }

    pub(super) fn began(&self) -> Vec<usize> {
        self.record().began.clone()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct AtWork {
    dependency: Dependency,
    who: usize,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.dependency.record().at_work -= 1;
        self.dependency.history.note(self.dependency.lane, format!("{} ends", self.who));
    }
}

/// One step of a future that nobody else drives.
pub(super) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}
