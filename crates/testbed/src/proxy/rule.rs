//! Which requests meet which fault.

use super::amqp;
use crate::gate::Gate;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One request of a client, as the proxy saw it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command in capitals: `SET`, `EVALSHA`; of a statement its first word, `UPDATE`, `COMMIT`,
    /// and `PREPARE` where it is only prepared; of AMQP the method as its specification spells it,
    /// `basic.publish`.
    pub command: String,
    /// The command's arguments, bytes read as UTF-8 where they are; of a statement the rest of its
    /// text, then its parameters; of AMQP the channel, then what [`Request::field`] finds by name.
    pub arguments: Vec<String>,
    /// The how many-eth request of this client since the proxy began or
    /// [`super::Proxy::reset_count`], counted from 1. Of what a server says by itself, the how
    /// many-eth message of that server.
    pub nth: usize,
}

impl Request {
    /// Whether this is `command`, in any case.
    pub fn is(&self, command: &str) -> bool {
        self.command.eq_ignore_ascii_case(command)
    }

    /// Whether one of the arguments is `key`.
    pub fn mentions(&self, key: &str) -> bool {
        self.arguments.iter().any(|argument| argument == key)
    }

    /// The field of an AMQP method that its specification calls `name`: `routing-key`, `queue`,
    /// `delivery-tag`, and `channel`; of a message also its property `message-id` and its `body`.
    /// What is not set is empty. `None` where the method has no such field, nor has any request
    /// to Redis or PostgreSQL. Tables (`arguments`, headers) are not read.
    pub fn field(&self, name: &str) -> Option<&str> {
        let place = amqp::method::position(&self.command, name)?;
        self.arguments.get(place).map(String::as_str)
    }

    /// Whether the bit of an AMQP method that its specification calls `name` is set: `mandatory`,
    /// `multiple`, `requeue`, `redelivered`.
    pub fn has(&self, name: &str) -> bool {
        self.field(name) == Some(name)
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It waits at the gate before it goes on to the server.
    Hold(Gate),
    /// It is dropped and the connection closed: the server never sees it.
    CutRequest,
    /// The server carries it out, the reply is dropped and the connection closed: the client
    /// cannot know. This is the ambiguous case.
    CutReply,
    /// The server carries it out; the reply waits at the gate before it goes on to the client.
    HoldReply(Gate),
}

type Matcher = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Rule {
    matches: Matcher,
    fate: Fate,
    left: Arc<AtomicUsize>,
    landed: Landed,
}

/// Whether a fault has happened. A check that planned a fault asks before it judges.
#[derive(Clone, Debug, Default)]
pub struct Landed(Arc<AtomicUsize>);

impl Landed {
    /// How often the fault has happened.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// The rules of one proxy, first match wins.
#[derive(Clone, Default)]
pub(crate) struct Rules(Arc<Mutex<Vec<Rule>>>);

impl Rules {
    pub(crate) fn add(
        &self,
        times: usize,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
        fate: Fate,
    ) -> Landed {
        let landed = Landed::default();
        let rule = Rule {
            matches: Arc::new(matches),
            fate,
            left: Arc::new(AtomicUsize::new(times)),
            landed: landed.clone(),
        };
        self.lock().push(rule);
        landed
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// What happens to `request`. Nothing can happen to its reply unless it `is_answered`.
    pub(crate) fn fate_of(&self, request: &Request, is_answered: bool) -> Option<Fate> {
        let rules = self.lock();
        let can_happen = |fate: &Fate| match fate {
            Fate::Hold(_) | Fate::CutRequest => true,
            Fate::CutReply | Fate::HoldReply(_) => is_answered,
        };
        let rule = rules.iter().find(|rule| {
            rule.left.load(Ordering::SeqCst) > 0
                && can_happen(&rule.fate)
                && (rule.matches)(request)
        })?;
        rule.left.fetch_sub(1, Ordering::SeqCst);
        rule.landed.0.fetch_add(1, Ordering::SeqCst);
        Some(rule.fate.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
