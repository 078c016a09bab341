//! 04.9 · Health checks: what a service says of itself, and how it leaves.
