//! What the examples of the locks topic share.
