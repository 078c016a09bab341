//! The shop's only door.
