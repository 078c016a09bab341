//! How many traces are recorded.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};
use std::fmt;
use std::sync::Arc;

/// The share of traces that is recorded, from 0, none, to 1, all of them. Whoever begins a trace
/// decides, by its id, and the flag in the context tells all others: a trace is there as a whole, or
/// not at all.
///
/// Clones are the same share.
#[derive(Clone)]
pub struct Share(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Share {
    /// Always the same.
    pub fn of(share: f64) -> Share {
        Share::asking(move || share)
    }

    /// What `share` says at each trace that begins: it can be changed while the program runs.
    pub fn asking(share: impl Fn() -> f64 + Send + Sync + 'static) -> Share {
        Share(Arc::new(share))
    }

    /// A number from 0 to 1.
    pub fn parse(text: &str) -> Option<Share> {
        let share: f64 = text.trim().parse().ok()?;
        (0.0..=1.0).contains(&share).then(|| Share::of(share))
    }

    /// What it is now. What is outside of 0 to 1 is the nearer of the two.
    pub fn now(&self) -> f64 {
        let share = (self.0)();
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({})", self.now())
    }
}

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let caller = parent.map(|parent| parent.span().span_context().clone());
        match caller.filter(SpanContext::is_valid) {
            None => Sampler::TraceIdRatioBased(self.now())
                .should_sample(parent, trace, name, kind, attributes, links),
            Some(caller) => SamplingResult {
                decision: match caller.is_sampled() {
                    true => SamplingDecision::RecordAndSample,
                    false => SamplingDecision::Drop,
                },
                attributes: Vec::new(),
                trace_state: caller.trace_state().clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanId, TraceFlags, TraceState};

    fn is_recorded(share: &Share, parent: Option<&Context>, trace: u128) -> bool {
        let trace = TraceId::from(trace);
        let result = share.should_sample(parent, trace, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn of_those_that_begin_here_it_takes_its_share() {
        let share = Share::of(0.1);
        // Ids as they are drawn: evenly.
        let step = u128::MAX / 10_000;
        let taken = (0..10_000).filter(|at| is_recorded(&share, None, at * step + 1)).count();
        assert!((900..1100).contains(&taken), "{taken} of 10,000");
        for (share, wanted) in [(0.0, false), (f64::NAN, false), (7.0, true)] {
            let share = Share::of(share);
            assert!((0..1_000).all(|at| is_recorded(&share, None, at * step + 1) == wanted));
        }
    }

    #[test]
    fn the_callers_decision_stands() {
        for (flags, share) in [(TraceFlags::SAMPLED, 0.0), (TraceFlags::NOT_SAMPLED, 1.0)] {
            let (trace, span) = (TraceId::from(7), SpanId::from(7));
            let caller = SpanContext::new(trace, span, flags, true, TraceState::default());
            let parent = Context::new().with_remote_span_context(caller);
            let is_wanted = flags == TraceFlags::SAMPLED;
            assert_eq!(is_recorded(&Share::of(share), Some(&parent), 7), is_wanted);
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for odd in ["", "ten", "-0.1", "1.1", "NaN", "10 %"] {
            assert!(Share::parse(odd).is_none(), "{odd}");
        }
        assert_eq!(Share::parse(" 0.25 ").map(|share| share.now()), Some(0.25));
    }
}
