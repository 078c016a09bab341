//! What a store of idempotency keys must withstand.

mod answers;
mod client;
mod commits;
mod crowds;
mod deaths;
mod ends;
mod scene;
mod shapes;
mod sweeps;
mod waiting;
mod wire;

use answers::{failed_work, not_now, once_and_again, other_request, two_callers, two_keys};
use client::{Client, landed, meets, told};
use commits::{one_commit, two_processes};
use crowds::{anywhere, hundred, neighbours, other_request_meanwhile};
use deaths::{
    Order, dropped_caller, holder, killed_process, panicked_work, slow_work, stopped_process,
    worker,
};
use ends::{expired, only_the_fingerprint, passed_on, unplugged};
use grading::{Child, Evidence, Finding, SOON, World};
use sagas::idempotency_keys::{Answer, Error, Keys, Options};
use scene::{Ends, Job, Payment, Scene};
use shapes::any_shape;
use std::sync::Arc;
use std::time::Duration;
use sweeps::{swept, swept_meanwhile};
use testbed::gate::Gate;
use waiting::{few_connections, next_in_line, own_patience};
use wire::{connection_hangs, lost_replies, postgres_away, postgres_hangs};

const PAGE: &str = "docs/lessons/idempotency_keys.md";

/// For checks of many steps, each of which has connections of its own.
const LONG: Duration = Duration::from_secs(20);
/// How long a retrying client goes on.
const A_WHILE: Duration = Duration::from_secs(5);
/// More steps than anybody takes.
const STEPS: usize = 12;

/// A busy machine does not make PostgreSQL look slow, and nothing that waits is waited for in vain.
const PATIENT: Options =
    Options { wait: LONG, timeout: LONG, keep: Duration::from_secs(3600), connections: 8 };
/// For checks in which PostgreSQL or a process hangs.
const BRISK: Options = Options { timeout: Duration::from_millis(400), ..PATIENT };

grading::checks! { K: Keys; read(PAGE), limit(LONG * 2);
    once_and_again: "the second attempt gets the first one's answer, to the byte, and has no effect",
    any_shape: "an answer of whatever shape comes back as it was given, whatever the method",
    two_keys: "the same request under two keys has two effects",
    two_callers: "two callers with the same key have nothing to do with each other",
    other_request: "a key that was used for another request is refused, and the first is safe",
    failed_work: "work that fails is undone, and its key is free at once",
    not_now: "an answer that says \"not now\" is given and not kept; a final one is kept, bad or good",
    hundred: "of a hundred at once one works, and all get its answer",
    one_commit: "at whatever step one looks, the key and the effect are there, or neither is",
    anywhere: "whoever comes at whatever step of the first, there is one effect and one answer",
    two_processes: "the same, when the first is in another process"
        .process(worker::<K>),
    other_request_meanwhile: "another request under the key of one that is under way has no effect",
    neighbours: "those who wait for one key leave room for another key, and another caller",
    next_in_line: "who waits for one that fails does the work in its place",
    own_patience: "each waits as long as it wants to, and nobody is told to come back too early",
    few_connections: "no more at once than there are connections, and none waits for one for ever",
    panicked_work: "work that panics is undone, and its key is free at once",
    slow_work: "work that takes too long is an error in time, and undone",
    dropped_caller: "a caller who leaves at whatever step leaves no half behind, and the key free",
    killed_process: "a process that is killed before its commit did nothing, and after it everything"
        .process(worker::<K>),
    stopped_process: "a process that is stopped in its work keeps its key no longer than a timeout"
        .process(holder::<K>),
    lost_replies: "whatever is lost on the way, who tries again pays once and gets one answer",
    postgres_hangs: "a PostgreSQL that hangs is an error in time, and never \"done\"",
    connection_hangs: "a connection that hangs is an error in time, and is not used again",
    postgres_away: "a PostgreSQL that is away is an error in time, and then all works again",
    expired: "an expired key is new, for one of those who come with it",
    swept: "a sweep takes what has expired, as much as it is asked to, and waits for nobody",
    swept_meanwhile: "a key that is used anew while a sweep is under way is not lost",
    only_the_fingerprint: "of a large request only its fingerprint is kept, and all of it counts",
    passed_on: "the key for others is the request's own, and the same in each attempt"
        .process(unplugged::<K>),
}
