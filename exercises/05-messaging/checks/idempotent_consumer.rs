//! What an inbox must withstand whose messages come again at any moment.

mod again;
mod broker;
mod database;
mod failing;
mod process;
mod scene;
mod steps;
mod sweeping;
mod together;

use again::{each_consumer, id_counts, no_id, once_and_again};
use broker::redelivered;
use database::{killed_sessions, postgres_is_gone, postgres_stalls};
use failing::{failed_effect, hidden_error, refused_effect};
use grading::{Evidence, Finding, SOON, World};
use messaging::Message;
use messaging::idempotent_consumer::{Inbox, Once, Options};
use process::{killed_anywhere, one_delivery, slow_effect, stopped_consumer};
use scene::{Middle, Scene, landed, meets};
use std::time::Duration;
use steps::{dropped_caller, left_running, long_effect, lost_words, never_answered};
use sweeping::{forgotten_is_new, old_rows_go};
use together::{
    at_the_same_time, connections_kept, others_go_on, waits_for_the_outcome, waits_in_vain,
};

const PAGE: &str = "docs/lessons/idempotent_consumer.md";

const HOUR: Duration = Duration::from_secs(60 * 60);
/// A busy machine does not make PostgreSQL look slow.
const PATIENT: Options = Options { timeout: Duration::from_secs(2), keep: HOUR, connections: 4 };
/// For the checks in which somebody hangs until the server gives up.
const BRISK: Options = Options { timeout: Duration::from_millis(500), ..PATIENT };
/// For the checks in which nobody is to give up.
const ENDLESS: Options = Options { timeout: Duration::from_secs(20), ..PATIENT };
/// How long somebody who is stopped may keep others from a message: the timeout, and what they need.
const A_WHILE: Duration = Duration::from_secs(5);
/// For checks of many steps, each of which has connections of its own.
const LONG: Duration = Duration::from_secs(60);
/// Where the broker has to be started first, on a busy machine.
const A_BROKER: Duration = Duration::from_secs(240);
/// More steps than anybody takes.
const STEPS: usize = 12;

grading::checks! { S: Inbox; read(PAGE), limit(LONG);
    once_and_again: "a message that comes again has no second effect",
    id_counts: "the id says whether it is the same message, and not the content",
    each_consumer: "each consumer has its own effect of a message",
    no_id: "a message without an id is refused, and is not one and the same",
    at_the_same_time: "a message that comes to two at the same time has one effect",
    waits_for_the_outcome: "nothing is called seen before it is committed",
    waits_in_vain: "who cannot wait for the outcome any longer does not claim one",
    others_go_on: "a message that hangs holds up no other",
    connections_kept: "as many are worked on at once as there may be connections, and no more",
    failed_effect: "an effect that fails leaves nothing, and the next delivery does it",
    refused_effect: "an effect that PostgreSQL refuses is not done, whatever the code",
    hidden_error: "an effect that hides an error is not acknowledged",
    lost_words: "whatever is lost on the way, there is one effect, and no false word",
    dropped_caller: "a caller that leaves in the middle leaves nothing behind",
    left_running: "what runs on without its caller keeps the message only for a time",
    never_answered: "where no answer ever comes, the call ends, and the next one works",
    long_effect: "an effect may take as long as its timeout lets it",
    killed_anywhere: "a consumer that is killed, at any step, has one effect with its successor"
        .process(one_delivery::<S>),
    stopped_consumer: "a consumer that is stopped keeps no message, and wakes too late"
        .process(slow_effect::<S>),
    killed_sessions: "after its sessions were killed all works again, and nothing is forgotten",
    postgres_stalls: "a PostgreSQL that hangs is an error in time, and then all works again",
    postgres_is_gone: "a PostgreSQL that is gone is an error in time, and then all works again",
    redelivered: "whatever a real broker delivers again, each message has one effect"
        .limit(A_BROKER),
    old_rows_go: "what is older than is to be kept goes, a few at a time, and nothing else",
    forgotten_is_new: "what was forgotten is new, when it comes once more",
}
