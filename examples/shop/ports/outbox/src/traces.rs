//! The trace of an event, as it is written down and as it is read.

use observability::propagation::{Carrier, Delivery, TRACEPARENT, TRACESTATE, w3c};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use shop_contracts::event::Trace;

/// What an event says of the trace in which it happened.
pub fn trace(carrier: &Carrier) -> Trace {
    let find = |name: &str| {
        carrier.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    };
    Trace { parent: find(TRACEPARENT.as_str()), state: find(TRACESTATE.as_str()) }
}

/// What a consumer is told of it.
pub fn delivery(trace: &Trace, redelivered: bool) -> Delivery {
    Delivery { carrier: carrier(trace), redelivered }
}

/// Whether it is known here and now in whose trace this happens.
pub fn is_known() -> bool {
    Context::map_current(|context| context.span().span_context().is_valid())
}

/// Does `work` in that trace.
pub(crate) fn within<T>(trace: &Trace, work: impl FnOnce() -> T) -> T {
    let _here = w3c::read(&carrier(trace)).attach();
    work()
}

pub(crate) fn carrier(trace: &Trace) -> Carrier {
    let fields = [(TRACEPARENT, &trace.parent), (TRACESTATE, &trace.state)];
    let told = |(name, value): (http::HeaderName, &Option<String>)| {
        value.as_ref().map(|value| (name.to_string(), value.clone()))
    };
    fields.into_iter().filter_map(told).collect()
}
