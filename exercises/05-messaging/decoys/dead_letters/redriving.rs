//! The way back, and who else is on it.

use super::usual::{Redrives, Usual};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use messaging::dead_letters::{DeadLetter, opened};

/// Through the default exchange, which leads to the queue that is called like the key. `sent_back`:
/// the consumer gets an event of the type `mailer`, which it does not know.
pub struct KeyOfTheQueue;

impl Usual for KeyOfTheQueue {
    fn way(_: &str, queue: &str, _: &DeadLetter) -> (String, String) {
        (String::new(), queue.to_owned())
    }
}

/// Published once more to where it came from. `sent_back`: every other queue gets it once more, too.
pub struct ToEverybody;

impl Usual for ToEverybody {
    fn way(exchange: &str, _: &str, letter: &DeadLetter) -> (String, String) {
        (exchange.to_owned(), letter.message.key.clone())
    }
}

/// All headers as they are found. `sent_back`: what the broker wrote on the letter goes along, and the
/// next who reads `x-first-death-reason` takes a message that is well for one that is dead.
pub struct KeepsTheLabels;

impl Usual for KeepsTheLabels {
    fn opened(letter: &Delivery) -> BasicProperties {
        let mut headers = letter.properties.headers().clone().unwrap_or_default();
        for (name, value) in opened(letter).headers().iter().flatten() {
            headers.insert(name.clone(), value.clone());
        }
        letter.properties.clone().with_headers(headers)
    }
}

/// Does not ask which are wanted. `chosen`: the poison goes back with those that it had poisoned.
pub struct SendsBackAll;

impl Usual for SendsBackAll {
    fn is_wanted(_: bool) -> bool {
        true
    }
}

/// Takes one after the other, and those that are not wanted have been taken, too. `chosen`: they are
/// gone.
pub struct LosesTheOthers;

impl Usual for LosesTheOthers {
    const REDRIVES: Redrives = Redrives::DropsTheOthers;
}

/// Taken first, so that no two can send it back. `cut_while_redriven`: nobody does.
pub struct TakesThenPublishes;

impl Usual for TakesThenPublishes {
    const REDRIVES: Redrives = Redrives::AckedThenPublished;
}

/// Reads all, publishes all, empties the queue: three lines. `together`: two who do it at once send
/// each back twice, and throw away what came meanwhile.
pub struct ReadsThenPurges;

impl Usual for ReadsThenPurges {
    const REDRIVES: Redrives = Redrives::ReadThenPurged;
}

/// Sends back until there is none. `dies_again`: those that fail at once are back before it is done,
/// and it never is.
pub struct UntilItIsEmpty;

impl Usual for UntilItIsEmpty {
    const REDRIVES: Redrives = Redrives::UntilEmpty;
}

/// As if it had never been here. `dies_again`: nobody sees that this one was sent back before, and
/// sends it back for ever.
pub struct ForgetsTheWayBack;

impl Usual for ForgetsTheWayBack {
    fn opened(letter: &Delivery) -> BasicProperties {
        let envelope = opened(letter);
        let mut headers = FieldTable::default();
        for (name, value) in envelope.headers().iter().flatten() {
            if !matches!(value, AMQPValue::LongUInt(_)) {
                headers.insert(name.clone(), value.clone());
            }
        }
        envelope.with_headers(headers)
    }
}

/// Published without a confirm and not mandatory. `queue_is_gone`: the broker drops what no queue
/// wants, and the letter is acknowledged.
pub struct SendsBackUnconfirmed;

impl Usual for SendsBackUnconfirmed {
    const REDRIVES: Redrives = Redrives::Unconfirmed;

    fn way(_: &str, queue: &str, _: &DeadLetter) -> (String, String) {
        (String::new(), queue.to_owned())
    }
}

/// One channel for looking, kept open: to open one is a round trip. `left_while_redriving`: a caller
/// who leaves in the middle leaves the letters in hand, and nobody sees them until the process ends.
pub struct KeepsTheChannel;

impl Usual for KeepsTheChannel {
    const REDRIVES: Redrives = Redrives::OnOneChannel;
}
