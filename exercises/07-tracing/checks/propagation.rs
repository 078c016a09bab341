//! What the trace of an order must withstand.

mod again;
mod baggage;
mod book;
mod calling;
mod door;
mod elsewhere;
mod lasting;
mod leaving;
mod middle;
mod outside;
mod scene;
mod strangers;
mod together;

use elsewhere::consumer;
use grading::{Finding, World};
use observability::propagation::Propagation;
use scene::Scene;
use std::time::Duration;

/// The first check that needs a broker waits until it has started, on a busy machine.
const STARTS: Duration = Duration::from_secs(180);
const PAGE: &str = "docs/lessons/propagation.md";

/// Each check on any answer: what it does is compiled once, and not for each wrong answer.
macro_rules! on_any {
    ($($module:ident: $($name:ident),+;)+) => {
        $($(
            async fn $name<D: Propagation>(world: World) -> Result<(), Finding> {
                $module::$name(Scene::of::<D>(world)).await
            }
        )+)+
    };
}

on_any! {
    together: one_order, two_orders, relay_apart, unsampled, between;
    leaving: hung_up_on, after_the_answer;
    lasting: as_long, ready;
    again: redelivered, batch, garbled, from_rows;
    outside: believed, odd_ones, tracestate;
    strangers: strangers, nobodys;
    baggage: baggage;
    calling: told_once, answers, named;
    elsewhere: another_process, over_amqp;
}

grading::checks! { S: Propagation; read(PAGE);
    one_order: "an order is one trace, over two services, an outbox and two consumers",
    two_orders: "two orders that take turns keep their own traces",
    relay_apart: "whoever carries a message is not its parent, and changes nothing",
    unsampled: "what is not recorded is not recorded anywhere, and still one trace",
    between: "spans of tracing are in the tree, and it holds without them",
    hung_up_on: "what is written on leaving, by a customer or a consumer, belongs to it",
    after_the_answer: "a task belongs to its request, whose span ends with the answer",
    as_long: "a span lasts as long as its work, all of which is in it",
    ready: "whatever is asked is ready, and the wait for it is in the span",
    redelivered: "each attempt is a span of its own, child of the message",
    batch: "a batch links to each message, and has no parent",
    garbled: "a message whose context cannot be read is worked on",
    from_rows: "what lies in a row is sent as it is, and believed as little as a header",
    believed: "what W3C allows is continued, also of a later version",
    odd_ones: "what W3C does not allow begins a new trace",
    tracestate: "tracestate goes along as it is, or not at all",
    strangers: "a stranger's trace is linked and not continued, and is told nothing",
    nobodys: "the loop in which something comes in is nobody's parent",
    baggage: "baggage goes along to our own services, up to 8192 bytes",
    told_once: "each call tells its own span, in the place of what was copied",
    answers: "answers and errors pass, and tell nothing of the trace",
    named: "spans say what they are in OpenTelemetry's words",
    another_process: "what was stored is understood in another process, also if that dies"
        .process(consumer::<S>),
    over_amqp: "a real broker brings it, and brings it again"
        .limit(STARTS),
}
