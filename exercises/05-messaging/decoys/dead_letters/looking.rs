//! A look that is more than a look, or less.

use super::usual::{Looks, Usual};
use lapin::message::Delivery;
use messaging::dead_letters::{DeadLetter, Reason};

/// `no_ack`, since nothing is to be answered. `looked_at`: they have been taken, and whoever looks
/// next finds nothing.
pub struct LooksAndTakes;

impl Usual for LooksAndTakes {
    const LOOKS: Looks = Looks::Takes;
}

/// The first page. `looked_at`: the others are not there, and nobody says so.
pub struct LooksAtFifty;

impl Usual for LooksAtFifty {
    const LOOKS: Looks = Looks::AtFifty;
}

/// One nack for all of them, `multiple`: it is one frame, and the queue is as long as it was.
/// `looked_at`: RabbitMQ gives back more than a few in no order, and the oldest is somewhere.
pub struct GivesBackAllAtOnce;

impl Usual for GivesBackAllAtOnce {
    const LOOKS: Looks = Looks::GivesBackAllAtOnce;
}

/// Reads the note that it has written, and what has none was not its own. `of_the_broker`: those that
/// killed their consumers are just the ones that have none.
pub struct ReadsItsOwnOnly;

impl Usual for ReadsItsOwnOnly {
    fn read(letter: &Delivery) -> DeadLetter {
        let read = DeadLetter::read(letter);
        match read.why {
            Some(_) => read,
            None => DeadLetter { reason: Reason::Other("unknown".to_owned()), ..read },
        }
    }
}

/// Asks lapin and waits. `broker_hangs`: lapin waits for as long as the connection seems to live.
pub struct WaitsForEver;

impl Usual for WaitsForEver {
    const IN_TIME: bool = false;
}
