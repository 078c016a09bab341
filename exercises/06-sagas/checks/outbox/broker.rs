//! A broker that the check plays: it remembers what arrives, and does what brokers do.

use super::*;
use messaging::confirms::{self, NotConfirmed, Publisher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self, MutexGuard, PoisonError};

/// What becomes of a message, other than that it arrives and is confirmed.
#[derive(Clone)]
pub(super) enum Fate {
    /// The broker is full: it says no.
    Refused,
    /// No queue wants it: it comes back.
    Unwanted,
    /// It never arrives, and nobody is told.
    Lost,
    /// It arrives, and the confirm is lost.
    ConfirmLost,
    /// It waits at the gate before it arrives, and with it what is published behind it.
    Held(Gate),
    /// It arrives so much later, and what is published behind it later still.
    Slow(Duration),
}

type Matcher = Box<dyn Fn(&Message) -> bool + Send + Sync>;

/// Clones are the same broker.
#[derive(Clone)]
pub(super) struct Broker {
    inside: Arc<Inside>,
}

struct Inside {
    history: History,
    arrived: sync::Mutex<Vec<(String, Message)>>,
    rules: sync::Mutex<Vec<(Matcher, AtomicUsize, Fate)>>,
    /// How often each was tried, whatever became of it.
    tried: sync::Mutex<BTreeMap<String, usize>>,
}

impl Broker {
    pub(super) fn new(history: History) -> Broker {
        let (arrived, rules, tried) = Default::default();
        Broker { inside: Arc::new(Inside { history, arrived, rules, tried }) }
    }

    /// The next `times` messages that match meet this fate.
    pub(super) fn rule(
        &self,
        times: usize,
        matches: impl Fn(&Message) -> bool + Send + Sync + 'static,
        fate: Fate,
    ) {
        hold(&self.inside.rules).push((Box::new(matches), AtomicUsize::new(times), fate));
    }

    /// The broker is well again.
    pub(super) fn clear_rules(&self) {
        hold(&self.inside.rules).clear();
    }

    /// All that has arrived, in the order in which it did.
    pub(super) fn arrived(&self) -> Vec<(String, Message)> {
        hold(&self.inside.arrived).clone()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        hold(&self.inside.arrived).iter().map(|(_, message)| message.id.clone()).collect()
    }

    /// How many different messages have arrived.
    pub(super) fn different(&self) -> usize {
        let mut ids = self.ids();
        ids.sort();
        ids.dedup();
        ids.len()
    }

    /// How often this one has arrived.
    pub(super) fn times(&self, id: &str) -> usize {
        self.ids().iter().filter(|arrived| *arrived == id).count()
    }

    /// How often this one was tried.
    pub(super) fn tried(&self, id: &str) -> usize {
        hold(&self.inside.tried).get(id).copied().unwrap_or(0)
    }

    fn fate(&self, message: &Message) -> Option<Fate> {
        *hold(&self.inside.tried).entry(message.id.clone()).or_default() += 1;
        let rules = hold(&self.inside.rules);
        let (_, left, fate) = rules
            .iter()
            .find(|(matches, left, _)| left.load(Ordering::SeqCst) > 0 && matches(message))?;
        left.fetch_sub(1, Ordering::SeqCst);
        Some(fate.clone())
    }

    /// The message comes in from `lane`, and is kept or not.
    fn meet(&self, lane: &str, exchange: &str, message: &Message, fate: Option<&Fate>) {
        let (kept, what) = match fate {
            None | Some(Fate::Held(_) | Fate::Slow(_)) => (true, "gets"),
            Some(Fate::Refused) => (false, "refuses"),
            Some(Fate::Unwanted) => (false, "has no queue for"),
            Some(Fate::Lost) => (false, "never sees"),
            Some(Fate::ConfirmLost) => (true, "gets, and cannot say so,"),
        };
        self.inside.history.note("broker", format!("{what} {} of {lane}", message.id));
        if kept {
            hold(&self.inside.arrived).push((exchange.to_owned(), message.clone()));
        }
    }
}

/// One publisher's way to the broker.
pub(super) struct Wire {
    pub(super) lane: &'static str,
    pub(super) broker: Broker,
}

impl Publisher for Wire {
    fn open(url: &str, _: confirms::Options) -> Result<Wire, messaging::Error> {
        Err(messaging::Error::Url(format!("{url}: the check's publisher is open")))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        let told = self.publish_all(exchange, std::slice::from_ref(message)).await;
        told.into_iter().next().unwrap_or(Ok(()))
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let mut fates = Vec::new();
        for message in messages {
            let fate = self.broker.fate(message);
            match &fate {
                Some(Fate::Held(gate)) => gate.pass().await,
                Some(Fate::Slow(late)) => tokio::time::sleep(*late).await,
                _ => {}
            }
            self.broker.meet(self.lane, exchange, message, fate.as_ref());
            fates.push(fate);
            // Others who publish at once may come in between.
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        for (message, fate) in messages.iter().zip(fates) {
            told.push(match fate {
                Some(Fate::Refused) => Err(NotConfirmed::Refused),
                Some(Fate::Unwanted) => Err(NotConfirmed::Unroutable { key: message.key.clone() }),
                Some(Fate::Lost | Fate::ConfirmLost) => {
                    let slow = messaging::Error::Slow(Duration::from_millis(1));
                    Err(NotConfirmed::Unknown(slow))
                }
                Some(Fate::Held(_) | Fate::Slow(_)) | None => Ok(()),
            });
        }
        told
    }
}

fn hold<T>(mutex: &sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
