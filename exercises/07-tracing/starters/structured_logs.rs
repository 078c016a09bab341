//! 07.2 · Structured logs
//!
//! The checkout logs what it does: with `println!`, with `{:?}`, in sentences. Last week somebody
//! searched it for "4111" and found 300 customers. Write the log anew, so that a query finds what it
//! asks for, and nobody finds what they should not.
//!
//! What you build has to keep six promises, and the checks will try to break each of them:
//!
//! 1. Each event is one line of JSON, with level, target, message and fields that keep their types.
//! 2. No value writes a line of its own, whatever stands in it.
//! 3. Secrets are hidden by the name of their field and by their look, in every text: messages,
//!    `Debug`, JSON, errors. What is no secret stays.
//! 4. A value that is huge, panics, or cannot be written spoils nothing but itself.
//! 5. Of what is not wanted no value is even looked at.
//! 6. What is wanted can be changed while the program runs, and a slip of the pen changes nothing.
//!
//! The contract with all its details is the trait `StructuredLogs`:
//! sandbox/07-tracing/src/structured_logs.rs. (`Policy`, `Wanted` and `Lines` are parts of the answer.
//! Leave them for later.)
//!
//! A first step: `new` that takes a level and nothing else, and `write` that makes one JSON object of
//! the message and the fields with `serde_json`. Run the checks and read the first failure. The crate
//! `regex` is there for what secrets look like.

use observability::structured_logs::{BadDirective, Raised, StructuredLogs};
use std::io;

/// Your log.
pub struct MyLines;

#[allow(unused_variables)] // until you have written them
impl StructuredLogs for MyLines {
    /// Which events are wanted: `info,orders=debug`.
    fn new(wanted: &str) -> Result<MyLines, BadDirective> {
        todo!("read the directives, or name the first that is none")
    }

    /// The same, later, while others write.
    fn change(&self, wanted: &str) -> Result<(), BadDirective> {
        todo!("read all of it before anything changes")
    }

    /// `event.each(&mut |name, said| match said { Said::Text(text) => …, … })` tells the fields.
    fn write(&self, event: &Raised<'_>, to: &mut dyn io::Write) {
        todo!("if it is wanted: one line, without secrets, in one piece")
    }
}
