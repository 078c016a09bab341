//! What a token bucket must withstand.

use crate::limiting::counting::{
    clock_goes_back, exact, no_second_burst, odd_costs, polls_lose_nothing, refusal_spends_nothing,
};
use crate::limiting::keeping::{cut_everywhere, keys_expire, nothing_comes_early, one_round_trip};
use crate::limiting::losing::{broken_connection, forgotten_scripts, outage_closed, outage_open};
use crate::limiting::sharing::{keys_apart, no_room_between, server_clock, spender, two_processes};
use rate_limiting::limiter::Limiter;
use std::time::Duration;

const PAGE: &str = "docs/lessons/token_bucket.md";

/// For hundreds of round trips, on a machine that does other things as well.
const HUNDREDS: Duration = Duration::from_secs(20);

grading::checks! { S: Limiter; read(PAGE);
    exact: "a burst at once and then the rate, to the microsecond, on 40 random traces"
        .limit(HUNDREDS),
    no_second_burst: "after a burst comes the rate, at whatever moment the burst was",
    polls_lose_nothing: "who asks every millisecond is refilled as fast as who waits"
        .limit(HUNDREDS),
    refusal_spends_nothing: "a refusal spends nothing and delays nothing",
    odd_costs: "a cost of 0 leaves nothing behind, and one above the burst is never allowed",
    clock_goes_back: "a clock that goes backwards gives nothing twice and locks nobody out",
    server_clock: "the time that counts is the server's, when the request has come to it",
    no_room_between: "no other client fits between the look and the spending",
    two_processes: "two processes share what is left".process(spender::<S>),
    keys_apart: "a key is its own, and the same for all clients",
    one_round_trip: "a decision costs one round trip",
    keys_expire: "a key lives until its burst is whole again, and no more than a second longer",
    nothing_comes_early: "nothing comes back before its time, and all of it in time",
    cut_everywhere: "wherever the connection breaks, every key expires and the sum is right",
    forgotten_scripts: "a Redis that has forgotten its scripts is no outage",
    broken_connection: "a connection that broke is made again, and nothing is given for it",
    outage_open: "without Redis an open limiter allows, in time, and finds it again",
    outage_closed: "without Redis a closed limiter refuses, in time, and finds it again",
}
