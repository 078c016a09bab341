//! What a deadline that travels must withstand.

mod arriving;
mod asking;
mod beside;
mod busy;
mod chain;
mod scene;
mod travelling;
mod work;

use arriving::{
    nothing_left, odd_headers, queue_counts, requests_apart, served_in_time, several_headers,
    the_earliest_counts, waiting_for_a_place, work_ends,
};
use asking::{
    asked_in_time, connecting_counts, connecting_takes_all, not_asked_too_late, one_header,
    patience_or_deadline, rounded_down, told_after_connecting,
};
use beside::{task_answers, task_ends, task_is_taken_along};
use busy::{busy_machine, ready_too_late};
use circuit_breakers::timeouts::Deadlines;
use travelling::{cancelled_caller, hanging_redis, less_at_each_hop, one_deadline};

const PAGE: &str = "docs/lessons/timeouts.md";

grading::checks! { S: Deadlines; read(PAGE);
    the_earliest_counts: "the deadline is the earliest of what is told, known and allowed",
    requests_apart: "of two requests at the same time, each has its own deadline",
    nothing_left: "what has nothing left is refused before any work",
    queue_counts: "the clock starts at arrival: who waits in a queue gets older there",
    waiting_for_a_place: "to wait for the service counts: one that never is ready holds nobody",
    busy_machine: "after the deadline no step is taken, also where the machine is late itself",
    ready_too_late: "what is ready when the deadline is over is not called any more",
    work_ends: "at the deadline the caller is told, and the work is dropped",
    odd_headers: "a header that cannot be read, or is huge, harms nobody",
    several_headers: "of several times, the smallest counts",
    served_in_time: "what is answered in time is served as without a deadline",
    rounded_down: "the next hop is told what is left, in whole milliseconds, rounded down",
    told_after_connecting: "what is left is counted when the request goes out",
    one_header: "a time that was copied along is replaced, and not joined",
    patience_or_deadline: "the shorter of patience and what is left counts",
    not_asked_too_late: "with nothing left, the next hop is not called",
    connecting_takes_all: "if to connect leaves less than a millisecond, the next hop is not called",
    connecting_counts: "to connect counts: a hop that never is ready holds nobody",
    asked_in_time: "what is answered in time passes as without a deadline",
    task_ends: "a task beside ends at the deadline, though nobody looks",
    task_is_taken_along: "a task beside ends as soon as nobody waits for it",
    task_answers: "a task beside answers with what comes of it, bugs included",
    one_deadline: "three hops end with one deadline, and nobody works past it",
    less_at_each_hop: "each hop has less than the one before",
    cancelled_caller: "a caller that hangs up ends the work three hops away",
    hanging_redis: "a Redis that hangs for three hops gets no more work afterwards",
}
