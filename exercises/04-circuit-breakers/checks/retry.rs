//! What retries must withstand.

mod answering;
mod calling;
mod earning;
mod keeping;
mod leaving;
mod limits;
mod pausing;
mod repeating;
mod scene;
mod spending;
mod threads;
mod told;
mod wire;

use answering::{answered_at_once, attempts_are_counted, last_as_it_was, success_is_returned};
use calling::called_without_http;
use circuit_breakers::retry::Retry;
use earning::{calls_alone_earn, each_call_earns, earned_again};
use keeping::pause_holds_nothing;
use leaving::{caller_leaves, deadline_is_kept, nobody_waits_for_another};
use limits::limits_at_their_ends;
use pausing::{ceiling_doubles, full_jitter, seeds_draw_the_pauses};
use repeating::{
    final_answers, one_layer_of_three, only_idempotent, refusals_are_final, same_request,
};
use spending::{budget_in_an_outage, denied_at_once, one_budget_for_all, spent_on_repeats_only};
use std::time::Duration;
use threads::threads_share_a_budget;
use told::{retry_after_is_kept, told_at_any_attempt};
use wire::{increment_once, lost_reply_is_repeated, redis_out_of_reach};

const PAGE: &str = "docs/lessons/retry.md";

/// For the whole of a check. On a busy machine many small steps add up, and are no hang.
const LIMIT: Duration = Duration::from_secs(15);

grading::checks! { S: Retry; read(PAGE), limit(LIMIT);
    answered_at_once: "what succeeds is attempted once, and nobody waits",
    success_is_returned: "a success after a failure is what the caller gets",
    attempts_are_counted: "there are as many attempts as were said, and no pause after the last",
    last_as_it_was: "when it is given up, the last answer or error comes as it was",
    full_jitter: "the first pause is uniform between nothing and its ceiling",
    ceiling_doubles: "each pause is drawn anew, below a ceiling that doubles up to the longest",
    seeds_draw_the_pauses: "two seeds do not march in step, and one can be replayed",
    retry_after_is_kept: "nobody comes before Retry-After is over, nor waits for too long",
    told_at_any_attempt: "what was said counts for one pause, any of them, and jitter comes on top",
    budget_in_an_outage: "with everything down the load is 1.1 times the calls, at any moment",
    one_budget_for_all: "those who fail at the same moment spend from one budget",
    threads_share_a_budget: "threads that fail together spend no retry twice, and lose none"
        .limit(Duration::from_secs(60)),
    each_call_earns: "each call earns, also one that is left, or that is repeated above",
    calls_alone_earn: "neither time nor calls to another dependency earn a retry, or lose one",
    earned_again: "after an outage retries are earned again, and not without end",
    spent_on_repeats_only: "what is not repeated costs nothing",
    denied_at_once: "who may not repeat for want of budget is told so at once",
    only_idempotent: "what would have an effect twice is attempted once",
    same_request: "each attempt is the same request, with the same key",
    final_answers: "an answer that would be the same the next time is final",
    refusals_are_final: "an error that is not transient is given back at once",
    one_layer_of_three: "three layers of three attempts are three calls, and not 27",
    limits_at_their_ends: "nothing at all and no limit are limits as well",
    called_without_http: "what holds for requests holds for any call",
    caller_leaves: "a caller who leaves takes the attempts along",
    deadline_is_kept: "no pause ends, and no attempt begins, after the deadline",
    pause_holds_nothing: "in a pause nothing is kept of the attempt before",
    nobody_waits_for_another: "nobody waits for another's answer, nor for their pause",
    lost_reply_is_repeated: "Redis: a SET whose reply is lost is sent again, each time",
    increment_once: "Redis: an INCR whose reply is lost is not sent again",
    redis_out_of_reach: "Redis: out of reach it is asked 1.1 times, and back it is asked again",
}
