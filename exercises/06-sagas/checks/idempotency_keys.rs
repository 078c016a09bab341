//! What a store of idempotency keys must withstand.

mod answers;
mod crowds;
mod deaths;
mod ends;
mod scene;
mod wire;

use answers::{failed_work, not_now, once_and_again, other_request, two_callers, two_keys};
use crowds::{anywhere, hundred, neighbours, other_request_meanwhile};
use deaths::{
    dropped_caller, holder, killed_process, panicked_work, slow_work, stopped_process, worker,
};
use ends::{expired, only_the_fingerprint, passed_on, swept};
use grading::{Child, Evidence, Finding, SOON, World};
use sagas::idempotency_keys::{Answer, Error, Keys, Options};
use scene::{Ends, Job, Payment, Scene, landed, meets};
use std::sync::Arc;
use std::time::Duration;
use testbed::gate::Gate;
use wire::{lost_replies, postgres_away, postgres_hangs};

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
    two_keys: "the same request under two keys has two effects",
    two_callers: "two callers with the same key have nothing to do with each other",
    other_request: "a key that was used for another request is refused, and the first is safe",
    failed_work: "work that fails is undone, and its key is free at once",
    not_now: "an answer that says \"not now\" is given and not kept; a final one is kept, bad or good",
    hundred: "of a hundred at once one works, and all get its answer",
    anywhere: "whoever comes at whatever step of the first, there is one effect and one answer",
    other_request_meanwhile: "another request under the key of one that is under way has no effect",
    neighbours: "those who wait for one key leave room for another key, and another caller",
    panicked_work: "work that panics is undone, and its key is free at once",
    slow_work: "work that takes too long is an error in time, and undone",
    dropped_caller: "a caller who leaves at whatever step leaves no half behind, and the key free",
    killed_process: "a process that is killed before its commit did nothing, and after it everything"
        .process(worker::<K>),
    stopped_process: "a process that is stopped in its work keeps its key no longer than a timeout"
        .process(holder::<K>),
    lost_replies: "whatever is lost on the way, who tries again pays once and gets one answer",
    postgres_hangs: "a PostgreSQL that hangs is an error in time, and never \"done\"",
    postgres_away: "a PostgreSQL that is away is an error in time, and then all works again",
    expired: "an expired key is new, for one of those who come with it",
    swept: "a sweep takes what has expired, as much as it is asked to, and waits for nobody",
    only_the_fingerprint: "of a large request only its fingerprint is kept, and all of it counts",
    passed_on: "the key for others is the request's own, and the same in each attempt",
}
