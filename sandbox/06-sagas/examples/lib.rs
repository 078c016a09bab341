//! What the examples of the sagas topic share.
