//! What the examples of the observability topic share.
