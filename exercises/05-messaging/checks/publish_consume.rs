//! What a courier must withstand whose consumers die.

mod acknowledging;
mod delivering;
mod pacing;
mod publishing;
mod returning;
mod scene;
mod works;

use acknowledging::{ack_after_work, failed_work, killed_consumer, late_acknowledgement, worker};
use delivering::{
    as_declared, before_any_consumer, each_queue_a_copy, one_queue_is_shared, unchanged,
};
use grading::{Child, Evidence, Finding, History, SOON, World};
use messaging::publish_consume::{Courier, Delivered, Drained, Failed, Options};
use messaging::{Error, Message, Queue, Topology};
use pacing::{drains, dropped, one_that_hangs, prefetch_is_kept};
use publishing::{broker_hangs, ok_is_there, publisher_comes_back};
use returning::{comes_back, pauses, queue_is_gone, sleeper, stopped_consumer};
use scene::{Client, Running, Scene, landed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use works::{How, Works};

const PAGE: &str = "docs/lessons/publish_consume.md";

/// A busy machine does not make RabbitMQ look slow.
const PATIENT: Duration = Duration::from_secs(5);
/// For checks in which the broker hangs.
const BRISK: Duration = Duration::from_millis(500);
/// How long may take what has a pause before it, or an end of a connection.
const A_WHILE: Duration = Duration::from_secs(8);
/// How long is looked whether something happens that must not. Whether it is seen then does not
/// decide over a right answer.
const A_MOMENT: Duration = Duration::from_millis(150);
/// For checks of many steps. The first waits until there is a broker at all.
const LONG: Duration = Duration::from_secs(30);

grading::checks! { S: Courier; read(PAGE), limit(LONG);
    unchanged: "what is published is consumed, byte for byte, with all that is on its envelope",
    before_any_consumer: "what is published before anybody consumes waits in its queue",
    each_queue_a_copy: "each queue gets a copy of what its bindings match, and of nothing else",
    one_queue_is_shared: "two who consume from one queue share its messages",
    as_declared: "exchange and queues are durable, as declared, and messages persistent",
    ack_after_work: "a message is acknowledged after its work, and comes again if that never ends",
    killed_consumer: "what a killed process was working at is done by another"
        .process(worker::<S>),
    failed_work: "work that fails or panics comes again, and the others go on",
    late_acknowledgement: "work that outlives its connection holds up nobody, and settles nothing",
    prefetch_is_kept: "as many messages as the prefetch says are worked off at once, and no more",
    one_that_hangs: "work that hangs costs one place, and the others go on",
    drains: "who is told to end ends what is under way, and gives back what is not begun",
    dropped: "a consumer that is dropped breaks off all work, and its messages go back",
    comes_back: "a consumer comes back after a lost connection, and after a broker that was away",
    queue_is_gone: "a consumer whose queue was deleted declares it again, and goes on",
    stopped_consumer: "heartbeats end a consumer that stands still, and it comes back when it wakes"
        .process(sleeper::<S>),
    pauses: "while nobody answers, a consumer pauses between its attempts",
    ok_is_there: "what was published with Ok is in the queue",
    publisher_comes_back: "after a lost connection, publishing works again",
    broker_hangs: "publishing to a broker that hangs is an error in time",
}
