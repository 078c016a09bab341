//! 04.5 · Bulkhead: so many calls at once to each dependency.
