//! What the examples of the messaging topic share.
