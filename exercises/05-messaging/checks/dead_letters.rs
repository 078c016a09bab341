//! What a ward must withstand whose queue has poison in it.

mod client;
mod dying;
mod ending;
mod going_on;
mod looking;
mod redriving;
mod scene;
mod verdicts;
mod works;

use client::Client;
use dying::{cut_anywhere, dead_queue_is_gone, doomed, killed};
use ending::{ends_what_it_began, left_while_redriving, otherwise};
use going_on::{pause_holds_nobody, pauses, poison_first};
use grading::{Child, Evidence, Finding, History, SOON, World};
use looking::{broker_hangs, looked_at, of_the_broker};
use messaging::dead_letters::{
    DeadLetter, Delivered, Drained, Options, Reason, Verdict, Ward, attempt,
};
use messaging::{Error, Message, Queue, Topology};
use redriving::{chosen, cut_while_redriven, dies_again, queue_is_gone, sent_back, together};
use scene::{Scene, landed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use verdicts::{
    done_is_gone, limit_and_words, long_words, never, panics, unchanged, works_at_last,
};
use works::{How, Works};

const PAGE: &str = "docs/lessons/dead_letters.md";

/// A busy machine does not make RabbitMQ look slow.
const PATIENT: Duration = Duration::from_secs(6);
/// Where a connection is cut: a client may not hear of it before its timeout.
const CUT: Duration = Duration::from_secs(3);
/// How long looking and sending back may take, some timeouts included.
const IN_TIME: Duration = Duration::from_secs(15);
/// For the check in which the broker hangs.
const BRISK: Duration = Duration::from_millis(500);
/// No longer than a check has the time for.
const SHORT: Duration = Duration::from_millis(20);
/// How long may take what has a lost connection before it.
const A_WHILE: Duration = Duration::from_secs(6);
/// For checks of many steps. The first waits until there is a broker at all.
const LONG: Duration = Duration::from_secs(60);

grading::checks! { S: Ward; read(PAGE), limit(LONG);
    done_is_gone: "what is done is gone, and not before its work is done",
    limit_and_words: "what fails is delivered so many times, then it is dead, with the last words",
    never: "what can never succeed is dead after one delivery, with the reason and its bytes",
    works_at_last: "what works at the last attempt is done, and not dead",
    panics: "work that panics has failed, and takes nobody along",
    long_words: "the words of why may be longer than any frame",
    unchanged: "what was on the envelope is on the dead letter, and on what is sent back",
    poison_first: "poison at the head of the queue lets the others through in the end",
    pause_holds_nobody: "what waits in its pause holds up neither the others nor the end",
    pauses: "what failed does not come again before its pause is over",
    ends_what_it_began: "as many at once as the prefetch says, and who is told to end ends those",
    otherwise: "a queue that is there and otherwise is an error, and no reason to try for ever",
    killed: "a message that kills its consumers is dead after as many"
        .process(doomed::<S>),
    cut_anywhere: "whatever is cut on the way to the dead letters, no message is lost",
    dead_queue_is_gone: "a dead-letter queue that was deleted is declared again, and nothing lost",
    looked_at: "dead letters that were looked at are all there, the oldest first, and stay",
    of_the_broker: "what the broker put aside by itself is listed with the broker's reason",
    broker_hangs: "looking and sending back end in time when the broker hangs",
    sent_back: "what is sent back comes as it was published, to this queue alone, in its order",
    chosen: "who is not wanted stays, where it was",
    cut_while_redriven: "whatever is cut while letters are sent back, none is lost, nor there thrice",
    left_while_redriving: "a caller who leaves while letters are sent back has none in hand",
    together: "two who send back at once, and a letter that comes meanwhile: each is there once",
    dies_again: "what is sent back and fails again is dead again, and its attempts count anew",
    queue_is_gone: "letters for a queue that is gone are not thrown away",
}
