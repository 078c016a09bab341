//! 05.5 · Dead letters
//!
//! An order comes with a price of -1. The mailer throws an error, the message goes back to the queue,
//! and comes again, a thousand times a second; behind it wait two hundred customers. Build a ward:
//! it gives up what cannot be dealt with, says why, and sends it back when the fault is mended.
//!
//! 1. A message is delivered `queue.deliveries` times, and no more, also if each consumer died over
//!    it. Then, or at once after `Never`, it lies in `queue.dead()`: its bytes and its envelope as
//!    they were, the reason and the consumer's words with it.
//! 2. The others go on. What failed pauses before it comes again, and the pause keeps nobody.
//! 3. No message is ever in neither queue. Twice is harmless, nowhere is not.
//! 4. Looking takes nothing away, and shows also what the broker put aside by itself.
//! 5. What is sent back comes as it was published: under its own key, to this queue alone, its
//!    deliveries counted anew. Nobody who sends back twice, at once or again, loses or doubles any.
//!
//! The contract with all its details is the trait `Ward`: sandbox/05-messaging/src/dead_letters.rs.
//! `topology.declare(&channel)` declares the queue with its limit and its dead-letter queue.
//! `attempt(&delivery)` counts, `closed(&delivery, reason, why)` and `opened(&letter)` are the two
//! envelopes, and `DeadLetter::read(&letter)` reads the first. `broker.answer(…)` ends in time.
//!
//! A first step: consume one at a time; acknowledge what is done, `basic_reject` what is not. Then
//! run the checks and read the first timeline.

use messaging::confirms::NotConfirmed;
#[allow(unused_imports)] // until you use them
use messaging::dead_letters::{
    DeadLetter, Delivered, Drained, Options, Reason, Verdict, Ward, attempt, closed, opened,
};
use messaging::{Broker, Error, Queue, Topology, broker};

/// Your ward.
#[allow(dead_code)] // until consume uses the fields
pub struct MyWard {
    broker: Broker,
    topology: Topology,
    options: Options,
}

impl Ward for MyWard {
    fn open(url: &str, exchange: &str, queue: Queue, options: Options) -> Result<Self, Error> {
        let connection = broker::Options { timeout: options.timeout, ..broker::Options::default() };
        let topology = Topology { exchange: exchange.to_owned(), queues: vec![queue] };
        Ok(MyWard { broker: Broker::open(url, connection)?, topology, options })
    }

    async fn consume<W, F>(
        &self,
        _work: W,
        _until: impl Future<Output = ()> + Send,
    ) -> Result<Drained, Error>
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Verdict> + Send + 'static,
    {
        todo!("work off what comes, and put aside what cannot be dealt with")
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        todo!("look at the dead-letter queue, and leave it as it is")
    }

    async fn redrive(
        &self,
        _wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<u64, NotConfirmed> {
        todo!("send back those that are wanted, one by one")
    }
}
