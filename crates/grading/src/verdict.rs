//! Valid, invalid, or inconclusive.

use crate::history::Step;
use testbed::gate::NobodyCame;
use testbed::proxy::ProxyError;

/// How a check ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The fault happened and the promise held.
    Valid,
    /// The promise was broken; this is the smallest evidence.
    Invalid(Evidence),
    /// Nothing was proved: no server, the fault never landed, too little happened under it.
    /// It never counts as passed.
    Inconclusive(String),
}

/// Why a check stopped before its end. `?` turns a failing test bed into "inconclusive".
#[derive(Clone, Debug)]
pub enum Finding {
    /// See [`Verdict::Invalid`].
    Invalid(Evidence),
    /// See [`Verdict::Inconclusive`].
    Inconclusive(String),
}

/// What was expected, what was seen, and the steps of the history that clash.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub(crate) expected: String,
    pub(crate) saw: String,
    pub(crate) clash: Vec<Step>,
}

impl Evidence {
    /// Two sentences without full stops: what had to be, what was.
    pub fn new(expected: impl Into<String>, saw: impl Into<String>) -> Evidence {
        Evidence { expected: expected.into(), saw: saw.into(), clash: Vec::new() }
    }

    /// Marks a step that belongs to the clash.
    pub fn at(mut self, step: impl Into<Option<Step>>) -> Evidence {
        self.clash.extend(step.into());
        self
    }
}

impl From<Evidence> for Finding {
    fn from(evidence: Evidence) -> Finding {
        Finding::Invalid(evidence)
    }
}

impl Finding {
    /// The check proves nothing, and why.
    pub fn inconclusive(why: impl Into<String>) -> Finding {
        Finding::Inconclusive(why.into())
    }
}

impl From<Result<(), Finding>> for Verdict {
    fn from(result: Result<(), Finding>) -> Verdict {
        match result {
            Ok(()) => Verdict::Valid,
            Err(Finding::Invalid(evidence)) => Verdict::Invalid(evidence),
            Err(Finding::Inconclusive(why)) => Verdict::Inconclusive(why),
        }
    }
}

impl From<NobodyCame> for Finding {
    fn from(error: NobodyCame) -> Finding {
        Finding::Inconclusive(format!("the fault did not land: {error}"))
    }
}

/// No server: nothing can be proved, and the message names what to do.
impl From<testbed::Missing> for Finding {
    fn from(missing: testbed::Missing) -> Finding {
        Finding::Inconclusive(missing.to_string())
    }
}

/// A fault that the server refused did not land.
impl From<testbed::redis::Error> for Finding {
    fn from(error: testbed::redis::Error) -> Finding {
        Finding::Inconclusive(format!("the fault did not land: {error}"))
    }
}

/// A fault that the server refused did not land.
impl From<testbed::postgres::Error> for Finding {
    fn from(error: testbed::postgres::Error) -> Finding {
        Finding::Inconclusive(format!("the fault did not land: {error}"))
    }
}

impl From<testbed::rabbitmq::Error> for Finding {
    fn from(error: testbed::rabbitmq::Error) -> Finding {
        Finding::Inconclusive(format!("the fault did not land: {error}"))
    }
}

impl From<ProxyError> for Finding {
    fn from(error: ProxyError) -> Finding {
        Finding::Inconclusive(error.to_string())
    }
}

/// An error of the check's own connection to the server; the subject's are for the check to judge.
impl From<redis::RedisError> for Finding {
    fn from(error: redis::RedisError) -> Finding {
        Finding::Inconclusive(format!("the server failed the check itself: {error}"))
    }
}

/// A task of the check ended in a panic: the code under test panicked in it.
impl From<tokio::task::JoinError> for Finding {
    fn from(stopped: tokio::task::JoinError) -> Finding {
        // What it said, and where, stands in the report: see `runner`.
        match stopped.try_into_panic() {
            Ok(payload) if crate::runner::panic_text(payload.as_ref()).starts_with("not yet") => {
                Evidence::new("your answer", "a todo!() that still waits for it").into()
            }
            Ok(_) => Evidence::new("an answer", "a panic").into(),
            Err(_) => Finding::inconclusive("a task of the check was cancelled"),
        }
    }
}
