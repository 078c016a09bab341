//! What keeps a failure where it began: five patterns around one call to somebody else.
//!
//! A tour, one lesson a module:
//!
//! - [`circuit_breaker`] (04.2): stops asking who does not answer, and finds out when they do again.
//! - [`retry`] (04.3): asks once more, where that is allowed and where it does not add to the load.
//! - [`timeouts`] (04.4): one deadline for a chain of calls, past which nobody works.
//! - [`bulkhead`] (04.5): so many calls at once to each dependency, so that one cannot take all.
//! - [`health_checks`] (04.9): what a service says of itself, and how it leaves.
//!
//! Each is a contract, a reference, and a tower layer around a `Service`, so that they compose. The
//! layers answer with the error of what they wrap, or with one of their own, and so have one type
//! for both, as tower's own layers do: [`BoxError`]. Ask it with `downcast_ref`.

pub mod bulkhead;
pub mod circuit_breaker;
pub mod health_checks;
pub mod retry;
pub mod timeouts;

/// Any error: that of the service, or one of a layer's own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
