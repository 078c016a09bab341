//! 04.4 · Timeouts: one deadline for a chain of calls.
