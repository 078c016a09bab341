//! From the queue to the dead letters.

use super::usual::{Buries, Usual};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use messaging::Message;
use messaging::dead_letters::{Reason, closed};

/// `basic.reject`, and the words in a log. It is safe, and the broker's own way. `never`: whoever
/// looks at the letter has `rejected`, and must find the log of the pod that is gone.
pub struct RejectsWithoutWords;

impl Usual for RejectsWithoutWords {
    const BURIES: Buries = Buries::Rejected;
}

/// "It can never succeed, so it is done." `never`: an order that somebody has paid for is gone.
pub struct AcksAndLogs;

impl Usual for AcksAndLogs {
    const BURIES: Buries = Buries::AckedAndLogged;
}

/// Acknowledged first, so that it cannot be there twice. `cut_anywhere`: it can be nowhere.
pub struct AcksThenPublishes;

impl Usual for AcksThenPublishes {
    const BURIES: Buries = Buries::AckedThenPublished;
}

/// Published without a confirm: `Ok` says that it was written to a socket. `dead_queue_is_gone`: there
/// is nobody at the other end, and the message is acknowledged.
pub struct BuriesUnconfirmed;

impl Usual for BuriesUnconfirmed {
    const BURIES: Buries = Buries::Unconfirmed;
}

/// The words as they are, and they are a page of HTML. `long_words`: no header may be longer than a
/// frame, the broker closes the connection, and the words are lost with it, or the message comes
/// again.
pub struct AllTheWords;

impl Usual for AllTheWords {
    fn closed(delivery: &Delivery, reason: &Reason, why: &str) -> BasicProperties {
        let envelope = closed(delivery, reason, why);
        let mut headers = envelope.headers().clone().unwrap_or_default();
        headers.insert("why".into(), AMQPValue::LongString(why.into()));
        envelope.with_headers(headers)
    }
}

/// Made anew from what the program knows of a message. `unchanged`: what it does not know is lost.
pub struct RebuildsTheMessage;

impl Usual for RebuildsTheMessage {
    fn closed(delivery: &Delivery, reason: &Reason, why: &str) -> BasicProperties {
        let envelope = Message::delivered(delivery).properties();
        let mut headers = envelope.headers().clone().unwrap_or_default();
        let note = closed(delivery, reason, why).headers().clone().unwrap_or_default();
        for (name, value) in &note {
            if matches!(value, AMQPValue::FieldTable(table) if is_note(table)) {
                headers.insert(name.clone(), value.clone());
            }
        }
        envelope.with_headers(headers)
    }
}

fn is_note(table: &FieldTable) -> bool {
    table.contains_key("reason")
}
