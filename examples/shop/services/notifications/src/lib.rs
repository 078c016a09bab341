//! What customers were told.
