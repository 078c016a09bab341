//! How a company outside behaves during one call.

use std::time::Duration;

/// How a company outside behaves during one call. The caller says it, from its own switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// It works, and takes its usual time.
    #[default]
    Fine,
    /// It works, and takes this much longer than usual.
    Slow(Duration),
    /// It takes its usual time to say no, whatever was asked. Nothing was done.
    Declines,
    /// It answers at once that it is out of order. Nothing was done.
    Errors,
    /// It does what was asked and never answers: **the caller waits for ever**, unless it brought
    /// a timeout. What was done stays done.
    Hangs,
}

impl Weather {
    /// How long a call takes that usually takes `usual`.
    pub(crate) fn lengthen(self, usual: Duration) -> Duration {
        match self {
            Self::Slow(longer) => usual + longer,
            Self::Fine | Self::Declines | Self::Errors | Self::Hangs => usual,
        }
    }
}
