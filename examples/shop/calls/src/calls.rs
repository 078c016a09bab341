//! One caller, and what stands between it and each service that it asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use circuit_breakers::bulkhead::{self, Bulkhead, BulkheadLayer, Compartment};
use circuit_breakers::circuit_breaker::{self, Breaker, BreakerLayer, CircuitBreaker};
use circuit_breakers::retry::{self, ATTEMPT, Retries, Retry, RetryLayer};
use circuit_breakers::timeouts::{Deadline, Late, TimeoutLayer};
use http::{Method, Request};
use shop_contracts::peer::{Answering, Here};
use shop_contracts::{Peer, Peers};
use shop_flags::{Flags, PatternBreaker, PatternBulkhead, PatternRetry, PatternTimeout};
use tokio::time::timeout;

use crate::context::{self, Context};
use crate::refusal::{judge, told, transient};
use crate::switched::Asking;
use crate::told::{Book, Line, Switch};

/// How a caller treats each service that it asks.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When it stops asking.
    pub breaker: circuit_breaker::Config,
    /// How often it asks again.
    pub retry: retry::Config,
    /// How many it lets wait for one service.
    pub bulkhead: bulkhead::Config,
    /// How long it works on one request, whatever its own caller says.
    pub longest: Duration,
}

impl Default for Options {
    /// Five failures open a breaker for two seconds; three attempts within a budget of 10 %; 256
    /// places for each service; half a minute for a request.
    fn default() -> Options {
        let millis = Duration::from_millis;
        Options {
            breaker: circuit_breaker::Config {
                failures: 5,
                open_for: millis(2_000),
                probes: 2,
                slow_after: millis(1_000),
            },
            retry: retry::Config { longest: millis(500), transient, ..retry::Config::default() },
            bulkhead: bulkhead::Config { places: 256, queue: 64, longest_wait: millis(500) },
            longest: Duration::from_secs(30),
        }
    }
}

/// One caller's ways to the services that it asks. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Calls {
    caller: &'static str,
    flags: Flags,
    options: Options,
    ways: Arc<Mutex<Vec<Arc<Way>>>>,
}

/// What stands between a caller and one service. It is the pair's own.
#[derive(Debug)]
struct Way {
    to: &'static str,
    breakers: [(Method, Arc<Breaker>); 4],
    retries: Arc<Retries>,
    bulkhead: Arc<Compartment>,
}

/// Whether any attempt of a call has gone out. It goes along with all of them.
#[derive(Clone, Default)]
struct Sent(Arc<AtomicBool>);

/// Attempts of the naive way.
const NAIVE: usize = 3;

impl Calls {
    /// Of the service `caller`, switched by `flags`.
    pub fn new(caller: &'static str, flags: Flags, options: Options) -> Calls {
        Calls { caller, flags, options, ways: Arc::default() }
    }

    /// `peers` with all of it around them.
    pub fn through(&self, peers: &Peers) -> Peers {
        peers.clone().map(|peer| self.to(peer))
    }

    /// `peer` with all of it around.
    pub fn to(&self, peer: Peer) -> Peer {
        let name = peer.name();
        let way = Arc::new(Way::new(name, &self.options));
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&way));
        let flags = self.flags.clone();
        peer.through(move |bare, patience| way.around(bare, name, patience, &flags))
    }

    /// `router`, whose requests bring their deadlines along: [`context::arriving`].
    pub fn arriving<S>(&self, router: Router<S>) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        context::arriving(router, self.flags.clone(), self.options.longest)
    }

    /// What has been counted, for each service that was asked for anything.
    pub fn book(&self) -> Book {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        Book(ways.iter().map(|way| way.told(self.caller)).filter(Line::is_used).collect())
    }
}

impl Way {
    fn new(to: &'static str, options: &Options) -> Way {
        // Clients that failed together must not come back together, so each draws its own seed.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), to);
        Way {
            to,
            breakers: [Method::GET, Method::PUT, Method::POST, Method::DELETE]
                .map(|method| (method, Arc::new(Breaker::new(options.breaker)))),
            retries: Arc::new(Retries::new(options.retry, seed)),
            bulkhead: Arc::new(Compartment::new(options.bulkhead)),
        }
    }

    // ANCHOR: around
    /// From the inside out: the bare call, its patience, the bulkhead, the breaker, the retries, and
    /// the deadline of whatever is being answered.
    fn around(&self, bare: Here, name: &'static str, patience: Duration, flags: &Flags) -> Here {
        let bulkhead = BulkheadLayer::new(Arc::clone(&self.bulkhead));
        let retry = RetryLayer::new(Arc::clone(&self.retries));
        let asking = sending(bare, patience, flags.clone());
        let asking = asking.behind(&bulkhead, {
            let flags = flags.clone();
            move |_| flags.get::<PatternBulkhead>() == PatternBulkhead::On
        });
        // One after the other around it, and each lets through what is another's.
        let asking = self.breakers.iter().fold(asking, |asking, (method, breaker)| {
            let layer = BreakerLayer::new(Arc::clone(breaker), judge);
            let (method, flags) = (method.clone(), flags.clone());
            asking.behind(&layer, move |request| {
                *request.method() == method && flags.get::<PatternBreaker>() == PatternBreaker::On
            })
        });
        let naive = naively(asking.clone());
        let asking = asking.behind(&retry, {
            let flags = flags.clone();
            // What somebody above repeats is none of its business, and earns it nothing.
            move |request| {
                flags.get::<PatternRetry>() == PatternRetry::Budget
                    && !request.headers().contains_key(ATTEMPT)
            }
        });
        let flags = flags.clone();
        Arc::new(move |request| -> Answering {
            let retry = flags.get::<PatternRetry>();
            let asking = if retry == PatternRetry::Naive { &naive } else { &asking };
            carried(asking.clone(), request, name, patience)
        })
    }
    // ANCHOR_END: around

    fn told(&self, from: &'static str) -> Line {
        let switches = self.breakers.iter().map(|(method, breaker)| {
            (method.to_string(), Switch::told(breaker.state(), breaker.metrics()))
        });
        Line {
            from: from.to_owned(),
            to: self.to.to_owned(),
            breakers: switches.filter(|(_, switch)| switch.is_used()).collect(),
            retry: self.retries.counts().into(),
            bulkhead: self.bulkhead.counts().into(),
        }
    }
}

/// Gives a request the context in which it is sent, and ends with it.
fn carried(
    asking: Asking,
    mut request: Request<Bytes>,
    name: &'static str,
    patience: Duration,
) -> Answering {
    let (context, sent) = (Context::now(), Sent::default());
    if let Some(attempt) = context.attempt {
        request.headers_mut().insert(ATTEMPT, attempt);
    }
    request.extensions_mut().insert(sent.clone());
    Box::pin(async move {
        if let Some(deadline) = context.deadline {
            // Every attempt sees it, and tells the other side what is left of it.
            request.extensions_mut().insert(deadline);
        }
        let answer = match context.deadline {
            Some(deadline) if !context.is_dropped => {
                let answer = deadline.within(async move { asking.ask(request).await }).await;
                answer.unwrap_or_else(|late: Late| Err(late.into()))
            }
            _ => asking.ask(request).await,
        };
        answer.map_err(|error| {
            let was_late = context.deadline.is_some_and(Deadline::is_over);
            let sent = sent.0.load(Ordering::Acquire);
            told(name, (!was_late).then_some(patience), sent, error)
        })
    })
}

/// The bare call with an end to it: a patience of its own, or what is left of the deadline, which
/// the other side is then told.
fn sending(bare: Here, patience: Duration, flags: Flags) -> Asking {
    let bare = Asking::by(move |request| {
        if let Some(sent) = request.extensions().get::<Sent>() {
            sent.0.store(true, Ordering::Release);
        }
        let answer = bare(request);
        Box::pin(async move { Ok(answer.await?) })
    });
    let told = bare.clone().behind(&TimeoutLayer::new(patience), |_| true);
    Asking::by(move |request| match flags.get::<PatternTimeout>() {
        PatternTimeout::Deadline => told.ask(request),
        PatternTimeout::Off => {
            let answer = timeout(patience, bare.ask(request));
            Box::pin(async move { answer.await.unwrap_or_else(|_| Err(Late.into())) })
        }
    })
}

/// What is written in a hurry: three attempts, at once, whoever else does the same. It stands here
/// for `shop compare retry`. Even so it repeats nothing that may not be done twice.
fn naively(asking: Asking) -> Asking {
    Asking::by(move |request| {
        let asking = asking.clone();
        let attempts = if request.method().is_idempotent() { NAIVE } else { 1 };
        Box::pin(async move {
            for _ in 1..attempts {
                match asking.ask(request.clone()).await {
                    Ok(answer) if answer.status().is_server_error() => {}
                    Err(error) if transient(&error) => {}
                    answer => return answer,
                }
            }
            asking.ask(request).await
        })
    })
}
