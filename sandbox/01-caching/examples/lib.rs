//! What the examples of the caching topic share.
//!
//! They are a package of their own, because Cargo builds a package's dev-dependencies for its
//! examples too: whoever runs the first example would wait for criterion, moka and cached, which
//! only the benchmarks use.

pub mod second_process;
