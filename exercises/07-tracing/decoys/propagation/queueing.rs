//! Those who are wrong about messages.

use super::right::{Right, heard, method, right, working, wrong};
use observability::propagation::{
    BAGGAGE, Carrier, Ending, Propagation, TRACEPARENT, Within, conventions, w3c,
};
use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{FutureExt, TraceContextExt};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// Whoever publishes injects, as a library for the broker does by itself. That is the relay, and
/// the customer's trace ends at the outbox. Rejected by `relay_apart`.
pub struct InjectsWhenSent(Right);

wrong! {
    InjectsWhenSent; serve, ask, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        let _ = self.0.one.enqueue(to);
        Carrier::default()
    }
    method!(send(self, to, stored, publish) {
        self.0.one.send(to, stored, move |_| publish(w3c::write(&Context::current())))
    });
}

/// Stored as it should be, and then the client library writes its own span over it. Rejected by
/// `over_amqp`.
pub struct OverwrittenWhenSent(Right);

wrong! {
    OverwrittenWhenSent; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        self.0.one.send(to, stored, move |_| publish(w3c::write(&Context::current())))
    });
}

/// Helps out where nothing is stored, so that there is at least something. It is the relay's
/// round, with all that it carries. Rejected by `relay_apart`.
pub struct HelpsOut(Right);

wrong! {
    HelpsOut; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        self.0.one.send(to, stored, move |stored| {
            let there = stored.get(TRACEPARENT.as_str()).is_some();
            publish(if there { stored } else { w3c::write(&Context::current()) })
        })
    });
}

/// Goes on in the message's context when it sends: the relay's time is the customer's now, and
/// its round is nowhere. Rejected by `relay_apart`.
pub struct SendsForTheCustomer(Right);

wrong! {
    SendsForTheCustomer; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        let _there = w3c::read(&stored).attach();
        self.0.one.send(to, stored, publish)
    });
}

/// Stores the span of the request: the message has none. When it was written, and by which of
/// three, stays unknown. Rejected by `one_order`.
pub struct StoresTheRequest(Right);

wrong! {
    StoresTheRequest; serve, ask, send, receive;
    fn enqueue(&self, _: &str) -> Carrier {
        w3c::write(&Context::current())
    }
}

/// Nothing is stored. The request's trace ends, and the mail's begins. Rejected by
/// `another_process`.
pub struct LostAtTheQueue(Right);

wrong! {
    LostAtTheQueue; serve, ask, send, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        let _ = self.0.one.enqueue(to);
        Carrier::default()
    }
}

/// Is asked where it is in a task of its own, in which it is nowhere. Rejected by `one_order`.
pub struct WritesElsewhere(Right);

wrong! {
    WritesElsewhere; serve, ask, send, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        let (one, to) = (self.0.one.clone(), to.to_owned());
        std::thread::spawn(move || one.enqueue(&to)).join().unwrap_or_default()
    }
}

/// Stores trace and span, and forgets the baggage. Rejected by `baggage`.
pub struct BaggageStaysBehind(Right);

wrong! {
    BaggageStaysBehind; serve, ask, send, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        let mut carrier = self.0.one.enqueue(to);
        carrier.remove(&BAGGAGE);
        carrier
    }
}

/// A consumer begins a trace, and links. So it is for a batch; a single message has a cause.
/// Rejected by `one_order`.
pub struct LinksOnly(Right);

wrong! {
    LinksOnly; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (_, links) = heard(deliveries);
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &Context::new()), work)
    });
}

/// The consumer has a span of its own already, around its loop, and that is the parent of all
/// that it does. Rejected by `redelivered`.
pub struct LoopIsTheParent(Right);

wrong! {
    LoopIsTheParent; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (mut said, links) = heard(deliveries);
        let span = conventions::process(from, deliveries).with_links(links);
        let here = Context::current();
        let parent = match &mut said[..] {
            _ if here.has_active_span() => here,
            [one] => std::mem::take(one),
            _ => Context::new(),
        };
        working(self.0.begin(span, &parent), work)
    });
}

/// Works in the message's own context, without a span. Two attempts, two consumers: all the same
/// span, and nobody can tell them apart. Rejected by `redelivered`.
pub struct NoSpanOfItsOwn(Right);

wrong! {
    NoSpanOfItsOwn; serve, ask, enqueue, send;
    method!(receive(self, _from, deliveries, work) {
        let (said, _) = heard(deliveries);
        Within::of(said.into_iter().next().unwrap_or_default(), work)
    });
}

/// A second attempt follows the first, so it is its child: the trace grows a level with each, and
/// whoever died is the cause of all that comes. Rejected by `redelivered`.
pub struct ChildOfTheAttempt(Right, Arc<Mutex<HashMap<String, Context>>>);

impl Propagation for ChildOfTheAttempt {
    fn new(tracer: BoxedTracer) -> ChildOfTheAttempt {
        ChildOfTheAttempt(Right::new(tracer), Arc::default())
    }

    method!(receive(self, from, deliveries, work) {
        let (mut said, links) = heard(deliveries);
        let mut attempts = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let key = deliveries.iter().map(|one| one.carrier.to_json()).collect::<String>();
        let parent = match (attempts.get(&key), &mut said[..]) {
            (Some(before), _) => before.clone(),
            (None, [one]) => std::mem::take(one),
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(links);
        let context = self.0.begin(span, &parent);
        attempts.insert(key, context.clone());
        working(context, work)
    });

    right!(serve);
    right!(ask);
    right!(enqueue);
    right!(send);
}

/// `with_context` once more. A consumer that is shut down drops its work, and what it writes then
/// is nobody's. Rejected by `hung_up_on`.
pub struct WhileItWorks(Right);

wrong! {
    WhileItWorks; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let context = self.0.processes(from, deliveries);
        let ending = Ending::of(&context);
        async move {
            let _ending = ending;
            work.await
        }
        .with_context(context)
    });
}

/// Two attempts that look the same. Which of them was the second? Rejected by `redelivered`.
pub struct SaysNothingOfIt(Right);

wrong! {
    SaysNothingOfIt; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (mut said, links) = heard(deliveries);
        let parent = match &mut said[..] {
            [one] => std::mem::take(one),
            _ => Context::new(),
        };
        let span = conventions::process(from, &[]).with_links(links);
        working(self.0.begin(span, &parent), work)
    });
}

/// Has the parent, and thinks a link to the same too much. A search by links, as for batches,
/// does not find the attempt. Rejected by `redelivered`.
pub struct NoLinkForOne(Right);

wrong! {
    NoLinkForOne; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (mut said, links) = heard(deliveries);
        let links = if deliveries.len() > 1 { links } else { Vec::new() };
        let parent = match &mut said[..] {
            [one] => std::mem::take(one),
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &parent), work)
    });
}

/// A batch goes on in the trace of its first message: that customer's order contains the work on
/// all others. Rejected by `batch`.
pub struct FirstOfTheBatch(Right);

wrong! {
    FirstOfTheBatch; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (said, links) = heard(deliveries);
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &said.into_iter().next().unwrap_or_default()), work)
    });
}

/// A batch has no parent, and no links either. Rejected by `batch`.
pub struct BatchOfNobody(Right);

wrong! {
    BatchOfNobody; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        match deliveries {
            [_] => self.0.one.receive(from, deliveries, work),
            _ => self.0.one.receive(from, &[], work),
        }
    });
}

/// A message without a context cannot be: `expect`. The old ones in the queue stop the consumer,
/// again and again. Rejected by `garbled`.
pub struct ExpectsAContext(Right);

wrong! {
    ExpectsAContext; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        for one in deliveries {
            let context = w3c::read(&one.carrier);
            assert!(context.span().span_context().is_valid(), "a message has a traceparent");
        }
        self.0.one.receive(from, deliveries, work)
    });
}
