//! Work that the check drives step by step: whether it goes on is seen, and not guessed by a clock.

use circuit_breakers::BoxError;
use grading::history::Step;
use grading::{Evidence, Finding, History, SOON};
use http::Response;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// So much after the deadline nobody works any more, on the busiest machine.
pub(super) const GRACE: Duration = Duration::from_secs(1);
const LATER: &str = "a second later";

/// Work of many small steps, each of which the check allows. It never ends by itself.
pub(super) struct Steps {
    lane: &'static str,
    history: History,
    allow: mpsc::UnboundedSender<()>,
    done: watch::Receiver<usize>,
}

/// The work itself.
pub(super) struct Work {
    lane: &'static str,
    history: History,
    allowed: mpsc::UnboundedReceiver<()>,
    done: watch::Sender<usize>,
}

pub(super) fn steps(history: &History, lane: &'static str) -> (Steps, Work) {
    let (allow, allowed) = mpsc::unbounded_channel();
    let (tell, done) = watch::channel(0);
    let steps = Steps { lane, history: history.clone(), allow, done };
    (steps, Work { lane, history: history.clone(), allowed, done: tell })
}

impl Work {
    /// Takes one step for each that is allowed, `step` being what it does.
    pub(super) async fn run<F: Future>(
        mut self,
        step: impl Fn(usize) -> F,
    ) -> Result<Response<String>, BoxError> {
        while self.allowed.recv().await.is_some() {
            let number = *self.done.borrow() + 1;
            self.history.note(self.lane, format!("works: step {number}"));
            step(number).await;
            self.done.send_replace(number);
        }
        std::future::pending().await
    }
}

impl Steps {
    /// Allows steps until this many are done. False if the work was dropped before.
    pub(super) async fn take(&self, many: usize) -> Result<bool, Finding> {
        for number in 1..=many {
            if self.allow.send(()).is_err() {
                return Ok(false);
            }
            let mut done = self.done.clone();
            let came = tokio::time::timeout(SOON, done.wait_for(|done| *done >= number)).await;
            match came {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Ok(false),
                Err(_) => {
                    let expected = "the work to begin at once";
                    return Err(Evidence::new(expected, format!("nothing in {SOON:?}")).into());
                }
            }
        }
        Ok(true)
    }

    /// Allows one more, and does not look whether it is done.
    pub(super) fn allow_one(&self) {
        let _ = self.allow.send(());
    }

    /// How many steps were done.
    pub(super) fn done(&self) -> usize {
        *self.done.borrow()
    }

    /// The work is dropped: nothing of it can ever go on. `since` is what should have ended it.
    pub(super) async fn must_end(&self, since: Option<Step>, why: &str) -> Result<(), Finding> {
        if tokio::time::timeout(GRACE, self.allow.closed()).await.is_ok() {
            return Ok(());
        }
        let done = self.done();
        let _ = self.allow.send(());
        let mut watch = self.done.clone();
        let _ = tokio::time::timeout(GRACE, watch.wait_for(|now| *now > done)).await;
        let saw = match self.done() > done {
            true => format!("step {} is taken {LATER}", self.done()),
            false => format!("it still holds all that it had {LATER}"),
        };
        let step = self.history.last(self.lane, "works");
        Err(Evidence::new(format!("no more work: {why}"), saw).at(since).at(step).into())
    }
}
