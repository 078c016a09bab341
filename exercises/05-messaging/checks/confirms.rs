//! What a publisher must withstand whose `Ok` is to mean something.

mod callers;
mod client;
mod coming_back;
mod known;
mod losing;
mod restart;
mod saying;
mod scene;
mod window;

use callers::{dropped_callers, left_while_connecting, one_channel, together};
use client::Client;
use coming_back::{alike, refused, unroutable_alone, which_came_back};
use grading::{Evidence, Finding, SOON, World};
use known::{as_long_as_said, one_is_late, out_of_order};
use losing::{
    confirmed_stays, killed_between, killed_in_flight, lost_on_the_way, missing_exchange,
    starts_alone,
};
use messaging::Message;
use messaging::confirms::{NotConfirmed, Options, Publisher};
use restart::broker_restarts;
use saying::{any_size, nothing_to_say, waits_for_the_confirm, whole_and_persistent};
use scene::{A_WHILE, Scene, landed, meets, word};
use std::time::Duration;
use window::{
    any_window, never_confirmed, order_kept, pipelines, room_is_used, slow_broker, stalled,
    window_kept,
};

const PAGE: &str = "docs/lessons/confirms.md";

/// A busy machine does not make the broker look slow.
const PATIENT: Options = Options { timeout: Duration::from_secs(8), window: 64 };
/// For the checks in which no answer comes. The window is small, so that one can fill it.
const BRISK: Options = Options { timeout: Duration::from_millis(400), window: 4 };
/// The broker may have to be started first.
const LONG: Duration = Duration::from_secs(60);

grading::checks! { S: Publisher; read(PAGE), limit(LONG);
    waits_for_the_confirm: "a publish has succeeded when the broker has confirmed it, and no sooner",
    whole_and_persistent: "what was published lies in the queue, whole, with its id, persistent",
    any_size: "a message may be empty, and larger than a frame",
    nothing_to_say: "a batch of none is done at once",
    unroutable_alone: "what no queue wants is noticed",
    which_came_back: "of many it is known which came back, also if one confirm is for many",
    alike: "messages that differ in one thing are told apart when one of them comes back",
    refused: "what the broker refuses is noticed, and the next is not taken for it",
    pipelines: "a batch is sent without waiting for one confirm before the next",
    order_kept: "a batch lies in the queue in its order",
    window_kept: "there are never more on their way than the window has room for",
    room_is_used: "a confirm makes room for the next, whichever others are still to come",
    any_window: "a window of none has room for one, and there is no largest",
    out_of_order: "confirms come in any order, and each says something of its own message only",
    never_confirmed: "a confirm that never comes is an error in time, and the window is whole again",
    one_is_late: "what was confirmed is known, also when the next confirm never comes",
    as_long_as_said: "how long a confirm is waited for is what the options say",
    slow_broker: "a batch may take longer than each of its confirms may",
    stalled: "a network that hangs is an error in time, however many wait",
    together: "callers do not wait for each other's confirms",
    one_channel: "callers share a channel, and each gets its own answer",
    dropped_callers: "callers that leave take nothing along, and leave no hole in the window",
    left_while_connecting: "a caller that leaves while it connects is in nobody's way",
    lost_on_the_way: "what was cut off is unknown, and publishing it again works",
    killed_in_flight: "a connection that is killed leaves all on their way unknown, and none said ok",
    confirmed_stays: "what was confirmed before the connection was killed is known",
    killed_between: "a connection that was killed between two calls is made again",
    missing_exchange: "an exchange that is not there is told as that, and then all works again",
    starts_alone: "a publisher starts also while the broker is away, and not without a url",
    broker_restarts: "what was confirmed is there after kill -9 and a restart of the broker"
        .limit(Duration::from_secs(180)),
}
