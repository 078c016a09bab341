//! What goes wrong, and the exit code that it ends in.

use std::fmt;

/// All passed.
pub(crate) const PASSED: u8 = 0;
/// A check failed, was inconclusive, or the lab could not do its work.
pub(crate) const FAILED: u8 = 1;
/// The command itself was wrong; clap uses the same code.
pub(crate) const USAGE: u8 = 2;
/// Ended by Ctrl-C: 128 and the signal's number, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// The learner asked for something that does not exist.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() { USAGE } else { FAILED }
}
