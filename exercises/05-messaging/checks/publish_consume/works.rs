//! The work that the checks have done, and what is known of it.

use super::*;
use tokio::sync::watch;

/// How a piece of work goes.
#[derive(Clone)]
pub(super) enum How {
    /// At once.
    Well,
    /// When the gate is open.
    At(Gate),
    /// It comes to the gate, and fails when that is open.
    FailsAt(Gate),
    Fails,
    /// On its way.
    Panics,
    /// Before there is anything to wait for.
    PanicsAtOnce,
    /// It never ends.
    Hangs,
}

/// A piece of work that was begun or done: the message's id, and which attempt it was.
pub(super) type Piece = (String, u32);

#[derive(Clone, Default, Debug)]
pub(super) struct Seen {
    pub(super) begun: Vec<Piece>,
    pub(super) done: Vec<Piece>,
    pub(super) messages: Vec<Message>,
    under_way: usize,
    /// The most that were under way at once.
    pub(super) peak: usize,
}

/// What the consumers of one lane have been given to do. Clones are the same.
#[derive(Clone)]
pub(super) struct Works {
    lane: &'static str,
    history: History,
    seen: watch::Sender<Seen>,
    how: Arc<dyn Fn(&Delivered) -> How + Send + Sync>,
}

/// Work that ends, however it does, is no longer under way.
struct UnderWay(watch::Sender<Seen>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|seen| seen.under_way -= 1);
    }
}

impl Works {
    pub(super) fn new(
        scene: &Scene,
        lane: &'static str,
        how: impl Fn(&Delivered) -> How + Send + Sync + 'static,
    ) -> Works {
        let (history, seen) = (scene.world.history().clone(), watch::Sender::default());
        Works { lane, history, seen, how: Arc::new(how) }
    }

    /// Everything goes well.
    pub(super) fn well(scene: &Scene, lane: &'static str) -> Works {
        Works::new(scene, lane, |_| How::Well)
    }

    pub(super) fn work(
        self,
        delivered: Delivered,
    ) -> impl Future<Output = Result<(), Failed>> + Send {
        let how = (self.how)(&delivered);
        if let How::PanicsAtOnce = how {
            let _begun = self.begins(delivered);
            panics();
        }
        self.goes(delivered, how)
    }

    fn begins(&self, Delivered { message, attempt }: Delivered) -> UnderWay {
        let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        self.history.note(self.lane, format!("begins {}{again}", message.id));
        self.seen.send_modify(|seen| {
            seen.begun.push((message.id.clone(), attempt));
            seen.messages.push(message);
            seen.under_way += 1;
            seen.peak = seen.peak.max(seen.under_way);
        });
        UnderWay(self.seen.clone())
    }

    async fn goes(self, delivered: Delivered, how: How) -> Result<(), Failed> {
        let (id, attempt) = (delivered.message.id.clone(), delivered.attempt);
        let _under_way = self.begins(delivered);
        let failed = Err(Failed("as the check wants it".to_owned()));
        match how {
            How::Well => {}
            How::At(gate) => gate.pass().await,
            How::FailsAt(gate) => {
                gate.pass().await;
                return failed;
            }
            How::Fails => return failed,
            How::Panics | How::PanicsAtOnce => panics(),
            How::Hangs => std::future::pending().await,
        }
        self.history.note(self.lane, format!("has done {id}"));
        self.seen.send_modify(|seen| seen.done.push((id, attempt)));
        Ok(())
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until it is so.
    pub(super) async fn come_to(
        &self,
        what: impl Into<String>,
        patience: Duration,
        so: impl Fn(&Seen) -> bool,
    ) -> Result<Seen, Finding> {
        let mut seen = self.seen.subscribe();
        let came = tokio::time::timeout(patience, seen.wait_for(so)).await;
        if let Ok(Ok(seen)) = came {
            return Ok(seen.clone());
        }
        let now = self.seen();
        let saw = format!("{} after {patience:?}", now.told());
        let last = self.history.last(self.lane, "begins");
        Err(Evidence::new(what, saw).at(last).into())
    }

    /// Waits until so many messages were begun, each counted once.
    pub(super) async fn begun(&self, messages: usize) -> Result<Seen, Finding> {
        let what = format!("{messages} messages at work");
        self.come_to(what, SOON, |seen| distinct(&seen.begun).len() >= messages).await
    }

    /// Waits until each of the messages is done.
    pub(super) async fn done(&self, messages: &[Message]) -> Result<Seen, Finding> {
        self.done_within(messages, SOON).await
    }

    pub(super) async fn done_within(
        &self,
        messages: &[Message],
        patience: Duration,
    ) -> Result<Seen, Finding> {
        let ids: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
        let what = format!("{} done", listed(ids.iter()));
        let all = move |seen: &Seen| {
            let done = distinct(&seen.done);
            ids.iter().all(|id| done.contains(&id.as_str()))
        };
        self.come_to(what, patience, all).await
    }
}

/// Without the words that a panic prints.
fn panics() -> ! {
    std::panic::resume_unwind(Box::new("as the check wants it"))
}

impl Seen {
    fn told(&self) -> String {
        let done = listed(distinct(&self.done).into_iter());
        let begun = distinct(&self.begun);
        let only: Vec<_> =
            begun.into_iter().filter(|id| !self.done.iter().any(|(done, _)| done == id)).collect();
        match (self.begun.is_empty(), only.is_empty()) {
            (true, _) => "no work at all".to_owned(),
            (_, true) => format!("{done} done"),
            _ if self.done.is_empty() => format!("{} at work, none done", listed(only.into_iter())),
            _ => format!("{done} done, {} at work", listed(only.into_iter())),
        }
    }

    /// How often a message was done.
    pub(super) fn times_done(&self, id: &str) -> usize {
        self.done.iter().filter(|(done, _)| done == id).count()
    }
}

pub(super) fn distinct(pieces: &[Piece]) -> Vec<&str> {
    let mut ids: Vec<_> = pieces.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

pub(super) fn listed(ids: impl Iterator<Item = impl AsRef<str>>) -> String {
    let ids: Vec<_> = ids.map(|id| id.as_ref().to_owned()).collect();
    if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }
}
