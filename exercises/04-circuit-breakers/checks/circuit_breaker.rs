//! What a circuit breaker must withstand.

mod dropping;
mod generations;
mod judging;
mod lasting;
mod many;
mod opening;
mod probing;
mod real;
mod scene;
mod threads;

use circuit_breakers::circuit_breaker::CircuitBreaker;
use dropping::{
    dropped_probe_frees_place, each_has_its_own_clock, given_up_counts, given_up_probe_opens_anew,
    hang_up_early_says_nothing, judge_panics, one_row_for_all, panic_in_vain_counts,
    panic_says_nothing, panicked_probe_frees_place, slow_success_is_a_success,
    unpolled_takes_no_place,
};
use generations::{
    late_failure_opens_nothing, late_failure_while_open, late_success_ends_no_row,
    late_success_is_no_probe, late_success_while_open, old_probe_frees_nothing,
    old_probe_opens_nothing, success_makes_nothing_old,
};
use judging::{
    call_may_look, ignored_heals_not, ignored_keeps_the_row, ignored_opens_not, judge_decides,
    judge_may_look, judges_overlap,
};
use lasting::{each_trip_is_as_long, probes_have_no_clock, refused_at_once, row_has_no_clock};
use many::{any_number, closed_lets_all_in};
use opening::{
    calls_overlap, for_ever, none_is_read_as_one, one_for_each, open_means_no_call, passes_on,
    retry_after_counts_down, retry_after_is_kept, row_opens, success_ends_the_row,
};
use probing::{
    all_probes_have_to_succeed, closed_counts_anew, failed_probe_opens_anew, hundred_at_half_open,
    state_agrees, succeeded_probes_count,
};
use real::{redis_hangs, redis_is_down};
use std::time::Duration;
use threads::{threads_at_half_open, threads_end_together};

const PAGE: &str = "docs/lessons/circuit_breaker.md";

/// For the whole of a check; what has to come soon has its own limit.
const LIMIT: Duration = Duration::from_secs(15);

/// Threads that meet again and again wait for each other each time.
const MEETINGS: Duration = Duration::from_secs(30);

// On a busy machine many small steps add up, and are no hang.
grading::checks! { S: CircuitBreaker; read(PAGE), limit(LIMIT);
    row_opens: "so many failures in a row open it, and not one fewer",
    success_ends_the_row: "a success in between begins the row anew",
    row_has_no_clock: "failures in a row open it, however slowly they come",
    open_means_no_call: "while it is open nothing is called, and all are told so",
    retry_after_is_kept: "who waits for as long as the refusal says is let in",
    retry_after_counts_down: "a refusal says how long it still is, and zero while probes are out",
    refused_at_once: "a refusal takes no time",
    each_trip_is_as_long: "each trip lasts as long as the first",
    calls_overlap: "one call does not wait for another",
    passes_on: "what the call ends with comes back as it is",
    one_for_each: "a breaker that is open leaves the other one closed",
    closed_lets_all_in: "closed, it lets all in, before a trip and after it",
    hundred_at_half_open: "of a hundred at half-open, as many as configured get in, and no more",
    threads_at_half_open: "of two threads at the same moment, one gets the last place"
        .limit(MEETINGS),
    threads_end_together: "of two that end at the same moment, both count"
        .limit(MEETINGS),
    succeeded_probes_count: "a probe that has succeeded keeps its place until it closes",
    all_probes_have_to_succeed: "it closes when all probes have succeeded, not when one has",
    probes_have_no_clock: "a probe has its place for as long as it takes",
    failed_probe_opens_anew: "one failed probe opens it anew, for as long as before",
    closed_counts_anew: "once closed, it counts from nothing",
    state_agrees: "the state is what the calls find",
    none_is_read_as_one: "with 0 failures or 0 probes it works as with 1",
    any_number: "numbers that are larger than any need are counted all the same",
    for_ever: "a time that is longer than any clock is for ever, and no panic",
    given_up_counts: "calls that their callers gave up in vain open it",
    one_row_for_all: "errors, and callers who gave up, make one row",
    each_has_its_own_clock: "how long a call has run is counted from its own beginning",
    hang_up_early_says_nothing: "callers who hang up early open nothing",
    dropped_probe_frees_place: "a probe whose caller hung up gives its place back",
    unpolled_takes_no_place: "a call that was dropped before it began has no place",
    panicked_probe_frees_place: "a probe that panics gives its place back",
    panic_says_nothing: "a panic opens nothing, and ends no row",
    panic_in_vain_counts: "a panic after so long is a failure",
    judge_panics: "a judge that panics gives the place back",
    given_up_probe_opens_anew: "a probe that was given up in vain has failed",
    slow_success_is_a_success: "a slow answer is an answer",
    late_success_while_open: "a success that began before the trip does not close it",
    late_success_is_no_probe: "at half-open, only probes count, and free a place",
    late_success_ends_no_row: "a success that began before the trip ends no row after it",
    late_failure_opens_nothing: "a failure that began before the trip does not open it again",
    late_failure_while_open: "a failure that began before the trip makes it no longer",
    old_probe_frees_nothing: "a probe of an earlier half-open frees no place in this one",
    old_probe_opens_nothing: "a probe of an earlier half-open opens nothing when it fails",
    success_makes_nothing_old: "a success in between makes nothing old that is under way",
    ignored_opens_not: "errors that say nothing of the dependency do not open it",
    ignored_keeps_the_row: "an ignored error in between does not end the row of failures",
    ignored_heals_not: "an ignored error heals nothing, and gives its place back",
    judge_decides: "an answer may be a failure, and an error a success: the judge says",
    judge_may_look: "the judge may look at the breaker",
    call_may_look: "the call may look at the breaker",
    judges_overlap: "while one judge thinks, other calls come and go",
    redis_hangs: "a Redis that hangs gets no more commands, and is found when it is back",
    redis_is_down: "a Redis that is down opens it, a command that is wrong does not",
}
