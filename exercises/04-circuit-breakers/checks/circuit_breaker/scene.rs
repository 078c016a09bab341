//! A dependency that answers what it is told to, and callers of it through the subject.

use circuit_breakers::circuit_breaker::{
    CallError, CircuitBreaker, Config, Judgement, Open, State,
};
use grading::history::Step;
use grading::{Evidence, Finding, History, SOON, World};
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::task::JoinHandle;

/// For what has to be still so: nothing that a check does takes so long.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
/// Between two moments that have to be told apart.
pub(super) const GAP: Duration = Duration::from_millis(60);
/// By so much a time may be rounded.
pub(super) const ROUNDED: Duration = Duration::from_millis(5);
/// For what has to be over: it is waited for.
pub(super) const MOMENT: Duration = Duration::from_millis(20);

/// What the dependency answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Well,
    Ill,
    /// An error of whoever asks.
    NotFound,
    /// An answer, and trouble all the same, as HTTP's 503 is.
    Busy,
    /// An error, of a dependency that is well.
    SoldOut,
    /// An answer at which the judge panics.
    Riddle,
    /// It panics in the caller's own code.
    Panic,
}

/// A word that it answered, or the trouble in its place.
pub(super) type Answer = Result<&'static str, &'static str>;

const NOT_FOUND: &str = "no such order";
const BUSY: &str = "busy, come later";
const SOLD_OUT: &str = "sold out";
const RIDDLE: &str = "a riddle";

pub(super) fn judge(answer: &Answer) -> Judgement {
    match *answer {
        Ok(BUSY) => Judgement::Failure,
        // As a panic, but past the hook that would lay it at the subject's door.
        Ok(RIDDLE) => std::panic::resume_unwind(Box::new("a bug of the judge's")),
        Ok(_) | Err(SOLD_OUT) => Judgement::Success,
        Err(NOT_FOUND) => Judgement::Ignored,
        Err(_) => Judgement::Failure,
    }
}

/// The stage: a breaker of the subject's, before a dependency that counts who reaches it.
pub(super) struct Scene<B> {
    pub(super) world: World,
    pub(super) config: Config,
    breaker: Arc<B>,
    dependency: Dependency,
}

#[derive(Clone)]
struct Dependency {
    history: History,
    asked: Arc<AtomicUsize>,
}

impl Dependency {
    /// Answers once `gate` is open.
    async fn answer(self, word: Word, gate: Option<Gate>) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match gate {
            None => _ = self.history.note("dependency", format!("is asked, answers: {word:?}")),
            Some(gate) => {
                self.history.note("dependency", "is asked");
                gate.pass().await;
                self.history.note("dependency", format!("answers: {word:?}"));
            }
        }
        match word {
            Word::Well => Ok("well"),
            Word::Ill => Err("down"),
            Word::NotFound => Err(NOT_FOUND),
            Word::Busy => Ok(BUSY),
            Word::SoldOut => Err(SOLD_OUT),
            Word::Riddle => Ok(RIDDLE),
            // As a panic, but past the hook that would lay it at the subject's door.
            Word::Panic => std::panic::resume_unwind(Box::new("a bug of the caller's")),
        }
    }
}

/// How a call ended.
pub(super) struct Ended {
    pub(super) result: Result<&'static str, CallError<&'static str>>,
    pub(super) step: Step,
}

impl<B: CircuitBreaker> Scene<B> {
    /// `failures` and `probes` are drawn: from three to five, and from two to four.
    pub(super) fn set(world: World, open_for: Duration, slow_after: Duration) -> Scene<B> {
        let mut random = world.random();
        let (failures, probes) = (random.random_range(3..6), random.random_range(2..5));
        let config = Config { failures, open_for, probes, slow_after };
        let text = format!("{failures} failures, {probes} probes");
        world.history().note("caller", text);
        let dependency =
            Dependency { history: world.history().clone(), asked: Arc::new(AtomicUsize::new(0)) };
        Scene { breaker: Arc::new(B::new(config)), config, dependency, world }
    }

    /// A new breaker, with other numbers.
    pub(super) fn renew(&mut self, failures: u32, probes: u32) {
        self.config = Config { failures, probes, ..self.config };
        self.world.history().turn_page();
        self.world.history().note("caller", format!("{failures} failures, {probes} probes"));
        self.breaker = Arc::new(B::new(self.config));
    }

    /// How many calls have reached the dependency.
    pub(super) fn asked(&self) -> usize {
        self.dependency.asked.load(Ordering::SeqCst)
    }

    pub(super) fn breaker(&self) -> Arc<B> {
        Arc::clone(&self.breaker)
    }

    /// One call, from beginning to end.
    pub(super) async fn ask(&self, word: Word) -> Result<Ended, Finding> {
        match tokio::time::timeout(SOON, self.calling("caller", word, None)).await {
            Ok(ended) => Ok(ended),
            Err(_) => Err(self.saw("an answer or a refusal at once", "neither")),
        }
    }

    /// One call that has to be let in.
    pub(super) async fn runs(&self, word: Word, why: &str) -> Result<Step, Finding> {
        let ended = self.ask(word).await?;
        ended.ran(why)
    }

    /// One call that must not be.
    pub(super) async fn refused(&self, why: &str) -> Result<Open, Finding> {
        let before = self.asked();
        let ended = self.ask(Word::Well).await?;
        let open = ended.refused(why)?;
        match self.asked() == before {
            true => Ok(open),
            false => Err(Evidence::new("a refusal without a call", "it was called all the same")
                .at(self.world.history().last("dependency", "is asked"))
                .at(ended.step)
                .into()),
        }
    }

    /// One call after the other that fails, until it should be open.
    pub(super) async fn trip(&self) -> Result<(), Finding> {
        for nth in 1..=self.config.failures {
            self.runs(Word::Ill, &format!("failure {nth} of {} in a row", self.config.failures))
                .await?;
        }
        self.is(State::Open, "after so many failures in a row")
    }

    /// Trips it, and waits until its time is over. Who comes next finds it half-open.
    pub(super) async fn trip_and_wait(&self) -> Result<(), Finding> {
        self.trip().await?;
        self.time_passes().await;
        Ok(())
    }

    /// As long as it is open for, and a little.
    pub(super) async fn time_passes(&self) {
        self.waits(self.config.open_for + Duration::from_millis(2)).await;
    }

    pub(super) async fn waits(&self, time: Duration) {
        self.world.history().note("caller", format!("waits {time:?}"));
        tokio::time::sleep(time).await;
    }

    /// So many probes, one after the other, that succeed, until it should be closed.
    pub(super) async fn heal(&self) -> Result<(), Finding> {
        for nth in 1..=self.config.probes {
            self.runs(Word::Well, &format!("probe {nth} of {}", self.config.probes)).await?;
            if nth < self.config.probes {
                self.is(State::HalfOpen, "not all of the probes have succeeded")?;
            }
        }
        self.is(State::Closed, "after as many probes have succeeded as it takes")
    }

    /// The state has to be this.
    pub(super) fn is(&self, state: State, why: &str) -> Result<(), Finding> {
        let saw = self.breaker.state();
        let step = self.world.history().note("caller", format!("sees it {saw:?}"));
        match saw == state {
            true => Ok(()),
            false => {
                let expected = format!("{state:?}, {why}");
                Err(Evidence::new(expected, format!("{saw:?}")).at(step).into())
            }
        }
    }

    /// Begins a call that stays in the dependency until it is told to go on.
    pub(super) fn hold(&self, lane: &'static str, word: Word) -> Held
    where
        B: CircuitBreaker,
    {
        let gate = Gate::shut();
        let task = tokio::spawn(self.calling(lane, word, Some(gate.clone())));
        Held { gate, task, history: self.world.history().clone(), lane }
    }

    /// Begins such calls while it is closed.
    pub(super) async fn hold_some(
        &self,
        lane: &'static str,
        many: u32,
    ) -> Result<Vec<Held>, Finding> {
        let mut held = Vec::new();
        for _ in 0..many {
            let mut call = self.hold(lane, Word::Well);
            call.is_in("it is closed").await?;
            held.push(call);
        }
        Ok(held)
    }

    /// Begins such calls, as many as there are probes, and they have to be let in.
    pub(super) async fn hold_probes(&self, lane: &'static str) -> Result<Vec<Held>, Finding> {
        let mut held = Vec::new();
        for nth in 1..=self.config.probes {
            let mut probe = self.hold(lane, Word::Well);
            probe.is_in(&format!("place {nth} of {} is free", self.config.probes)).await?;
            held.push(probe);
        }
        Ok(held)
    }

    /// A call through the subject, written down.
    pub(super) fn calling(
        &self,
        lane: &'static str,
        word: Word,
        gate: Option<Gate>,
    ) -> impl Future<Output = Ended> + Send + use<B> {
        let (breaker, history) = (self.breaker(), self.world.history().clone());
        let dependency = self.dependency.clone();
        async move {
            let call = history.invoke(lane, "call");
            let result = breaker.call(judge, dependency.answer(word, gate)).await;
            let step = match &result {
                Ok(word) => call.ok(*word),
                Err(CallError::Call(trouble)) => call.fail(*trouble),
                Err(CallError::Open(_)) => call.fail("refused"),
            };
            Ended { result, step }
        }
    }

    pub(super) fn saw(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        let last = self.world.history().last("caller", "");
        Evidence::new(expected, saw).at(last).into()
    }
}

impl Ended {
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.result, Err(CallError::Open(_)))
    }

    pub(super) fn ran(&self, why: &str) -> Result<Step, Finding> {
        match self.is_refused() {
            false => Ok(self.step),
            true => Err(Evidence::new(format!("let in: {why}"), "refused").at(self.step).into()),
        }
    }

    pub(super) fn refused(&self, why: &str) -> Result<Open, Finding> {
        match &self.result {
            Err(CallError::Open(open)) => Ok(*open),
            _ => Err(Evidence::new(format!("refused: {why}"), "let in").at(self.step).into()),
        }
    }
}

/// A call that is under way.
pub(super) struct Held {
    gate: Gate,
    task: JoinHandle<Ended>,
    history: History,
    lane: &'static str,
}

impl Held {
    /// Waits until it is in the dependency, where it has to be let in to.
    pub(super) async fn is_in(&mut self, why: &str) -> Result<(), Finding> {
        tokio::select! {
            came = self.gate.arrived(1, SOON) => came.map_err(|_| {
                let saw = "it was neither called nor refused";
                Evidence::new(format!("let in: {why}"), saw)
                    .at(self.history.last(self.lane, "call"))
                    .into()
            }),
            ended = &mut self.task => ended?.ran(why).map(|_| ()),
        }
    }

    /// It goes on to its end.
    pub(super) async fn ends(self) -> Result<Ended, Finding> {
        self.gate.open();
        match tokio::time::timeout(SOON, self.task).await {
            Ok(ended) => Ok(ended?),
            Err(_) => {
                Err(Evidence::new("an answer", "none").at(self.history.last(self.lane, "")).into())
            }
        }
    }

    /// As [`Held::ends`], of a call that panics.
    pub(super) async fn panics(self) -> Result<(), Finding> {
        self.gate.open();
        match tokio::time::timeout(SOON, self.task).await {
            Ok(Err(stopped)) if stopped.is_panic() => Ok(()),
            Ok(_) => Err(Finding::inconclusive("the call was to panic, and did not")),
            Err(_) => Err(Finding::inconclusive("the call was to panic, and went on")),
        }
    }

    /// Its caller hangs up: the future is dropped where it stands.
    pub(super) async fn hangs_up(self) -> Result<(), Finding> {
        self.history.note(self.lane, "hangs up");
        self.task.abort();
        match self.task.await {
            Err(stopped) if stopped.is_cancelled() => Ok(()),
            _ => Err(Finding::inconclusive("the call was to be dropped, and had ended before")),
        }
    }
}
