//! Transactions across services, none of which can be rolled back.
//!
//! A tour, one lesson a module:
//!
//! - [`orchestration`] (06.2): a saga as a value; where a step fails, what was done before is undone.
//! - [`outbox`] (06.5): a message goes out if and only if its transaction was committed.
//! - [`idempotency_keys`] (06.6): the same request twice has one effect, and the same answer.
//! - [`crash_recovery`] (06.7): a saga that was killed at any step goes on from there, once.
//!
//! Below the first and the last lies what they share: [`saga`], the value, and what the entries of
//! its journal say has to be done next. [`journal`] is where they outlive the process.

pub mod crash_recovery;
pub mod idempotency_keys;
pub mod journal;
pub mod orchestration;
pub mod outbox;
pub mod saga;

pub use saga::{Entry, Failure, Next, Outcome, Run, Saga, Step};
