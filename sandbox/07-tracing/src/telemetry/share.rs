//! How many traces are recorded.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The share of traces that is recorded. Whoever begins a trace decides, by its id, and the flag in
/// the context tells all others: a trace is there as a whole, or not at all.
///
/// Clones are the same share. It can be changed while the program runs, for the next traces.
#[derive(Clone, Debug)]
pub struct Share(Arc<AtomicU64>);

impl Share {
    /// From 0, none, to 1, all of them. What is outside of that is the nearer of the two.
    pub fn new(share: f64) -> Share {
        let this = Share(Arc::default());
        this.set(share);
        this
    }

    /// A number from 0 to 1.
    pub fn parse(text: &str) -> Option<Share> {
        let share: f64 = text.trim().parse().ok()?;
        (0.0..=1.0).contains(&share).then(|| Share::new(share))
    }

    /// From now on.
    pub fn set(&self, share: f64) {
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.0.store(share.to_bits(), Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
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
            None => Sampler::TraceIdRatioBased(self.get())
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
        let share = Share::new(0.1);
        // Ids as they are drawn: evenly.
        let step = u128::MAX / 10_000;
        let taken = (0..10_000).filter(|at| is_recorded(&share, None, at * step + 1)).count();
        assert!((900..1100).contains(&taken), "{taken} of 10,000");
        share.set(0.0);
        assert!((0..1_000).all(|at| !is_recorded(&share, None, at * step + 1)));
        share.set(7.0);
        assert!((0..1_000).all(|at| is_recorded(&share, None, at * step + 1)));
    }

    #[test]
    fn the_callers_decision_stands() {
        for (flags, share) in [(TraceFlags::SAMPLED, 0.0), (TraceFlags::NOT_SAMPLED, 1.0)] {
            let (trace, span) = (TraceId::from(7), SpanId::from(7));
            let caller = SpanContext::new(trace, span, flags, true, TraceState::default());
            let parent = Context::new().with_remote_span_context(caller);
            let is_wanted = flags == TraceFlags::SAMPLED;
            assert_eq!(is_recorded(&Share::new(share), Some(&parent), 7), is_wanted);
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for odd in ["", "ten", "-0.1", "1.1", "NaN", "10 %"] {
            assert!(Share::parse(odd).is_none(), "{odd}");
        }
        assert_eq!(Share::parse(" 0.25 ").map(|share| share.get()), Some(0.25));
    }
}
