//! The work that the checks have done, and what is known of it.

use super::*;
use testbed::gate::Gate;
use tokio::sync::watch;

/// How a piece of work goes.
#[derive(Clone)]
pub(super) enum How {
    Says(Verdict),
    /// It comes to the gate, and is done when that is open.
    At(Gate),
    /// On its way.
    Panics,
    /// Before there is anything to wait for.
    PanicsAtOnce,
}

impl How {
    pub(super) fn done() -> How {
        How::Says(Verdict::Done)
    }

    pub(super) fn again(why: impl Into<String>) -> How {
        How::Says(Verdict::Again(why.into()))
    }

    pub(super) fn never(why: impl Into<String>) -> How {
        How::Says(Verdict::Never(why.into()))
    }
}

/// A piece of work that was begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) message: Message,
    pub(super) attempt: u32,
    pub(super) at: Instant,
}

/// What the consumer of a lane has been given to do. Clones are the same.
#[derive(Clone)]
pub(super) struct Works {
    lane: &'static str,
    history: History,
    begun: watch::Sender<Vec<Begun>>,
    how: Arc<dyn Fn(&Delivered) -> How + Send + Sync>,
}

impl Works {
    pub(super) fn new(
        scene: &Scene,
        lane: &'static str,
        how: impl Fn(&Delivered) -> How + Send + Sync + 'static,
    ) -> Works {
        let (history, begun) = (scene.world.history().clone(), watch::Sender::default());
        Works { lane, history, begun, how: Arc::new(how) }
    }

    /// All but `poison` is done at once.
    pub(super) fn but(
        scene: &Scene,
        lane: &'static str,
        poison: &Message,
        how: impl Fn(u32) -> How + Send + Sync + 'static,
    ) -> Works {
        let poison = poison.id.clone();
        Works::new(scene, lane, move |delivered| match delivered.message.id == poison {
            true => how(delivered.attempt),
            false => How::done(),
        })
    }

    pub(super) fn work(self, delivered: Delivered) -> impl Future<Output = Verdict> + Send {
        let how = (self.how)(&delivered);
        if let How::PanicsAtOnce = how {
            self.begins(delivered, "panics at once");
            panic!("as the check wants it");
        }
        self.goes(delivered, how)
    }

    async fn goes(self, delivered: Delivered, how: How) -> Verdict {
        let id = delivered.message.id.clone();
        let what = match &how {
            How::Says(Verdict::Done) => "done".to_owned(),
            How::Says(Verdict::Again(why)) => format!("again: {}", short(why)),
            How::Says(Verdict::Never(why)) => format!("never: {}", short(why)),
            How::At(_) => "begins".to_owned(),
            How::Panics | How::PanicsAtOnce => "panics".to_owned(),
        };
        self.begins(delivered, &what);
        match how {
            How::Says(verdict) => verdict,
            How::At(gate) => {
                gate.pass().await;
                self.history.note(self.lane, format!("{id}: done"));
                Verdict::Done
            }
            How::Panics | How::PanicsAtOnce => panic!("as the check wants it"),
        }
    }

    fn begins(&self, Delivered { message, attempt }: Delivered, what: &str) {
        self.history.note(self.lane, format!("{}, delivery {attempt}: {what}", message.id));
        self.begun.send_modify(|begun| begun.push(Begun { message, attempt, at: Instant::now() }));
    }

    /// The attempts at a message, as they were begun.
    pub(super) fn attempts(&self, message: &Message) -> Vec<u32> {
        let begun = self.begun.borrow();
        let of_it = begun.iter().filter(|begun| begun.message.id == message.id);
        of_it.map(|begun| begun.attempt).collect()
    }

    pub(super) fn begun(&self) -> Vec<Begun> {
        self.begun.borrow().clone()
    }

    /// Waits until what was begun is `so`.
    pub(super) async fn come_to(
        &self,
        what: impl Into<String>,
        so: impl Fn(&[Begun]) -> bool,
    ) -> Result<(), Finding> {
        let mut begun = self.begun.subscribe();
        let comes = begun.wait_for(|begun| so(begun));
        match tokio::time::timeout(A_WHILE, comes).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.not(what, "not within 6 s")),
        }
    }

    /// The attempts must be these.
    pub(super) fn were(&self, message: &Message, wanted: &[u32]) -> Result<(), Finding> {
        let attempts = self.attempts(message);
        match attempts == wanted {
            true => Ok(()),
            false => {
                let expected = format!("deliveries {wanted:?} of {}", message.id);
                Err(self.not(expected, format!("{attempts:?}")))
            }
        }
    }

    fn not(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "delivery")).into()
    }
}

fn short(why: &str) -> String {
    why.chars().take(40).collect()
}
