//! What the tree of a request must withstand.

mod calls;
mod door;
mod ends;
mod leaving;
mod request;
mod scene;
mod stopped;
mod tree;
mod turns;
mod witness;

use calls::{at_the_door, passed_on, within_another};
use ends::{errors, hung_up, unwinding, waiting_is_idle, with_its_work};
use leaving::{clean_threads, in_a_task, in_a_thread, outlives, polled_elsewhere};
use observability::spans::Spans;
use request::{failed_or_not, from_elsewhere, known_later, quiet_log, the_request};
use stopped::{never_begun, stopped_tasks};
use tree::{beneath, beside, down, lines_within};
use turns::{interleaved, nobodys};

const PAGE: &str = "docs/lessons/spans.md";

grading::checks! { S: Spans; read(PAGE);
    the_request: "a request is one span, named by method and route, and never by its path",
    failed_or_not: "an answer of 5xx is a failure of the service, and one of 4xx is none",
    at_the_door: "who waits at the door, or is refused there, is within the request",
    passed_on: "a request and its answer are passed on as they are",
    known_later: "what is known only later is recorded",
    beneath: "a step hangs beneath the one that called it, and each round is a span",
    down: "a step that calls itself goes down, level by level",
    beside: "steps at the same time lie beside each other",
    lines_within: "what is logged belongs to the step that logs it",
    interleaved: "two requests that take turns on a thread keep their own steps",
    nobodys: "what is nobody's hangs beneath nobody",
    in_a_task: "a task hangs beneath the step that began it",
    in_a_thread: "a thread's job hangs beneath the step that began it",
    clean_threads: "a thread is as it was before, also after a panic",
    polled_elsewhere: "who polls a step does not matter",
    outlives: "what outlives its request keeps its parent, and makes that no longer",
    errors: "a step that fails says so and why, and only that step",
    with_its_work: "a step ends with its work, whoever keeps its future",
    hung_up: "when a customer hangs up, each open step ends, and says that it was cancelled",
    never_begun: "what is never begun ends as well, and says that it was cancelled",
    stopped_tasks: "a task that is stopped was cancelled, and one that panics has failed",
    unwinding: "a panic ends each open step, and only those that panicked have failed",
    waiting_is_idle: "who waits at a gate is not busy",
    quiet_log: "spans do not depend on the log, nor the work on the spans",
    within_another: "a request within another hangs where it was told to, or is a root",
    from_elsewhere: "a request that another service sent hangs beneath its call",
}
