//! The shop's switches and faults, in the shape of flagd.
//!
//! A pattern can be switched off and on while the shop runs, and a fault likewise, so that one
//! shop under one load shows both columns of a comparison. The documents have the shape of
//! [flagd's flag definitions](https://flagd.dev/reference/flag-definitions/), so that what is
//! learnt here is of use elsewhere; they are evaluated in this process, without a network.
//!
//! - [`known`]: the one table of all switches, and an enum for each: a misspelling does not compile;
//! - [`Flags`]: the handle that everybody holds. Reading is cheap enough for every request;
//! - [`Schedule`]: a fault that comes and goes, the same in every run of one seed;
//! - [`Invalid`]: what is wrong with a document, where, and what is allowed there.
//!
//! ```
//! use shop_flags::{FaultPayment, Flags, PatternCache};
//!
//! let flags = Flags::default();
//! assert_eq!(flags.get::<PatternCache>(), PatternCache::Stampede);
//!
//! flags.merge(r#"{"flags": {"fault.payment": {"defaultVariant": "decline"}}}"#)?;
//! assert_eq!(flags.get::<FaultPayment>(), FaultPayment::Decline);
//! # Ok::<(), shop_flags::Invalid>(())
//! ```
//!
//! # What differs from flagd
//!
//! - A document is **merged**: flags that it does not name stay as they are. What it says of a
//!   flag is all that holds for that flag; a field that it leaves out is as in the table. Flagd
//!   reads files, and a file is the whole; with `curl` one changes one thing.
//! - The variants are fixed by the table. They may be left out, and must not differ.
//! - A flag that is `DISABLED` is as if there were no flag: its default in the table holds. (In
//!   flagd, the default that the asking program brings.)
//! - Of the targeting operators there is [`fractional`](Fractional), and no other.
//! - `metadata` may hold a [schedule](Schedule). A flag outside its schedule is as if disabled.
//! - The document that [`Flags::to_json`] gives has one key more, `effective`: what each flag
//!   evaluates to now. It is ignored when it comes back.

mod definition;
mod flags;
mod fractional;
mod invalid;
pub mod known;
mod murmur3;
mod schedule;

pub use flags::Flags;
pub use fractional::Fractional;
pub use invalid::Invalid;
pub use known::{
    FaultCache, FaultCatalogDb, FaultEmail, FaultOrdersCrash, FaultPayment, FaultService,
    PatternAsync, PatternBreaker, PatternBulkhead, PatternCache, PatternIdempotency, PatternInbox,
    PatternLimiter, PatternLock, PatternOutbox, PatternRetry, PatternSaga, PatternTimeout,
    PatternTracing, Switch,
};
pub use schedule::Schedule;
