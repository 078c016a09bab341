//! What stands around each call of one service to another: topic 04, in place.
//!
//! ```text
//!   caller -> deadline -> retry -> breaker -> bulkhead -> id, span -> patience -> the bare call
//! ```
//!
//! - **deadline** outside of all: pauses, queues and attempts together end when nobody waits any
//!   more. It comes with the request that is being answered; see [`Arrivals`].
//! - **retry** outside of the breaker, so that each attempt is one that the breaker hears of, and
//!   outside of the bulkhead, so that nobody holds a place while pausing. What a breaker or a bulkhead
//!   refuses is not asked for again.
//! - **breaker** outside of the bulkhead: while it is open, nobody queues for a place.
//! - **bulkhead** outside of the patience: who waits for a place is not yet a burden to the other
//!   side, and has a limit of its own.
//! - **id and span** for each attempt, so that the next service hangs beneath the one that reached it,
//!   and what was refused here looks like no call.
//! - **patience** for each attempt, inside of the breaker, so that its end counts as a failure.
//!
//! `docs/concepts/order_of_layers.md` has the figures for other orders.
//!
//! There is one of each for each pair of caller and callee: a payments service that is ill says
//! nothing of the catalogue. Each is behind a switch that is read at each call, so that one shop
//! under one load shows both sides: `pattern.timeout`, `pattern.retry`, `pattern.breaker`,
//! `pattern.bulkhead`. With all of them off, a call is what it was before there was any of this:
//! one attempt with a time limit of its own.
//!
//! Of breakers there is one for each method, since what a service does fails apart. While every
//! charge (`PUT`) hangs, the question what became of one (`GET`) is answered from a row, and so is
//! the wish to end it (`POST`). Counted together, each such answer ends the row of failures, and the
//! breaker never opens. And one that is open before charges must not keep orders from that
//! question, for it is the way out.
//!
//! # What may be given up, and what may not
//!
//! A deadline says that nobody waits for the answer. What follows depends on the work:
//!
//! | work | at the deadline |
//! | --- | --- |
//! | a read, a cart | dropped, wherever it stands: nothing is half done |
//! | a step of a checkout that has not begun | not begun |
//! | a charge that has been handed to the provider | goes on in a task of its own, until its outcome is written down |
//! | what undoes or finishes an order | goes on: [`beyond`] the deadline |
//!
//! So the context of a request does not go into a task that is spawned, unless somebody takes it
//! there by [`Context::now`] and [`Context::scope`]. Whose request it is, and in which trace, is
//! another matter: that goes along by [`named`].

mod calls;
mod context;
mod refusal;
mod told;

pub use calls::{Calls, Options};
pub use context::{Arrivals, Context, asked_again, beyond, named};
pub use told::{Book, Line};
