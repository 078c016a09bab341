//! Those who trust what lies in a row too little or too much.

use super::right::{Right, heard, method, working, wrong};
use observability::propagation::{BAGGAGE, Carrier, TRACESTATE, conventions, w3c};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use std::future::Future;

/// Sends on what it has understood of the row, as one does who reads and writes by the same
/// propagator. What it does not know ends here: the next version, and what others put there.
/// Rejected by `from_rows`.
pub struct SendsWhatItUnderstood(Right);

wrong! {
    SendsWhatItUnderstood; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        let understood = w3c::write(&w3c::read(&stored));
        self.0.one.send(to, stored, move |_| publish(understood))
    });
}

/// The header of the message is the traceparent. The tenant stays in the table. Rejected by
/// `from_rows`.
pub struct SendsTheParentOnly(Right);

wrong! {
    SendsTheParentOnly; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        self.0.one.send(to, stored, move |mut stored| {
            stored.remove(&TRACESTATE);
            stored.remove(&BAGGAGE);
            publish(stored)
        })
    });
}

/// Asks where it is when it is polled. A relay that sends all rows at once, each in a task, has no
/// round there. Rejected by `relay_apart`.
pub struct SendsWhenPolled(Right);

wrong! {
    SendsWhenPolled; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        let (one, to) = (self.0.one.clone(), to.to_owned());
        async move { one.send(&to, stored, publish).await }
    });
}

/// Our own row cannot be wrong: `expect`. Rejected by `from_rows`.
pub struct ExpectsARow(Right);

wrong! {
    ExpectsARow; serve, ask, enqueue, receive;
    method!(send(self, to, stored, publish) {
        let valid = w3c::read(&stored).span().span_context().is_valid();
        assert!(stored.is_empty() || valid, "a row has a traceparent");
        self.0.one.send(to, stored, publish)
    });
}

/// Validates at the door, and takes from a message whatever OpenTelemetry's propagators take: a
/// queue is ours. So is the script that wrote into the outbox. Rejected by `from_rows`.
pub struct TrustsTheQueue(Right);

fn by_the_sdk(carrier: &Carrier) -> Context {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
    BaggagePropagator::new().extract_with_context(&context, carrier)
}

wrong! {
    TrustsTheQueue; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (_, links) = heard(deliveries);
        let parent = match deliveries {
            [one] => by_the_sdk(&one.carrier),
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &parent), work)
    });
}

/// `extract` begins with the context of here and now: a message that has none is worked on in the
/// consumer's loop, which grows for days. Rejected by `nobodys`.
pub struct LoopInTheirPlace(Right);

wrong! {
    LoopInTheirPlace; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (mut said, links) = heard(deliveries);
        let parent = match &mut said[..] {
            [one] if one.span().span_context().is_valid() => std::mem::take(one),
            [_] => Context::current(),
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &parent), work)
    });
}

/// Puts the message's span into the context of here and now, and with it the message works for the
/// tenant of the loop. Rejected by `nobodys`.
pub struct BaggageOfTheLoop(Right);

wrong! {
    BaggageOfTheLoop; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (said, links) = heard(deliveries);
        let parent = match &said[..] {
            [one] if one.baggage().is_empty() && one.span().span_context().is_valid() => {
                let cause = one.span().span_context().clone();
                Context::current().with_remote_span_context(cause)
            }
            [one] => one.clone(),
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &parent), work)
    });
}

fn again(context: &Context) -> Baggage {
    let all = context.baggage().iter();
    all.map(|(key, (value, _))| opentelemetry::KeyValue::new(key.clone(), value.clone())).collect()
}

/// A batch has no parent, and the tenant of its first message. Rejected by `batch`.
pub struct TenantOfTheFirst(Right);

wrong! {
    TenantOfTheFirst; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        if deliveries.len() < 2 {
            return futures_util::future::Either::Left(self.0.one.receive(from, deliveries, work));
        }
        let (said, links) = heard(deliveries);
        let parent = Context::new().with_baggage(again(&said[0]));
        let span = conventions::process(from, deliveries).with_links(links);
        futures_util::future::Either::Right(working(self.0.begin(span, &parent), work))
    });
}

/// Counts the contexts and not the messages: of two, one of which has none, the other is the
/// parent. Rejected by `batch`.
pub struct TheOnlyOneKnown(Right);

wrong! {
    TheOnlyOneKnown; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let (mut said, links) = heard(deliveries);
        said.retain(|one| one.span().span_context().is_valid());
        let parent = match &mut said[..] {
            [one] => std::mem::take(one),
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(links);
        working(self.0.begin(span, &parent), work)
    });
}

/// There is always a first. A broker that is asked for up to a hundred also gives none. Rejected by
/// `nobodys`.
pub struct NeverNone(Right);

wrong! {
    NeverNone; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let _first = &deliveries[0];
        self.0.one.receive(from, deliveries, work)
    });
}

/// Looks at the first of a batch to say whether it has come again. Rejected by `batch`.
pub struct AsksTheFirst(Right);

wrong! {
    AsksTheFirst; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let mut deliveries = deliveries.to_vec();
        for one in deliveries.iter_mut().skip(1) {
            one.redelivered = false;
        }
        working(self.0.processes(from, &deliveries), work)
    });
}

/// tracestate is read from headers, and forgotten for messages: other people's systems lose their
/// place behind each queue. Rejected by `from_rows`.
pub struct StateStaysInTheQueue(Right);

wrong! {
    StateStaysInTheQueue; serve, ask, enqueue, send;
    method!(receive(self, from, deliveries, work) {
        let mut deliveries = deliveries.to_vec();
        for one in &mut deliveries {
            one.carrier.remove(&TRACESTATE);
        }
        working(self.0.processes(from, &deliveries), work)
    });
}
