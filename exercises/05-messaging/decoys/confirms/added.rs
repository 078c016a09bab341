//! Good publishers to which somebody has added something.

use futures_util::FutureExt;
use messaging::confirms::{Confirmed, NotConfirmed, Options, Publisher};
use messaging::{Error, Message};
use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

type Outcome = Result<(), NotConfirmed>;

/// What was added.
pub(super) trait Added: Default + Send + Sync + 'static {
    fn open(url: &str, options: Options) -> Result<Confirmed, Error> {
        Confirmed::open(url, options)
    }

    fn one(
        &self,
        good: &Confirmed,
        exchange: &str,
        message: &Message,
    ) -> impl Future<Output = Outcome> + Send {
        good.publish(exchange, message)
    }

    fn batch(
        &self,
        good: &Confirmed,
        exchange: &str,
        messages: &[Message],
    ) -> impl Future<Output = Vec<Outcome>> + Send {
        good.publish_all(exchange, messages)
    }
}

/// A good publisher, and what was added to it.
pub(super) struct With<A> {
    good: Confirmed,
    added: A,
}

impl<A: Added> Publisher for With<A> {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(With { good: A::open(url, options)?, added: A::default() })
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Outcome {
        self.added.one(&self.good, exchange, message).await
    }

    async fn publish_all(&self, exchange: &str, messages: &[Message]) -> Vec<Outcome> {
        self.added.batch(&self.good, exchange, messages).await
    }
}

/// A queue that is full has room again in a moment, so it tries again. The other queues that want the
/// message have it four times. Rejected by `refused`.
#[derive(Default)]
pub(super) struct RepeatsTheRefused;

impl Added for RepeatsTheRefused {
    async fn one(&self, good: &Confirmed, exchange: &str, message: &Message) -> Outcome {
        for _ in 0..3 {
            let outcome = good.publish(exchange, message).await;
            if !matches!(outcome, Err(NotConfirmed::Refused)) {
                return outcome;
            }
        }
        good.publish(exchange, message).await
    }
}

/// The consumer is being deployed, and binds its queue in a moment. So it asks again, and every
/// misspelt key is published three times. Rejected by `unroutable_alone`.
#[derive(Default)]
pub(super) struct AsksAgain;

impl Added for AsksAgain {
    async fn one(&self, good: &Confirmed, exchange: &str, message: &Message) -> Outcome {
        for _ in 0..2 {
            let outcome = good.publish(exchange, message).await;
            if !matches!(outcome, Err(NotConfirmed::Unroutable { .. })) {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        good.publish(exchange, message).await
    }
}

/// Puts what came back into a set, and looks there when a confirm comes. Nobody takes it out again: who
/// has bound the queue and publishes the same message is told that nobody wants it. Rejected by
/// `unroutable_alone`.
#[derive(Default)]
pub(super) struct RemembersWhatCameBack(Mutex<HashSet<(String, String)>>);

impl Added for RemembersWhatCameBack {
    async fn one(&self, good: &Confirmed, exchange: &str, message: &Message) -> Outcome {
        let outcome = good.publish(exchange, message).await;
        let mut came_back = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let which = (message.id.clone(), message.key.clone());
        match outcome {
            Err(NotConfirmed::Unroutable { .. }) => drop(came_back.insert(which)),
            Ok(()) if came_back.contains(&which) => {
                return Err(NotConfirmed::Unroutable { key: message.key.clone() });
            }
            _ => {}
        }
        outcome
    }
}

/// Which one came back is known by its key, as it is the key that has no queue. Of an exchange that
/// looks at headers one message comes back, and the next of its key does not. Rejected by `alike`.
#[derive(Default)]
pub(super) struct OneKeyOneFate;

impl Added for OneKeyOneFate {
    async fn batch(&self, good: &Confirmed, exchange: &str, messages: &[Message]) -> Vec<Outcome> {
        let mut became = good.publish_all(exchange, messages).await;
        let unwanted: HashSet<String> = became
            .iter()
            .filter_map(|outcome| match outcome {
                Err(NotConfirmed::Unroutable { key }) => Some(key.clone()),
                _ => None,
            })
            .collect();
        for (message, outcome) in messages.iter().zip(&mut became) {
            if unwanted.contains(&message.key) {
                *outcome = Err(NotConfirmed::Unroutable { key: message.key.clone() });
            }
        }
        became
    }
}

/// Has a constant where the options should be: a second was always enough. Rejected by
/// `as_long_as_said`.
#[derive(Default)]
pub(super) struct OneSecond;

impl Added for OneSecond {
    fn open(url: &str, options: Options) -> Result<Confirmed, Error> {
        Confirmed::open(url, Options { timeout: Duration::from_secs(1), ..options })
    }
}

/// The url is from our own configuration. With a slip in that the program dies without a word of what
/// was to be read. Rejected by `starts_alone`.
#[derive(Default)]
pub(super) struct UnwrapsTheUrl;

impl Added for UnwrapsTheUrl {
    fn open(url: &str, options: Options) -> Result<Confirmed, Error> {
        Ok(Confirmed::open(url, options).expect("a url"))
    }
}

/// When one confirm of a batch is late, the batch is: all of it is published again. What was confirmed
/// before, too. Rejected by `one_is_late`.
#[derive(Default)]
pub(super) struct LateSpoilsAll;

impl Added for LateSpoilsAll {
    async fn batch(&self, good: &Confirmed, exchange: &str, messages: &[Message]) -> Vec<Outcome> {
        let became = good.publish_all(exchange, messages).await;
        let late = became.iter().find_map(|outcome| match outcome {
            Err(NotConfirmed::Unknown(late @ Error::Slow(_))) => Some(late.clone()),
            _ => None,
        });
        match late {
            Some(late) => messages.iter().map(|_| Err(late.clone().into())).collect(),
            None => became,
        }
    }
}

/// Goes through the confirms from the first on, and stops where one did not come: what is after that
/// cannot have come either. It can. Rejected by `out_of_order`.
#[derive(Default)]
pub(super) struct StopsAtTheUnknown;

impl Added for StopsAtTheUnknown {
    async fn batch(&self, good: &Confirmed, exchange: &str, messages: &[Message]) -> Vec<Outcome> {
        let mut became = good.publish_all(exchange, messages).await;
        let unknown = became.iter().enumerate().find_map(|(nth, outcome)| match outcome {
            Err(NotConfirmed::Unknown(error)) => Some((nth, error.clone())),
            _ => None,
        });
        if let Some((nth, error)) = unknown {
            became.truncate(nth + 1);
            became.resize_with(messages.len(), || Err(error.clone().into()));
        }
        became
    }
}

/// The broker confirms in order, so when the last is confirmed all are. It confirms each when it lies
/// in its queue, and queues are not equally fast. Rejected by `out_of_order`.
#[derive(Default)]
pub(super) struct TheLastSpeaksForAll;

impl Added for TheLastSpeaksForAll {
    async fn batch(&self, good: &Confirmed, exchange: &str, messages: &[Message]) -> Vec<Outcome> {
        let Some((last, before)) = messages.split_last() else { return Vec::new() };
        let mut before_it = pin!(good.publish_all(exchange, before));
        // They go first.
        if let Some(mut became) = before_it.as_mut().now_or_never() {
            became.push(good.publish(exchange, last).await);
            return became;
        }
        let last = good.publish(exchange, last).await;
        let known = match &last {
            Ok(()) => before_it.now_or_never(),
            Err(_) => Some(before_it.await),
        };
        let mut became = known.unwrap_or_else(|| before.iter().map(|_| Ok(())).collect());
        became.push(last);
        became
    }
}
