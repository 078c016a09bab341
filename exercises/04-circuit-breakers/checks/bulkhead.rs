//! What a bulkhead must withstand.

mod around;
mod leaving;
mod real;
mod scene;
mod shop;
mod sizes;
mod threads;
mod turns;
mod waiting;

use around::{
    called_only_inside, clones_share, errors_are_typed, queue_holds_nothing, ready_holds_nothing,
    ready_one_is_called, service_that_panics, service_waits, work_goes_with_its_caller,
};
use circuit_breakers::bulkhead::Bulkhead;
use leaving::{
    dropped_inside, gone_waiter_gets_no_place, granted_and_gone, held_until_gone, leaves_the_queue,
    panic_gives_back,
};
use real::{redis_that_dies, stalled_redis};
use sizes::{
    any_size, counts_tell, every_place_is_used, longest_wait, never_more_than_places, no_places,
    one_for_each, queue_is_bounded, wait_is_configured, work_is_not_timed,
};
use std::time::Duration;
use threads::{threads_go, threads_pass, threads_queue, threads_take_places};
use turns::{nobody_overtakes, served_in_order};
use waiting::{
    granted_and_late, made_holds_nothing, no_time_to_wait, wait_has_one_clock, waits_at_rest,
    woken_elsewhere,
};

const PAGE: &str = "docs/lessons/bulkhead.md";

/// For the whole of a check; what has to come soon has its own limit.
const LIMIT: Duration = Duration::from_secs(15);

// On a busy machine many small steps add up, and are no hang.
grading::checks! { S: Bulkhead; read(PAGE), limit(LIMIT);
    never_more_than_places: "there are never more calls at once than places",
    every_place_is_used: "while a place is free nobody is refused, and nobody waits",
    queue_is_bounded: "who finds places and queue full is refused at once, and not called",
    longest_wait: "nobody waits longer than the longest wait, and is not called afterwards",
    wait_is_configured: "each waits for as long as its own bulkhead says",
    no_time_to_wait: "with no time to wait, a free place is taken, and who finds none is told at once",
    wait_has_one_clock: "a queue that moves makes nobody's wait any longer",
    work_is_not_timed: "the longest wait ends no call that has a place",
    served_in_order: "places go to those who wait in the order in which they came",
    nobody_overtakes: "a place that comes free goes past nobody who waits for it",
    threads_take_places: "of two threads at the same moment, one gets the last place",
    threads_queue: "of two threads at the same moment, one gets the last room in the queue",
    threads_go: "of two threads that go at the same moment, both are counted",
    threads_pass: "who comes at the moment in which another one goes gets its place",
    waits_at_rest: "who waits sleeps until there is something to do",
    woken_elsewhere: "who waits is woken where it was polled last",
    made_holds_nothing: "a call that is made and not yet polled holds nothing",
    dropped_inside: "a caller that goes away gives back its place",
    panic_gives_back: "a call that panics gives back its place",
    held_until_gone: "a place is held until the call in it is gone, to its last drop",
    leaves_the_queue: "a caller that goes away while it waits makes room in the queue",
    gone_waiter_gets_no_place: "a place goes to the next who is still there",
    granted_and_gone: "a place that came to a caller just before it left is not lost",
    granted_and_late: "a place that came to a caller just before its time was over is not lost",
    one_for_each: "a bulkhead that is full leaves the other one's places alone",
    no_places: "with no places nobody gets in",
    any_size: "a size that is larger than any need is no limit, and no panic",
    counts_tell: "the counts tell who is inside, who waits and who was refused",
    clones_share: "all clones of a service share its places",
    ready_holds_nothing: "a service that was asked whether it is ready holds no place",
    queue_holds_nothing: "who waits for a place holds nothing of what is behind it",
    called_only_inside: "the service is not called before there is a place",
    ready_one_is_called: "the service is asked whether it is ready, and then called",
    errors_are_typed: "a refusal is told from the service's own error by its type",
    service_waits: "through the service, too, the wait has a limit, and the work has none",
    service_that_panics: "a service that panics, wherever it does, gives back its place",
    work_goes_with_its_caller: "work goes on in a place, or not at all",
    stalled_redis: "a Redis that hangs holds its own places, and the workers do the rest",
    redis_that_dies: "a Redis that dies under its callers leaves all places free",
}
