//! What any limiter on Redis must withstand, however it counts.

pub(crate) mod counting;
pub(crate) mod keeping;
pub(crate) mod losing;
pub(crate) mod sharing;
