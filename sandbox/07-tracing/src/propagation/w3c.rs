//! What W3C allows: a context as text, and text as a context.
//!
//! Not by the SDK's `TraceContextPropagator`, which asks for less: as of 0.33 it takes ids that are
//! too short, signs among the digits (`+1`, as Rust's `from_str_radix` does), a hyphen at the end, a
//! key of `tracestate` twice, and the first 32 of 40 members. Another service would take something
//! else, or nothing, and the trace has two halves.

use super::{BAGGAGE, Carrier, TRACEPARENT, TRACESTATE};
use opentelemetry::baggage::{Baggage, BaggageExt, KeyValueMetadata};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, Key};
use percent_encoding::percent_decode_str;
use std::collections::BTreeSet;
use std::str::FromStr;

/// So many members a `tracestate` may have.
pub const MEMBERS: usize = 32;
/// So many bytes of `tracestate` we pass on, all of W3C's "at least 512". A longer one is dropped.
pub const LONGEST_STATE: usize = 512;
/// So many bytes of `baggage` we pass on: what W3C asks for at least. A longer one is dropped.
pub const LONGEST_BAGGAGE: usize = 8192;

// ANCHOR: read
/// What `carrier` says, as a context: a remote span, if there is one, and its baggage. What is not
/// allowed is not there. A bad `tracestate` or `baggage` costs that, and never the trace.
pub fn read(carrier: &Carrier) -> Context {
    let mut context = Context::new();
    if let Some((trace, span, flags)) = carrier.get(TRACEPARENT.as_str()).and_then(traceparent) {
        let state = carrier.get(TRACESTATE.as_str()).and_then(tracestate).unwrap_or_default();
        context =
            context.with_remote_span_context(SpanContext::new(trace, span, flags, true, state));
    }
    match carrier.get(BAGGAGE.as_str()).filter(|text| text.len() <= LONGEST_BAGGAGE) {
        Some(text) => context.with_baggage(baggage(text)),
        None => context,
    }
}

/// The fields of a `traceparent`: version, trace, span, flags.
fn traceparent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    // By places and not by hyphens, as W3C has it: a later version begins like this one.
    let (version, rest) = (text.get(..2)?, text.get(55..)?);
    let is_whole = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let hyphens = [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-');
    if !is_whole || !hyphens {
        return None;
    }
    digits(version)?;
    let trace = TraceId::from_hex(digits(text.get(3..35)?)?).ok()?;
    let span = SpanId::from_hex(digits(text.get(36..52)?)?).ok()?;
    let flags = u8::from_str_radix(digits(text.get(53..55)?)?, 16).ok()?;
    let is_known = trace != TraceId::INVALID && span != SpanId::INVALID;
    // The one flag that we know. What the others mean is for those to say who do.
    is_known.then(|| (trace, span, TraceFlags::new(flags) & TraceFlags::SAMPLED))
}

/// Small hexadecimal digits only: the number parsers take capitals and signs as well.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(text)
}
// ANCHOR_END: read

/// A list of `key=value`, each key once.
fn tracestate(text: &str) -> Option<TraceState> {
    let members = || text.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members = || members().filter(|member| !member.is_empty());
    let keys: BTreeSet<&str> =
        members().filter_map(|member| Some(member.split_once('=')?.0)).collect();
    let count = members().count();
    let plain = |member: &str| {
        // OpenTelemetry's type asks for keys of the right form, and lets values have any letter.
        member.split_once('=').is_some_and(|(key, value)| {
            let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            !key.is_empty() && !value.is_empty() && !value.contains('=') && printable
        })
    };
    let is_allowed = text.len() <= LONGEST_STATE
        && (1..=MEMBERS).contains(&count)
        && keys.len() == count
        && members().all(plain);
    if is_allowed { TraceState::from_str(text).ok() } else { None }
}

/// What can be read of a list of `key=value;metadata`, where the values are percent-encoded.
fn baggage(text: &str) -> Baggage {
    let members = text.split(',').filter_map(|member| {
        let (pair, metadata) = member.split_once(';').unwrap_or((member, ""));
        let (key, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        Some(KeyValueMetadata::new(Key::from(key.trim().to_owned()), value, metadata))
    });
    // It refuses keys that are no tokens, and more than it may hold.
    members.collect()
}

/// `context` as text. Whether its span is recorded is said, and does not decide whether it is told.
pub fn write(context: &Context) -> Carrier {
    let mut carrier = Carrier::default();
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() {
        let flags = span.trace_flags() & TraceFlags::SAMPLED;
        let parent = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
        carrier.set(TRACEPARENT.as_str(), parent);
        let state = span.trace_state().header();
        if !state.is_empty() {
            carrier.set(TRACESTATE.as_str(), state);
        }
    }
    // Encoded, it may have become too long.
    let baggage = context.baggage().to_string();
    if (1..=LONGEST_BAGGAGE).contains(&baggage.len()) {
        carrier.set(BAGGAGE.as_str(), baggage);
    }
    carrier
}
