//! What was charged, and for which order.
