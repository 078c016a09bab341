//! Where a span is: in what trace, and which of its spans.

use std::fmt::{self, Display};

/// What all spans of one trace have in common, in every service: 128 bits, of which none is set in no
/// trace. Printed as 32 lower hexadecimal digits, as
/// [W3C's Trace Context](https://www.w3.org/TR/trace-context/#trace-id) sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// Which span of a trace: 64 bits, printed as 16 lower hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u64);

/// A span, by its trace and its id: what another service is told, so that its spans can hang beneath
/// this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

impl TraceId {
    /// One that nobody else has. All bits are random, which samplers count on.
    pub(super) fn random() -> TraceId {
        TraceId(rand::random_range(1..=u128::MAX))
    }
}

impl SpanId {
    pub(super) fn random() -> SpanId {
        SpanId(rand::random_range(1..=u64::MAX))
    }
}

impl Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.trace, self.span)
    }
}
