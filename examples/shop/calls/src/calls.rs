//! One caller, and what stands between it and each service that it asks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use circuit_breakers::bulkhead::{self, Bulkhead, Compartment};
use circuit_breakers::circuit_breaker::{self, Breaker, CallError, CircuitBreaker};
use circuit_breakers::retry::{self, ATTEMPT, Retries, Retry};
use circuit_breakers::timeouts::{Deadline, Deadlines, Late, OneDeadline};
use http::{Method, Request, Response};
use observability::correlation_ids::PassOnLayer;
use observability::propagation::{InjectLayer, OneTrace};
use shop_contracts::peer::{Answering, Here};
use shop_contracts::{Peer, Peers, Problem};
use shop_flags::{Flags, PatternBreaker, PatternBulkhead, PatternRetry, PatternTimeout};
use tokio::time::timeout;
use tower::{Layer, ServiceExt, service_fn};

use crate::context::{Arrivals, Context};
use crate::refusal::{Answer, judge, told, transient};
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
    traces: OneTrace,
    ways: Arc<Mutex<Vec<Arc<Way>>>>,
}

/// What stands between a caller and one service. It is the pair's own.
struct Way {
    to: &'static str,
    /// The bare call, and how long each of them is waited for.
    bare: Here,
    patience: Duration,
    traces: OneTrace,
    breakers: [(Method, Breaker); 4],
    retries: Retries,
    bulkhead: Compartment,
}

/// What stands around one call: each switch is read once, when it begins.
#[derive(Clone, Copy)]
struct Around {
    retry: PatternRetry,
    breaker: PatternBreaker,
    bulkhead: PatternBulkhead,
    timeout: PatternTimeout,
}

/// One call, and what goes along with all of its attempts.
#[derive(Clone)]
struct Call {
    way: Arc<Way>,
    around: Around,
    /// Whether any attempt has gone out.
    sent: Arc<AtomicBool>,
}

/// Attempts of the naive way.
const NAIVE: usize = 3;

impl Calls {
    /// Of the service `caller`, switched by `flags`.
    pub fn new(caller: &'static str, flags: Flags, options: Options) -> Calls {
        let traces = OneTrace::default();
        Calls { caller, flags, options, traces, ways: Arc::default() }
    }

    /// The same, with a span for each attempt, which the other side is told. For the ways that are
    /// made from now on.
    pub fn traced(mut self, traces: OneTrace) -> Calls {
        self.traces = traces;
        self
    }

    /// `peers` with all of it around them.
    pub fn through(&self, peers: &Peers) -> Peers {
        peers.clone().map(|peer| self.to(peer))
    }

    /// `peer` with all of it around.
    pub fn to(&self, peer: Peer) -> Peer {
        let (name, flags) = (peer.name(), self.flags.clone());
        peer.through(|bare, patience| {
            let way = Arc::new(Way::new(name, bare, patience, self));
            self.ways.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&way));
            Arc::new(move |request| -> Answering {
                let around = Around::now(&flags);
                let call = Call { way: Arc::clone(&way), around, sent: Arc::default() };
                Box::pin(call.carried(Context::now(), request))
            })
        })
    }

    /// Around a router, whose requests then bring their deadlines along: [`Arrivals`].
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.flags.clone(), self.options.longest)
    }

    /// What has been counted, for each service that was asked for anything.
    pub fn book(&self) -> Book {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        Book(ways.iter().map(|way| way.told(self.caller)).filter(Line::is_used).collect())
    }
}

impl Around {
    fn now(flags: &Flags) -> Around {
        Around {
            retry: flags.get(),
            breaker: flags.get(),
            bulkhead: flags.get(),
            timeout: flags.get(),
        }
    }
}

impl Call {
    /// The call in the context of what is being answered. It is told what comes of it.
    async fn carried(
        self,
        context: Context,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Problem> {
        if let Some(attempt) = context.attempt {
            request.headers_mut().insert(ATTEMPT, attempt);
        }
        if let Some(deadline) = context.deadline {
            // Every attempt sees it, and tells the other side what is left of it.
            request.extensions_mut().insert(deadline);
        }
        let (way, sent) = (Arc::clone(&self.way), Arc::clone(&self.sent));
        let answer = match context.deadline {
            Some(deadline) if !context.is_dropped => {
                let answer = deadline.within(self.asked(request)).await;
                answer.unwrap_or_else(|late: Late| Err(late.into()))
            }
            _ => self.asked(request).await,
        };
        answer.map_err(|error| {
            let was_late = context.deadline.is_some_and(Deadline::is_over);
            let patience = (!was_late).then_some(way.patience);
            told(way.to, patience, sent.load(Ordering::Acquire), error)
        })
    }

    // ANCHOR: around
    /// From the outside in: the retries, the breaker, the bulkhead, the patience, the bare call.
    async fn asked(self, request: Request<Bytes>) -> Answer {
        match self.around.retry {
            // What somebody above repeats is none of its business, and earns it nothing.
            PatternRetry::Budget if !request.headers().contains_key(ATTEMPT) => {
                let way = Arc::clone(&self.way);
                way.retries.send(request, move |request| self.attempted(request)).await
            }
            PatternRetry::Naive => self.naively(request).await,
            PatternRetry::Budget | PatternRetry::Off => self.attempted(request).await,
        }
    }

    fn attempted(&self, request: Request<Bytes>) -> impl Future<Output = Answer> + use<> {
        let Call { way, around, .. } = self.clone();
        let method = request.method().clone();
        // In a box: whoever stands around a call passes it on, and one with its request is long.
        let call = Box::pin(self.clone().told(request));
        async move {
            let call = async {
                match around.bulkhead {
                    PatternBulkhead::On => way.bulkhead.call(call).await?,
                    PatternBulkhead::Off => call.await,
                }
            };
            match (around.breaker, way.breaker(&method)) {
                (PatternBreaker::On, Some(breaker)) => {
                    breaker.call(judge, call).await.map_err(|error| match error {
                        CallError::Open(open) => open.into(),
                        CallError::Call(error) => error,
                    })
                }
                _ => call.await,
            }
        }
    }

    /// The call under the id and in a span of whoever asks, both of which the other side is told. It
    /// begins when there is a place for it.
    async fn told(self, request: Request<Bytes>) -> Answer {
        let around = (PassOnLayer, InjectLayer::new(self.way.traces.clone()));
        let bare = service_fn(move |request| Box::pin(self.clone().patiently(request)));
        around.layer(bare).oneshot(request).await
    }

    /// The bare call with an end to it: a patience of its own, or what is left of the deadline,
    /// which the other side is then told.
    async fn patiently(self, request: Request<Bytes>) -> Answer {
        let Call { way, around, sent } = self;
        let patience = way.patience;
        let bare = move |request| {
            sent.store(true, Ordering::Release);
            let answer = (way.bare)(request);
            async move { Ok(answer.await?) }
        };
        match around.timeout {
            PatternTimeout::Deadline => OneDeadline::ask(service_fn(bare), request, patience).await,
            PatternTimeout::Off => {
                timeout(patience, bare(request)).await.unwrap_or_else(|_| Err(Late.into()))
            }
        }
    }
    // ANCHOR_END: around

    /// What is written in a hurry: three attempts, at once, whoever else does the same. It stands
    /// here for `shop compare retry`. Even so it repeats nothing that may not be done twice.
    async fn naively(self, request: Request<Bytes>) -> Answer {
        let attempts = if request.method().is_idempotent() { NAIVE } else { 1 };
        for _ in 1..attempts {
            match self.attempted(request.clone()).await {
                Ok(answer) if answer.status().is_server_error() => {}
                Err(error) if transient(&error) => {}
                answer => return answer,
            }
        }
        self.attempted(request).await
    }
}

impl Way {
    fn new(to: &'static str, bare: Here, patience: Duration, calls: &Calls) -> Way {
        let Calls { options, traces, .. } = calls;
        // Clients that failed together must not come back together, so each draws its own seed.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), to);
        Way {
            to,
            bare,
            patience,
            traces: traces.clone(),
            breakers: [Method::GET, Method::PUT, Method::POST, Method::DELETE]
                .map(|method| (method, Breaker::new(options.breaker))),
            retries: Retries::new(options.retry, seed),
            bulkhead: Compartment::new(options.bulkhead),
        }
    }

    fn breaker(&self, method: &Method) -> Option<&Breaker> {
        self.breakers.iter().find(|(of, _)| of == method).map(|(_, breaker)| breaker)
    }

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

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way(to {})", self.to)
    }
}
