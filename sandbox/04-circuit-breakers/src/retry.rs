//! 04.3 · Retry: asks once more, within a budget.
