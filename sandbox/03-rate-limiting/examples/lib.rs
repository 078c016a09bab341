//! What the examples of the rate limiting topic share.

pub mod wire;
