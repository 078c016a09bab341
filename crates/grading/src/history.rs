//! What happened, in the order in which it happened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use testbed::origin::OriginEvent;
use testbed::proxy::Observation;

/// Names a step of a history, to mark it as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub(crate) usize);

/// One line of the timeline.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) lane: String,
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client calls the subject.
    Invoke,
    /// The subject answered: with a value, with an error, or not in time.
    Ok,
    Fail,
    Unknown,
    /// A request on the wire, or what the database did.
    Wire,
    /// A fault begins or ends.
    Fault {
        begins: bool,
    },
}

/// A shared, growing record. Clones are the same record.
#[derive(Clone, Debug)]
pub struct History {
    began: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    /// Steps of requests that wait for their reply, by lane and request.
    waiting: HashMap<(String, u64), Step>,
    /// The events as they were when the check had its verdict.
    told: Option<Vec<Event>>,
}

/// A call that has begun. Dropped without a word, its outcome is unknown, and says so.
#[must_use]
pub struct Call {
    history: History,
    lane: String,
    told: bool,
}

/// A fault that is on. It ends when it is dropped.
#[must_use]
pub struct FaultBand {
    history: History,
    text: String,
}

impl History {
    pub(crate) fn begin() -> History {
        History { began: Instant::now(), inner: Arc::default() }
    }

    /// `lane` calls the subject.
    pub fn invoke(&self, lane: &str, call: impl Into<String>) -> Call {
        self.add(lane, call.into(), Kind::Invoke);
        Call { history: self.clone(), lane: lane.to_owned(), told: false }
    }

    /// Makes a call on the subject and writes it, and how it ended, into `lane`.
    pub async fn call<T: std::fmt::Debug, E: std::fmt::Display>(
        &self,
        lane: &str,
        call: impl Into<String>,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let call = self.invoke(lane, call);
        let answer = answer.await;
        call.end_with(&answer);
        answer
    }

    /// A fault begins, and lasts until the returned band is dropped.
    pub fn fault(&self, text: impl Into<String>) -> FaultBand {
        let text = text.into();
        self.add("", text.clone(), Kind::Fault { begins: true });
        FaultBand { history: self.clone(), text }
    }

    /// Anything else worth a line in `lane`.
    pub fn note(&self, lane: &str, text: impl Into<String>) -> Step {
        self.add(lane, text.into(), Kind::Wire)
    }

    /// The last step of `lane` whose text holds `part`.
    pub fn last(&self, lane: &str, part: &str) -> Option<Step> {
        let inner = self.lock();
        let found = inner.events.iter().rposition(|e| e.lane == lane && e.text.contains(part));
        found.map(Step)
    }

    /// Records what a proxy saw of `lane`'s traffic.
    pub(crate) fn wire(&self, lane: &str, observation: Observation) {
        match observation {
            Observation::Request { id, request } => {
                let step = self.add(lane, wire_text(&request), Kind::Wire);
                self.lock().waiting.insert((lane.to_owned(), id), step);
            }
            Observation::Reply { id, reply } => {
                self.answer(lane, id, &format!(" → {}", shorten(&reply)));
            }
            Observation::Held { id } => {
                let text = self.waiting(lane, id);
                self.add("", format!("{lane} is held before {text}"), Kind::Fault { begins: true });
            }
            Observation::Released { id } => {
                let text = self.waiting(lane, id);
                self.add("", format!("{lane} goes on"), Kind::Fault { begins: false });
                // The request reaches the server now, and that is where it belongs.
                let step = self.add(lane, text, Kind::Wire);
                self.lock().waiting.insert((lane.to_owned(), id), step);
            }
            Observation::ReplyHeld { id, reply } => {
                self.answer(lane, id, &format!(" → {}", shorten(&reply)));
                let text = format!("the answer to {lane} is held on its way");
                self.add("", text, Kind::Fault { begins: true });
            }
            Observation::ReplyReleased { .. } => {
                self.add("", format!("{lane} gets its answer"), Kind::Fault { begins: false });
            }
            Observation::RequestCut { id } => self.answer(lane, id, " ✂ request lost"),
            Observation::ReplyCut { id, reply } => {
                self.answer(lane, id, &format!(" → {} ✂ reply lost", shorten(&reply)));
            }
            Observation::Lost { id } => self.answer(lane, id, " → no reply"),
            Observation::FromServer { id, said } => {
                let step = self.add(lane, format!("← {}", wire_text(&said)), Kind::Wire);
                self.lock().waiting.insert((lane.to_owned(), id), step);
            }
            Observation::FromServerHeld { id } => {
                let text = self.waiting(lane, id);
                let text = format!("held on its way to {lane}: {}", text.trim_start_matches("← "));
                self.add("", text, Kind::Fault { begins: true });
            }
            Observation::FromServerReleased { id } => {
                let text = self.waiting(lane, id);
                self.add("", format!("{lane} gets what was held"), Kind::Fault { begins: false });
                // The client hears it now, and that is where it belongs.
                self.add(lane, text, Kind::Wire);
            }
            Observation::FromServerCut { id } => self.answer(lane, id, " ✂ lost"),
        }
    }

    /// Records what the database did.
    pub(crate) fn origin<V: std::fmt::Debug>(&self, lane: &str, event: OriginEvent<V>) {
        let text = match event {
            OriginEvent::Read(key, Some(row)) => {
                format!("load {key} → {}", shorten(&format!("{row:?}")))
            }
            OriginEvent::Read(key, None) => format!("load {key} → no row"),
            OriginEvent::Failed(key) => format!("load {key} → error"),
            OriginEvent::Wrote(key, row) => {
                format!("write {key} = {}", shorten(&format!("{row:?}")))
            }
        };
        self.add(lane, text, Kind::Wire);
    }

    /// Forgets what happened so far: a check that tries many steps begins each with a clean page.
    pub fn turn_page(&self) {
        *self.lock() = Inner::default();
    }

    /// The check has its verdict. What happens from here on is its world coming down, on all
    /// threads at once, and proves nothing.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        if inner.told.is_none() {
            inner.told = Some(inner.events.clone());
        }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let inner = self.lock();
        inner.told.as_ref().unwrap_or(&inner.events).clone()
    }

    fn add(&self, lane: &str, text: String, kind: Kind) -> Step {
        let mut inner = self.lock();
        // The clock is read under the lock, so that time and order agree.
        let at = self.began.elapsed();
        inner.events.push(Event { at, lane: lane.to_owned(), text, kind });
        Step(inner.events.len() - 1)
    }

    fn answer(&self, lane: &str, id: u64, text: &str) {
        let mut inner = self.lock();
        if let Some(step) = inner.waiting.remove(&(lane.to_owned(), id)) {
            inner.events[step.0].text.push_str(text);
        }
    }

    fn waiting(&self, lane: &str, id: u64) -> String {
        let inner = self.lock();
        let step = inner.waiting.get(&(lane.to_owned(), id));
        step.map(|step| inner.events[step.0].text.clone()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The record is append-only; a panic between two pushes leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// The subject answered with a value.
    pub fn ok(self, value: impl Into<String>) -> Step {
        self.end(format!("= {}", value.into()), Kind::Ok)
    }

    /// The subject answered with an error.
    pub fn fail(self, error: impl Into<String>) -> Step {
        self.end(format!("= error: {}", error.into()), Kind::Fail)
    }

    /// Records a result as it is.
    pub fn end_with<T: std::fmt::Debug, E: std::fmt::Display>(self, result: &Result<T, E>) -> Step {
        match result {
            Ok(value) => match format!("{value:?}").as_str() {
                "()" => self.ok("done"),
                value => self.ok(value),
            },
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Nobody knows how it ended.
    pub fn unknown(self, why: impl Into<String>) -> Step {
        self.end(format!("= ? {}", why.into()), Kind::Unknown)
    }

    fn end(mut self, text: String, kind: Kind) -> Step {
        self.told = true;
        self.history.add(&self.lane, text, kind)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.told {
            self.history.add(&self.lane, "= ? abandoned".to_owned(), Kind::Unknown);
        }
    }
}

impl Drop for FaultBand {
    fn drop(&mut self) {
        let text = format!("over: {}", self.text);
        self.history.add("", text, Kind::Fault { begins: false });
    }
}

/// Scripts, tokens and long values would hide the step that matters.
fn shorten(text: &str) -> String {
    shorten_to(text, 28)
}

fn shorten_to(text: &str, longest: usize) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.chars().count() <= longest {
        return text;
    }
    let kept: String = text.chars().take(longest - 1).collect();
    format!("{kept}…")
}

fn wire_text(request: &testbed::proxy::Request) -> String {
    // Of a script, neither its text or digest nor the number of its keys helps a reader, and its
    // keys and arguments only by their beginnings. Of AMQP, neither the number of the channel.
    let is_amqp = request.field("channel").is_some();
    let (hidden, longest) = match request.command.as_str() {
        "EVAL" | "EVALSHA" => (2, 12),
        "SCRIPT" => (0, 5),
        _ => (usize::from(is_amqp), 28),
    };
    // There, what is not set is empty.
    let shown = request.arguments.iter().skip(hidden).filter(|word| !is_amqp || !word.is_empty());
    let mut words = vec![request.command.clone()];
    words.extend(
        shown.enumerate().map(|(n, word)| shorten_to(word, if n == 0 { 28 } else { longest })),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use testbed::proxy::Request;

    fn said(command: &str, arguments: &[&str]) -> Request {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Request { command: command.to_owned(), arguments, nth: 1 }
    }

    #[test]
    fn what_a_broker_says_by_itself_has_its_lines() {
        let history = History::begin();
        let wire = |observation| history.wire("worker", observation);
        let published = ["1", "shop", "orders", "mandatory", "", "m1", "{}"];
        wire(Observation::Request { id: 1, request: said("basic.publish", &published) });
        wire(Observation::ReplyCut { id: 1, reply: "basic.ack 1".to_owned() });
        let delivered = ["1", "w", "1", "", "shop", "orders", "m1", "{}"];
        wire(Observation::FromServer { id: 2, said: said("basic.deliver", &delivered) });
        wire(Observation::FromServerHeld { id: 2 });
        wire(Observation::FromServerReleased { id: 2 });
        wire(Observation::FromServer { id: 3, said: said("basic.cancel", &["1", "w", ""]) });
        wire(Observation::FromServerCut { id: 3 });
        // Redis has arguments that are empty, and they count.
        wire(Observation::Request { id: 4, request: said("SET", &["key", ""]) });
        let lines: Vec<String> = history.events().into_iter().map(|event| event.text).collect();
        assert_eq!(
            lines,
            [
                "basic.publish shop orders mandatory m1 {} → basic.ack 1 ✂ reply lost",
                "← basic.deliver w 1 shop orders m1 {}",
                "held on its way to worker: basic.deliver w 1 shop orders m1 {}",
                "worker gets what was held",
                "← basic.deliver w 1 shop orders m1 {}",
                "← basic.cancel w ✂ lost",
                "SET key ",
            ]
        );
    }
}
