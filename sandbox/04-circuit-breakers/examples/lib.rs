//! What the examples of the circuit breakers topic share.

pub mod hops;
